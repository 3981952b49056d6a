"""Rollback: restores every row that a batch has changed, in ONE transaction, or changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from prefect import get_run_logger, task

from expectations.regions import REGIONS
from tasks.batch import ADOPTION, Attempt
from tasks.errors import (
    NeedsPersonError,
    OutcomeUnknownError,
    PublishRefusedError,
    SalesEtlError,
    TransientError,
    one_line,
)
from tasks.prefect_server.stopping import refuse_stopped
from tasks.retries import RETRIES
from tasks.stopwatch import Say, say_nothing
from tasks.warehouse.ledger import Entry, next_run_number, record
from tasks.warehouse.lock import lock_held
from tasks.warehouse.second_look import Verification, refuse_differences
from tasks.warehouse.session import Row, Session, task_session
from tasks.warehouse.statements import render, render_part, text_literals
from tasks.warehouse.states import Status

SAMPLE_ROWS_MAX = 100
"""Sales in the table of differences."""

MARGIN_HOURS = 2
"""Longer than any publish takes."""

LEFT = ("versions that return", "SALES_FACT of the batch")
"""What sql/rollback/count_left.sql counts."""
LEFT_REJECTED = ("SALES_REJECTED of the batch", "rejected rows that the batch closed")
"""What sql/rollback/count_left_rejected.sql counts."""


@dataclass(frozen=True)
class PublishedRun:
    """A run's publish of one region that is in effect: the numbers of sales that it has inserted and updated.

    `kept_since` is the time (aware, UTC) since when the undo log is kept.
    """

    batch_id: str
    region: str
    run_number: int
    inserted: int
    updated: int
    published_at: datetime
    kept_since: datetime


@dataclass(frozen=True)
class ChangedTotals:
    """Sales of one region and currency that a rollback changes: their numbers now and afterwards, with their gross
    amounts (exact, in the currency)."""

    region: str
    currency: str
    rows_now: int
    amount_now: Decimal
    rows_after: int
    amount_after: Decimal


@dataclass(frozen=True)
class RejectedChange:
    """Numbers of rejected rows that a rollback changes: brought by the batch, replaced by those rows, closed by it."""

    brought: int
    replaced: int
    closed: int


@dataclass(frozen=True)
class Difference:
    """The changes of a rollback of `batches`. `sales` are up to SAMPLE_ROWS_MAX of them: region, key, currency, then
    `updated_at` and `total_amount` as they stand and as they were before the batches."""

    batches: tuple[str, ...]
    runs: tuple[PublishedRun, ...]
    changes: tuple[ChangedTotals, ...]
    rejected: RejectedChange
    sales: tuple[Row, ...]


@dataclass(frozen=True)
class Rollback:
    """How a rollback ended. `run_number` is its own in the ledger, None for a dry run. `done_before` says when the
    batch had been put back already; nothing was changed then."""

    batch_id: str
    run_number: int | None
    difference: Difference | None
    done_before: str | None = None


@dataclass(frozen=True)
class RollbackCounts:
    """The contents of the tables, as sql/rollback/count_standing.sql counts them."""

    fact: int
    of_runs: int
    inserted: int
    undo: int
    returning: int
    taken_away: int
    returned: int


def roll_back(
    session: Session,
    batch_id: str,
    reason: str,
    cascade: bool,
    undo_days: int,
    flow_run_id: str,
    say: Say = say_nothing,
) -> Rollback:
    """Puts the batch back, and with `cascade` those that have changed its sales since; records ROLLED_BACK.

    Raises NeedsPersonError when the batch is not in production, is older than the undo log, or was changed by others,
    or when the run was cancelled meanwhile.
    """
    with lock_held(session, 0) as writing:
        # Only now: a run with a lower number that publishes later is overtaken, one with a higher number would not be.
        run_number = next_run_number(writing)
        if done := _done_before(writing, batch_id):
            return Rollback(batch_id, None, None, done)
        difference = find_difference(writing, batch_id, cascade, undo_days)
        put_back(writing, difference.runs, run_number, hold_back=True)
        for batch in difference.batches:
            attempt = Attempt(run_number, flow_run_id, batch, _regions_of(writing, batch))
            record(writing, attempt, [Entry(region, Status.ROLLED_BACK, cause=reason) for region in attempt.regions])
        settle_rejected(writing, difference.runs)
        refuse_stopped(flow_run_id, flow_run_id, say)
    return Rollback(batch_id, run_number, difference)


def look_at_rollback(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Rollback:
    """Returns what `roll_back` would change, and raises what it would raise; changes nothing."""
    if done := _done_before(session, batch_id):
        return Rollback(batch_id, None, None, done)
    return Rollback(batch_id, None, find_difference(session, batch_id, cascade, undo_days))


def roll_back_run(session: Session, attempt: Attempt, cause: str) -> None:
    """Puts back what this one run has published; records FAILED, so that its date is a gap like any other.

    Raises NeedsPersonError when a later batch has changed its sales, or when they were put back already.
    """
    with lock_held(session, attempt.run_number) as writing:
        in_effect = _runs_in_effect(writing, [attempt.batch_id], days=0)
        runs = [run for run in in_effect if run.run_number == attempt.run_number]
        if not runs:
            raise NeedsPersonError(f"batch {attempt.batch_id} was put back already")
        _refuse_later(attempt.batch_id, _later_batches(writing, runs))
        put_back(writing, runs, attempt.run_number, hold_back=False)
        record(writing, attempt, [Entry(run.region, Status.FAILED, cause=cause) for run in runs])
        settle_rejected(writing, runs)


def put_back_unless_shown(session: Session, attempt: Attempt, verification: Verification) -> None:
    """Puts the run's rows back and raises NeedsPersonError when the table does not show what was published.

    Raises TransientError when the warehouse does not answer meanwhile.
    """
    try:
        refuse_differences(verification.comparisons, verification.repeated_keys)
    except NeedsPersonError as error:
        try:
            roll_back_run(session, attempt, one_line(error))
        except NeedsPersonError as obstacle:
            raise NeedsPersonError(f"{error}; it was not put back now: {obstacle}") from error
        except SalesEtlError as obstacle:
            raise TransientError(f"{error}; whether it was put back is not known: {obstacle}") from error
        raise NeedsPersonError(f"{error}; the batch was put back as it was before this run") from error


def find_difference(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Difference:
    """The batches and runs to roll back, and the changes. Raises NeedsPersonError as `roll_back` does."""
    if batch_id.startswith(ADOPTION):
        raise NeedsPersonError(
            f"batch {batch_id} is the fact table as another tool had loaded it: nobody knows what was there before"
        )
    batches, runs = [batch_id], _runs_in_effect(session, [batch_id], undo_days)
    while later := _later_batches(session, runs):
        if later.keys() <= set(batches):
            raise NeedsPersonError(f"the ledger does not know the runs of {', '.join(later)} that the undo log names")
        if not cascade:
            _refuse_later(batch_id, later)
        batches = sorted({*batches, *later})
        runs = _runs_in_effect(session, batches, undo_days)
    _refuse_old(runs, undo_days)
    names = {"runs": _numbers(runs)}
    changes = session.query(render("rollback/count_changes", **names))
    (rejected,) = session.query(render("rollback/count_rejected", **names))
    sales = session.query(render("rollback/changed_sales", rows_max=f"{SAMPLE_ROWS_MAX:d}", **names))
    return Difference(
        tuple(batches),
        tuple(runs),
        tuple(
            ChangedTotals(region, currency, int(rows_now), amount_now, int(rows_after), amount_after)
            for region, currency, rows_now, amount_now, rows_after, amount_after in changes
        ),
        RejectedChange(*(int(rows) for rows in rejected)),
        tuple(sales),
    )


def put_back(session: Session, runs: Sequence[PublishedRun], run_number: int, hold_back: bool) -> None:
    """Restores every sale to its version before these runs; inside the caller's transaction, under the lock. The undo
    log names `run_number` for the versions that leave. With `hold_back` no heal or replay may bring back the keys that
    heals among the runs had changed or rejected.

    Raises PublishRefusedError when sales are lost, or others were changed.
    """
    names = {"runs": _numbers(runs)}
    before = _count_standing(session, runs)
    _demand("new sales", sum(run.inserted for run in runs), before.inserted)
    _demand("undo log", sum(run.updated for run in runs), before.undo)
    _demand("sales that nobody else has changed", before.inserted + before.returning, before.of_runs)
    if hold_back:
        session.query(render("rollback/hold_back", **names))
    session.query(render("rollback/insert_undo", **names), [run_number])
    session.query(render("rollback/delete_sales", **names))
    session.query(render("rollback/restore_sales", **names))
    after = _count_standing(session, runs)
    _demand("SALES_FACT", before.fact - before.of_runs + before.returning, after.fact)
    _demand("versions that go into the undo log", before.of_runs, after.taken_away)
    _demand("versions that stand again", before.returning, after.returned)
    _demand_none(session, "rollback/count_left", LEFT, runs)


def settle_rejected(session: Session, runs: Sequence[PublishedRun]) -> None:
    """Closes the rejected rows that are open again and for which a restored version stands. Called after the ledger
    records that the runs are put back, which removes their rejected rows and reopens those that they had closed.

    Raises PublishRefusedError when something is left of the runs.
    """
    standing_now = render_part("rollback/standing_now")
    session.query(render("publish/close_rejected", standing_now=standing_now), [None, "", 0])
    _demand_none(session, "rollback/count_left_rejected", LEFT_REJECTED, runs)


def _count_standing(session: Session, runs: Iterable[PublishedRun]) -> RollbackCounts:
    (counts,) = session.query(render("rollback/count_standing", runs=_numbers(runs)))
    return RollbackCounts(*(int(count) for count in counts))


def _demand(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise PublishRefusedError(f"the rollback does not hold for {what}: rows {expected} against {found}")


def _demand_none(session: Session, name: str, counted: Sequence[str], runs: Iterable[PublishedRun]) -> None:
    for what, rows in zip(counted, session.query(render(name, runs=_numbers(runs)))[0], strict=True):
        _demand(what, 0, int(rows))


def _numbers(runs: Iterable[PublishedRun]) -> str:
    """The run numbers for an IN; 0, which no run has, when there are none."""
    return ", ".join(f"{number:d}" for number in sorted({run.run_number for run in runs})) or "0"


def _runs_in_effect(session: Session, batches: Iterable[str], days: int) -> list[PublishedRun]:
    statement = render(
        "rollback/runs_in_effect",
        batches=text_literals(batches),
        # Undo rows are written before the ledger's entry: a publish of nearly that age may have lost some already.
        kept_since=f"DATEADD('hour', {MARGIN_HOURS - 24 * days:d}, CURRENT_TIMESTAMP())",
    )
    return [
        PublishedRun(batch_id, region, int(run_number), int(inserted), int(updated), published_at, kept_since)
        for batch_id, region, run_number, inserted, updated, published_at, kept_since in session.query(statement)
    ]


def _later_batches(session: Session, runs: Iterable[PublishedRun]) -> dict[str, int]:
    """Other batches that have changed sales of these runs since, with how many."""
    return {batch: int(rows) for batch, rows in session.query(render("rollback/later_batches", runs=_numbers(runs)))}


def _refuse_later(batch_id: str, later: Mapping[str, int]) -> None:
    if later:
        batches = ", ".join(f"{batch} ({rows})" for batch, rows in later.items())
        raise NeedsPersonError(
            f"batch {batch_id} cannot be rolled back alone: later batches have changed its sales: {batches}; "
            "cascade=true rolls them back too, dry_run=true shows what that changes"
        )


def _refuse_old(runs: Iterable[PublishedRun], undo_days: int) -> None:
    for run in runs:
        if run.published_at < run.kept_since:
            raise NeedsPersonError(
                f"batch {run.batch_id} ({run.region}) was published on {run.published_at:%Y-%m-%d}, longer ago than "
                f"undo_retention_days ({undo_days}): what was published since {run.kept_since:%Y-%m-%d %H:%M} UTC can "
                "be rolled back; correct the source and run the date again"
            )


def _done_before(session: Session, batch_id: str) -> str | None:
    """When and why all regions of the batch were rolled back; None when one is in production.

    Raises NeedsPersonError when none ever was.
    """
    in_production = session.query(render("rollback/in_production"), [batch_id])
    if not in_production:
        raise NeedsPersonError(
            f"batch {batch_id} is not in production, there is nothing to roll back: the ledger knows "
            f"{'no run of it' if not _known_regions(session, batch_id) else 'only runs that published nothing'}"
        )
    if any(status != Status.ROLLED_BACK for _, status, *_ in in_production):
        return None
    _, _, run_number, recorded_at, cause = max(in_production, key=lambda row: row[2])
    return f"by run {run_number} at {recorded_at:%Y-%m-%d %H:%M} UTC ({cause})"


def _regions_of(session: Session, batch_id: str) -> tuple[str, ...]:
    """The regions whose batch no backfill may load: for a date all of them, even those that no run has tried."""
    known = _known_regions(session, batch_id)
    return tuple(dict.fromkeys([*REGIONS, *known])) if batch_id.isdigit() else known


def _known_regions(session: Session, batch_id: str) -> tuple[str, ...]:
    known = session.query("SELECT DISTINCT REGION FROM ANALYTICS.ETL_BATCHES WHERE BATCH_ID = ? ORDER BY 1", [batch_id])
    return tuple(region for (region,) in known)


@task(name="roll-back", **RETRIES)
def roll_back_batch(
    batch_id: str,
    reason: str,
    cascade: bool,
    dry_run: bool,
    undo_days: int,
    flow_run_id: str,
    warehouse: str,
) -> Rollback:
    """Rolls the batch back, or only looks. After a lost answer to COMMIT the next try asks the ledger."""
    logger = get_run_logger()
    with task_session(warehouse, f"rollback {batch_id}") as session:
        if dry_run:
            return look_at_rollback(session, batch_id, cascade, undo_days)
        try:
            rollback = roll_back(session, batch_id, reason, cascade, undo_days, flow_run_id, logger.warning)
        except OutcomeUnknownError as error:
            raise TransientError(str(error)) from error
    logger.info("step=roll-back batch=%s run=%s already=%s", batch_id, rollback.run_number, rollback.done_before)
    return rollback
