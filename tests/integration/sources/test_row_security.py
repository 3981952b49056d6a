"""Row security of the source: rows are never left out silently, and a reader that may see all rows reads them."""

from pathlib import Path

import pytest

from local.postgres import OWNER, READER
from tasks.errors import RegionUnfitError
from tests.integration.sources.clusters import Cluster
from tests.integration.sources.reading import read, read_keys

KEYS = ["1", "2", "3", "4"]
SOME = "store_id::int % 2 = 1"
"""A condition that half of the sales fulfil."""


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    cluster.insert(*({"sale_id": key, "store_id": key} for key in KEYS))
    return cluster


def protect(sales: Cluster, condition: str = SOME, table: str = "sales_transactions", roles: str = "PUBLIC") -> None:
    sales.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    sales.execute(f"CREATE POLICY narrow ON {table} FOR SELECT TO {roles} USING ({condition})")


def put_view_over_table(sales: Cluster, options: str = "", owner: str = OWNER) -> None:
    sales.execute("ALTER TABLE sales_transactions RENAME TO stored")
    sales.execute(f"CREATE VIEW sales_transactions {options} AS SELECT * FROM stored")
    sales.execute(f"ALTER VIEW sales_transactions OWNER TO {owner}")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")


@pytest.mark.parametrize("condition", [SOME, "true", "false"])
@pytest.mark.parametrize("roles", [READER, "PUBLIC", OWNER])
def test_a_reader_under_policies_is_refused_whatever_they_let_through(
    sales: Cluster, tmp_path: Path, condition: str, roles: str
) -> None:
    protect(sales, condition, roles=roles)
    with pytest.raises(RegionUnfitError, match="(?s)BYPASSRLS.*view"):
        read(sales.url(), tmp_path)


def test_row_security_without_any_policy_is_refused_too(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions ENABLE ROW LEVEL SECURITY")
    with pytest.raises(RegionUnfitError, match="(?s)BYPASSRLS.*view"):
        read(sales.url(), tmp_path)


def test_policies_that_are_not_enabled_hide_nothing(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    sales.execute("ALTER TABLE sales_transactions DISABLE ROW LEVEL SECURITY")
    assert read_keys(sales.url(), tmp_path) == KEYS


def test_a_reader_with_bypassrls_reads_all(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    sales.execute(f"ALTER ROLE {READER} BYPASSRLS")
    assert read_keys(sales.url(), tmp_path) == KEYS


def test_a_view_of_the_tables_owner_shows_all(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    put_view_over_table(sales)
    assert read_keys(sales.url(), tmp_path) == KEYS


def test_a_view_with_the_rights_of_its_reader_is_refused(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    put_view_over_table(sales, options="WITH (security_invoker = true)")
    sales.execute(f"GRANT SELECT ON stored TO {READER}")
    with pytest.raises(RegionUnfitError, match="(?s)BYPASSRLS.*view"):
        read(sales.url(), tmp_path)


def test_a_view_of_somebody_under_policies_is_refused(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    sales.execute("DROP ROLE IF EXISTS somebody")
    sales.execute("CREATE ROLE somebody")
    sales.execute("GRANT SELECT ON sales_transactions TO somebody")
    put_view_over_table(sales, owner="somebody")
    with pytest.raises(RegionUnfitError, match="(?s)BYPASSRLS.*view"):
        read(sales.url(), tmp_path)


def test_the_owner_reads_all_until_the_policies_are_forced(sales: Cluster, tmp_path: Path) -> None:
    protect(sales)
    assert read_keys(sales.url(OWNER), tmp_path) == KEYS
    sales.execute("ALTER TABLE sales_transactions FORCE ROW LEVEL SECURITY")
    with pytest.raises(RegionUnfitError, match="(?s)BYPASSRLS.*view"):
        read(sales.url(OWNER), tmp_path)


def test_policies_of_a_partition_hide_nothing_from_a_reader_of_its_parent(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions RENAME TO stored")
    sales.execute("CREATE TABLE sales_transactions (LIKE stored) PARTITION BY LIST (store_id)")
    sales.execute("CREATE TABLE of_store_1 PARTITION OF sales_transactions FOR VALUES IN ('1')")
    sales.execute("CREATE TABLE of_others PARTITION OF sales_transactions DEFAULT")
    sales.execute("INSERT INTO sales_transactions SELECT * FROM stored")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
    protect(sales, "false", table="of_others")
    assert read_keys(sales.url(), tmp_path) == KEYS
