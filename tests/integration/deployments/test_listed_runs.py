"""`make runs` on a real server: each run by its whole id, with why it waits."""

import re
from collections.abc import Iterator

import pytest

from tests.integration.commands import run_module
from tests.integration.deployments.conftest import Operator

DAILY, BACKFILL = "daily-sales/production", "backfill/production"
POOL = "/work_pools/retail-sales"


@pytest.fixture(autouse=True)
def _cleared(operator: Operator) -> Iterator[None]:
    operator.clear_the_way()
    yield
    operator.clear_the_way()


def poll(operator: Operator) -> None:
    """Asks for work as a worker does, and does none of it."""
    operator.post(f"{POOL}/get_scheduled_flow_runs", {"scheduled_before": "2000-01-01T00:00:00Z"})


def listed(operator: Operator) -> str:
    """What `make runs` prints, each run on one line."""
    ended = run_module("deployments.runs", [], operator.environment | {"COLUMNS": "1000"})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.replace("\n    ", " ")


def paused(operator: Operator) -> list[str]:
    """What `make runs` prints on the schedule of the daily run; it is silent on one that is active."""
    return [line.strip() for line in listed(operator).splitlines() if f"the schedule of {DAILY} " in line]


def test_what_runs_what_waits_and_what_has_ended(operator: Operator) -> None:
    running, waiting, done = (operator.start(name) for name in (BACKFILL, DAILY, BACKFILL))
    states = {running: [("RUNNING", "Running")], done: [("RUNNING", "Running"), ("FAILED", "Failed")]}
    for flow_run_id, names in states.items():
        for kind, name in names:
            state = {"type": kind, "name": name, "message": "no region could be read" if kind == "FAILED" else None}
            operator.post(f"/flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})
    poll(operator)
    # The failed run's own alert may wait here too: the automation starts it when it sees the state.
    at_work, waits, ended = re.split(r"^(?:Waiting|Ended): .*\n", listed(operator), flags=re.MULTILINE)
    assert at_work.startswith(f"Running: 1\n  {running}  backfill  ")
    [line] = [line for line in waits.splitlines() if f"{waiting}  daily-sales  " in line]
    assert f"the limit of queue load is 1, taken by backfill {running}" in line
    [line] = [line for line in ended.splitlines() if f"  {done}  backfill  " in line]
    assert line.endswith(": no region could be read")


def test_a_paused_queue_and_a_paused_schedule_are_named_with_what_resumes_them(operator: Operator) -> None:
    operator.start(DAILY)
    operator.api.patch(f"{POOL}/queues/load", json={"is_paused": True}).raise_for_status()
    text = listed(operator)
    assert "queue load is paused: `prefect work-queue resume load --pool retail-sales`" in text
    [schedule] = operator.deployment(DAILY)["schedules"]
    assert f"paused: `prefect deployment schedule resume '{DAILY}' {schedule['id']}`" in text


@pytest.mark.parametrize("active", [True, False], ids=["schedule-active", "schedule-paused-too"])
def test_a_deployment_that_is_switched_off_in_the_dashboard_is_named_with_what_switches_it_on(
    operator: Operator, active: bool
) -> None:
    deployment = operator.deployment(DAILY)
    [schedule] = deployment["schedules"]
    switch, resume = f"/deployments/{deployment['id']}", f"deployment schedule resume {DAILY} {schedule['id']}"
    try:
        operator.api.patch(f"{switch}/schedules/{schedule['id']}", json={"active": active}).raise_for_status()
        operator.api.patch(switch, json={"paused": True}).raise_for_status()
        [line] = paused(operator)
        assert line.startswith(f"the schedule of {DAILY} is paused: switch the deployment on in the dashboard")
        assert (f", then `prefect deployment schedule resume '{DAILY}' {schedule['id']}`" in line) is not active
        operator.api.patch(switch, json={"paused": False}).raise_for_status()
        if not active:
            assert operator.prefect(*resume.split()).returncode == 0
        assert paused(operator) == []
    finally:
        operator.api.patch(switch, json={"paused": False}).raise_for_status()
        operator.api.patch(f"{switch}/schedules/{schedule['id']}", json={"active": False}).raise_for_status()
