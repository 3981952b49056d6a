"""Marks the sales that their source no longer holds, in ONE transaction, or changes nothing."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prefect import get_run_logger, task

from tasks.batch import Attempt, Window
from tasks.errors import NeedsPersonError, OutcomeUnknownError, PublishRefusedError, TransientError
from tasks.prefect_server.stopping import refuse_stopped
from tasks.reconcile.compare import RegionCompared
from tasks.reconcile.discrepancies import Discrepancy
from tasks.reconcile.table_side import days_as_literals
from tasks.retries import RETRIES
from tasks.stopwatch import Say, say_nothing
from tasks.warehouse.ledger import Entry, next_run_number, record
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import key_lists, render, render_part, text_literal
from tasks.warehouse.states import Status


class Marks(NamedTuple):
    """What a run has marked in one region. The undo log can restore `restorable` sales; `changed` of these differ in
    more than the mark."""

    region: str
    sales: int
    restorable: int
    changed: int


def mark(
    session: Session, batch_id: str, flow_run_id: str, compared: Sequence[RegionCompared], say: Say = say_nothing
) -> None:
    """Marks the sales that are gone and not marked yet. The undo log keeps their rows as they were.

    Raises PublishRefusedError when the sales marked are not those that can be restored, or anything else changed, and
    StoppedError when the run was cancelled meanwhile.
    """
    with lock_held(session, 0) as writing:
        # Taken under the lock, like a rollback's: no run with a higher number may have changed these sales.
        run_number = next_run_number(writing)
        ((rows_before, _),) = writing.query(render("reconcile/count_fact"), [run_number])
        for snapshot_at, is_gone, listed in _conditions(compared):
            writing.query(render("reconcile/insert_undo", is_gone=is_gone), [run_number, batch_id, listed])
            names = {"batch_id": batch_id, "run_number": f"{run_number:d}", "snapshot_at": snapshot_at}
            writing.query(render("reconcile/mark_deleted", is_gone=is_gone, **names), [listed])
        marked = [
            Marks(region, int(sales), int(restorable), int(changed))
            for region, sales, restorable, changed in writing.query(render("reconcile/count_marked"), [run_number])
        ]
        ((rows_after, written),) = writing.query(render("reconcile/count_fact"), [run_number])
        sales, restorable, changed = (
            sum(of.sales for of in marked),
            sum(of.restorable for of in marked),
            sum(of.changed for of in marked),
        )
        if (rows_before, restorable, 0) != (rows_after, sales, changed) or int(written) != restorable:
            raise PublishRefusedError(
                f"marking as deleted does not hold: SALES_FACT {rows_before} against {rows_after} rows, {written} "
                f"written, {sales} marked, {restorable} can be restored, {changed} changed besides"
            )
        attempt = Attempt(run_number, flow_run_id, batch_id, tuple(of.region for of in marked))
        entries = [
            Entry(of.region, Status.PUBLISHED, counts={"UPDATED": of.sales}, cause="marked as deleted") for of in marked
        ]
        record(writing, attempt, entries)
        refuse_stopped(flow_run_id, flow_run_id, say)


def _conditions(compared: Sequence[RegionCompared]) -> Iterator[tuple[str, str, str]]:
    """Per region and list of keys: snapshot time and condition for what is gone, as SQL, and the keys to bind."""
    for region in compared:
        snapshot_at = f"{text_literal(region.snapshot_at.isoformat(' '))}::TIMESTAMP_TZ"
        gone = region.of(Discrepancy.GONE)
        # A standby that is behind may not show yet what an earlier load read from the primary.
        over = [sale for sale in gone if Window.of_day(sale.day).end <= region.snapshot_at]
        for listed in key_lists(sale.key for sale in over):
            days = days_as_literals([sale.day for sale in over])
            is_gone = render_part(
                "reconcile/is_gone", region=text_literal(region.region), snapshot_at=snapshot_at, **days
            )
            yield snapshot_at, is_gone, listed


def of_whole_sources(compared: Sequence[RegionCompared]) -> list[RegionCompared]:
    """The regions whose source shows all of its rows: elsewhere a sale that is not shown may still exist."""
    return [region for region in compared if region.why_not_whole is None]


def refuse_empty_sources(compared: Sequence[RegionCompared], sales_min: int) -> None:
    """Raises NeedsPersonError naming a region with fewer than `sales_min` sales on the days compared."""
    for region in compared:
        sales = sum(day.at_source.rows + day.accounted.rows for day in region.days)
        if region.count(Discrepancy.GONE) and sales < sales_min:
            raise NeedsPersonError(
                f"{region.region} answers with {sales} sales of these dates, min_region_record_count is {sales_min}, "
                f"and {region.count(Discrepancy.GONE)} would be marked as deleted: look at its database first"
            )


@task(name="mark-deleted", **RETRIES)
def mark_deleted(
    batch_id: str,
    flow_run_id: str,
    compared: Sequence[RegionCompared],
    sales_min: int,
    warehouse: str,
) -> int:
    """Marks what is gone from whole sources, and returns how many sales the batch has marked. After a lost COMMIT the
    next try settles the outcome: sales that are marked are not marked again.

    Raises NeedsPersonError when a source has fewer than `sales_min` sales: somebody may be refilling it.
    """
    whole = of_whole_sources(compared)
    refuse_empty_sources(whole, sales_min)
    logger = get_run_logger()
    with task_session(warehouse, f"mark-deleted {batch_id}") as session:
        try:
            mark(session, batch_id, flow_run_id, whole, logger.warning)
        except OutcomeUnknownError as error:
            raise TransientError(str(error)) from error
        with session.again() as asking:
            ((marked,),) = asking.query(render("reconcile/marked_by_batch"), [batch_id])
    logger.info("step=mark-deleted batch=%s sales=%d", batch_id, marked)
    return int(marked)
