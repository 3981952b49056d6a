"""Looks every five minutes for late dates and dead runs, by the ledger rather than by Prefect.

As a program (`python -m flows.watchdog`) it needs no Prefect server: warehouse and mail server come from the
environment variables that registration reads, it mails by itself, and reports a server that does not answer, or only
with errors. While the server answers, its Prefect variables count, in an outage those of the environment.
"""

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import httpx
from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, State

from blocks import names
from blocks.environment import Environment, MissingSettingError
from blocks.outside import Outside, read_outside
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import BadVariableError, read_variable
from flows.send_alert import new_sender, send_unsent_and_forget_old
from flows.support.command_line import to_stderr
from flows.support.run_names import by_minute
from tasks.alerts.book import AlertBook, find_unsent, forget_old
from tasks.alerts.file_book import FileBook
from tasks.alerts.mail import Mail
from tasks.alerts.published import read_known_date, read_production
from tasks.alerts.request import AlertRequest
from tasks.alerts.run_facts import read_run
from tasks.alerts.run_now import describe_activity
from tasks.alerts.sender import LedgerReader, Sender
from tasks.alerts.smtp import send_mail
from tasks.alerts.variable_book import VariableBook
from tasks.batch import Attempt
from tasks.errors import one_line
from tasks.lines import hide_values
from tasks.pages.ledger_page import ARTIFACT_KEY, keep_page
from tasks.retries import ONCE
from tasks.stage import load_bucket
from tasks.warehouse.session import Session, open_session
from tasks.watch.late_and_dead import WatchSettings
from tasks.watch.lost_alerts import mail_lost
from tasks.watch.one_pass import PassActions, Report, describe_unsent, watch
from tasks.watch.outage import OUTAGE_SLOT, sync_books
from tasks.watch.runs import find_variables, forget_missed_passes
from tasks.watch.second_looks import take

TAG = "retail-sales watchdog"
SERVER_TRIES, SERVER_WAIT_S = 3, 5
"""A server that restarts is no outage."""
SETTINGS = tuple(WatchSettings.__dataclass_fields__)
VARIABLES = (*SETTINGS, "alert_sender", "alert_email_list")
"""The variables that the program uses."""


@flow(name="watchdog", flow_run_name=by_minute("watchdog"), **ONCE)
def watchdog() -> State:
    """Finds dates that are not in production when they should be, and runs that have died: neither a lease in the
    ledger nor a process. Dead runs are recorded as failed, set to Crashed so that the next load can start, and mailed.

    Ends as Failed when it could not do all of that; the next pass tries again.
    """
    settings = WatchSettings(**{name: read_variable(name) for name in SETTINGS})
    logger = get_run_logger()
    if missed := forget_missed_passes(str(flow_run.id)):
        logger.warning("step=watch %d passes were missed: no worker served queue ops", missed)
    report = Report()
    # Waiting runs are not lost: this run proves that a worker is at work.
    sender = new_sender()
    mail_lost(sender, waiting_too=False, report=report)
    connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    actions = PassActions(sender, asks_prefect=True, look=look_with_staging_bucket)
    with open_session(connector, settings.snowflake_watch_warehouse, TAG, logger.warning) as session:
        report.add(watch(session, settings, actions))
        update_ledger_page(session)
    for line in report.done:
        logger.warning("step=watch %s", line)
    send_unsent_and_forget_old(sender)
    return final_state(report)


def update_ledger_page(session: Session) -> None:
    """Brings the artifact `ledger` up to date. Failures are logged and never fail the pass."""
    logger = get_run_logger()
    try:
        if keep_page(session):
            logger.info("step=watch the artifact %s is up to date again", ARTIFACT_KEY)
    except Exception as error:  # noqa: BLE001 (see above)
        logger.warning("step=watch the artifact %s cannot be written: %s", ARTIFACT_KEY, one_line(error))


def look_with_staging_bucket(session: Session, attempt: Attempt) -> str:
    """Takes the second look at an attempt, whose manifest is on S3."""
    return take(session, attempt, load_bucket(read_variable("s3_staging_bucket")))


def final_state(report: Report) -> State:
    """Completed with what was done, or Failed with what could not be done."""
    if report.problems:
        return Failed(message=f"could not do everything: {'; '.join(report.problems)}")
    return Completed(message="; ".join(report.done) or "nothing is late or dead")


# Outside Prefect


def watch_outside(outside: Outside) -> Report:
    """One pass with the environment's connections, and with the Prefect server and its variables where it answers."""
    files, report = FileBook(outside.directory), Report()
    url, on_server = PREFECT_API_URL.value(), meet_server(files)
    answers = on_server is not None
    if on_server is not None:
        outside, unusable = outside.ruled_by({name: on_server[name] for name in VARIABLES})
        report.problems += unusable
    down = f"The Prefect server at {hide_values(url)} does not answer, or only with errors."
    note = (down,) if url and not answers else ()
    book: AlertBook = VariableBook() if answers else files
    sender = smtp_sender(outside, book, answers, note)
    if note:
        request = AlertRequest("server-down", message=f"{note[0]} No run starts, and no automation reports it.")
        report.carry_out("Prefect server", lambda: sender.send(request, OUTAGE_SLOT))
    report.carry_out("warehouse", lambda: _watch_ledger(outside, sender, answers, report))
    if answers:
        report.carry_out("alerts that are lost", lambda: _mail_lost(sender, report))
    report.carry_out("mails not sent before", lambda: "; ".join(sender.send_unsent()))
    report.looked_at.append(describe_unsent(len(find_unsent(book, utc_now()))))
    forget_old(files, utc_now())
    return report


def smtp_sender(outside: Outside, book: AlertBook, asks_prefect: bool, notes: tuple[str, ...]) -> Sender:
    """Sends by plain SMTP, with what the Prefect server knows where it answers. Prints on stderr which recipients were
    refused."""

    def deliver(mail: Mail) -> str:
        alert_sender, recipients = outside.variables["alert_sender"], outside.variables["alert_email_list"]
        if refused := send_mail(outside.smtp, mail, alert_sender, recipients):
            to_stderr(f"watchdog: {refused}")
        return refused

    if asks_prefect:
        return Sender(book, deliver, read_run, describe_activity, notes=notes)
    return Sender(book, deliver, notes=notes)


def _watch_ledger(outside: Outside, sender: Sender, asks_prefect: bool, report: Report) -> str:
    settings = WatchSettings(**{name: outside.variables[name] for name in SETTINGS})
    with open_session(outside.connector, settings.snowflake_watch_warehouse, TAG, to_stderr) as session:
        ledger = LedgerReader(partial(read_known_date, session), partial(read_production, session))
        report.add(watch(session, settings, PassActions(replace(sender, ledger=ledger), asks_prefect)))
    return ""


def _mail_lost(sender: Sender, report: Report) -> str:
    mail_lost(sender, waiting_too=True, report=report)
    return ""


def meet_server(files: FileBook) -> dict[str, str | None] | None:
    """Returns the texts of the server's variables, with both books synced; None when no server is set, or it cannot do
    that within SERVER_TRIES: it does not answer, or its database does not."""
    if not PREFECT_API_URL.value():
        return None
    for waits in reversed(range(SERVER_TRIES)):
        with suppress(httpx.HTTPError):
            if (on_server := find_variables()) is not None:
                sync_books(files, VariableBook())
                return on_server
        if waits:
            time.sleep(SERVER_WAIT_S)
    return None


def utc_now() -> datetime:
    return datetime.now(UTC)


def main(environment: Environment) -> int:
    """Prints what was done and what was looked at; returns 1 when something could not be done. Cron mails what reaches
    it, so that only problems go to stderr."""
    try:
        report = watch_outside(read_outside(environment))
    except (MissingSettingError, BadVariableError) as error:
        print(f"watchdog: {error}", file=sys.stderr)
        return 1
    for line in report.done:
        print(line)
    print(f"looked at: {'; '.join(report.looked_at)}")
    for line in report.problems:
        print(f"watchdog: {line}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
