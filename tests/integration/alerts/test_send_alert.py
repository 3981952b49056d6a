"""A failure becomes one mail, in a real mail server, with what a person needs to mend it."""

import logging
import mailbox
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from prefect import flow, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Failed, State
from prefect.utilities.asyncutils import sync_compatible
from prefect.variables import Variable
from prefect_email import EmailServerCredentials

from blocks import names
from blocks.register import mail_blocks, warehouse_blocks
from blocks.smtp import read_smtp_settings
from expectations.regions import REGIONS
from flows import send_alert as module
from flows.daily_sales import daily_sales
from flows.send_alert import send_alert
from local.environment import state_dir
from tasks.alerts.book import Stage, confirm, forget_old, new_entry, release, take
from tasks.alerts.mail import Mail
from tasks.alerts.request import LASTING_GAP_MAX, AlertRequest
from tasks.alerts.smtp import send_mail
from tasks.alerts.variable_book import VariableBook
from tasks.batch import Batch
from tasks.warehouse.ledger import Entry, record, start_attempt
from tasks.warehouse.states import Status
from tests.integration.conftest import World
from tests.integration.log_lines import Lines
from tests.integration.processes import start_python

LOGS_S_MAX = 120


@pytest.fixture(autouse=True)
def _no_mails_before(world: World) -> None:
    """Each test begins with an empty mailbox and an empty book."""
    box = mailbox.Maildir(state_dir() / "mail")
    box.clear()
    book = VariableBook()
    for entry in book.entries():
        book.remove(entry)


def mails() -> list[Message]:
    return list(mailbox.Maildir(state_dir() / "mail"))


def body_of(mail: Message) -> str:
    (part,) = [part for part in mail.walk() if not part.is_multipart()]
    assert part.get_content_type() == "text/plain"
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def subjects() -> list[str]:
    return sorted(" ".join(str(mail["Subject"]).split()) for mail in mails())


def told(kind: Any, **parameters: Any) -> State:
    state = send_alert(kind, **parameters, return_state=True)
    assert isinstance(state, State)
    return state


@sync_compatible
async def wait_for_logs(flow_run_id: str, text: str) -> None:
    which = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    give_up = time.monotonic() + LOGS_S_MAX
    async with get_client() as client:
        while not any(text in log.message for log in await client.read_logs(which, limit=200)):
            assert time.monotonic() < give_up, f"no {text!r} in the logs of {flow_run_id}"
            time.sleep(0.2)


def failed_run(world: World, day: date) -> str:
    """A daily run that fails because a variable is bad; returns its id when its logs have arrived."""
    with world.variable("min_record_count", "many"), temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        state = daily_sales(date=str(day), return_state=True)
    flow_run_id = str(state.state_details.flow_run_id)
    wait_for_logs(flow_run_id, "Finished in state Failed")
    return flow_run_id


def test_the_mail_of_a_failed_run_holds_what_a_person_needs(world: World, day: date) -> None:
    run = failed_run(world, day)
    with world.variable("alert_email_list", "a@example.com, b@example.com"):
        assert told("failed", flow_run_id=run).message == f"mailed: {day:%Y%m%d} all failed"
    (mail,) = mails()
    assert (mail["From"], mail["To"]) == ("retail-sales@example.com", "a@example.com, b@example.com")
    assert subjects() == [f"[retail-sales] {day}: failed: Bad variable"]
    assert mail["Date"]
    assert str(mail["Message-ID"]).endswith("@example.com>")
    assert mail["References"] == f"<{day:%Y%m%d}.retail-sales@example.com>"
    body = body_of(mail)
    for line in (
        f"The daily run of {day} failed or crashed.",
        f"Run          daily-sales-{day}\n",
        f"/flow-runs/flow-run/{run}\n",
        f"Date         {day}\n",
        f"Batch        {day:%Y%m%d}\n",
        "What to do next: Bad variable (docs/runbook.md#bad-variable)\n",
        "    python -m blocks.variables min_record_count 100\n",
        f"    prefect deployment run 'daily-sales/production' -p date={day}\n",
        "End of the stack trace:\n",
        "\n  blocks.variables.BadVariableError: variable min_record_count is 'many'",
        "Last log lines:\n",
        " Finished in state Failed(",
    ):
        assert line in body
    assert world.environment["PREFECT_UI_URL"] in body


def test_a_failed_task_and_its_run_are_mailed_once_whatever_notices_them(world: World, day: date) -> None:
    world.fill(day, rows=10)
    run = str(world.run(day).state.state_details.flow_run_id)
    for kind in ("quality-failed", "failed"):
        told(kind, flow_run_id=run)
    told("quality-failed", date=str(day))
    assert subjects() == [f"[retail-sales] {day}: quality failed: Too few rows"]
    told("sla", date=str(day))
    told("sla", flow_run_id=run)
    assert len(mails()) == 2


def test_a_run_that_died_is_one_failure(world: World, day: date) -> None:
    told("lease-expired", date=str(day), message="lease ran out at 06:15 UTC")
    told("failed", date=str(day), message="Crashed")
    assert subjects() == [f"[retail-sales] {day}: run died"]
    assert f"\n{day} is not in production now.\n" in body_of(mails()[0])


def test_the_mail_of_a_dead_run_says_that_another_has_loaded_its_date(world: World, day: date) -> None:
    world.fill(day)
    world.run(day)
    told("lease-expired", date=str(day), message="lease ran out at 06:15 UTC")
    (mail,) = mails()
    assert f"\n{day} is in production now.\n" in body_of(mail)


def test_two_runs_at_once_send_one_mail(world: World, day: date) -> None:
    program = f"from flows.send_alert import send_alert; send_alert('failed', date='{day}')"
    runs = [start_python("-c", program) for _ in range(2)]
    assert [run.ended().returncode for run in runs] == [0, 0]
    assert len(mails()) == 1


def test_a_failure_after_the_date_was_published_is_mailed_again(world: World, day: date) -> None:
    some_run = failed_run(world, day)
    told("failed", flow_run_id=some_run, message="first")
    told("anomaly", date=str(day), message="first")
    world.fill(day)
    assert world.run(day).state.is_completed()
    told("failed", flow_run_id=some_run, message="the same run")
    told("anomaly", date=str(day), message="of the run that published")
    told("failed", date=str(day), message="second")
    told("failed", date=str(day), message="third")
    assert subjects() == [
        f"[retail-sales] {day}: anomaly: first",
        f"[retail-sales] {day}: failed: first",
        f"[retail-sales] {day}: failed: second",
    ]


@contextmanager
def mail_server_down(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "SEND_RETRY_DELAYS_S", [0])
    with mail_server_at(1, world):
        yield


@contextmanager
def mail_server_at(port: int, world: World) -> Iterator[None]:
    EmailServerCredentials(smtp_server="127.0.0.1", smtp_port=port, smtp_type="INSECURE", password="unused").save(
        names.ALERT_MAIL, overwrite=True
    )
    try:
        yield
    finally:
        for name, (block,) in mail_blocks(world.environment).items():
            block.save(name, overwrite=True)


def test_a_mail_that_could_not_be_sent_goes_with_the_next(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server_down(world, monkeypatch):
        state = told("failed", date=str(day), message="while the mail server was down")
    assert state.is_failed()
    assert mails() == []
    (entry,) = VariableBook().entries()
    assert entry.stage is Stage.UNSENT
    told("anomaly", date=str(day), region="EUROPE", message="row count: few")
    assert subjects() == [
        f"[retail-sales] {day} EUROPE: anomaly: row count: few",
        f"[retail-sales] {day}: failed: while the mail server was down",
    ]
    assert {entry.stage for entry in VariableBook().entries()} == {Stage.SENT}


class RefusesGone:
    """A mail server that knows no address which begins with `gone`."""

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("gone"):
            return f"550 5.1.1 <{address}> is unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The warnings that flows log."""
    handler, logger = Lines(), logging.getLogger("prefect.flow_runs")
    handler.setLevel(logging.WARNING)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def test_recipients_that_are_refused_are_in_the_state_and_in_a_warning(
    world: World, day: date, warnings: list[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(RefusesGone(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        with mail_server_at(port, world), world.variable("alert_email_list", "a@example.com, gone@example.com"):
            state = told("failed", date=str(day))
    finally:
        server.stop()
    refused = "the mail server refused 1 of 2 recipients (variable alert_email_list): recipient 2 with 550"
    assert state.is_completed()
    assert state.message == f"mailed: {day:%Y%m%d} all failed; {refused}"
    assert warnings == [f"step=send-alert {refused}"]
    (entry,) = VariableBook().entries()
    assert (entry.stage, entry.refused) == (Stage.SENT, refused)


def test_no_reminder_for_a_date_that_was_published_meanwhile(world: World, day: date) -> None:
    world.fill(day)
    world.run(day)
    assert told("sla", date=str(day)).message == f"no mail: {day} has been published meanwhile"
    assert mails() == []
    assert VariableBook().entries() == []


def test_a_reminder_goes_out_for_a_region_that_is_not_in_production(world: World, day: date) -> None:
    """One region of the date is published; of another date, all was published and rolled back."""
    world.fill(day)
    world.run(day, ["EUROPE"])
    told("sla", date=str(day))
    undone = day + timedelta(days=1)
    with world.session() as session:
        attempt = start_attempt(session, Batch(undone, tuple(REGIONS)), "a flow run", lease_minutes=15)
        for status in (Status.PUBLISHED, Status.FAILED):
            record(session, attempt, [Entry(region, status) for region in REGIONS])
    told("sla", date=str(undone))
    assert subjects() == [
        f"[retail-sales] {day}: not published in time",
        f"[retail-sales] {undone}: not published in time",
    ]
    assert told("sla", date=str(day), region="EUROPE").message == f"no mail: {day} has been published meanwhile"


def test_the_reminder_goes_out_when_the_warehouse_does_not_answer(world: World, day: date) -> None:
    gone = {**world.environment, "SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": "1"}
    _, connector = warehouse_blocks(gone)
    connector.save(names.WAREHOUSE, overwrite=True)
    try:
        told("sla", date=str(day))
    finally:
        _, connector = warehouse_blocks(world.environment)
        connector.save(names.WAREHOUSE, overwrite=True)
    (mail,) = mails()
    assert "The ledger could not be asked whether it has been published meanwhile: warehouse 127.0.0.1" in body_of(mail)


def test_bad_dates_of_a_backfill_are_listed_in_its_mail(world: World, day: date) -> None:
    children: list[str] = []

    @flow(name="backfill")
    def backfill() -> State:
        states = [daily_sales(date=f"{day:%Y-%m}-{number:02}", return_state=True) for number in (1, 2)]
        children.extend(str(state.state_details.flow_run_id) for state in states)
        return states[0]

    with world.variable("min_record_count", "many"):
        parent = str(backfill(return_state=True).state_details.flow_run_id)
    assert "is part of another run" in str(told("failed", flow_run_id=children[0]).message)
    told("failed", flow_run_id=parent)
    (mail,) = mails()
    assert str(mail["Subject"]).startswith("[retail-sales] backfill: failed")
    body = body_of(mail)
    for number in (1, 2):
        assert f"    prefect deployment run 'daily-sales/production' -p date={day:%Y-%m}-{number:02}\n" in body
    assert "Runs in it that did not end well (2):" in body
    assert all(f"\n  {day:%Y-%m}-{number:02}  Failed: " in body for number in (1, 2))


def test_each_backfill_of_a_day_is_a_failure_of_its_own_and_its_anomalies_are_one_mail(world: World, day: date) -> None:
    children: list[str] = []

    @flow(name="backfill")
    def backfill() -> State:
        children.append(str(daily_sales(date=str(day), return_state=True).state_details.flow_run_id))
        return Failed(message="1 of 2 dates loaded")

    with world.variable("min_record_count", "many"):
        parents = [str(backfill(return_state=True).state_details.flow_run_id) for _ in range(2)]
    assert [told("failed", flow_run_id=parent).message for parent in (*parents, parents[0])] == [
        f"mailed: {parents[0]} failed",
        f"mailed: {parents[1]} failed",
        f"no mail: {parents[0]} failed was mailed before, or is being mailed",
    ]
    for date_ in ("2024-01-10", "2024-01-11"):
        for message in ("row-count: 49 rows", "new-column: new columns in the source: tier (text)"):
            told("anomaly", flow_run_id=children[0], date=date_, region="EUROPE", message=message)
    assert [subject for subject in subjects() if subject.startswith("[retail-sales] 2024")] == [
        "[retail-sales] 2024-01-10 EUROPE: anomaly: new-column: tier",
        "[retail-sales] 2024-01-10 EUROPE: anomaly: row-count: 49 rows",
    ]


def test_a_lacking_column_is_mailed_once_per_region_and_anew_when_it_had_come_back(world: World) -> None:
    lacking = "lacking-column: column of extra_columns that the source lacks: "
    for date_, region, column in (
        ("2024-01-10", "EUROPE", "tier"),
        ("2024-01-11", "EUROPE", "tier"),
        ("2024-01-11", "US_WEST", "tier"),
        ("2024-01-11", "EUROPE", "phone"),
    ):
        told("anomaly", date=date_, region=region, message=lacking + column)
    mailed = [
        "[retail-sales] 2024-01-10 EUROPE: anomaly: lacking-column: tier",
        "[retail-sales] 2024-01-11 EUROPE: anomaly: lacking-column: phone",
        "[retail-sales] 2024-01-11 US_WEST: anomaly: lacking-column: tier",
    ]
    assert subjects() == mailed

    book, now = VariableBook(), datetime.now(UTC)
    for entry in book.entries():
        book.rewrite(entry, Stage.SENT, now - (LASTING_GAP_MAX - timedelta(hours=1)))
    told("anomaly", date="2024-01-18", region="EUROPE", message=f"{lacking}tier")
    assert subjects() == mailed
    for entry in book.entries():
        book.rewrite(entry, Stage.SENT, entry.at - timedelta(hours=2))
    told("anomaly", date="2024-01-19", region="EUROPE", message=f"{lacking}tier")
    told("anomaly", date="2024-01-19", region="EUROPE", message=f"{lacking}phone")
    assert subjects() == sorted([*mailed, "[retail-sales] 2024-01-19 EUROPE: anomaly: lacking-column: phone"])


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"flow_run_id": "no-id", "date": "", "region": ""}, id="templates-that-found-nothing"),
        pytest.param({"flow_run_id": str(uuid4())}, id="run-deleted"),
    ],
)
def test_an_odd_request_is_mailed_all_the_same(world: World, parameters: dict[str, str]) -> None:
    assert told("failed", message="something", **parameters).is_completed()
    assert subjects() == ["[retail-sales] failed: something"]


def test_the_book_of_the_server_is_one_book_for_all(world: World) -> None:
    now, book = datetime.now(UTC), VariableBook()
    request = AlertRequest("failed", None, "2024-01-15")

    def claim() -> bool:
        return take(book, new_entry("slot", request, now), now, lambda _: False) is not None

    def claims_that_succeed() -> int:
        with ThreadPoolExecutor(8) as pool:
            # Prefect's settings go with the context.
            calls = [pool.submit(copy_context().run, claim) for _ in range(24)]
        return sum(call.result() for call in calls)

    assert claims_that_succeed() == 1
    entry = book.find("slot")
    assert entry is not None
    release(book, entry, now)
    assert claims_that_succeed() == 1
    again = book.find("slot")
    assert again is not None
    assert not book.remove(entry)
    confirm(book, again, now)
    assert Variable.get("alert_slot") is not None
    assert (forget_old(book, now), forget_old(book, datetime(2999, 1, 1, tzinfo=UTC))) == (0, 1)


def test_a_program_without_prefect_mails_over_the_same_server(world: World) -> None:
    settings = read_smtp_settings(world.environment)
    assert settings is not None
    send_mail(settings, Mail("[retail-sales] never started", "body\n"), "etl@example.com", ["a@example.com"])
    assert subjects() == ["[retail-sales] never started"]
