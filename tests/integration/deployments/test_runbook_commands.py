"""The commands of the runbook that need deployments: each is taken, and does or changes what the page says."""

import mailbox
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from expectations.regions import REGIONS
from local.environment import CHECKOUT, state_dir
from tasks.batch import Batch
from tasks.warehouse.ledger import Entry, record, start_attempt
from tasks.warehouse.states import Status
from tests.integration.commands import COMMAND_S_MAX, run_command
from tests.integration.conftest import World, stop
from tests.integration.deployments.conftest import Operator
from tests.runbook import COVERED, DEPLOYED, read_commands

COMMANDS = [command.text for command in read_commands() if COVERED.get(command.text) == DEPLOYED]
WORKER = "make worker"
QUEUE = "/work_pools/retail-sales/queues/load"
WATCHED = [command for command in COMMANDS if command.endswith(" --watch")]
STARTS = [command for command in COMMANDS if command.startswith("prefect deployment run ") and command not in WATCHED]
OTHERS = [command for command in COMMANDS if command not in (*STARTS, *WATCHED, WORKER)]
DAY = date(2024, 1, 16)
RANGE = tuple(date(2024, 1, number) for number in range(10, 15))
"""The dates that the page names."""
LACKING = RANGE[2]
ROWS = 30
"""Per region: a batch of all regions is above the threshold."""

_RUN = "prefect deployment run"
_DAILY = f"{_RUN} 'daily-sales/production' -p date=$DATE"
_ONLY = r'''-p "regions=[\"$REGION\"]"'''
_BACKFILL = f"{_RUN} 'backfill/production' -p start_date=2024-01-10 -p end_date=2024-01-14"
_RECONCILE = f"{_RUN} 'reconcile/production'"
_ROLLBACK = f"{_RUN} 'rollback/production' -p date=$DATE -p 'reason=test sales of the till'"
COMPARED = r".*\d+ days? of regions: \d+ missing, \d+ differs, \d+ gone, \d+ older.*"
DRILL = f"{_RUN} 'alert-drill/production'"
"""Waits for a worker and for its mail: run to its end with the alerts."""

ENDS = {
    _DAILY: f"{DAY}: {4 * ROWS:,} clean rows of 4 regions",
    f"{_DAILY} {_ONLY}": f"{DAY}: {ROWS:,} clean rows of 1 region",
    f"{_BACKFILL} -p dry_run=true": rf"dry run: would load 1 date: {LACKING} \(all\)",
    _BACKFILL: "1 date loaded",
    f"{_RUN} 'backfill/production'": "1 date loaded",
    f"{_RUN} 'check-setup/production'": r"\d+ checks are ok",
    f"{_RUN} 'list-rejected/production'": r"no rejected row is open|[\d,]+ rejected rows? (is|are) open, .+",
    f"{_RUN} 'clean-staging/production' -p dry_run=true": "would remove .+",
    f"{_RUN} 'clean-staging/production'": "removed .+",
    f"{_RUN} 'send-alert/production' -p kind=failed -p flow_run_id=$RUN": f"mailed: {DAY:%Y%m%d} all failed",
    f"{_RUN} 'replay-rejected/production' -p dry_run=true": r"(would be|nothing to read again:) \d+ RELEASED, .+",
    f"{_RUN} 'replay-rejected/production'": r"(R\w+|nothing to read again): \d+ RELEASED, .+",
    f"{_RECONCILE} -p dry_run=true": COMPARED,
    f"{_RECONCILE} -p start_date=2024-01-10 -p end_date=2024-01-14 -p dry_run=true": f"2024-01-10 to .*{COMPARED}",
    _RECONCILE: COMPARED,
    f"{_RECONCILE} -p heal_deleted=true": COMPARED,
    f"{_ROLLBACK} -p dry_run=true": f"would roll back {DAY:%Y%m%d}: {4 * ROWS:,} sales removed, .+",
    _ROLLBACK: f"rolled back {DAY:%Y%m%d}: {4 * ROWS:,} sales removed, .+",
}
"""The message with which the run of a command ends as Completed."""


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
        done = run_command(command, self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def shell(operator: Operator) -> Iterator[Shell]:
    """No worker is alive: what is started waits, and is deleted at the end."""
    before = {run["id"] for run in operator.filter("flow_runs")}
    # Due later: a backfill makes room for a daily run that is due.
    waiting = operator.start("daily-sales/production", "-p", f"date={DAY}", "--start-in", "2 hours")
    (schedule,) = operator.deployment("daily-sales/production")["schedules"]
    yield Shell(operator, {"RUN": waiting, "SCHEDULE": schedule["id"], "DATE": str(DAY), "REGION": "EUROPE"})
    for run in operator.filter("flow_runs"):
        if run["id"] not in before:
            operator.api.delete(f"/flow_runs/{run['id']}")


@pytest.fixture(scope="module")
def started(shell: Shell) -> dict[str, dict[str, Any]]:
    """The runs that the commands of the page have started, as they wait, by command and in the order of the page."""
    runs = {}
    for command in STARTS:
        line = next(line for line in shell.run(command).splitlines() if "UUID:" in line)
        runs[command] = shell.operator.flow_run(line.split()[-1])
    return runs


@pytest.fixture(scope="module")
def ended(shell: Shell, started: dict[str, dict[str, Any]], world: World) -> dict[str, dict[str, Any]]:
    """Those runs at their end. Each date that they load has a few sales; of the page's range, one date is lacking."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    world.tidy()
    world.forget(yesterday)
    for day in (DAY, LACKING, yesterday):
        world.fill(day, rows=ROWS)
    with world.session() as session:
        for day in RANGE:
            if day != LACKING:
                attempt = start_attempt(session, Batch(day, tuple(REGIONS)), str(uuid4()), lease_minutes=15)
                record(session, attempt, [Entry(region, Status.PUBLISHED) for region in REGIONS])
    mailbox.Maildir(state_dir() / "mail").clear()
    # A backfill without dates begins with it.
    with world.variable("first_date", str(yesterday)):
        shell.operator.execute_all(started[command]["id"] for command in ENDS)
    return {command: shell.operator.flow_run(started[command]["id"]) for command in ENDS}


@pytest.mark.parametrize("command", STARTS)
def test_a_run_is_queued_with_the_parameters_of_the_page(
    shell: Shell, started: dict[str, dict[str, Any]], command: str
) -> None:
    run = started[command]
    given = {key: value for key, value in run["parameters"].items() if value not in (None, "")}
    assert (run["state_type"], run["work_pool_name"]) == ("SCHEDULED", "retail-sales")
    assert f"'{flow_name(shell.operator, run)}/production'" in command
    for key in given:
        assert re.search(rf"[ '\"]{key}=", command) or key in DEFAULTS, given


@pytest.mark.parametrize("command", [command for command in STARTS if command != DRILL])
def test_a_run_does_what_the_page_says(ended: dict[str, dict[str, Any]], command: str) -> None:
    state = ended[command]["state"]
    assert state["name"] == "Completed", state["message"]
    assert re.fullmatch(ENDS[command], state["message"])


@pytest.mark.usefixtures("ended")
def test_the_dates_are_loaded_and_rolled_back_and_the_mail_has_arrived(world: World) -> None:
    lacking, rolled_back = (f"{day:%Y%m%d}" for day in (LACKING, DAY))
    rows = "SELECT ETL_BATCH_ID, COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID IN (?, ?) GROUP BY 1"
    assert world.sql(rows, (lacking, rolled_back)) == [(lacking, 4 * ROWS)]
    assert world.ledger(rolled_back) == dict.fromkeys(REGIONS, "ROLLED_BACK")
    (mail,) = mailbox.Maildir(state_dir() / "mail")
    assert str(mail["Subject"]).startswith(f"[retail-sales] {DAY}: failed")


@pytest.mark.parametrize("command", WATCHED)
def test_a_command_that_watches_ends_with_its_run(shell: Shell, ended: dict[str, dict[str, Any]], command: str) -> None:
    """What stands below it on the page is done after the run."""
    assert ended, "the date has sales"
    watching = subprocess.Popen(
        ["bash", "-euc", command], cwd=CHECKOUT, env=shell.environment, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    line = next(line for line in watching.stdout if "UUID:" in line)
    assert watching.poll() is None
    shell.operator.execute_all([line.split()[-1]])
    assert watching.wait(COMMAND_S_MAX) == 0
    assert shell.operator.flow_run(line.split()[-1])["state_name"] == "Completed"


DEFAULTS = {"cascade", "heal", "heal_deleted", "mode", "max_active", "order", "dry_run", "wait_s_max", "fail", "mail"}


def flow_name(operator: Operator, run: dict[str, Any]) -> str:
    return str(operator.api.get(f"/flows/{run['flow_id']}").json()["name"])


@pytest.fixture
def _the_other_way_round(shell: Shell, command: str) -> Iterator[None]:
    """The daily run's schedule is active before it is paused, its queue paused before it is resumed; not otherwise."""
    deployment = shell.operator.deployment("daily-sales/production")["id"]

    def put(active: bool, is_paused: bool) -> None:
        for path, content in (
            (f"/deployments/{deployment}/schedules/{shell.values['SCHEDULE']}", {"active": active}),
            (QUEUE, {"is_paused": is_paused}),
        ):
            shell.operator.api.patch(path, json=content).raise_for_status()

    put(active="schedule pause" in command, is_paused="work-queue resume" in command)
    yield
    put(active=False, is_paused=False)


@pytest.mark.usefixtures("_the_other_way_round")
@pytest.mark.parametrize("command", OTHERS)
def test_a_command_is_taken(shell: Shell, command: str) -> None:
    shell.run(command)
    operator = shell.operator
    assert operator.api.get(QUEUE).json()["is_paused"] == ("work-queue pause" in command)
    if "flow-run cancel" in command:
        assert operator.flow_run(shell.values["RUN"])["state_type"] in ("CANCELLING", "CANCELLED")
    (schedule,) = operator.deployment("daily-sales/production")["schedules"]
    assert schedule["active"] == ("schedule resume" in command)


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
        start_new_session=True,
    )
    assert process.stdout is not None
    give_up = time.monotonic() + COMMAND_S_MAX
    lines = iter(process.stdout.readline, b"")
    try:
        assert any(b"started!" in line for line in lines if time.monotonic() < give_up)
    finally:
        stop(process)
        shell.operator.api.patch("/work_pools/retail-sales", json={"is_paused": False})
