"""Mails an alert, once per date, region and kind, or per run and kind, whoever noticed it."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from email.message import EmailMessage
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.states import Completed, State
from prefect_email import EmailServerCredentials
from pydantic import BeforeValidator

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_variable
from flows.support.lost_engine import ended_with_its_engine
from flows.support.parameters import BusinessDate
from flows.support.run_names import alert_name, naming
from tasks.alerts.book import AlertEntry, confirm, find_unsent, forget_old, new_entry, release, see_again, take
from tasks.alerts.mail import DATES_MAX, Mail, compose_mail, find_error
from tasks.alerts.published import KnownDate, is_mended, published_at, read_production
from tasks.alerts.request import (
    ENDS_OF_RUNS,
    LASTING_GAP_MAX,
    AlertKind,
    AlertRequest,
    RunFacts,
    is_lasting,
    with_kind_of_run,
)
from tasks.alerts.run_facts import read_run
from tasks.alerts.run_now import tell_activity
from tasks.alerts.runbook import find_advice, read_runbook
from tasks.alerts.smtp import SMTP_TIMEOUT_S, build_message
from tasks.alerts.subject import Subject, dates_of, find_subject, slot_name
from tasks.alerts.variable_book import VariableBook
from tasks.batch import Batch
from tasks.errors import NeedsPersonError, one_line
from tasks.stopwatch import waiting
from tasks.warehouse.session import open_session
from tasks.watch.late_and_dead import read_unpublished

SEND_RETRY_DELAYS_S = [5, 30, 120]
"""Together with the sending itself well below the age at which a claim counts as abandoned."""

UNSENT_MAX = 20
"""How many mails of others one run sends."""


def _none_if_empty(value: Any) -> Any:
    """Automations fill in templates: what an event does not hold arrives as an empty text."""
    return None if value in ("", "None") else value


OptionalDate = Annotated[BusinessDate, BeforeValidator(_none_if_empty)]
OptionalText = Annotated[str | None, BeforeValidator(_none_if_empty)]


@flow(name="send-alert", flow_run_name=naming(alert_name))
def send_alert(
    kind: AlertKind,
    flow_run_id: OptionalText = None,
    date: OptionalDate = None,
    region: OptionalText = None,
    message: OptionalText = None,
) -> State:
    """Mails what went wrong and what to do next to the addresses of the variable `alert_email_list`.

    Sends each alert once per date, region and kind, or per run and kind where there is no business date; a date that
    was published since then starts anew. A new or a lacking column is sent once per region. Also sends what other runs
    could not send.

    Args:
        kind: What was noticed. failed: a run failed or crashed; quality-failed: the quality gate refused a batch;
            partially-loaded: a region was left out; sla: not published in time; never-started: a scheduled run did
            not start; anomaly: unusual data; lease-expired: a run died without a word; second-look: the watchdog took
            the look that a run had left; server-down: the Prefect server did not answer; drill: a trial.
        flow_run_id: The flow run that it is about; empty when there is none.
        date: Business date (UTC day), as 2024-01-15 or 20240115. Empty: the flow run's own.
        region: Region code, or several with commas. Empty: the flow run's own, else all.
        message: What was noticed, in a line; an anomaly begins with its sort, as "row-count: 49 rows". Empty: the
            message of the flow run's state.
    """
    day = None if date is None else str(date)
    outcome = alert(AlertRequest(kind, flow_run_id, day, region, message))
    keep_house()
    return Completed(message=outcome)


def alert(request: AlertRequest, slot: str | None = None) -> str:
    """Sends one alert if it is due; answers in a line what was done. `slot` is that of an alert noticed before."""
    run = read_run(request.flow_run_id) if request.flow_run_id else None
    request = with_kind_of_run(request, run)
    subject = find_subject(request, run)
    if run and run.is_child and request.kind in ENDS_OF_RUNS:
        return f"no mail: {run.name} is part of another run, whose mail tells of it"
    book, now = VariableBook(), datetime.now(UTC)
    slot = slot or slot_name(request, subject, run, now)
    entry = take(book, new_entry(slot, request, now), now, lambda sent: was_mended(sent, request, subject))
    if entry is None:
        if is_lasting(request):
            see_again(book, slot, now)
        return f"no mail: {slot} was mailed before, or is being mailed"
    try:
        known, note = ask_ledger(subject) if request.kind == "sla" else (None, "")
        if known and not known.late:
            book.remove(entry)
            return f"no mail: {subject.date} has been published meanwhile"
        notes = [note, tell_activity(request.kind, subject.date), tell_production(request, subject, run)]
        deliver(compose(request, subject, run, notes))
    except BaseException:
        release(book, entry, datetime.now(UTC))
        raise
    confirm(book, entry, datetime.now(UTC))
    return f"mailed: {slot}"


def compose(request: AlertRequest, subject: Subject, run: RunFacts | None, notes: Sequence[str]) -> Mail:
    """The mail with the runbook's advice."""
    advice = find_advice(request.kind, find_error(request, run), read_runbook())
    return compose_mail(request, subject, run, advice, notes)


def deliver(mail: Mail) -> None:
    """Sends the mail over the mail server of block `email-server-credentials/sales-alerts`."""
    try:
        server = EmailServerCredentials.load(names.ALERT_MAIL)
    except ValueError as error:
        raise NeedsPersonError(
            f"block email-server-credentials/{names.ALERT_MAIL} is missing: set SMTP_HOST and run "
            "`python -m blocks.register`"
        ) from error
    message = build_message(mail, read_variable("alert_sender"), list(read_variable("alert_email_list")))
    send_over.with_options(retries=len(SEND_RETRY_DELAYS_S), retry_delay_seconds=SEND_RETRY_DELAYS_S)(server, message)


@task(name="send-mail", persist_result=False)
def send_over(server: EmailServerCredentials, message: EmailMessage) -> None:
    """Sends a message over the block's server. The block's own task sends neither Date nor Message-ID."""
    place = f"mail server {server.smtp_server}"
    say = get_run_logger().info
    with (
        waits_limited(SMTP_TIMEOUT_S),
        waiting(say, "send-alert", place, SMTP_TIMEOUT_S),
        server.get_server() as connection,
    ):
        connection.send_message(message)


@contextmanager
def waits_limited(seconds: float) -> Iterator[None]:
    """Limits waits on new sockets: the mail block sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def ask_ledger(subject: Subject) -> tuple[KnownDate | None, str]:
    """What the ledger says of the date, and a sentence for the mail when the warehouse does not answer."""
    if subject.date is None:
        return None, ""
    try:
        with ended_with_its_engine():
            return read_published(subject.date, list(subject.regions)), ""
    except Exception as error:  # noqa: BLE001 (whatever it is, the alert goes out)
        return None, f"The ledger could not be asked whether it has been published meanwhile: {one_line(error)}"


def tell_production(request: AlertRequest, subject: Subject, run: RunFacts | None) -> str:
    """Whether the dates of a dead run are in production meanwhile; empty for other alerts."""
    dates = dates_of(subject, run)[:DATES_MAX] if request.kind == "lease-expired" else []
    if not dates:
        return ""
    try:
        with ended_with_its_engine():
            return read_production_now(dates, list(subject.regions))
    except Exception as error:  # noqa: BLE001 (whatever it is, the alert goes out)
        return f"The ledger could not be asked whether it is in production meanwhile: {one_line(error)}"


@task(name="read-production", persist_result=False)
def read_production_now(dates: list[date], regions: list[str]) -> str:
    """Whether production shows these dates, in words."""
    connector, warehouse = SnowflakeHostConnector.load(names.WAREHOUSE), read_variable("snowflake_watch_warehouse")
    with open_session(connector, warehouse, "retail-sales alert", get_run_logger().warning) as session:
        return read_production(session, dates, regions)


@task(name="read-published", persist_result=False)
def read_published(day: date, regions: list[str]) -> KnownDate:
    """What the ledger says of some regions of a date."""
    connector, warehouse = SnowflakeHostConnector.load(names.WAREHOUSE), read_variable("snowflake_watch_warehouse")
    batch_id = Batch(day, ()).batch_id
    with open_session(connector, warehouse, f"retail-sales alert {batch_id}", get_run_logger().warning) as session:
        late = read_unpublished(session, [day]).get(day, [])
        published = published_at(session, batch_id, regions)
    return KnownDate(published, tuple(region for region in late if region in regions))


def was_mended(sent: AlertEntry, request: AlertRequest, subject: Subject) -> bool:
    """Whether the date was published after the alert `sent`, so that what was noticed now is new.

    Never for the run that was told already, nor for an anomaly: the run that shows it publishes. One that lasts was
    mended when no run saw it for some days.
    """
    same_run = request.flow_run_id is not None and request.flow_run_id == sent.request.flow_run_id
    if same_run or request.kind == "anomaly":
        return not same_run and is_lasting(request) and datetime.now(UTC) - sent.at > LASTING_GAP_MAX
    known, _ = ask_ledger(subject)
    return known is not None and is_mended(known.published, subject.regions, sent.at)


def keep_house() -> None:
    """Sends what others could not send and forgets old entries; a fault in it is logged, the own alert was sent."""
    book, logger = VariableBook(), get_run_logger()
    try:
        for entry in find_unsent(book, datetime.now(UTC))[:UNSENT_MAX]:
            logger.info("step=send-unsent %s", alert(entry.request, entry.slot))
        if forgotten := forget_old(book, datetime.now(UTC)):
            logger.info("step=forget-alerts entries=%d", forgotten)
    except Exception as error:  # noqa: BLE001 (see above)
        logger.warning("step=keep-house failed: %s", one_line(error))
