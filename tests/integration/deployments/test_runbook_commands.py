"""The commands of the runbook that need deployments: each is taken, and starts or changes what the page says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.environment import CHECKOUT
from tests.integration.deployments.conftest import Operator
from tests.runbook import COVERED, DEPLOYED, read_commands

COMMANDS = [command.text for command in read_commands() if COVERED.get(command.text) == DEPLOYED]
WORKER = "prefect worker start --pool retail-sales"
STARTS = [command for command in COMMANDS if command.startswith("prefect deployment run ")]
OTHERS = [command for command in COMMANDS if command not in STARTS and command != WORKER]
COMMAND_S_MAX = 120


@dataclass(frozen=True)
class Shell:
    """The runbook's shell: `RUN` is a run that waits, `SCHEDULE` the daily run's schedule."""

    operator: Operator
    values: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return self.operator.environment | self.values | {"PATH": path, "COLUMNS": "500"}

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def shell(operator: Operator) -> Iterator[Shell]:
    """No worker is alive: what is started waits, and is deleted at the end."""
    before = {run["id"] for run in operator.filter("flow_runs")}
    waiting = operator.start("daily-sales/production", "-p", "date=2017-12-23")
    (schedule,) = operator.deployment("daily-sales/production")["schedules"]
    yield Shell(operator, {"RUN": waiting, "SCHEDULE": schedule["id"], "DATE": "2017-12-23"})
    for run in operator.filter("flow_runs"):
        if run["id"] not in before:
            operator.api.delete(f"/flow_runs/{run['id']}")


@pytest.mark.parametrize("command", STARTS)
def test_a_run_is_queued_with_the_parameters_of_the_page(shell: Shell, command: str) -> None:
    told = shell.run(command)
    run = shell.operator.flow_run(next(line.split()[-1] for line in told.splitlines() if "UUID:" in line))
    given = {key: value for key, value in run["parameters"].items() if value not in (None, "")}
    assert (run["state_type"], run["work_pool_name"]) == ("SCHEDULED", "retail-sales")
    assert f"'{flow_name(shell.operator, run)}/production'" in command
    for key in given:
        assert f" {key}=" in command or f"'{key}=" in command or key in DEFAULTS, given


DEFAULTS = {"mode", "max_active", "order", "dry_run", "wait_s_max", "fail"}


def flow_name(operator: Operator, run: dict[str, Any]) -> str:
    return str(operator.api.get(f"/flows/{run['flow_id']}").json()["name"])


@pytest.mark.parametrize("command", OTHERS)
def test_a_command_is_taken(shell: Shell, command: str) -> None:
    shell.run(command)
    operator = shell.operator
    queue = operator.api.get("/work_pools/retail-sales/queues/load").json()
    assert queue["is_paused"] == ("work-queue pause" in command)
    if "flow-run cancel" in command:
        assert operator.flow_run(shell.values["RUN"])["state_type"] in ("CANCELLING", "CANCELLED")
    if "deployment schedule" in command and command.split()[3] != "ls":
        (schedule,) = operator.deployment("daily-sales/production")["schedules"]
        assert schedule["active"] == ("resume" in command)
        operator.api.patch(
            f"/deployments/{operator.deployment('daily-sales/production')['id']}/schedules/{schedule['id']}",
            json={"active": False},
        )


def test_the_worker_starts(shell: Shell) -> None:
    assert WORKER in COMMANDS
    # So that it leaves alone what waits.
    shell.operator.api.patch("/work_pools/retail-sales", json={"is_paused": True})
    process = subprocess.Popen(
        ["bash", "-euc", f"exec {WORKER}"],
        cwd=CHECKOUT,
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    give_up = time.monotonic() + COMMAND_S_MAX
    lines = iter(process.stdout.readline, "")
    try:
        assert any("started!" in line for line in lines if time.monotonic() < give_up)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shell.operator.api.patch("/work_pools/retail-sales", json={"is_paused": False})
