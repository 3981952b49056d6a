"""A database that accepts connections and never answers: the wait is logged and limited."""

from collections.abc import Iterator

import pytest
from psycopg2 import OperationalError
from sqlalchemy import Engine

from blocks import waits
from blocks.databases import engine_of
from blocks.register import database_block
from expectations.regions import REGIONS
from tasks.errors import TransientError, may_pass
from tasks.source import waits as source_waits
from tasks.source.snapshot import Limits, open_snapshot
from tests.integration.proxy import Proxy, proxy_to
from tests.integration.sources.clusters import REGION, Cluster

IMPATIENT = Limits(statement_s=10)


@pytest.fixture
def proxy(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(source_waits, "GRACE_S", -7)
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.3)
    with proxy_to(cluster.port) as proxy:
        yield proxy


@pytest.fixture
def engine(cluster: Cluster, proxy: Proxy) -> Iterator[Engine]:
    url = cluster.url().replace(f":{cluster.port}/", f":{proxy.port}/")
    engine = engine_of(database_block({f"PG_{REGION}_URL": url, "PG_CONNECT_TIMEOUT_S": "2"}, REGION))
    yield engine
    engine.dispose()


def test_a_database_that_falls_silent_within_a_statement_is_given_up(proxy: Proxy, engine: Engine) -> None:
    logged: list[str] = []
    silent = pytest.raises(TransientError, match="sent nothing at SELECT for 3 s, its own limit being 10 s")
    with silent, open_snapshot(engine, REGIONS[REGION], IMPATIENT, say=logged.append) as snapshot:
        proxy.stall()
        snapshot.cursor.execute("SELECT 1")
    assert logged[0].startswith(f"step=source region={REGION} still waiting for its database at SELECT after ")
    assert logged[0].endswith(" s (limit 10 s)")


def test_a_database_that_never_accepts_the_connection_is_given_up(proxy: Proxy, engine: Engine) -> None:
    proxy.stall()
    logged: list[str] = []
    late = pytest.raises(OperationalError, match="timeout expired")
    with late as caught, open_snapshot(engine, REGIONS[REGION], IMPATIENT, say=logged.append):
        pytest.fail("it never answered")
    assert may_pass(caught.value)
    assert logged[0].startswith(f"step=source region={REGION} still waiting for a connection to its database after ")
