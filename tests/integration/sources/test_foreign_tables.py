"""Foreign tables: their rows come from outside of the snapshot, so a region that consists of them is refused."""

from pathlib import Path

import pytest

from local.postgres import READER
from tasks.errors import RegionUnfitError
from tests.integration.sources.clusters import Cluster
from tests.integration.sources.reading import read

pytestmark = pytest.mark.more


@pytest.fixture
def sales(oldest_cluster: Cluster) -> Cluster:
    """Has a sale in a file of the server, and nothing named `sales_transactions`."""
    oldest_cluster.empty()
    oldest_cluster.insert({"sale_id": "1"})
    file = oldest_cluster.data / "sales.csv"
    oldest_cluster.execute(f"COPY sales_transactions TO '{file}' (FORMAT csv)")
    oldest_cluster.execute("ALTER TABLE sales_transactions RENAME TO stored")
    oldest_cluster.execute("CREATE EXTENSION file_fdw")
    oldest_cluster.execute("CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
    columns = "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ') FROM pg_attribute"
    ((declared,),) = oldest_cluster.execute(f"{columns} WHERE attrelid = 'stored'::regclass AND attnum > 0")
    oldest_cluster.execute(
        f"CREATE FOREIGN TABLE elsewhere ({declared}) SERVER files OPTIONS (filename '{file}', format 'csv')"
    )
    return oldest_cluster


def test_a_foreign_table_is_refused(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER FOREIGN TABLE elsewhere RENAME TO sales_transactions")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
    with pytest.raises(RegionUnfitError, match="sales_transactions is a foreign table"):
        read(sales.url(), tmp_path)


def test_a_foreign_partition_is_refused_by_its_name(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("CREATE TABLE sales_transactions (LIKE stored) PARTITION BY LIST (store_id)")
    sales.execute("ALTER TABLE sales_transactions ATTACH PARTITION elsewhere DEFAULT")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
    with pytest.raises(RegionUnfitError, match="elsewhere"):
        read(sales.url(), tmp_path)


def test_a_view_of_a_foreign_table_is_refused_by_its_name(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("CREATE VIEW sales_transactions AS TABLE elsewhere")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
    with pytest.raises(RegionUnfitError, match="elsewhere"):
        read(sales.url(), tmp_path)
