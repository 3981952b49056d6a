"""The page of a daily run, and how the quality gate judged its batch: written by a hook, when the run has ended."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Flow, get_client
from prefect.client.schemas import FlowRun
from prefect.logging.loggers import flow_run_logger
from prefect.states import State

from blocks import names
from blocks.project import reports_directory
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import Settings, read_settings
from flows.support.page_contents import RunEnd, build_run_page
from flows.support.refusals import REFUSED
from flows.support.run_hooks import (
    ENDED_BADLY,
    ENDED_WELL,
    PAGE_S_MAX,
    Log,
    bounded,
    record_failed_run,
    refresh_history,
    seconds_for_pages,
    within,
)
from flows.support.verdict import without_driver
from tasks.batch import date_asked
from tasks.errors import one_line
from tasks.pages import paths
from tasks.pages.data_docs import Judged, build_data_docs
from tasks.pages.figures import read_weekday_sales
from tasks.pages.run_page import DaySales, RunTimes, Step, render_run_page
from tasks.pages.site import publish_page, replace_folder
from tasks.prefect_server.kin import link_of
from tasks.prefect_server.steps import read_steps
from tasks.quality import Verdict
from tasks.report import Findings
from tasks.stage import load_bucket
from tasks.stopwatch import Stopwatch
from tasks.warehouse.session import open_session

_KEPT: dict[str, tuple[Findings, Settings]] = {}
"""The findings of the runs of this process whose pages are not written yet, by flow run."""
KEPT_MAX = 16
"""More than one process runs side by side. A run that ends without its hooks leaves its findings here."""
READ_S_MAX = 8
"""The most seconds for what a page reads from the Prefect server, and from the warehouse; it goes out without."""
NOTE_LENGTH_MAX = 300


def kept_for_page(found: Findings, settings: Settings) -> Findings:
    """Keeps the findings for the page that a hook writes at the run's end, and sets where that will be; neither where
    no page is written."""
    if reports_directory():
        flow_run_id = found.attempt.flow_run_id
        path = paths.path_of_run(found.batch.date, flow_run_id)
        found.page = paths.place_of(path, settings.s3_staging_bucket, settings.report_base_url)
        while len(_KEPT) >= KEPT_MAX:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[flow_run_id] = found, settings
    return found


def write_run_page(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State) -> None:
    """Writes the page of a run of daily-sales, and how the quality gate judged its batch. A refused run has neither, a
    run that is part of another one no results of the gate: they would be replaced by the next."""
    directory, seconds = reports_directory(), seconds_for_pages(state)
    found, settings = _KEPT.pop(str(flow_run.id), (None, None))
    if directory is None or state.name == REFUSED:
        return
    is_part, logger = flow_run.parent_task_run_id is not None, flow_run_logger(flow_run, flow)
    if is_part and seconds < PAGE_S_MAX:
        return  # The run around it has to say how it ended before the process is killed.
    bounded("page", partial(_write_run_page, flow_run, state, found, settings, directory, logger), seconds, logger)
    if found and settings and found.verdict and not is_part:
        write = partial(_write_data_docs, found, found.verdict, settings, directory, logger)
        bounded("data-docs", write, seconds, logger)


def _write_run_page(
    flow_run: FlowRun, state: State, found: Findings | None, known: Settings | None, directory: Path, logger: Log
) -> None:
    watch, notes = Stopwatch(), list[str]()
    settings = known or read_settings()
    run, steps = _read_run(flow_run, notes)
    end = _end_of(run, state, settings.sla_minutes)
    sales = _read_sales(end, settings, notes, logger) if found else []
    page = build_run_page(end, found, sales, steps, paths.from_run_page(paths.HISTORY), notes)
    path, html = paths.path_of_run(end.date, end.flow_run_id), render_run_page(page)
    for written in publish_page(path, html, directory, partial(load_bucket, settings.s3_staging_bucket)):
        logger.info("step=page %s", written)
    logger.info("step=page bytes=%d seconds=%.1f", len(html), watch.seconds())


def _write_data_docs(found: Findings, verdict: Verdict, settings: Settings, directory: Path, logger: Log) -> None:
    watch = Stopwatch()
    name = f"{found.batch.date} run {found.attempt.run_number}"
    judged = Judged(name, datetime.now(UTC), verdict.checks, settings.thresholds)
    site = directory / paths.DATA_DOCS
    build_data_docs(site, judged)
    files = replace_folder(site, paths.DATA_DOCS, load_bucket(settings.s3_staging_bucket))
    logger.info("step=data-docs files=%d seconds=%.1f", files, watch.seconds())


def _read_run(flow_run: FlowRun, notes: list[str]) -> tuple[FlowRun, list[Step]]:
    def read() -> tuple[FlowRun, list[Step]]:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(flow_run.id), read_steps(str(flow_run.id))

    try:
        return within(READ_S_MAX, read)
    except Exception as error:  # noqa: BLE001 (the page says what it lacks)
        notes.append(_note("The steps of the run could not be read from the Prefect server", error))
        return flow_run, []


def _note(what: str, error: Exception) -> str:
    why = f"no answer within {READ_S_MAX} s" if isinstance(error, TimeoutError) else one_line(error)
    return f"{what}: {without_driver(why, NOTE_LENGTH_MAX)}"


def _end_of(run: FlowRun, state: State, sla_minutes: int) -> RunEnd:
    due = _utc(run.expected_start_time or run.created)
    # A run that is being cancelled ends now, not when somebody asked for it.
    ended = _utc(state.timestamp) if state.is_final() else datetime.now(UTC)
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
    def read() -> list[DaySales]:
        connector, warehouse = SnowflakeHostConnector.load(names.WAREHOUSE), settings.snowflake_watch_warehouse
        with open_session(connector, warehouse, f"retail-sales page {end.name}", logger.warning) as session:
            return read_weekday_sales(session, end.date)

    try:
        return within(READ_S_MAX, read)
    except Exception as error:  # noqa: BLE001 (the page says what it lacks)
        notes.append(_note("The page has no charts, because the warehouse could not be read", error))
        return []


WITH_PAGE: dict[str, Any] = {
    **{end: [write_run_page, refresh_history] for end in ENDED_WELL},
    **{end: [record_failed_run, write_run_page, refresh_history] for end in ENDED_BADLY},
}
"""The hooks of daily-sales: a failure is recorded first, and the history links the page."""
