"""Processes killed in the middle of a load: it is noticed and told, and the next load starts without a person."""

import json
import mailbox
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from blocks import names
from deployments.worker import checkout_variables
from flows.watchdog import main as watch_outside
from local import stack
from local.environment import CHECKOUT, state_dir
from tasks.watch.concurrency_slots import free_slots
from tasks.watch.processes import Process, find_process
from tests.integration.conftest import World, stop, wait_for
from tests.integration.deployments.conftest import Operator
from tests.integration.server import concurrency_limit

DAILY, WATCHDOG = "daily-sales/production", "watchdog/production"


WORKER = (
    str(Path(sys.executable).with_name("prefect")),
    *("worker", "start", "--pool", "retail-sales", "--type", "process"),
)
KEPT_WORKER = (sys.executable, "-m", "deployments.worker")
"""Started anew when it gives up on a server that is away for long."""


@contextmanager
def worker_process(operator: Operator, command: tuple[str, ...] = WORKER) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process group of its own, so that it and its flows can be killed together."""
    with (operator.directory / "killed-worker.log").open("a") as log:
        process = subprocess.Popen(
            command,
            env=operator.environment | checkout_variables(os.environ),
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                stop(process)


@contextmanager
def held_in_extract(world: World, operator: Operator, day: date) -> Iterator[str]:
    """A daily run that cannot read a region until the body ends."""
    holder = world.source("EUROPE")
    holder.cursor().execute("LOCK TABLE sales_transactions IN ACCESS EXCLUSIVE MODE")
    try:
        flow_run_id = operator.start(DAILY, "-p", f"date={day}")
        begun = "SELECT COUNT(*) FROM ETL_BATCHES WHERE FLOW_RUN_ID = ? AND STATUS = 'STARTED'"
        wait_for(lambda: world.sql(begun, (flow_run_id,)) == [(4,)], f"run {flow_run_id} in the ledger")
        yield flow_run_id
    finally:
        holder.rollback()
        holder.close()


def kill_flow(operator: Operator, flow_run_id: str) -> None:
    _, _, pid = operator.flow_run(flow_run_id)["infrastructure_pid"].rpartition(":")
    os.kill(int(pid), signal.SIGKILL)


@contextmanager
def killed_server() -> Iterator[None]:
    """The Prefect server is gone until the body ends."""
    os.kill(json.loads((state_dir() / "run" / "prefect.pid").read_text())["pid"], signal.SIGKILL)
    try:
        yield
    finally:
        stack.up()


def subjects() -> list[str]:
    """The subjects of all mails so far."""
    return [" ".join(str(mail["Subject"]).split()) for mail in mailbox.Maildir(state_dir() / "mail")]


def told(day: date, what: str) -> int:
    """How many mails say this about the day."""
    return sum(str(day) in subject and what in subject for subject in subjects())


def outages_told() -> int:
    """How many mails say that the server is down."""
    return sum(subject == "[retail-sales] Prefect server down" for subject in subjects())


def assert_next_load_completes(operator: Operator, day: date) -> None:
    assert operator.finished(operator.start(DAILY, "-p", f"date={day}"))["state_name"] == "Completed"


def end_lease(world: World, flow_run_id: str) -> None:
    """Lets the time pass that a lease lasts."""
    world.sql(
        "UPDATE ETL_BATCHES SET LEASE_UNTIL = DATEADD('minute', -1, CURRENT_TIMESTAMP()) WHERE FLOW_RUN_ID = ?",
        (flow_run_id,),
    )


@pytest.fixture
def filled(world: World, operator: Operator, day: date) -> date:
    """A business date with sales, and no other run in the way."""
    operator.clear_the_way()
    world.fill(day)
    return day


def test_a_killed_flow_is_crashed_by_its_worker_and_told(world: World, operator: Operator, filled: date) -> None:
    with worker_process(operator):
        with held_in_extract(world, operator, filled) as flow_run_id:
            kill_flow(operator, flow_run_id)
            assert operator.finished(flow_run_id)["state_name"] == "Crashed"
        wait_for(lambda: told(filled, ": failed") == 1, "the mail about the crash")
        assert_next_load_completes(operator, filled)
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}


def test_a_killed_flow_holds_no_slot_of_a_concurrency_limit_for_ever(
    world: World, operator: Operator, filled: date
) -> None:
    with concurrency_limit(operator.api, names.database("EUROPE"), 1) as holders, worker_process(operator):
        with held_in_extract(world, operator, filled) as flow_run_id:
            wait_for(holders, "the slot of the task that reads EUROPE")
            kill_flow(operator, flow_run_id)
            assert operator.finished(flow_run_id)["state_name"] == "Crashed"
        waiting = operator.start(DAILY, "-p", f"date={filled}")
        wait_for(lambda: task_states(operator, waiting) == {"Completed", "Pending"}, "the next run's wait for EUROPE")
        assert len(holders()) == 1, "the dead task still holds the slot"

        watched = operator.finished(operator.start(WATCHDOG))
        assert f"concurrency limits: 1 of {names.database('EUROPE')} freed" in watched["state"]["message"]
        assert operator.finished(waiting)["state_name"] == "Completed"
        assert holders() == []
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}


def test_a_slot_of_a_deleted_run_is_freed_and_one_of_a_run_that_goes_on_is_not(
    world: World, operator: Operator, filled: date
) -> None:
    limit = names.database("EUROPE")
    with concurrency_limit(operator.api, limit, 2) as holders, worker_process(operator):
        with held_in_extract(world, operator, filled) as goes_on:
            wait_for(holders, "the slot of the task that reads EUROPE")
            slots = {"slot_override": [*(alive := holders()), str(uuid4())]}
            operator.api.post(f"/concurrency_limits/tag/{limit}/reset", json=slots).raise_for_status()
            assert len(holders()) == 2
            assert free_slots({}) == f"1 of {limit} freed"
            assert holders() == alive
        assert operator.finished(goes_on)["state_name"] == "Completed"


def task_states(operator: Operator, flow_run_id: str) -> set[str]:
    """The states of a run's tasks."""
    return {task["state_name"] for task in operator.filter("task_runs", flow_runs={"id": {"any_": [flow_run_id]}})}


def test_a_flow_killed_with_its_worker_is_found_by_the_watchdog_when_its_lease_is_over(
    world: World, operator: Operator, filled: date
) -> None:
    with worker_process(operator) as worker, held_in_extract(world, operator, filled) as killed:
        # Together: a flow that lives on without its worker crashes by itself when it next prints a line.
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert operator.flow_run(killed)["state_name"] == "Running", "nobody is left who could say otherwise"
    with worker_process(operator):
        waiting = operator.start(DAILY, "-p", f"date={filled}")
        assert operator.finished(operator.start(WATCHDOG))["state_type"] in ("COMPLETED", "FAILED")
        assert operator.flow_run(killed)["state_name"] == "Running", "its lease is not over"

        end_lease(world, killed)
        operator.finished(operator.start(WATCHDOG))
        assert operator.flow_run(killed)["state_name"] == "Crashed"
        assert operator.finished(waiting)["state_name"] == "Completed", "the slot was free again"
        wait_for(lambda: told(filled, "") >= 1, "the mail about the dead run")
    assert ("FAILED",) in world.sql("SELECT DISTINCT STATUS FROM ETL_BATCHES WHERE FLOW_RUN_ID = ?", (killed,))
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}


def test_a_killed_server_is_told_from_outside_and_loads_go_on_when_it_is_back(
    world: World, operator: Operator, filled: date, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WATCHDOG_DIR", str(tmp_path))
    with worker_process(operator, KEPT_WORKER):
        with ExitStack() as outage:
            with held_in_extract(world, operator, filled) as flow_run_id:
                pid, before = operator.flow_run(flow_run_id)["infrastructure_pid"], outages_told()
                outage.enter_context(killed_server())
                watch_outside(os.environ)
            assert outages_told() == before + 1, subjects()
            # The flow goes on to its next task, which Prefect cannot create.
            wait_for(lambda: find_process(pid, flow_run_id) is Process.ENDED, "the end of a flow that lost its server")
        # A flow that could not report its end is found like one that was killed with its worker.
        end_lease(world, flow_run_id)
        operator.finished(operator.start(WATCHDOG))
        assert operator.finished(flow_run_id)["state_name"] == "Crashed"
        assert_next_load_completes(operator, filled)
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}
