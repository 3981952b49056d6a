"""The project deployed on the stack's Prefect server, and the hands of an operator: the CLI and the REST API."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.apply import apply
from deployments.worker import checkout_variables
from local.environment import CHECKOUT, HOST
from tests.integration.commands import run_prefect
from tests.integration.conftest import World, stop, wait_for
from tests.integration.processes import run_python
from tests.integration.server import PatientClient, clear_the_way, events_enabled

RUN_ALL = """
import sys
from contextlib import suppress
from uuid import UUID
from prefect.engine import enter_flow_run_engine_from_subprocess
for flow_run_id in sys.argv[1:]:
    with suppress(Exception):
        enter_flow_run_engine_from_subprocess(UUID(flow_run_id))
"""
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Sink:
    """A real HTTP server that keeps what is posted to it."""

    url: str
    messages: list[dict[str, str]] = field(default_factory=list)

    def about(self, flow_run_id: str) -> list[dict[str, str]]:
        """The messages about the end or the absence of a run; an anomaly that it saw is another matter."""
        return distinct([m for m in self.messages if flow_run_id in m["body"] and "anomaly" not in m["subject"]])


@dataclass(frozen=True)
class Operator:
    """What an operator does, from a directory that is not the project's."""

    environment: dict[str, str]
    directory: Path
    api: httpx.Client
    sink: Sink

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the `prefect` command; its output has no line breaks of its own."""
        return run_prefect(list(arguments), self.environment, self.directory)

    def start(self, deployment: str, *arguments: str) -> str:
        """`prefect deployment run`; returns the id of the flow run."""
        ran = self.prefect("deployment", "run", deployment, *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return next(line.split()[-1] for line in ran.stdout.splitlines() if "UUID:" in line)

    def execute_all(self, flow_run_ids: Iterable[str]) -> None:
        """Runs flow runs one after the other in one process, which imports everything once, as a worker would."""
        environment = self.environment | checkout_variables(os.environ)
        run_python("-c", RUN_ALL, *flow_run_ids, environment=environment, directory=self.directory)

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """A flow run as the API answers it."""
        run: dict[str, Any] = self.api.get(f"/flow_runs/{flow_run_id}").json()
        return run

    def clear_the_way(self) -> None:
        """No run waits or seems to run, and nothing is paused."""
        clear_the_way(self.api)

    def finished(self, flow_run_id: str) -> dict[str, Any]:
        """The flow run when it has ended."""
        wait_for(lambda: self.flow_run(flow_run_id)["state_type"] in FINAL, f"end of flow run {flow_run_id}")
        return self.flow_run(flow_run_id)

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """The answer to a POST."""
        answer = self.api.post(path, json=content)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def filter(self, things: str, **filters: Any) -> list[dict[str, Any]]:
        """All things of a kind that pass a filter."""
        found: list[dict[str, Any]] = self.post(f"/{things}/filter", filters)
        return found

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by `<flow>/<name>`."""
        deployment: dict[str, Any] = self.api.get(f"/deployments/name/{name}").json()
        return deployment

    def deployments(self) -> list[str]:
        """All deployments as `<flow>/<name>`."""
        flows = {flow["id"]: flow["name"] for flow in self.filter("flows")}
        return [f"{flows[deployment['flow_id']]}/{deployment['name']}" for deployment in self.filter("deployments")]

    def report_end(self, deployment: str, state_name: str) -> None:
        """A run that starts and ends at once, under this name, as its process would report it."""
        types = {"Failed", "TimedOut", "QualityFailed"}, {"Crashed", "Cancelled"}
        kind = "FAILED" if state_name in types[0] else state_name.upper() if state_name in types[1] else "COMPLETED"
        run = self.post(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", {})
        for state in ({"type": "PENDING"}, {"type": "RUNNING"}, {"type": kind, "name": state_name}):
            answer = self.post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
            assert answer["status"] == "ACCEPT", answer

    def _alert_runs(self) -> list[dict[str, Any]]:
        ids = {"id": {"any_": [self.deployment("send-alert/production")["id"]]}}
        return self.filter("flow_runs", deployments=ids)

    def alert_runs(self) -> list[dict[str, Any]]:
        """The given parameters of the runs of send-alert, by kind."""
        given = [{k: v for k, v in run["parameters"].items() if v is not None} for run in self._alert_runs()]
        return sorted(distinct(given), key=lambda parameters: str(parameters["kind"]))

    def forget_alert_runs(self) -> None:
        """Deletes the runs of send-alert, so that no later worker picks them up."""
        for run in self._alert_runs():
            self.api.delete(f"/flow_runs/{run['id']}")

    def apply(self, set_up: bool = False) -> list[str]:
        """`make deploy` in this process: its lines."""
        lines: list[str] = []
        with events_enabled():
            apply(self.environment, lines.append, set_up)
        return lines


def distinct(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each once. The server acts at least once on an event: again, when its database was locked while it noted that."""
    return [thing for number, thing in enumerate(things) if thing not in things[:number]]


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    messages: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Sink(f"http://{HOST}:{server.server_port}/alerts", messages)
    server.shutdown()


@pytest.fixture(scope="session")
def operator(world: World, sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Deployed as `make deploy` does it; schedules are paused, so that only what a test starts runs."""
    environment = {**os.environ, **world.environment, "ALERT_WEBHOOK_URL": sink.url}
    deployed = run_python("-m", "deployments.apply", environment=environment)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    with PatientClient(base_url=world.environment["PREFECT_API_URL"], timeout=60) as api:
        operator = Operator(environment, tmp_path_factory.mktemp("elsewhere"), api, sink)
        for deployment in operator.filter("deployments"):
            for schedule in deployment["schedules"]:
                api.patch(f"/deployments/{deployment['id']}/schedules/{schedule['id']}", json={"active": False})
        yield operator


@pytest.fixture(scope="module")
def worker(operator: Operator) -> Iterator[None]:
    """A real worker process, started as `make worker` starts it."""
    command = [sys.executable, "-m", "deployments.worker", "--work-queue", "load", "--work-queue", "ops"]
    log = operator.directory / "worker.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            env=operator.environment,
            cwd=CHECKOUT,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        yield
        stop(process)


def side_by_side(*calls: Callable[[], Any]) -> list[Any]:
    """The answers of calls that go on at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        # Prefect finds its server in the context.
        futures = [pool.submit(copy_context().run, call) for call in calls]
        return [future.result() for future in futures]
