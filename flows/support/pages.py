"""Hooks that write pages when a run has ended. A page never fails or delays a load: it comes after the run's end."""

import threading
from collections.abc import Callable, Collection, Sequence
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any

from prefect import Flow, get_client
from prefect.client.schemas import FlowRun
from prefect.logging.loggers import flow_run_logger
from prefect.states import State
from prefect_aws import S3Bucket

from blocks import names
from blocks.project import reports_directory
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import Settings, read_settings, read_variable
from expectations.regions import REGIONS
from flows.support.refusals import REFUSED
from flows.support.run_page import RunEnd, build_run_page
from tasks.alerts.runbook import find_title
from tasks.anomalies import USUAL_SHARE_MAX, USUAL_SHARE_MIN
from tasks.batch import date_asked
from tasks.errors import one_line
from tasks.pages import paths
from tasks.pages.figures import read_ledger_range, read_run_ends, read_sales, read_weekday_sales
from tasks.pages.history_page import Due, History, render_history_page, shown_dates, trend_dates
from tasks.pages.run_page import DaySales, RunTimes, Step, render_run_page
from tasks.pages.site import pages_in_bucket, pages_on_disk, publish_page
from tasks.prefect_server.kin import link_of
from tasks.prefect_server.steps import read_steps
from tasks.rejected.queue import queue_rows, to_queue
from tasks.report import Findings
from tasks.stage import load_bucket
from tasks.stopwatch import Stopwatch
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import render
from tasks.watch.late_and_dead import SCHEDULED_AT

PAGE_S_MAX = 30
"""The most seconds for a page; then the process goes on without it."""

_FOUND: dict[str, Findings] = {}
"""The findings of the runs of this process whose pages are not written yet, by flow run."""

Log = Logger | LoggerAdapter


def with_page(found: Findings, settings: Settings) -> Findings:
    """Keeps the findings for the page that is written at the run's end, and sets where that will be; neither where no
    page is written."""
    if not reports_directory():
        return found
    flow_run_id = found.attempt.flow_run_id
    path = paths.run_page(found.batch.date, flow_run_id)
    found.page = paths.place_of(path, settings.s3_staging_bucket, settings.report_base_url)
    _FOUND[flow_run_id] = found
    return found


def write_run_page(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State) -> None:
    """Writes the page of a run of daily-sales. A refused run has none."""
    found, directory = _FOUND.pop(str(flow_run.id), None), reports_directory()
    if directory and state.name != REFUSED:
        logger = flow_run_logger(flow_run, flow)
        _bounded("page", partial(_write_run_page, flow_run, state, found, directory, logger), logger)


def refresh_history(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State) -> None:
    """Writes the history anew, unless the run is part of another one, which does so at its own end."""
    directory = reports_directory()
    if directory and state.name != REFUSED and flow_run.parent_task_run_id is None:
        logger = flow_run_logger(flow_run, flow)
        _bounded("history", partial(write_history, directory, logger), logger)


def write_history(directory: Path, logger: Log) -> None:
    """Writes the history page. Raises what warehouse, S3 or Prefect raise."""
    watch, settings, sla_minutes = Stopwatch(), read_settings(), read_variable("sla_minutes")
    bucket = load_bucket(settings.s3_staging_bucket)
    connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    with open_session(connector, settings.snowflake_watch_warehouse, "retail-sales history", logger.warning) as session:
        history = read_history(session, sla_minutes, *_existing_pages(directory, bucket))
    html = render_history_page(history)
    for written in publish_page(paths.HISTORY, html, directory, bucket):
        logger.info("step=history %s", written)
    logger.info("step=history bytes=%d seconds=%.1f", len(html), watch.seconds())


def _existing_pages(directory: Path, bucket: S3Bucket) -> tuple[Collection[str], Sequence[str]]:
    """The paths of the pages that can be linked, and a note when the bucket does not list its own."""
    on_disk = pages_on_disk(directory)
    try:
        return on_disk | pages_in_bucket(bucket), ()
    except Exception as error:  # noqa: BLE001 (the history is worth more than its links)
        return on_disk, (f"The pages in the bucket could not be listed: {one_line(error)}",)


def read_history(session: Session, sla_minutes: int, pages: Collection[str], notes: Sequence[str] = ()) -> History:
    """Reads what the history shows; `pages` are the paths of the runs' pages that exist."""
    whole = read_ledger_range(session)
    shown = shown_dates(whole)
    queue = to_queue(session.query(render("rejected/open_rows")))
    return History(
        whole=whole,
        regions=tuple(REGIONS),
        states=known_states(session, shown.first, shown.last) if shown else [],
        ends=read_run_ends(session, shown) if shown else [],
        sales=read_sales(session, [trend_dates(whole)]) if whole else [],
        open_rejected=queue_rows(queue),
        pages=pages,
        due=Due(SCHEDULED_AT, sla_minutes),
        usual=(USUAL_SHARE_MIN, USUAL_SHARE_MAX),
        title=f"Daily sales{'' if names.ENVIRONMENT == names.PRODUCTION else f', {names.ENVIRONMENT}'}",
        built_at=datetime.now(UTC),
        notes=notes,
        name_cause=partial(find_title, "failed"),
    )


def _bounded(step: str, write: Callable[[], None], logger: Log) -> None:
    """Runs `write` in a thread for at most PAGE_S_MAX; a failure is logged."""

    def run() -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 (a page is not worth a run)
            logger.warning("step=%s no page was written: %s", step, one_line(error))

    # The settings of Prefect are in the context.
    thread = threading.Thread(target=copy_context().run, args=(run,), name=step, daemon=True)
    thread.start()
    thread.join(PAGE_S_MAX)
    if thread.is_alive():
        logger.warning("step=%s no page was written within %d s", step, PAGE_S_MAX)


def _write_run_page(flow_run: FlowRun, state: State, found: Findings | None, directory: Path, logger: Log) -> None:
    watch, notes = Stopwatch(), list[str]()
    settings, sla_minutes = read_settings(), read_variable("sla_minutes")
    run, steps = _read_run(flow_run, notes)
    end = _end_of(run, state, sla_minutes)
    sales = _read_sales(end, settings, notes, logger) if found else []
    page = build_run_page(end, found, sales, steps, paths.from_run_page(paths.HISTORY), notes)
    path, html = paths.run_page(end.date, end.flow_run_id), render_run_page(page)
    bucket = load_bucket(settings.s3_staging_bucket)
    for written in publish_page(path, html, directory, bucket):
        logger.info("step=page %s", written)
    logger.info("step=page bytes=%d seconds=%.1f", len(html), watch.seconds())


def _read_run(flow_run: FlowRun, notes: list[str]) -> tuple[FlowRun, list[Step]]:
    try:
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(flow_run.id)
        return run, read_steps(str(flow_run.id))
    except Exception as error:  # noqa: BLE001 (the page says what it lacks)
        notes.append(f"The Prefect server did not tell the steps of the run: {one_line(error)}")
        return flow_run, []


def _end_of(run: FlowRun, state: State, sla_minutes: int) -> RunEnd:
    due, ended = _utc(run.expected_start_time or run.created), _utc(state.timestamp)
    return RunEnd(
        date=date_asked((run.parameters or {}).get("date"), due),
        flow_run_id=str(run.id),
        name=run.name,
        link=link_of(str(run.id)),
        state=state,
        times=RunTimes(due, _utc(run.start_time) if run.start_time else due, ended, sla_minutes),
    )


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _read_sales(end: RunEnd, settings: Settings, notes: list[str], logger: Log) -> list[DaySales]:
    connector, warehouse = SnowflakeHostConnector.load(names.WAREHOUSE), settings.snowflake_watch_warehouse
    try:
        with open_session(connector, warehouse, f"retail-sales page {end.name}", logger.warning) as session:
            return read_weekday_sales(session, end.date)
    except Exception as error:  # noqa: BLE001 (the page says what it lacks)
        notes.append(f"The page has no charts, because the warehouse did not answer: {one_line(error)}")
        return []
