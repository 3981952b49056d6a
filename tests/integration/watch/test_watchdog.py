"""The watchdog on the real stack: a dead run is ended and mailed once, a living one left alone, a late date mailed."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from prefect import get_client, task
from prefect.client.schemas import SetStateStatus
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Late, Pending, Running, State
from prefect.utilities.asyncutils import sync_compatible

from blocks.names import LOAD, POOL, WAREHOUSE
from blocks.outside import read_outside
from expectations.regions import REGIONS
from flows import watchdog as module
from flows.send_alert import send_alert
from flows.watchdog import watch_outside, watchdog
from tasks.alerts.run_now import read_activity
from tasks.batch import Attempt, Batch
from tasks.pages.ledger_page import ARTIFACT_KEY
from tasks.prefect_server import kin
from tasks.warehouse.ledger import Entry, record, start_attempt
from tasks.warehouse.session import Row
from tasks.warehouse.states import Status
from tasks.watch.concurrency_slots import free_slots
from tasks.watch.late_and_dead import DATES_WATCHED, WatchSettings, due_dates, read_leases
from tasks.watch.runs import forget_missed_passes, read_families
from tests.integration.conftest import World
from tests.integration.processes import run_python
from tests.integration.server import PatientClient, concurrency_limit
from tests.integration.watch.conftest import body_of, forget_mails_and_alerts, mails, subjects

DAILY, BACKFILL, ROLLBACK = "daily-sales/production", "backfill/production", "rollback/production"
OVER, LIVE = -1, 15
"""Minutes of a lease that is over, and of one that is not."""
NOBODY = 2**22 + 1
"""No process has this number: it is above the kernel's largest."""
DEAD, ALIVE, RENEWING, CHILD = (date(2021, 3, day) for day in (1, 2, 3, 4))
NO_DATES = "2999-01-01"
PASS_S = 300
"""The watchdog's schedule is every five minutes."""


@task
def child_of_a_backfill() -> None: ...


@sync_compatible
async def add_run(deployment: str, day: date | None, pid: int | None, state: State[Any], **others: str) -> str:
    """A run of a deployment as a worker would have left it; `pid` on this machine."""
    async with get_client() as client:
        parameters = {"date": str(day), **others} if day else {}
        found = await client.read_deployment_by_name(deployment)
        run = await client.create_flow_run_from_deployment(found.id, parameters=parameters)
        if pid is not None:
            await client.update_flow_run(run.id, infrastructure_pid=f"{socket.gethostname()}:{pid}")
        await client.set_flow_run_state(run.id, state, force=True)
    return str(run.id)


@sync_compatible
async def add_child(parent: str, day: date) -> str:
    """A running daily run inside another run."""
    from flows.daily_sales import daily_sales

    async with get_client() as client:
        link = await client.create_task_run(child_of_a_backfill, parent, dynamic_key="child")
        run = await client.create_flow_run(
            daily_sales, parameters={"date": str(day)}, parent_task_run_id=link.id, state=Running()
        )
    return str(run.id)


@sync_compatible
async def state_of(flow_run_id: str) -> str:
    async with get_client() as client:
        return str((await client.read_flow_run(flow_run_id)).state_name)


def begin(world: World, day: date, flow_run_id: str, lease_minutes: int) -> None:
    with world.session() as session:
        start_attempt(session, Batch(day, tuple(REGIONS)), flow_run_id, lease_minutes)


def batch_of(day: date) -> str:
    return Batch(day, ()).batch_id


def all_regions(status: str) -> dict[str, str]:
    return dict.fromkeys(REGIONS, status)


@dataclass(frozen=True)
class Scene:
    """What two passes have made of runs, by what is the matter with these."""

    states: dict[str, str]
    first: State[Any]
    mailed: list[Message]
    ledger: dict[date, dict[str, str]]
    causes: list[Row]
    second: State[Any]
    mailed_in_all: list[str]


@pytest.fixture(scope="module")
def scene(deployed: World) -> Scene:
    """Leaves nothing behind that another pass could see."""
    forget_mails_and_alerts()
    runs = {
        "dead": add_run(DAILY, DEAD, NOBODY, Running()),
        "number given to another": add_run(DAILY, None, os.getpid(), Running()),
        "alive without renewals": add_run(DAILY, ALIVE, None, Pending()),
        "renewing": add_run(DAILY, RENEWING, NOBODY, Running()),
        "about to start": add_run(DAILY, None, None, Pending()),
        "backfill": add_run(BACKFILL, None, NOBODY, Running()),
    }
    runs["child"] = add_child(runs["backfill"], CHILD)
    leases = {DEAD: ("dead", OVER), ALIVE: ("alive without renewals", OVER), RENEWING: ("renewing", LIVE)}
    leases[CHILD] = ("child", OVER)
    for day, (what, lease_minutes) in leases.items():
        begin(deployed, day, runs[what], lease_minutes)
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": runs["alive without renewals"]}
    process = subprocess.Popen(["sleep", "300"], env=environment)
    try:
        set_pid(runs["alive without renewals"], process.pid)
        with deployed.variable("first_date", NO_DATES):
            first = watchdog(return_state=True)
            states = {what: state_of(flow_run_id) for what, flow_run_id in runs.items()}
            ledger = {day: deployed.ledger(batch_of(day)) for day in leases}
            causes = "SELECT DISTINCT CAUSE FROM ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'FAILED'"
            mailed, of_the_dead = mails(), deployed.sql(causes, (batch_of(DEAD),))
            second = watchdog(return_state=True)
            return Scene(states, first, mailed, ledger, of_the_dead, second, subjects())
    finally:
        process.kill()
        process.wait()
        deployed.forget(*leases)
        for flow_run_id in runs.values():
            complete(flow_run_id)


def test_a_family_is_read_whole_however_large_it_is(deployed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "PAGE_ROWS", 2)
    root = add_run(BACKFILL, None, NOBODY, Running())
    children = [add_child(root, CHILD) for _ in range(5)]
    families = [family for family in read_families([root]) if family.root.id == root]
    assert [child.id for child in families[0].children] == children
    for flow_run_id in (*children, root):
        complete(flow_run_id)


@sync_compatible
async def complete(flow_run_id: str) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(flow_run_id, Completed(), force=True)


@sync_compatible
async def set_pid(flow_run_id: str, pid: int) -> None:
    async with get_client() as client:
        await client.update_flow_run(flow_run_id, infrastructure_pid=f"{socket.gethostname()}:{pid}")
        await client.set_flow_run_state(flow_run_id, Running(), force=True)


@pytest.mark.parametrize("what", ["dead", "number given to another", "backfill", "child"])
def test_a_dead_run_is_crashed_so_that_its_slot_is_free(scene: Scene, what: str) -> None:
    assert scene.states[what] == "Crashed"


@pytest.mark.parametrize(
    ("what", "state"),
    [("alive without renewals", "Running"), ("renewing", "Running"), ("about to start", "Pending")],
)
def test_a_living_run_is_left_alone(scene: Scene, what: str, state: str) -> None:
    assert scene.states[what] == state


def test_a_rollback_is_dead_when_its_process_has_ended_on_this_machine(deployed: World) -> None:
    """It holds no lease, and no slot of queue `load`."""
    forget_mails_and_alerts()
    dead, elsewhere = (add_run(ROLLBACK, DEAD, pid, Running(), reason="a test") for pid in (NOBODY, None))
    try:
        with deployed.variable("first_date", NO_DATES):
            passed = watchdog(return_state=True)
        assert (state_of(dead), state_of(elsewhere)) == ("Crashed", "Running")
        assert "; no process of it is left" in str(passed.message)
        assert [subject.endswith(": run died") for subject in subjects()] == [True]
    finally:
        for flow_run_id in (dead, elsewhere):
            complete(flow_run_id)


def test_the_ledger_knows_the_dead(scene: Scene) -> None:
    assert scene.ledger == {
        DEAD: all_regions("FAILED"),
        ALIVE: all_regions("STARTED"),
        RENEWING: all_regions("STARTED"),
        CHILD: all_regions("FAILED"),
    }
    ((cause,),) = scene.causes
    assert cause.startswith("its lease expired at 20")
    assert cause.endswith("; no process of it is left")


def test_each_death_is_one_mail(scene: Scene) -> None:
    assert scene.first.name == "Completed", scene.first.message
    first, second, third = sorted(str(mail["Subject"]) for mail in scene.mailed)
    assert first == f"[retail-sales] {DEAD}: run died"
    assert second.endswith(": run died")
    assert third == "[retail-sales] backfill: run died"
    (of_date,) = [body_of(mail) for mail in scene.mailed if str(DEAD) in str(mail["Subject"])]
    assert "State        Crashed" in of_date
    assert "docs/runbook.md#lease-expired" in of_date
    assert f"\n{DEAD} is not in production now.\n" in of_date
    (of_backfill,) = [body_of(mail) for mail in scene.mailed if "backfill" in str(mail["Subject"])]
    assert f"\n{CHILD} is not in production now.\n" in of_backfill


def test_a_second_pass_mails_and_changes_nothing(scene: Scene) -> None:
    assert scene.second.message is not None
    assert scene.second.message.endswith("its lease has expired but its process still runs, left alone")
    assert ";" not in scene.second.message
    assert len(scene.mailed_in_all) == len(scene.mailed)


@task(tags=[WAREHOUSE])
def loads_the_warehouse() -> None: ...


@sync_compatible
async def take_slot(flow_run_id: str) -> str:
    """A task that goes on in the run, and holds a slot of the limit on the warehouse."""
    async with get_client() as client:
        run = await client.create_task_run(loads_the_warehouse, flow_run_id, dynamic_key=str(uuid4()))
        assert (await client.set_task_run_state(run.id, Running())).status is SetStateStatus.ACCEPT
    return str(run.id)


@sync_compatible
async def end_task(task_run_id: str) -> None:
    async with get_client() as client:
        await client.set_task_run_state(task_run_id, Completed(), force=True)


@sync_compatible
async def hold(*task_run_ids: str) -> None:
    """These and no others hold a slot of the limit on the warehouse, in this order."""
    async with get_client() as client:
        await client.reset_concurrency_limit_by_tag(WAREHOUSE, slot_override=task_run_ids)


@pytest.fixture
def holders(deployed: World) -> Iterator[Callable[[], list[str]]]:
    """A limit on the warehouse; called, it returns the task runs that hold its slots."""
    with (
        PatientClient(base_url=deployed.environment["PREFECT_API_URL"]) as api,
        concurrency_limit(api, WAREHOUSE, 5) as holders,
    ):
        yield holders


def test_each_slot_that_nobody_gives_back_is_freed_and_no_other_is_touched(holders: Callable[[], list[str]]) -> None:
    ended, goes_on = (add_run(DAILY, None, NOBODY, Running()) for _ in range(2))
    of_ended, finished, alive = take_slot(ended), take_slot(goes_on), take_slot(goes_on)
    end_task(finished)
    complete(ended)
    try:
        hold(of_ended, str(uuid4()), finished, alive)
        assert free_slots({}) == f"3 of {WAREHOUSE} freed"
        assert holders() == [alive]
        assert free_slots({}) == ""
    finally:
        complete(goes_on)


KILLED_DAY = date(2021, 6, 1)


@sync_compatible
async def set_state(flow_run_id: str, state: State[Any]) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(flow_run_id, state, force=True)


def test_a_backfill_killed_after_a_commit_leaves_no_slot_behind(
    deployed: World, holders: Callable[[], list[str]]
) -> None:
    """Its worker sets it alone to Crashed, and the ledger has an end of each region: no lease of it ever expires."""
    backfill = add_run(BACKFILL, None, NOBODY, Running())
    child = add_child(backfill, KILLED_DAY)
    task_run_id = take_slot(child)
    with deployed.session() as session:
        attempt = start_attempt(session, Batch(KILLED_DAY, tuple(REGIONS)), child, LIVE)
        record(session, attempt, [Entry(region, Status.PUBLISHED) for region in REGIONS])
    forget_mails_and_alerts()
    try:
        with deployed.variable("first_date", NO_DATES):
            assert watchdog(return_state=True).message == "nothing is late or dead"
            assert holders() == [task_run_id], "the backfill goes on"
            set_state(backfill, Crashed())
            assert watchdog(return_state=True).message == f"concurrency limits: 1 of {WAREHOUSE} freed"
        assert (holders(), state_of(child), subjects()) == ([], "Crashed", [])
    finally:
        deployed.forget(KILLED_DAY)
        complete(child)
        complete(backfill)


def test_a_child_whose_process_cannot_be_seen_keeps_its_slot_as_long_as_its_lease(
    deployed: World, holders: Callable[[], list[str]]
) -> None:
    backfill = add_run(BACKFILL, None, None, Running())
    child = add_child(backfill, KILLED_DAY)
    task_run_id = take_slot(child)
    begin(deployed, KILLED_DAY, child, LIVE)
    complete(backfill)
    try:
        with deployed.session() as session:
            assert free_slots(read_leases(session)) == ""
        assert (holders(), state_of(child)) == ([task_run_id], "Running")
        assert free_slots({}) == f"1 of {WAREHOUSE} freed"
        assert (holders(), state_of(child)) == ([], "Crashed")
    finally:
        deployed.forget(KILLED_DAY)


NOBODYS_DAY, RUNNING_DAY, WAITING_DAY = (date(2021, 5, day) for day in (1, 2, 3))


@sync_compatible
async def pause_queue(is_paused: bool) -> None:
    async with get_client() as client:
        queue = await client.read_work_queue_by_name(LOAD, work_pool_name=POOL)
        await client.update_work_queue(queue.id, is_paused=is_paused)


@sync_compatible
async def add_step(flow_run_id: str) -> None:
    """A task that goes on in the run."""
    async with get_client() as client:
        await client.create_task_run(
            child_of_a_backfill, flow_run_id, dynamic_key="0", name="publish-0", state=Running()
        )


def test_a_mail_about_a_late_date_says_what_its_run_is_doing_now(deployed: World) -> None:
    link = f"{deployed.environment['PREFECT_UI_URL']}/flow-runs/flow-run/"
    assert read_activity(NOBODYS_DAY).splitlines()[0] == f"Now: no run of {NOBODYS_DAY} exists"
    runs, waits = add_run(DAILY, RUNNING_DAY, None, Running()), add_run(DAILY, WAITING_DAY, None, Late())
    add_step(runs)
    try:
        first, second, *_ = read_activity(RUNNING_DAY).splitlines()
        assert (" runs since 20" in first, first.endswith(", step publish")) == (True, True)
        assert second == link + runs
        behind = read_activity(WAITING_DAY).splitlines()
        assert behind[0].startswith("Now: its run waits behind ")
        assert behind[1:3] == [link + waits, f"ahead of it: {link}{runs}"]
        pause_queue(True)
        assert read_activity(WAITING_DAY).splitlines()[0].endswith(": work queue load is paused")
        pause_queue(False)
        complete(runs)
        assert read_activity(WAITING_DAY).splitlines()[0] == "Now: its run waits for a worker: none is online"
        forget_mails_and_alerts()
        send_alert("sla", date=str(WAITING_DAY))
        (mail,) = mails()
        assert f"Now: its run waits for a worker: none is online\n{link}{waits}\n" in body_of(mail)
        complete(waits)
        assert " ended as Completed at 20" in read_activity(WAITING_DAY)
    finally:
        pause_queue(False)
        complete(runs)
        complete(waits)


def late_days(count: int) -> list[date]:
    """The newest dates whose time is over, oldest first."""
    newest = due_dates(datetime.now(UTC), WatchSettings("", 120, 15, None))[0]
    return [newest - timedelta(days=back) for back in reversed(range(count))]


def test_a_late_date_is_mailed_once_and_empty_or_left_out_ones_never(deployed: World) -> None:
    left_out, empty, late = late_days(3)
    deployed.forget(left_out, empty, late)
    with deployed.session() as session:
        for day, status in ((empty, Status.EMPTY), (left_out, Status.MISSING)):
            attempt = start_attempt(session, Batch(day, tuple(REGIONS)), f"of {day}", LIVE)
            record(session, attempt, [Entry(region, status) for region in REGIONS])
    forget_mails_and_alerts()
    with deployed.variable("first_date", str(left_out)):
        for _ in range(2):
            assert watchdog(return_state=True).name == "Completed"
            assert subjects() == [f"[retail-sales] {late}: not published in time"]


def test_days_before_the_first_deployment_are_not_mailed_unless_the_ledger_goes_on(
    deployed: World, tmp_path: Path
) -> None:
    """The stack's deployments are younger than the start of any run whose time is over."""
    *before, late = late_days(DATES_WATCHED + 1)
    deployed.forget(*before, late)
    forget_mails_and_alerts()
    outside = read_outside(os.environ | {"WATCHDOG_DIR": str(tmp_path / "told")})
    assert watchdog(return_state=True).name == "Completed"
    assert watch_outside(outside).problems == []
    assert subjects() == []
    begin(deployed, before[0], "of the week before", LIVE)
    try:
        assert watchdog(return_state=True).name == "Completed"
        assert [f"{late}:" in subject for subject in subjects()] == [True]
    finally:
        deployed.forget(*before)


@sync_compatible
async def pages() -> list[str]:
    """Every version of the artifact `ledger`, the newest first."""
    async with get_client() as client:
        key = ArtifactFilter(key=ArtifactFilterKey(any_=[ARTIFACT_KEY]))
        found = await client.read_artifacts(artifact_filter=key, sort=ArtifactSort.CREATED_DESC)
    return [str(artifact.data) for artifact in found]


@pytest.fixture
def newest(deployed: World) -> Iterator[date]:
    """The last date of the ledger, at which a region has failed, like the one two days before."""
    days = date(2098, 1, 1), date(2098, 1, 3)
    with deployed.session() as session:
        for day in days:
            record(session, Attempt(1, "of a page", batch_of(day), ("EUROPE",)), [Entry("EUROPE", Status.FAILED)])
    yield days[-1]
    deployed.forget(*days)


def test_the_ledgers_page_is_written_when_the_ledger_has_changed(deployed: World, newest: date) -> None:
    with deployed.variable("first_date", NO_DATES):
        assert watchdog(return_state=True).name == "Completed"
        written = len(pages())
        assert watchdog(return_state=True).name == "Completed"
        assert len(pages()) == written, "nothing has changed"
        deployed.forget(newest)
        assert watchdog(return_state=True).name == "Completed"
    assert len(pages()) == written + 1
    last, before = ([line for line in page.splitlines() if line.startswith("| 2098")] for page in pages()[:2])
    assert before == [
        "| 2098-01-03 | missing | missing | failed | missing |",
        "| 2098-01-02 | missing | missing | missing | missing |",
        "| 2098-01-01 | missing | missing | failed | missing |",
    ]
    assert last == before[2:]


def test_the_program_shows_the_same_grid(newest: date) -> None:
    ran = run_python("-m", "flows.show_ledger")
    assert ran.returncode == 0, ran.stderr
    shown = [line.split() for line in ran.stdout.splitlines() if line.startswith("2098")]
    assert shown[0] == [str(newest), "missing", "missing", "failed", "missing"]
    assert len(shown) == 3


class WithoutDatabase(BaseHTTPRequestHandler):
    """A Prefect server whose database is down: it says hello, and fails whatever reads or writes."""

    def do_GET(self) -> None:
        self.answer(HTTPStatus.OK if self.path.endswith("/hello") else HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    def answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"exception_message": ""}')

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture(params=["no-server", "server-without-its-database"])
def url_of_outage(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Prefect server that is down."""
    if request.param == "no-server":
        yield "http://127.0.0.1:9/api"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), WithoutDatabase) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_without_a_server_it_mails_by_itself_and_says_so_once(
    deployed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url_of_outage: str
) -> None:
    monkeypatch.setattr(module, "SERVER_WAIT_S", 0)
    day = date(2021, 4, 1)
    begin(deployed, day, "00000000-0000-0000-0000-000000000001", OVER)
    outside = read_outside(os.environ | {"WATCHDOG_DIR": str(tmp_path / "told"), "FIRST_DATE": NO_DATES})
    forget_mails_and_alerts()
    with temporary_settings(updates={PREFECT_API_URL: url_of_outage}):
        for _ in range(2):
            assert watch_outside(outside).problems == []
    mailed = subjects()
    assert "[retail-sales] Prefect server down" in mailed
    assert f"[retail-sales] {day}: run died" in mailed
    assert all(f"{url_of_outage} does not answer" in body_of(mail) for mail in mails())
    assert any(f"\n{day} is not in production now.\n" in body_of(mail) for mail in mails())
    assert deployed.ledger(batch_of(day)) == all_regions("FAILED")
    with deployed.variable("first_date", NO_DATES):
        watch_outside(outside)
    assert subjects() == mailed, "the server's return makes nothing news"
    with temporary_settings(updates={PREFECT_API_URL: url_of_outage}):
        watch_outside(outside)
    assert len(subjects()) == len(mailed) + 1, "another outage is mailed anew"


def test_while_the_server_answers_its_variables_rule(deployed: World, tmp_path: Path) -> None:
    (late,) = late_days(1)
    deployed.forget(late)
    forget_mails_and_alerts()
    own = {"WATCHDOG_DIR": str(tmp_path / "told"), "ALERT_EMAIL_LIST": "old@example.com", "FIRST_DATE": NO_DATES}
    with (
        deployed.variable("alert_email_list", "new@example.com"),
        deployed.variable("lease_minutes", "many"),
        deployed.variable("first_date", str(late)),
    ):
        report = watch_outside(read_outside(os.environ | own))
    assert [problem.partition(":")[0] for problem in report.problems] == ["variable lease_minutes is 'many'"]
    assert [(str(mail["To"]), str(mail["Subject"])) for mail in mails()] == [
        ("new@example.com", f"[retail-sales] {late}: not published in time")
    ]


def test_the_program_says_what_it_looked_at_when_all_is_well(deployed: World, tmp_path: Path) -> None:
    deployed.tidy()
    own = {"WATCHDOG_DIR": str(tmp_path / "told")}
    with deployed.variable("first_date", NO_DATES):
        ran = run_python("-m", "flows.watchdog", environment=os.environ | own)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "looked at: no date is due; no run is alive; all mails are sent"


def test_the_program_says_what_is_missing_in_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SMTP_HOST"}
    ran = run_python("-m", "flows.watchdog", environment=environment)
    assert (ran.returncode, ran.stderr) == (1, "watchdog: SMTP_HOST is not set: give it as the mail server of alerts\n")


def test_passes_that_were_missed_are_not_made_up_for(deployed: World) -> None:
    own = add_run("watchdog/production", None, None, Running())
    was_active = set_schedule_active("watchdog/production", True)
    try:
        schedule_last_hour("watchdog/production")
        began = datetime.now(UTC).timestamp()
        assert forget_missed_passes(own) >= 11
        again = forget_missed_passes(own)
        assert again <= datetime.now(UTC).timestamp() // PASS_S - began // PASS_S, "passes that were due meanwhile"
        assert state_of(own) == "Running"
    finally:
        set_schedule_active("watchdog/production", was_active)


@sync_compatible
async def set_schedule_active(deployment: str, active: bool) -> bool:
    """Returns what it was; a schedule that becomes inactive takes the runs with it that it has scheduled."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        (schedule,) = found.schedules
        await client.update_deployment_schedule(found.id, schedule.id, active=active)
    return bool(schedule.active)


@sync_compatible
async def schedule_last_hour(deployment: str) -> None:
    """What the server's scheduler would have done an hour ago."""
    now = datetime.now(UTC)
    times = {"start_time": str(now - timedelta(hours=1)), "end_time": str(now)}
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        await client._client.post(f"/deployments/{found.id}/schedule", json=times)
