"""A region behind PgBouncer in transaction mode: it is read, and the limits of the block are in force.

PgBouncer refuses sessions that connect with `options`, or silently drops these when configured to ignore them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from local.postgres import OWNER
from tasks.errors import may_pass
from tasks.source import slices, snapshot, waits
from tasks.source.snapshot import Limits
from tests.integration.conftest import wait_for
from tests.integration.packages import require_pgbouncer
from tests.integration.sources.clusters import Cluster, PgBouncer, running_pgbouncer
from tests.integration.sources.reading import read, read_keys
from tests.unit.sales import read_table

pytestmark = pytest.mark.more

SLICES = 3
KINDS = {"refuses": {}, "drops": {"ignore_startup_parameters": "options,extra_float_digits"}}
"""How it treats `options`; the first is its default."""
WAITS_TOO_LONG = "SELECT 1 FROM pg_locks WHERE NOT granted AND clock_timestamp() - waitstart > '5 s'"


@pytest.fixture(scope="module", params=KINDS)
def module_bouncer(module_cluster: Cluster, directory: Path, request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    require_pgbouncer()
    with running_pgbouncer(directory, module_cluster, **KINDS[request.param]) as bouncer:
        yield bouncer


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    cluster.insert({"sale_id": "1"}, {"sale_id": "2"})
    return cluster


def settings_of(server: Cluster | PgBouncer) -> dict[str, str]:
    """All settings of a new client's session."""
    with closing(psycopg2.connect(server.url())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name <> 'application_name'")
        return dict(cursor.fetchall())


def test_a_region_is_read(module_bouncer: PgBouncer, sales: Cluster, tmp_path: Path) -> None:
    assert read_keys(module_bouncer.url(), tmp_path) == ["1", "2"]


@pytest.fixture
def _worth_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_ROWS_MIN", 1)


@pytest.mark.usefixtures("_worth_slices")
def test_a_region_is_read_in_slices_where_the_pooler_has_connections(
    sales: Cluster, directory: Path, tmp_path: Path
) -> None:
    require_pgbouncer()
    sales.insert({"sale_id": "3"}, {"sale_id": "4"})
    with running_pgbouncer(directory, sales, default_pool_size=str(SLICES)) as bouncer:
        extracted = read(bouncer.url(), tmp_path, slices_max=SLICES)
        assert settings_of(bouncer) == settings_of(sales)
    assert read_table(*extracted.paths)["sale_id"].to_pylist() == ["1", "2", "3", "4"]
    assert len(extracted.paths) == SLICES


@pytest.mark.usefixtures("_worth_slices")
def test_a_pooler_without_a_connection_for_one_more_reader_is_not_waited_for(
    module_bouncer: PgBouncer, sales: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "JOIN_S_MAX", 1)
    monkeypatch.setattr(waits, "GRACE_S", 1)
    logged: list[str] = []
    extracted = read(module_bouncer.url(), tmp_path, slices_max=2, say=logged.append)
    assert (extracted.read.rows, len(extracted.paths)) == (2, 1)
    assert logged == [
        "step=source region=EUROPE is read by 1 of 2 connections: its database has sent nothing at SET TRANSACTION "
        "SNAPSHOT for 2 s, its own limit being 1 s: look whether it, or a pooler before it, still works"
    ]


def test_a_reading_leaves_no_setting_to_the_next_client(
    module_bouncer: PgBouncer, sales: Cluster, tmp_path: Path
) -> None:
    read(module_bouncer.url(), tmp_path)
    assert settings_of(module_bouncer) == settings_of(sales)


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        pytest.param(Limits(statement_s=1), psycopg2.errors.QueryCanceled, id="statement"),
        pytest.param(Limits(lock_s=1), psycopg2.errors.LockNotAvailable, id="lock"),
    ],
)
def test_a_limit_is_in_force(
    module_bouncer: PgBouncer, sales: Cluster, tmp_path: Path, limits: Limits, error: type[psycopg2.Error]
) -> None:
    with closing(sales.connect(OWNER)) as locking, ThreadPoolExecutor(1) as pool:
        locking.cursor().execute("LOCK TABLE sales_transactions IN ACCESS EXCLUSIVE MODE")
        reading = pool.submit(read, module_bouncer.url(), tmp_path, limits=limits)
        wait_for(lambda: reading.done() or sales.execute(WAITS_TOO_LONG), "the end of the reading")
        locking.rollback()
        with pytest.raises(error) as caught:
            reading.result()
    assert may_pass(caught.value)
