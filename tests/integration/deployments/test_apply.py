"""Applying again: nothing twice, what is gone is removed, what an operator has set stays."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.names import QUEUES
from deployments import apply as applying
from deployments.applied import DeployError
from deployments.notification import VARIABLES
from tests.integration.conftest import session_of
from tests.integration.deployments.conftest import Operator
from tests.integration.processes import run_python

DAILY, RECONCILE, WATCHDOG = "daily-sales/production", "reconcile/production", "watchdog/production"
FOREIGN = "somebody else's"
GONE = "retail-sales: gone from the code"
AUTOMATION = {
    "trigger": {"posture": "Reactive", "expect": ["nothing"], "within": 0},
    "actions": [{"type": "do-nothing"}],
}

PREFECT = Path(sys.executable).with_name("prefect")
HALF = f"""#!{sys.executable}
import os, signal, subprocess, sys, time
names = [word for flow in ("daily-sales", "reconcile") for word in ("--name", f"{{flow}}/production")]
subprocess.run([{str(PREFECT)!r}, "--no-prompt", "deploy", *names], check=True)
"""
"""`prefect deploy --all` that comes to its second deployment."""
WITH_ANOTHER_PREFECT = """
import signal, sys
from deployments.apply import main
sys.executable = {!r}
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore it
sys.exit(main())
"""


@pytest.fixture(scope="module")
def again(operator: Operator) -> list[str]:
    """The lines of a second application, after people and an older version of the code have left their traces."""
    for name in (FOREIGN, GONE):
        operator.api.post("/automations/", json={"name": name, **AUTOMATION}).raise_for_status()
    load = operator.filter("work_pools/retail-sales/queues")
    [queue] = [queue for queue in load if queue["name"] == "load"]
    operator.api.patch("/work_pools/retail-sales/queues/load", json={"concurrency_limit": 5, "name": queue["name"]})
    deployment = operator.deployment(DAILY)["id"]
    operator.api.patch(f"/deployments/{deployment}", json={"description": "changed by hand"}).raise_for_status()
    return operator.apply()


def is_news(line: str) -> bool:
    return ": unchanged" not in line and not line.startswith(("notification by", "warehouse tables: ready"))


def test_what_differs_is_updated_and_what_is_gone_is_removed(again: list[str]) -> None:
    assert [line for line in again[1:] if is_news(line)] == [
        "work queue retail-sales/load: updated",
        "deployment daily-sales/production: updated (schedule stays paused)",
        f"automation {GONE}: removed",
    ]


def test_nothing_is_there_twice(operator: Operator, again: list[str]) -> None:
    told = {line.removeprefix("automation ").rpartition(":")[0] for line in again if line.startswith("automation ")}
    names = [automation["name"] for automation in operator.filter("automations")]
    assert sorted(names) == sorted({*told - {GONE}, FOREIGN})
    assert len(operator.filter("deployments")) == len([line for line in again if line.startswith("deployment ")])


def test_queues_have_their_limits(operator: Operator, again: list[str]) -> None:
    queues = {queue["name"]: queue for queue in operator.filter("work_pools/retail-sales/queues")}
    assert {queue.name: queue.limit for queue in QUEUES} == {
        name: queues[name]["concurrency_limit"] for name in ("ops", "load")
    }


def test_a_paused_schedule_stays_paused(operator: Operator, again: list[str]) -> None:
    assert [schedule["active"] for schedule in operator.deployment(DAILY)["schedules"]] == [False]


def due_yesterday(operator: Operator, deployment: str) -> list[dict[str, Any]]:
    """The scheduled runs that were due yesterday and wait."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    due = {"after_": str(today - timedelta(days=1)), "before_": str(today)}
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": due}
    of_deployment = {"id": {"any_": [operator.deployment(deployment)["id"]]}}
    return operator.filter("flow_runs", flow_runs=waiting, deployments=of_deployment)


@pytest.fixture
def behind_a_load(operator: Operator) -> Iterator[None]:
    """Yesterday's reconcile waits for its slot, and passes of the watchdog do; the schedule of the daily run is paused,
    and something differs."""
    operator.clear_the_way()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    period = {"start_time": str(today - timedelta(days=1)), "end_time": str(today), "min_runs": 1, "max_runs": 1}
    for name in (RECONCILE, WATCHDOG):
        set_active(operator, name, active=True)
        operator.post(f"/deployments/{operator.deployment(name)['id']}/schedule", period)
    path = f"/deployments/{operator.deployment(DAILY)['id']}"
    operator.api.patch(path, json={"description": "changed by hand"}).raise_for_status()
    yield
    for name in (DAILY, RECONCILE, WATCHDOG):
        set_active(operator, name, active=False)
    operator.clear_the_way()


def set_active(operator: Operator, name: str, active: bool) -> None:
    deployment = operator.deployment(name)
    [schedule] = deployment["schedules"]
    path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
    operator.api.patch(path, json={"active": active}).raise_for_status()


@pytest.mark.usefixtures("behind_a_load")
def test_a_run_that_waits_is_queued_again_with_its_scheduled_start(operator: Operator) -> None:
    [before] = due_yesterday(operator, RECONCILE)
    told = operator.apply()
    [after] = due_yesterday(operator, RECONCILE)
    start = "expected_start_time"
    assert (after[start], after["parameters"]) == (before[start], before["parameters"])
    [line] = [line for line in told if line.startswith("flow run ")]
    assert line == f"flow run {before['name']} of {before[start][:16].replace('T', ' ')} UTC: queued again"
    assert due_yesterday(operator, WATCHDOG) == []


@pytest.mark.usefixtures("behind_a_load")
@pytest.mark.parametrize(
    ("ending", "says"),
    [
        pytest.param(
            "sys.exit('the disk is full')",
            "deploy: `prefect deploy --all` failed: the disk is full; run it by itself to see more",
            id="fails",
        ),
        pytest.param("os.kill(os.getppid(), signal.SIGINT); time.sleep(30)", "KeyboardInterrupt", id="ctrl-c"),
    ],
)
def test_a_deploy_that_ends_half_way_loses_neither_a_pause_nor_a_run_that_waits(
    operator: Operator, tmp_path: Path, ending: str, says: str
) -> None:
    prefect = tmp_path / "prefect"
    prefect.write_text(HALF + ending)
    prefect.chmod(0o755)
    start = due_yesterday(operator, RECONCILE)[0]["expected_start_time"]
    code = WITH_ANOTHER_PREFECT.format(str(tmp_path / "python"))
    ended = run_python("-c", code, environment=operator.environment)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, says)
    assert operator.deployment(DAILY)["description"] != "changed by hand"
    assert [schedule["active"] for schedule in operator.deployment(DAILY)["schedules"]] == [False]
    assert [run["expected_start_time"] for run in due_yesterday(operator, RECONCILE)] == [start]


@pytest.fixture
def untouched(operator: Operator) -> Iterator[Operator]:
    """The environment names a database that nobody has set up."""
    yield replace(operator, environment=operator.environment | {"SNOWFLAKE_DATABASE": "UNTOUCHED"})
    with session_of(operator.environment) as session:
        session.query("DROP DATABASE IF EXISTS UNTOUCHED")
    operator.apply()


def test_a_warehouse_that_was_never_set_up_is_named_last_with_the_command_that_sets_it_up(untouched: Operator) -> None:
    line = untouched.apply()[-1]
    assert line.startswith("warehouse tables: not ready: ")
    assert "run `python -m flows.setup_warehouse`" in line


def test_the_order_does_not_matter_where_deploying_sets_the_warehouse_up(untouched: Operator) -> None:
    lines = untouched.apply(set_up=True)
    made, used = lines.index("warehouse tables: created"), lines.index("work pool retail-sales: unchanged")
    assert (made < used, lines[-1]) == (True, "warehouse tables: ready")
    with session_of(untouched.environment) as session:
        assert session.query("SELECT COUNT(*) FROM UNTOUCHED.ANALYTICS.SALES_FACT") == [(0,)]
    assert "warehouse tables: created" not in untouched.apply(set_up=True)


def test_a_slow_server_is_not_asked_again_for_what_it_is_still_creating(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "check_server", lambda: "found")
    monkeypatch.setattr(applying, "ANSWER_S_MAX", 0.0001)
    assert "work pool retail-sales: unchanged" in operator.apply()


@pytest.fixture
def without_block(operator: Operator) -> Iterator[Operator]:
    """Somebody has deleted the notification block, and the environment names none."""
    block = operator.api.get("/block_types/slug/custom-webhook/block_documents/name/retail-sales-alerts").json()
    operator.api.delete(f"/block_documents/{block['id']}").raise_for_status()
    others = {name: value for name, value in operator.environment.items() if name not in VARIABLES}
    yield replace(operator, environment=others)
    operator.apply()


def test_a_notification_block_that_was_deleted_is_found_before_a_deployment_is_touched(without_block: Operator) -> None:
    path = f"/deployments/{without_block.deployment(DAILY)['id']}"
    without_block.api.patch(path, json={"description": "changed by hand"}).raise_for_status()
    with pytest.raises(DeployError) as caught:
        without_block.apply()
    assert str(caught.value) == (
        "the notification block of our automations was deleted: set ALERT_SLACK_WEBHOOK_URL or ALERT_WEBHOOK_URL, "
        "or ALERT_NOTIFICATION_BLOCK to another block or to none"
    )
    assert without_block.deployment(DAILY)["description"] == "changed by hand"


def test_a_server_that_does_not_answer_is_named_in_one_line(operator: Operator) -> None:
    nowhere = operator.environment | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    ran = run_python("-m", "deployments.apply", environment=nowhere)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "deploy: no Prefect server answers at PREFECT_API_URL=http://127.0.0.1:9/api (ConnectError): "
        "start it, or correct the address\n"
    )
