"""A flow whose Prefect server is lost between two tasks ends: it does not wait for a task that is never created."""

import signal

from tests.integration.conftest import World
from tests.integration.processes import run_python

FLOW = """
import os
from urllib.parse import urlsplit
from prefect import flow, task
from prefect.settings import PREFECT_API_URL, temporary_settings
from flows.support import lost_engine
from tests.integration.proxy import proxy_to

lost_engine.POLL_S, lost_engine.GRACE_S = 0.1, 5
api = urlsplit(os.environ["PREFECT_API_URL"])

@task
def load(): ...

@flow
def loads_twice():
    with lost_engine.ended_with_its_engine():
        load()
        server.cut()
        load()

with proxy_to(api.port) as server:
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.port}/api"}):
        loads_twice()
"""


def test_it_ends_by_a_signal(world: World) -> None:
    ended = run_python("-c", FLOW)
    assert "Prefect has given this run up" in ended.stderr, ended.stderr
    assert ended.returncode in (1, -signal.SIGTERM), ended.stderr
