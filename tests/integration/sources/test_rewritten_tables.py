"""A table that is rewritten while its reading begins: all rows of its new state are read.

Older snapshots do not see the rows from before a TRUNCATE, or an ALTER TABLE that rewrites all rows
(https://www.postgresql.org/docs/current/mvcc-caveats.html).
"""

from pathlib import Path

import pytest

from local.postgres import OWNER, READER
from tests.integration.sources.clusters import Cluster, grant_columns
from tests.integration.sources.interleaving import read_during

SALES = [{"sale_id": key, "store_id": key} for key in ("1", "2", "3")]
RELOAD = "CREATE TEMPORARY TABLE held AS TABLE {0}; TRUNCATE {0}; INSERT INTO {0} TABLE held"
"""A nightly job that brings a table up to date."""
WIDEN = "ALTER TABLE {0} ALTER quantity TYPE bigint"

CHANGES = pytest.mark.parametrize("change", [pytest.param(RELOAD, id="reload"), pytest.param(WIDEN, id="widen")])


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    cluster.insert(*SALES)
    return cluster


@CHANGES
def test_a_table(sales: Cluster, tmp_path: Path, change: str) -> None:
    assert read_during(sales, change.format("sales_transactions"), tmp_path) == ["1", "2", "3"]


def test_the_new_state_is_read(sales: Cluster, tmp_path: Path) -> None:
    change = RELOAD.format("sales_transactions") + "; UPDATE sales_transactions SET sale_id = sale_id || '0'"
    assert read_during(sales, change, tmp_path) == ["10", "20", "30"]


@CHANGES
def test_a_table_whose_columns_are_granted_one_by_one(sales: Cluster, tmp_path: Path, change: str) -> None:
    grant_columns(sales)
    assert read_during(sales, change.format("sales_transactions"), tmp_path) == ["1", "2", "3"]


def test_a_partition(sales: Cluster, tmp_path: Path) -> None:
    _partition(sales)
    assert read_during(sales, RELOAD.format("of_others"), tmp_path) == ["1", "2", "3"]


def test_a_partition_that_is_replaced(sales: Cluster, tmp_path: Path) -> None:
    _partition(sales)
    change = """
    CREATE TABLE of_others_new (LIKE sales_transactions);
    INSERT INTO of_others_new TABLE of_others;
    ALTER TABLE sales_transactions DETACH PARTITION of_others;
    ALTER TABLE sales_transactions ATTACH PARTITION of_others_new DEFAULT;
    """
    assert read_during(sales, change, tmp_path) == ["1", "2", "3"]


def test_a_child_of_a_table(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("CREATE TABLE child () INHERITS (sales_transactions)")
    sales.execute(f"ALTER TABLE child OWNER TO {OWNER}")
    sales.insert({"sale_id": "4"}, table="child")
    assert read_during(sales, RELOAD.format("child"), tmp_path) == ["1", "2", "3", "4"]


def test_a_table_that_is_replaced(sales: Cluster, tmp_path: Path) -> None:
    change = f"""
    CREATE TABLE new (LIKE sales_transactions);
    INSERT INTO new TABLE sales_transactions;
    DROP TABLE sales_transactions;
    ALTER TABLE new RENAME TO sales_transactions;
    GRANT SELECT ON sales_transactions TO {READER};
    """
    assert read_during(sales, change, tmp_path) == ["1", "2", "3"]


@pytest.mark.parametrize("readers", [pytest.param(False, id="owner"), pytest.param(True, id="invoker")])
def test_the_table_of_a_view(sales: Cluster, tmp_path: Path, readers: bool) -> None:
    _store_aside(sales, f"VIEW sales_transactions WITH (security_invoker = {readers})")
    if readers:
        sales.execute(f"GRANT SELECT ON stored TO {READER}")
    assert read_during(sales, RELOAD.format("stored"), tmp_path) == ["1", "2", "3"]


def test_a_materialized_view_that_is_refreshed(sales: Cluster, tmp_path: Path) -> None:
    _store_aside(sales, "MATERIALIZED VIEW sales_transactions")
    sales.insert({"sale_id": "4"}, table="stored")
    assert read_during(sales, "REFRESH MATERIALIZED VIEW sales_transactions", tmp_path) == ["1", "2", "3", "4"]


def _store_aside(sales: Cluster, view: str) -> None:
    sales.execute("ALTER TABLE sales_transactions RENAME TO stored")
    sales.execute(f"REVOKE ALL ON stored FROM {READER}")
    sales.execute(f"CREATE {view} AS TABLE stored")
    kind = view.partition(" sales_transactions")[0]
    sales.execute(f"ALTER {kind} sales_transactions OWNER TO {OWNER}")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")


def _partition(sales: Cluster) -> None:
    sales.execute("ALTER TABLE sales_transactions RENAME TO stored")
    sales.execute("CREATE TABLE sales_transactions (LIKE stored) PARTITION BY LIST (store_id)")
    sales.execute("CREATE TABLE of_store_1 PARTITION OF sales_transactions FOR VALUES IN ('1')")
    sales.execute("CREATE TABLE of_others PARTITION OF sales_transactions DEFAULT")
    sales.execute("INSERT INTO sales_transactions SELECT * FROM stored")
    for table in ("sales_transactions", "of_store_1", "of_others"):
        sales.execute(f"ALTER TABLE {table} OWNER TO {OWNER}")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
