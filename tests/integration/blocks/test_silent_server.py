"""A Prefect server that accepts connections and never answers, or answers 503: each wait for it is logged. One answer
that is lost: no task waits for itself."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prefect import flow, get_client, task
from prefect.blocks.system import Secret
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_RETRY_JITTER_FACTOR,
    temporary_settings,
)
from prefect.states import Running
from prefect.utilities.engine import propose_state
from prefect.variables import Variable

from blocks import names, waits
from blocks.variables import read_variables
from expectations.regions import REGIONS
from tests.integration.conftest import World
from tests.integration.log_lines import Lines
from tests.integration.processes import run_python
from tests.integration.proxy import Loss, Proxy, proxy_to
from tests.integration.server import PatientClient, concurrency_limit

NOWHERE = 9
FIRST_S = 0.2
BEGUN_S_MAX = 30
SOON = {"PREFECT_API_REQUEST_TIMEOUT": "2", "PREFECT_CLIENT_MAX_RETRIES": "0"}
"""Limits of Prefect's client that let a test end."""
SETTINGS: Mapping[str, str] = {
    **{f"PG_{region}_URL": f"postgresql://u:p@127.0.0.1:{NOWHERE}/d" for region in REGIONS},
    "S3_STAGING_BUCKET": "bucket",
    "PII_TOKEN_KEY": "k" * 32,
    "SMTP_HOST": "127.0.0.1",
    "SMTP_PORT": "9",
    "SNOWFLAKE_ACCOUNT": "a",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_PASSWORD": "p",
    "SNOWFLAKE_DATABASE": "d",
    "SNOWFLAKE_WAREHOUSE": "w",
    "SNOWFLAKE_HOST": "127.0.0.1",
    "SNOWFLAKE_PORT": "9",
    "SNOWFLAKE_PROTOCOL": "http",
}
"""What registration reads; nothing listens there."""


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(waits, "LOG_FIRST_S", FIRST_S)
    handler, logger = Lines(), logging.getLogger("prefect")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with proxy_to(NOWHERE) as server:
        server.stall()
        yield f"http://127.0.0.1:{server.port}/api"


class Unavailable(BaseHTTPRequestHandler):
    """Answers each request with 503."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def unavailable() -> Iterator[str]:
    """The address of a server that answers 503."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


async def hello() -> None:
    async with get_client() as client:
        await client.hello()


@flow
def empty_flow() -> None: ...


CALLS: Mapping[str, tuple[Callable[[], object], str]] = {
    "client": (lambda: asyncio.run(hello()), "GET /api/hello"),
    "variables": (read_variables, "POST /api/variables/filter"),
    "variable": (lambda: Variable.get("min_record_count"), "GET /api/variables/name/min_record_count"),
    "block": (lambda: Secret.load("key"), "GET /api/block_types/slug/secret/block_documents/name/key"),
    "run": (empty_flow, "GET /api/health"),
}


@pytest.mark.parametrize(("call", "request_line"), CALLS.values(), ids=CALLS)
def test_a_call_that_is_not_answered_is_logged(
    silent: str, logged: list[str], call: Callable[[], object], request_line: str
) -> None:
    impatient = {PREFECT_API_URL: silent, PREFECT_API_REQUEST_TIMEOUT: 1, PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(impatient), pytest.raises((httpx.ReadTimeout, RuntimeError)):
        call()
    first = next(line for line in logged if " still waiting for " in line)
    host = urlsplit(silent).netloc
    assert first == f"step=prefect-server host={host} still waiting for {request_line} (1 try of 1 s) after 0 s"


def test_the_pauses_between_tries_are_logged_too(unavailable: str, logged: list[str]) -> None:
    patient = {PREFECT_API_URL: unavailable, PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_CLIENT_RETRY_JITTER_FACTOR: 0}
    with temporary_settings(patient), pytest.raises(httpx.HTTPStatusError, match="503"):
        Variable.get("min_record_count")
    waited = [line for line in logged if " still waiting for " in line]
    assert len(waited) > 1, "6 s, the first line after 0.2 s and one each time that has doubled"
    assert " (2 tries of 60 s) after " in waited[0]


@task(tags=[names.WAREHOUSE])
def loads_the_warehouse() -> None: ...


async def run_with_a_lost_answer(network: Proxy) -> tuple[str, str]:
    """Sets a task to Running, as Prefect's engine does, and loses the first answer; returns the flow run and the task
    run."""
    async with get_client() as client:
        run = await client.create_flow_run(empty_flow, state=Running())
        task_run = await client.create_task_run(loads_the_warehouse, run.id, dynamic_key="0")
        network.lose_next(Loss.ANSWER)
        begun = await asyncio.wait_for(propose_state(client, Running(), task_run_id=task_run.id), BEGUN_S_MAX)
        assert begun.is_running()
    return str(run.id), str(task_run.id)


def test_a_task_does_not_wait_for_the_slot_that_it_holds_itself(world: World, logged: list[str]) -> None:
    api_url = world.environment["PREFECT_API_URL"]
    with (
        PatientClient(base_url=api_url) as api,
        concurrency_limit(api, names.WAREHOUSE, 1) as holders,
        proxy_to(urlsplit(api_url).port or 0, b'"RUNNING"') as network,
    ):
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{network.port}/api"}):
            flow_run_id, task_run_id = asyncio.run(run_with_a_lost_answer(network))
        assert (network.losses, holders()) == ([Loss.ANSWER], [task_run_id])
        api.delete(f"/flow_runs/{flow_run_id}")
    assert any("the task holds a slot already" in line for line in logged)


PROGRAMS = {
    "flows.daily_sales": ["2024-01-15"],
    "flows.check_setup": ["--here"],
    "flows.watchdog": [],
    "flows.show_ledger": [],
    "deployments.apply": [],
    "deployments.runs": [],
    "blocks.register": [],
    "blocks.variables": ["min_record_count", "100"],
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_that_waits_for_the_server_says_so(silent: str, module: str, tmp_path: Path) -> None:
    program = f"""
import runpy, sys
from blocks import waits
from tasks.watch import runs
waits.LOG_FIRST_S, runs.ANSWER_S_MAX = {FIRST_S}, 1
sys.argv[1:] = {PROGRAMS[module]!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
    environment = {"PATH": os.environ["PATH"], "PREFECT_API_URL": silent, "WATCHDOG_DIR": str(tmp_path)}
    ended = run_python("-c", program, environment={**environment, **SOON, **SETTINGS})
    assert ended.returncode == 1, ended.stderr
    first = next((line for line in ended.stderr.splitlines() if " still waiting for " in line), ended.stderr)
    assert "step=check-setup still waiting for prefect server after" in first or "step=prefect-server host=" in first
