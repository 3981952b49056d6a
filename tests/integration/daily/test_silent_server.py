"""A Prefect server that falls silent during a daily run: the engine's own calls are logged while they wait."""

from datetime import date

from tests.integration.conftest import World
from tests.integration.processes import run_python

RUN = """
import os
from urllib.parse import urlsplit
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings,
)
from blocks import waits
from flows import daily_sales as daily
from flows.support import lost_engine
from tests.integration.proxy import proxy_to

waits.LOG_FIRST_S = lost_engine.POLL_S = lost_engine.GRACE_S = 0.2
begin = daily.begin

def begin_and_fall_silent(*given):
    attempt = begin(*given)
    server.stall()
    return attempt

daily.begin = begin_and_fall_silent
with proxy_to(urlsplit(os.environ["PREFECT_API_URL"]).port) as server:
    address = f"http://127.0.0.1:{server.port}/api"
    limits = {PREFECT_API_REQUEST_TIMEOUT: 5, PREFECT_CLIENT_MAX_RETRIES: 1}
    with temporary_settings({PREFECT_API_URL: address, **limits}):
        daily.daily_sales("DAY", ["EUROPE"])
"""


def test_the_next_task_waits_for_the_server_and_the_run_logs_it(world: World, day: date) -> None:
    world.fill(day, rows=120, regions=("EUROPE",))
    ended = run_python("-c", RUN.replace("DAY", day.isoformat()))
    assert ended.returncode != 0
    waited = [line for line in ended.stderr.splitlines() if " still waiting for " in line]
    assert any("Flow run '" in line and "POST /api/task_runs/ (2 tries of 5 s) after " in line for line in waited), (
        ended.stderr
    )
