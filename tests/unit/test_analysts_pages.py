"""The files for dbt and for a semantic view have every column of the views, and add no amounts across currencies."""

import re

import pytest
import yaml

from docs.analysts_pages import EXAMPLES, YESTERDAY, semantic_view, sources_file
from expectations.analysts import DATA_STATUS, SALES, VIEWS
from expectations.columns import Role
from local.snowflake_dialect import parse

SEMANTIC = semantic_view()


def test_the_dbt_source_has_the_views_with_all_their_columns() -> None:
    (source,) = yaml.safe_load(sources_file())["sources"]
    assert (source["name"], source["schema"]) == ("retail_sales", "ANALYTICS")
    found = {table["name"]: table["columns"] for table in source["tables"]}
    assert found == {
        view.name: [{"name": c.name, "data_type": c.snowflake_type, "description": c.description} for c in view.columns]
        for view in VIEWS
    }


def test_freshness_waits_for_the_next_run_and_looks_at_the_region_that_lags_most() -> None:
    (source,) = yaml.safe_load(sources_file())["sources"]
    sales, status = (table["config"] for table in source["tables"])
    limits = {"warn_after": {"count": 32, "period": "hour"}, "error_after": {"count": 56, "period": "hour"}}
    assert sales["freshness"] == limits
    assert set(sales) == {"freshness", "loaded_at_query"}
    assert "min(" in sales["loaded_at_query"]
    assert "group by region" in sales["loaded_at_query"]
    parse(sales["loaded_at_query"])
    assert status == {"freshness": None}, "it is computed when it is read"


def entries(clause: str) -> dict[str, str]:
    """The expressions of a clause of the semantic view by name."""
    (body,) = re.findall(rf"^    {clause} \(\n(.*?)\n    \)$", SEMANTIC, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^ {8}(\S+) AS (.+?) COMMENT = '.+',?$", body, re.MULTILINE))


def test_each_column_is_a_fact_or_a_dimension() -> None:
    facts, dimensions = entries("FACTS"), entries("DIMENSIONS")
    assert facts.keys().isdisjoint(dimensions)
    assert facts | dimensions == {f"{view.name}.{c.name}": c.name for view in VIEWS for c in view.columns}
    assert {name for name in facts if name.startswith("SALES.")} == {
        f"SALES.{c.name}" for c in SALES.columns if c.snowflake_type.startswith("NUMBER") and "SALE_" not in c.name
    }


def test_no_metric_adds_amounts_of_several_currencies() -> None:
    metrics = entries("METRICS")
    guard = "CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.{}) END"
    amounts = [column for column in SALES.columns if column.snowflake_type == "NUMBER(12,2)"]
    money = [column.name for column in amounts if column.role in (Role.MONEY, Role.DERIVED)]
    assert len(money) == 5
    assert {name: metrics[f"SALES.SUM_OF_{name}"] for name in money} == {name: guard.format(name) for name in money}
    assert sum("SUM(" in expression for expression in metrics.values()) == len(money)


def test_the_clauses_stand_in_the_order_that_snowflake_requires() -> None:
    clauses = ("TABLES", "RELATIONSHIPS", "FACTS", "DIMENSIONS", "METRICS", "COMMENT =", "COPY GRANTS;")
    found = [SEMANTIC.index(f"\n    {clause}") for clause in clauses]
    assert found == sorted(found)
    assert f"SALES ({', '.join(DATA_STATUS.key)}) REFERENCES DATA_STATUS" in SEMANTIC


@pytest.mark.parametrize("example", [YESTERDAY, *EXAMPLES], ids=lambda example: example.question)
def test_an_example_is_a_query_that_snowflake_takes_and_adds_amounts_per_currency(example: object) -> None:
    query = str(getattr(example, "query", ""))
    parse(query)
    assert "ORDER BY" in query, "a reader sees the rows in an order"
    if "SUM(" in query:
        assert "CURRENCY" in query.partition("GROUP BY")[2].partition("ORDER BY")[0]
