"""Collations that treat different texts as equal: such texts still stay separate. They need ICU."""

from pathlib import Path

import pytest

from local.postgres import OWNER
from tasks.batch import Keys
from tests.integration.sources.clusters import Cluster
from tests.integration.sources.reading import read, read_rows
from tests.unit.sales import read_table

pytestmark = pytest.mark.more


@pytest.fixture
def sales(oldest_cluster: Cluster) -> Cluster:
    """A table that compares currencies, keys and categories without regard to case."""
    oldest_cluster.empty()
    oldest_cluster.execute(
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    oldest_cluster.execute(f"ALTER COLLATION any_case OWNER TO {OWNER}")
    for column in ("currency", "sale_id", "product_category"):
        oldest_cluster.execute(f"ALTER TABLE sales_transactions ALTER {column} TYPE text COLLATE any_case")
    oldest_cluster.insert({"sale_id": "a", "currency": "usd"}, {"sale_id": "A", "currency": "USD"})
    return oldest_cluster


def test_currencies_that_differ_in_case_alone_stay_two(sales: Cluster, tmp_path: Path) -> None:
    rows = read_rows(sales.url(), tmp_path)
    assert dict(zip(rows["sale_id"].to_pylist(), rows["currency"].to_pylist(), strict=True)) == {"A": "USD", "a": "usd"}


def test_a_key_names_one_sale_alone(sales: Cluster, tmp_path: Path) -> None:
    extracted = read(sales.url(), tmp_path, wanted=Keys(("a",)))
    assert read_table(*extracted.paths)["sale_id"].to_pylist() == ["a"]
