"""Foreign tables: their rows come from elsewhere, outside of the snapshot, so a region made of them is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import READER
from tasks.errors import RegionUnfitError
from tests.integration.sources.clusters import Cluster, running_cluster
from tests.integration.sources.packages import OLDEST
from tests.integration.sources.reading import read

pytestmark = pytest.mark.more


@pytest.fixture(scope="module")
def with_fdw(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory, OLDEST.install(directory)) as cluster:
        yield cluster


@pytest.fixture
def sales(with_fdw: Cluster) -> Cluster:
    """Its sale stands in a file of the server; nothing is named `sales_transactions`."""
    with_fdw.empty()
    with_fdw.insert({"sale_id": "1"})
    file = with_fdw.data / "sales.csv"
    with_fdw.execute(f"COPY sales_transactions TO '{file}' (FORMAT csv)")
    with_fdw.execute("ALTER TABLE sales_transactions RENAME TO stored")
    with_fdw.execute("CREATE EXTENSION file_fdw")
    with_fdw.execute("CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
    columns = "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ') FROM pg_attribute"
    ((declared,),) = with_fdw.execute(f"{columns} WHERE attrelid = 'stored'::regclass AND attnum > 0")
    with_fdw.execute(
        f"CREATE FOREIGN TABLE elsewhere ({declared}) SERVER files OPTIONS (filename '{file}', format 'csv')"
    )
    return with_fdw


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
