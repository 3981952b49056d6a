"""The SQL of the warehouse: golden files show it, values are quoted, every file in `sql/` has a use and a header."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from snowflake.connector.util_text import split_statements

from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS, CLEAN_SCHEMA, EXTRA_ATTRIBUTES, REJECTED_SCHEMA
from tasks.batch import Attempt, StagingTables
from tasks.reconcile.fingerprint import table_fingerprint
from tasks.tally import TALLIED_COLUMNS
from tasks.warehouse.attributes import attribute_values
from tasks.warehouse.statements import (
    SQL_DIRECTORY,
    key_lists,
    render,
    render_part,
    snapshots_query,
    source_key,
    subqueries_of,
    tally_sums,
    text_literal,
)
from tests.unit.golden import assert_golden

PROJECT = SQL_DIRECTORY.parent
TABLES = vars(StagingTables.of_run(42))
SNAPSHOT = datetime(2024, 1, 16, 6, tzinfo=UTC)
SNAPSHOTS = snapshots_query(
    {
        "US_EAST": SNAPSHOT,
        "EUROPE": datetime(2024, 1, 16, 6, 0, 0, 123456, tzinfo=UTC),
    }
)
VALUES = {
    **TABLES,
    **subqueries_of(Attempt(42, "x", "20240115", ())),
    "is_past": "TRUE",
    "on_days": "(SALE_DATE >= '2024-01-15'::TIMESTAMP_TZ AND SALE_DATE < '2024-01-16'::TIMESTAMP_TZ)",
    **attribute_values({"US_EAST": ("loyalty_tier",), "EUROPE": ("loyalty_tier", "phone"), "US_WEST": ()}),
    "snapshots": SNAPSHOTS,
    "batch_id": "20240115",
    "run_number": "42",
    "table": "STAGING.CLEAN_000042",
    "region_column": "REGION",
    "path": "sales/batch=20240115/run=000042",
    "flow_run_ids": "'0a', '0b'",
    "files": "'clean/EUROPE-000.parquet', 'clean/US_EAST-000.parquet'",
    "ordinal": "NULL",
    "entries": render("ledger/entry", ordinal="NULL"),
    "fresh_seconds": "10",
    "of_known_tables": " AND TABLES_VERSION = 5",
    "verb": "DELETE",
    "days": "14",
    "places": "?, ?",
    "regions": "'EUROPE', 'US_EAST'",
    "keys_max": "1000",
    "runs": "42, 43",
    "batches": "'20240115', 'H20240116T091500Z'",
    "publish": "17",
    "published_by": "RUN_NUMBER",
    "past": render_part("as_of/sales", publish="17"),
    "kept_since": "DATEADD('day', -35, CURRENT_TIMESTAMP())",
    "rows_max": "100",
    "arrival_day": "TO_DATE(GREATEST(SALE_DATE, UPDATED_AT))",
    "fingerprint": table_fingerprint(),
    "money_sums": "SUM(TOTAL_AMOUNT)",
    "since": "'2024-01-10'::TIMESTAMP_TZ",
    "until": "'2024-01-12'::TIMESTAMP_TZ",
    "dates": "'2024-01-10', '2024-01-11'",
    "buckets": "'00', 'ff'",
    "is_gone": "REGION = 'EUROPE' AND SALE_ID IN ('1', '2')",
    "region": "'EUROPE'",
    "snapshot_at": "'2024-01-16 06:00:00+00:00'::TIMESTAMP_TZ",
    "attributes_are_no_object": "EXTRA_ATTRIBUTES IS NOT NULL AND TRY_PARSE_JSON(EXTRA_ATTRIBUTES) IS NULL",
    "broken_rules": render("checks/broken_rules"),
    "expected": "SELECT '20240115' AS BATCH_ID, 'EUROPE' AS REGION",
    "warehouse": "ETL_WH",
    "watch_warehouse": "ETL_WATCH_WH",
    "database": "RETAIL",
    "role": "ETL_ROLE",
    "load_comment": "'Runs the retail sales ETL'",
    "analyst_role": "SALES_ANALYST",
    "analyst_comment": "'Reads the published sales'",
    "stage_url": "'s3://bucket/'",
    "integration": "RETAIL_SALES_S3",
    "stage_integration": "STORAGE_INTEGRATION = RETAIL_SALES_S3",
    "aws_role_arn": "'arn:aws:iam::1:role/x'",
}
STATEMENTS = sorted(str(path.relative_to(SQL_DIRECTORY).with_suffix("")) for path in SQL_DIRECTORY.rglob("*.sql"))
SHOWN = [
    "load/copy_files",
    "load/create_staging_tables",
    "publish/count_fact",
    "publish/insert_cross_region",
    "publish/insert_fates",
    "publish/insert_standing",
    "publish/count_replaced",
    "publish/insert_rejected",
    "publish/merge_sales_fact",
    "publish/insert_new_sales",
    "publish/insert_undo",
    "publish/count_lost_rejected",
    "publish/count_rejected",
    "publish/count_rows",
    "publish/close_rejected",
    "publish/release_rejected",
    "publish/mark_gone",
    "publish/count_versions",
    "reconcile/table_sums",
    "reconcile/mark_deleted",
    "rollback/restore_sales",
    "rollback/runs_in_effect",
    "setup/02_tables",
    "setup/05_rejected_rows",
    "setup/06_analysts",
    "verify/matching_rows",
    "verify/shown_sales",
    "checks/null_percentages",
]


@pytest.mark.parametrize("name", SHOWN)
def test_a_statement_equals_its_golden_file(name: str) -> None:
    assert_golden(f"{Path(name).name}.sql", render(name, **VALUES))


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_a_header_and_no_placeholder_left(name: str) -> None:
    rendered = render(name, **VALUES)
    assert re.match(r"-- (Guarantees:|(Counts|Lists|Returns),?) .{20,}", rendered)
    assert "${" not in rendered


def test_every_statement_is_used() -> None:
    sources = [
        path for folder in ("flows", "tasks", "local", "tests/integration") for path in (PROJECT / folder).rglob("*.py")
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    unused = [name for name in STATEMENTS if f'"{name}"' not in text and f'"{name.removeprefix("setup/")}"' not in text]
    assert unused == []


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        pytest.param("plain", "'plain'", id="plain"),
        pytest.param("", "''", id="empty"),
        pytest.param("it's", "'it''s'", id="quote"),
        pytest.param("back\\slash", "'back\\\\slash'", id="backslash"),
        pytest.param("\\'; DROP TABLE x; --", "'\\\\''; DROP TABLE x; --'", id="backslash-before-quote"),
        pytest.param("\\", "'\\\\'", id="backslash-at-the-end"),
        pytest.param("two\nlines", "'two\nlines'", id="newline"),
        pytest.param("$x ${y}", "'$x ${y}'", id="dollar"),
        pytest.param("Käse 🧀", "'Käse 🧀'", id="unicode"),
    ],
)
def test_a_text_literal_has_no_early_end(text: str, literal: str) -> None:
    assert text_literal(text) == literal


def test_keys_are_listed_in_parts_of_bounded_size() -> None:
    numbers = [str(number) for number in range(2500)]
    assert [json.loads(part) for part in key_lists(numbers)] == [numbers]
    odd = ["it's", 'a "b"', "back\\slash", "two\nlines", "Käse 🧀", "", " "]
    assert [json.loads(part) for part in key_lists(odd)] == [odd]
    long = [f"{'x' * 50_000}{number}" for number in range(100)]
    parts = list(key_lists(long))
    assert [key for part in parts for key in json.loads(part)] == long
    assert {len(json.dumps(part)) < 2**20 for part in parts} == {True}
    assert len(parts) > 1
    assert list(key_lists([])) == []


def test_a_missing_value_is_an_error_and_a_value_is_never_a_placeholder() -> None:
    with pytest.raises(KeyError, match="region_column"):
        render("publish/leave_out_region", table="T")
    with pytest.raises(FileNotFoundError):
        render("publish/no_such_statement")
    assert "${batch_id}" in render("publish/leave_out_region", table="${batch_id}", region_column="R")


def test_staging_tables_have_the_columns_of_the_files() -> None:
    clean, rejected, _ = render("load/create_staging_tables", **VALUES).split(";\n")[:3]

    def names(statement: str) -> list[str]:
        return [match.lower() for match in re.findall(r"^    (\w+) [A-Z]", statement, re.MULTILINE)]

    assert names(clean) == CLEAN_SCHEMA.names
    assert names(rejected) == REJECTED_SCHEMA.names


def test_every_clean_column_takes_part_in_comparing_and_in_updating() -> None:
    fates, merge = render("publish/insert_fates", **VALUES), render("publish/merge_sales_fact", **VALUES)
    for column in CLEAN_COLUMNS:
        name = column.stored_name.upper()
        if column is EXTRA_ATTRIBUTES:
            continue
        assert f"FACT.{name} IS NOT DISTINCT FROM STAGED.{name}" in fates
        assert f"    {name} = STAGED.{name}," in merge


def test_without_attributes_read_stored_ones_are_kept_and_not_compared() -> None:
    values = attribute_values({"EUROPE": ()})
    assert values == {
        "no_read_value_differs": "",
        "read_values": "",
        "read_names": "",
        "written_attributes": "COALESCE(STAGED.EXTRA_ATTRIBUTES, FACT.EXTRA_ATTRIBUTES)",
        "was_read": "FALSE",
    }
    assert values == attribute_values({})


def test_the_name_of_an_attribute_is_quoted_everywhere() -> None:
    values = attribute_values({"EUROPE": ("it's \\",)})
    assert {name: text.count("'it''s \\\\'") for name, text in values.items() if name != "read_names"} == {
        "no_read_value_differs": 2,
        "read_values": 1,
        "written_attributes": 1,
        "was_read": 1,
    }


def test_totals_are_exact_and_their_cells_are_counted() -> None:
    sums = tally_sums("STAGED.")
    assert sums.startswith("SUM(STAGED.DISCOUNT_AMOUNT::NUMBER(38,2)), COUNT(STAGED.DISCOUNT_AMOUNT),")
    assert "SUM(STAGED.UNIT_PRICE::NUMBER(38,6))" in sums
    assert "SUM(LENGTH(STAGED.STORE_ID)::NUMBER(38,0)), COUNT(STAGED.STORE_ID)" in sums
    assert sums.count("SUM(") == sums.count("COUNT(") == len(TALLIED_COLUMNS)


def test_a_cross_region_row_keeps_the_fraction_of_its_seconds() -> None:
    """Rejected rows keep the text of the source: 10:00:00.5 must not become 10:00:00 on its way."""
    statement = render("publish/insert_cross_region", **VALUES)
    assert re.search(r"TO_VARCHAR\(STAGED\.SALE_DATE, '[^']*\.FF[69]?'\)", statement)


def test_a_cross_region_row_keeps_its_key_as_the_source_wrote_it() -> None:
    own, prefixed = REGIONS["EUROPE"], [replace(REGIONS[code], prefix_keys=True) for code in ("US_EAST", "US_WEST")]
    assert source_key("STAGED.SALE_ID", [own]) == "STAGED.SALE_ID"
    assert source_key("STAGED.SALE_ID", [own, *prefixed]) == (
        "CASE WHEN STAGED.REGION IN ('US_EAST', 'US_WEST') "
        "THEN SUBSTR(STAGED.SALE_ID, LENGTH(STAGED.REGION) + 2) ELSE STAGED.SALE_ID END"
    )


def test_snapshots_keep_their_microseconds_and_zone() -> None:
    assert "'2024-01-16 06:00:00.123456+00:00'::TIMESTAMP_TZ" in SNAPSHOTS
    assert SNAPSHOTS.count("UNION ALL") == 1


def test_the_function_of_the_past_is_one_statement_whose_body_is_quoted() -> None:
    script = render("setup/02_tables", **VALUES)
    statements = [text for text, _ in split_statements(StringIO(script), remove_comments=True) if text]
    (made,) = [text for text in statements if "CREATE OR REPLACE FUNCTION" in text]
    assert made.count("$$") == 2
    assert re.search(r"\nAS\n\$\$\n.*SELECT.*UNION ALL.*\n\$\$;?$", made, re.DOTALL)
