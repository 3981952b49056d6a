"""The cluster of engine tests is one: a server, a driver and two workers, each with a port of its own."""

from pathlib import Path

import psutil
import pytest

from tasks.engine.server import Address
from tasks.engine.session import engine_session
from tests.integration.engine.servers import SAIL, SAIL_CLUSTER, running_engine

pytestmark = pytest.mark.more


@pytest.mark.parametrize(
    ("kind", "ports"),
    [
        pytest.param(SAIL, 1, id="one-process"),
        pytest.param(SAIL_CLUSTER, 4, id="cluster"),
    ],
)
def test_sail_runs_on_as_many_workers_as_its_mode_says(kind: str, ports: int, tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with running_engine(kind, tmp_path, tmp_path) as address, engine_session(Address(address)) as spark:
        (row,) = spark.range(0, 1000, 1, 8).groupBy().sum().collect()
        (server,) = set(psutil.Process().children()) - before
        listening = [c for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert row[0] == 499_500
    assert len(listening) == ports
