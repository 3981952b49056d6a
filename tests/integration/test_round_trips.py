"""How often a day asks the warehouse and the Prefect server, which may be far away."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date

from benchmarks.far_away import far_away
from local.environment import CHECKOUT
from local.generator import Dirt
from tests.integration.conftest import World

ROWS = 3_000
STATEMENTS_MAX, CALLS_MAX = 1000, 1000
QUERY = "POST /queries/v1/query-request"
RUN_S_MAX = 300
EVENTS = {"PREFECT_EXPERIMENTAL_EVENTS": "true"}


def _head(statement: str) -> str:
    return next(line for line in statement.splitlines() if line and not line.startswith("--"))


def test_a_day_asks_the_warehouse_and_the_prefect_server_seldom(world: World, day: date) -> None:
    world.fill(day, ROWS, dirt=Dirt.of(0.02))
    api = int(os.environ["PREFECT_API_URL"].rpartition(":")[2].partition("/")[0])
    with (
        far_away(int(world.environment["SNOWFLAKE_PORT"])) as warehouse,
        far_away(api) as server,
        world.warehouse_at(warehouse.port),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "flows.daily_sales", day.isoformat()],
            cwd=CHECKOUT,
            env=os.environ | {"PREFECT_API_URL": f"http://127.0.0.1:{server.port}/api", **EVENTS},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
        )
    assert ended.returncode == 0, ended.stderr
    statements = [request.statement for request in warehouse.requests_to(QUERY)]
    assert len(statements) <= STATEMENTS_MAX, "\n".join(map(_head, statements))
    calls = Counter(request.line for request in server.requests)
    assert calls.total() <= CALLS_MAX, calls.most_common()
    print(calls.total(), calls.most_common())
    print(len(statements), "\n".join(map(_head, statements)))
    assert 0
