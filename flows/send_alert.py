"""Mails an alert, once per date, region and kind, or per run and kind, whatever noticed it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from email.message import EmailMessage
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.states import Completed, State
from prefect_email import EmailServerCredentials
from pydantic import BeforeValidator

from blocks import names
from blocks.project import reports_directory
from blocks.variables import read_variable
from blocks.waits import logged_if_slow
from flows.support.lost_engine import ended_with_its_engine
from flows.support.parameters import BusinessDate
from flows.support.run_names import alert_name, naming
from tasks.alerts.book import forget_old
from tasks.alerts.mail import Mail
from tasks.alerts.published import KnownDate, read_known_date, read_production
from tasks.alerts.request import AlertKind, AlertRequest, RunFacts
from tasks.alerts.run_facts import read_run
from tasks.alerts.run_now import describe_activity
from tasks.alerts.sender import LedgerReader, Sender
from tasks.alerts.smtp import SMTP_TIMEOUT_S, build_message, hand_over
from tasks.alerts.variable_book import VariableBook
from tasks.batch import Batch
from tasks.errors import NeedsPersonError, one_line
from tasks.pages.paths import path_of_run, place_of
from tasks.retries import ONCE
from tasks.warehouse.session import task_session

SEND_RETRY_DELAYS_S = [5, 30, 120]
"""Together with the sending itself well below the age at which a claim counts as abandoned."""


def _none_if_empty(value: Any) -> Any:
    """Automations render templates: what an event lacks arrives as an empty text."""
    return None if value in ("", "None") else value


OptionalDate = Annotated[BusinessDate, BeforeValidator(_none_if_empty)]
OptionalText = Annotated[str | None, BeforeValidator(_none_if_empty)]


@flow(name="send-alert", flow_run_name=naming(alert_name), **ONCE)
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
            not start; anomaly: unusual data; lease-expired: a run died; second-look: the watchdog took
            the look that a run had left; server-down: the Prefect server did not answer; drill: a trial.
        flow_run_id: The flow run that it is about; empty when there is none.
        date: Business date (UTC day), as 2024-01-15 or 20240115. Empty: the flow run's own.
        region: Region code, or several with commas. Empty: the flow run's own, else all.
        message: What was noticed, in a line; an anomaly begins with its sort, as "row-count: 49 rows". Empty: the
            message of the flow run's state.
    """
    day = None if date is None else str(date)
    sender = new_sender()
    done = sender.send(AlertRequest(kind, flow_run_id, day, region, message))
    send_unsent_and_forget_old(sender)
    return Completed(message=done)


def new_sender() -> Sender:
    """Sends by Prefect's mail block, with what the Prefect server and the ledger know."""
    return Sender(
        VariableBook(),
        deliver,
        read_run,
        describe_activity,
        LedgerReader(find_known_date, find_production),
        page_of=place_of_page,
    )


def place_of_page(run: RunFacts, day: date) -> str:
    """Where the page of a daily run is; empty where pages are off."""
    if reports_directory() is None:
        return ""
    bucket_name, base_url = read_variable("s3_staging_bucket"), read_variable("report_base_url")
    return place_of(path_of_run(day, run.id), bucket_name, base_url)


def deliver(mail: Mail) -> str:
    """Sends the mail over the mail server of block `email-server-credentials/sales-alerts`.

    Returns which recipients that server refused, in words, and logs them. Raises NeedsPersonError without the block,
    else what `hand_over` raises.
    """
    try:
        server = EmailServerCredentials.load(names.ALERT_MAIL)
    except ValueError as error:
        raise NeedsPersonError(
            f"block email-server-credentials/{names.ALERT_MAIL} is missing: set SMTP_HOST and run "
            f"`{names.HERE}python -m blocks.register`"
        ) from error
    recipients = list(read_variable("alert_email_list"))
    message = build_message(mail, read_variable("alert_sender"), recipients)
    send = send_over.with_options(retries=len(SEND_RETRY_DELAYS_S), retry_delay_seconds=SEND_RETRY_DELAYS_S)
    if refused := send(server, message, recipients):
        get_run_logger().warning("step=send-alert %s", refused)
    return refused


@task(name="send-mail", **ONCE)
def send_over(server: EmailServerCredentials, message: EmailMessage, recipients: list[str]) -> str:
    """Sends a message over the block's server; returns and raises as `hand_over`. The block's own task sends neither
    Date nor Message-ID."""
    place = f"mail server {server.smtp_server}"
    say = get_run_logger().info
    with (
        waits_limited(SMTP_TIMEOUT_S),
        logged_if_slow(say, "send-alert", place, SMTP_TIMEOUT_S),
        server.get_server() as connection,
    ):
        return hand_over(connection, message, recipients)


@contextmanager
def waits_limited(seconds: float) -> Iterator[None]:
    """Limits waits on new sockets: the mail block sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def find_known_date(day: date, regions: list[str]) -> KnownDate:
    """Reads some regions of a date from the ledger, by a task."""
    with ended_with_its_engine():
        return read_published(day, regions)


def find_production(dates: list[date], regions: list[str]) -> str:
    """Returns whether production shows these dates, in words, by a task."""
    with ended_with_its_engine():
        return read_production_now(dates, regions)


@task(name="read-production", **ONCE)
def read_production_now(dates: list[date], regions: list[str]) -> str:
    """Returns whether production shows these dates, in words."""
    with task_session(read_variable("snowflake_watch_warehouse"), "alert") as session:
        return read_production(session, dates, regions)


@task(name="read-published", **ONCE)
def read_published(day: date, regions: list[str]) -> KnownDate:
    """Reads some regions of a date from the ledger."""
    with task_session(read_variable("snowflake_watch_warehouse"), f"alert {Batch(day, ()).batch_id}") as session:
        return read_known_date(session, day, regions)


def send_unsent_and_forget_old(sender: Sender) -> None:
    """Sends what other runs could not, and forgets old entries. Failures are only logged: its own alert was sent."""
    logger = get_run_logger()
    try:
        for done in sender.send_unsent():
            logger.info("step=send-unsent %s", done)
        if forgotten := forget_old(sender.book, datetime.now(UTC)):
            logger.info("step=forget-alerts entries=%d", forgotten)
    except Exception as error:  # noqa: BLE001 (see above)
        logger.warning("step=send-unsent failed: %s", one_line(error))
