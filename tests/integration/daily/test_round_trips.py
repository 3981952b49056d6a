"""The number of round trips of a day to the warehouse and the Prefect server, which may be far away."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date
from urllib.parse import urlsplit

import pytest

from benchmarks.far_away import QUERY, far_away
from local.environment import CHECKOUT
from local.generator import Dirt
from tests.integration.conftest import World

ROWS = 3_000
STATEMENTS_MAX, CALLS_MAX = 40, 100
RUN_S_MAX = 300
AS_A_WORKER_RUNS_IT = {
    "PREFECT_EXPERIMENTAL_EVENTS": "true",
    # Log lines go to the server every two seconds, as often as the run lasts; here they go only at its end.
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "600",
}


@pytest.fixture(scope="module")
def loaded_day(world: World) -> date:
    """A day with good and bad rows of all regions."""
    day = date(2019, 1, 2)
    world.fill(day, ROWS, dirt=Dirt.of(0.02))
    return day


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_day_makes_few_calls_to_the_warehouse_and_the_prefect_server(
    world: World, loaded_day: date, time: str
) -> None:
    api = urlsplit(os.environ["PREFECT_API_URL"])
    with (
        far_away(int(world.environment["SNOWFLAKE_PORT"])) as warehouse,
        far_away(api.port or 0) as server,
        world.warehouse_with(SNOWFLAKE_PORT=str(warehouse.port)),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "flows.daily_sales", loaded_day.isoformat()],
            cwd=CHECKOUT,
            env=os.environ | {"PREFECT_API_URL": f"http://127.0.0.1:{server.port}/api", **AS_A_WORKER_RUNS_IT},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
        )
    assert ended.returncode == 0, ended.stderr
    assert "Completed" in ended.stdout, time
    statements = [_head(request.statement) for request in warehouse.requests_to(QUERY)]
    assert 20 < len(statements) <= STATEMENTS_MAX, "\n".join(statements)
    calls = Counter(request.line for request in server.requests)
    assert 40 < calls.total() <= CALLS_MAX, calls.most_common()


def _head(statement: str) -> str:
    """The statement's first line that is not a comment."""
    return next(line for line in statement.splitlines() if line and not line.startswith("--"))
