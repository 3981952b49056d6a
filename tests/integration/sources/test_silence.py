"""A database that accepts connections and never answers: the wait is logged and limited."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from psycopg2 import OperationalError
from sqlalchemy import Engine

from blocks import waits
from blocks.databases import engine_of
from blocks.register import database_block
from expectations.regions import REGIONS
from tasks import extract
from tasks.batch import Window
from tasks.errors import TransientError, may_pass
from tasks.extract import read_region
from tasks.source import slices
from tasks.source import waits as source_waits
from tasks.source.snapshot import Limits, open_snapshot
from tasks.stopwatch import say_nothing
from tests.integration.proxy import Proxy, proxy_to
from tests.integration.publish.harness import KEY
from tests.integration.sources.clusters import REGION, TABLE, Cluster
from tests.integration.sources.reading import DAY

IMPATIENT = Limits(statement_s=10)


@pytest.fixture
def proxy(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(source_waits, "GRACE_S", -4)
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.3)
    with proxy_to(cluster.port) as proxy:
        yield proxy


@pytest.fixture
def engine(cluster: Cluster, proxy: Proxy) -> Iterator[Engine]:
    url = cluster.url().replace(f":{cluster.port}/", f":{proxy.port}/")
    engine = engine_of(database_block({f"PG_{REGION}_URL": url, "PG_CONNECT_TIMEOUT_S": "5"}, REGION), 3)
    yield engine
    engine.dispose()


def test_a_database_that_falls_silent_within_a_statement_is_given_up(proxy: Proxy, engine: Engine) -> None:
    logged: list[str] = []
    silent = pytest.raises(TransientError, match="sent nothing at SELECT for 6 s, its own limit being 10 s")
    with silent, open_snapshot(engine, REGIONS[REGION], IMPATIENT, say=logged.append) as snapshot:
        proxy.stall()
        snapshot.cursor.execute("SELECT 1")
    assert logged[0].startswith(f"step=source region={REGION} still waiting for its database at SELECT after ")
    assert logged[0].endswith(" s (limit 10 s)")


def test_a_database_that_falls_silent_to_several_readers_is_given_up(
    cluster: Cluster, proxy: Proxy, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_ROWS_MIN", 1)
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 2**20)
    cluster.insert({"payment_method": "x" * 5000})
    for _ in range(12):
        cluster.execute(f"INSERT INTO {TABLE} TABLE {TABLE}")
    parse = extract.parse_csv

    def stall_and_parse(block: bytearray, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
        proxy.stall()
        return parse(block, types)

    monkeypatch.setattr(extract, "parse_csv", stall_and_parse)
    with pytest.raises(TransientError, match="sent nothing at COPY for 6 s"):
        read_region(engine, REGION, Window.of_day(DAY), tmp_path, KEY, {}, say_nothing, IMPATIENT, 3)


def test_a_database_that_never_accepts_the_connection_is_given_up(proxy: Proxy, engine: Engine) -> None:
    proxy.stall()
    logged: list[str] = []
    late = pytest.raises(OperationalError, match="timeout expired")
    with late as caught, open_snapshot(engine, REGIONS[REGION], IMPATIENT, say=logged.append):
        pytest.fail("it never answered")
    assert may_pass(caught.value)
    assert logged[0].startswith(f"step=source region={REGION} still waiting for a connection to its database after ")
