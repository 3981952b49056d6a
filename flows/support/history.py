"""Reads what the history of all dates shows, and writes it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prefect_aws import S3Bucket

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_settings
from expectations.regions import REGIONS
from flows.support.run_hooks import Log
from flows.support.verdict import without_driver
from tasks.alerts.runbook import find_title
from tasks.anomalies import USUAL_SHARE_MAX, USUAL_SHARE_MIN
from tasks.errors import one_line
from tasks.pages import paths
from tasks.pages.figures import read_ledger_range, read_run_ends, read_sales
from tasks.pages.history_page import Due, History, render_history_page, shown_dates, trend_dates
from tasks.pages.site import pages_in_bucket, pages_on_disk, publish_page
from tasks.rejected.queue import queue_rows, to_queue
from tasks.stage import load_bucket
from tasks.stopwatch import Stopwatch
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import render
from tasks.watch.late_and_dead import SCHEDULED_AT

NOTE_LENGTH_MAX = 300


def write_history(directory: Path, logger: Log) -> None:
    """Writes the history page. Raises what warehouse, S3 or Prefect raise."""
    watch, settings = Stopwatch(), read_settings()
    bucket = load_bucket(settings.s3_staging_bucket)
    connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    with open_session(connector, settings.snowflake_watch_warehouse, "retail-sales history", logger.warning) as session:
        pages, notes = _existing_pages(directory, bucket)
        data_docs = paths.DATA_DOCS_INDEX if (directory / paths.DATA_DOCS_INDEX).is_file() else ""
        history = replace(
            read_history(session, settings.sla_minutes, pages),
            first_date=settings.first_date,
            notes=notes,
            data_docs=data_docs,
        )
    html = render_history_page(history)
    for written in publish_page(paths.HISTORY, html, directory, lambda: bucket):
        logger.info("step=history %s", written)
    logger.info("step=history bytes=%d seconds=%.1f", len(html), watch.seconds())


def _existing_pages(directory: Path, bucket: S3Bucket) -> tuple[Collection[str], Sequence[str]]:
    """The paths of the pages that can be linked, and a note when the bucket does not list its own."""
    on_disk = pages_on_disk(directory)
    try:
        return on_disk | pages_in_bucket(bucket), ()
    except Exception as error:  # noqa: BLE001 (the history is worth more than its links)
        why = without_driver(one_line(error), NOTE_LENGTH_MAX)
        return on_disk, (f"The pages in the bucket could not be listed: {why}",)


def read_history(session: Session, sla_minutes: int, pages: Collection[str]) -> History:
    """Reads what the history shows; `pages` are the paths of the runs' pages that exist."""
    whole, due, now = read_ledger_range(session), Due(SCHEDULED_AT, sla_minutes), datetime.now(UTC)
    shown = shown_dates(whole, due.last_date(now))
    states = known_states(session, shown.first, shown.last) if shown else []
    others = sorted({state.region for state in states} - {*REGIONS})
    queue = to_queue(session.query(render("rejected/open_rows")))
    return History(
        whole=whole,
        regions=(*REGIONS, *others),
        states=states,
        ends=read_run_ends(session, shown) if shown else [],
        sales=read_sales(session, [trend_dates(whole)]) if whole else [],
        open_rejected=queue_rows(queue),
        pages=pages,
        due=due,
        usual=(USUAL_SHARE_MIN, USUAL_SHARE_MAX),
        title=f"Daily sales{'' if names.ENVIRONMENT == names.PRODUCTION else f', {names.ENVIRONMENT}'}",
        built_at=now,
        name_cause=partial(find_title, "failed"),
    )
