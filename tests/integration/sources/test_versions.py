"""Other versions of PostgreSQL: what the reading rests on is there, from the oldest that is promised."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import READER
from tasks.batch import Keys
from tasks.errors import RegionUnfitError
from tests.integration.sources.clusters import Cluster, running_cluster
from tests.integration.sources.interleaving import read_during
from tests.integration.sources.packages import VERSIONS, Version
from tests.integration.sources.reading import read, read_keys
from tests.integration.sources.test_rewritten_tables import RELOAD
from tests.integration.sources.test_settings_of_roles import EXTRA_COLUMNS
from tests.unit.sales import read_table

pytestmark = pytest.mark.more


@pytest.fixture(scope="module", params=VERSIONS, ids=str)
def of_version(directory: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    version: Version = request.param
    with running_cluster(directory, version.install(directory)) as cluster:
        ((number,),) = cluster.execute("SELECT current_setting('server_version_num')::int / 10000")
        assert number == version.number
        yield cluster


@pytest.fixture
def sales(of_version: Cluster) -> Cluster:
    of_version.empty()
    of_version.insert(*({"sale_id": key} for key in ("1", "2", "3")))
    return of_version


def test_a_region_is_read_by_its_window_and_by_keys(sales: Cluster, tmp_path: Path) -> None:
    columns = ", ".join(f"ADD {name} {kind} DEFAULT {value}" for name, (kind, value) in EXTRA_COLUMNS.items())
    sales.execute(f"ALTER TABLE sales_transactions {columns}")
    extra = dict.fromkeys(EXTRA_COLUMNS, "plain")
    by_window = read_table(read(sales.url(), tmp_path, extra).path)
    by_keys = read_table(read(sales.url(), tmp_path, extra, Keys(("1", "2", "3"))).path)
    assert by_window == by_keys
    assert by_window.num_rows == 3


def test_what_row_security_hides_is_not_left_out(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions ENABLE ROW LEVEL SECURITY")
    with pytest.raises(RegionUnfitError, match="BYPASSRLS"):
        read(sales.url(), tmp_path)
    sales.execute(f"ALTER ROLE {READER} BYPASSRLS")
    assert read_keys(sales.url(), tmp_path) == ["1", "2", "3"]


def test_a_table_that_is_rewritten_meanwhile_is_read_whole(sales: Cluster, tmp_path: Path) -> None:
    assert read_during(sales, RELOAD.format("sales_transactions"), tmp_path) == ["1", "2", "3"]
