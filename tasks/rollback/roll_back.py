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
"""The most changed sales that a rollback reports as a sample."""

UNDO_MARGIN_HOURS = 2
"""A batch must be this much younger than undo_retention_days. No publish takes longer."""

SALES_NOT_UNDONE = ("versions not restored", "rows of the batch still in SALES_FACT")
"""What sql/rollback/count_left.sql counts."""
REJECTED_NOT_UNDONE = ("rows of the batch still in SALES_REJECTED", "rejected rows still closed by the batch")
"""What sql/rollback/count_left_rejected.sql counts."""


@dataclass(frozen=True)
class PublishedRun:
    """A publish of one region by one run, not rolled back. `inserted` and `updated` count sales.

    `kept_since` (aware, UTC): only what was published since then can be rolled back.
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
    """The sales of one region and currency that a rollback changes: counts and gross amounts (exact, in the currency)
    before it (`now`) and after it."""

    region: str
    currency: str
    rows_now: int
    amount_now: Decimal
    rows_after: int
    amount_after: Decimal


@dataclass(frozen=True)
class RejectedChange:
    """Counts of the rejected rows that a rollback changes. It removes the `brought` rows that the batch rejected, and
    opens again the `replaced` rows of earlier runs in whose place these stand, and the `closed` rows that the batch
    closed."""

    brought: int
    replaced: int
    closed: int


@dataclass(frozen=True)
class Difference:
    """The changes of a rollback of `batches`. `sales` is a sample of up to SAMPLE_ROWS_MAX changed sales: region, key,
    currency, then `updated_at` and `total_amount` now and before the batches."""

    batches: tuple[str, ...]
    runs: tuple[PublishedRun, ...]
    changes: tuple[ChangedTotals, ...]
    rejected: RejectedChange
    sales: tuple[Row, ...]


@dataclass(frozen=True)
class Rollback:
    """The result of a rollback. `run_number` is the rollback's own in the ledger, None when nothing was changed: in a
    dry run, and when the batch was rolled back before; `earlier` is a sentence with run, time and reason of that."""

    batch_id: str
    run_number: int | None
    difference: Difference | None
    earlier: str | None = None


@dataclass(frozen=True)
class RollbackCounts:
    """Counts of rows, as sql/rollback/count_standing.sql returns them.

    `in_fact` is the whole of SALES_FACT. The runs to undo wrote `written` of these rows; `inserted` of them
    are new sales. They replaced `replaced` versions; `to_restore` of those were written by other runs. This transaction
    has moved `removed` versions to the undo log and `restored` versions back to SALES_FACT.
    """

    in_fact: int
    written: int
    inserted: int
    replaced: int
    to_restore: int
    removed: int
    restored: int


def roll_back(
    session: Session,
    batch_id: str,
    reason: str,
    cascade: bool,
    undo_days: int,
    flow_run_id: str,
    say: Say = say_nothing,
) -> Rollback:
    """Rolls the batch back, and with `cascade` later batches that have changed its sales; records ROLLED_BACK.

    Raises NeedsPersonError when the batch is not in production or is older than the undo log, when later batches have
    changed its sales and `cascade` is not set, or when this rollback's own flow run was cancelled meanwhile.
    """
    with lock_held(session, 0) as writing:
        # Taken under the lock: all runs of the batch that are under way have lower numbers, and end as Overtaken.
        run_number = next_run_number(writing)
        if done := _earlier_rollback(writing, batch_id):
            return Rollback(batch_id, None, None, done)
        difference = find_difference(writing, batch_id, cascade, undo_days)
        undo_runs(writing, difference.runs, run_number, hold_back=True)
        for batch in difference.batches:
            attempt = Attempt(run_number, flow_run_id, batch, _regions_to_record(writing, batch))
            record(writing, attempt, [Entry(region, Status.ROLLED_BACK, cause=reason) for region in attempt.regions])
        settle_rejected(writing, difference.runs)
        refuse_stopped(flow_run_id, commit=flow_run_id, say=say)
    return Rollback(batch_id, run_number, difference)


def look_at_rollback(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Rollback:
    """Returns what `roll_back` would change, and raises what it would raise; changes nothing."""
    if done := _earlier_rollback(session, batch_id):
        return Rollback(batch_id, None, None, done)
    return Rollback(batch_id, None, find_difference(session, batch_id, cascade, undo_days))


def roll_back_run(session: Session, attempt: Attempt, cause: str) -> None:
    """Rolls back what this one run has published; records FAILED, so that its date is a gap like any other.

    Raises NeedsPersonError when a later batch has changed its sales, or when they were rolled back already.
    """
    with lock_held(session, attempt.run_number) as writing:
        in_effect = _runs_in_effect(writing, [attempt.batch_id], days=0)
        runs = [run for run in in_effect if run.run_number == attempt.run_number]
        if not runs:
            raise NeedsPersonError(f"batch {attempt.batch_id} was rolled back already")
        _refuse_later(attempt.batch_id, _later_batches(writing, runs))
        undo_runs(writing, runs, attempt.run_number, hold_back=False)
        record(writing, attempt, [Entry(run.region, Status.FAILED, cause=cause) for run in runs])
        settle_rejected(writing, runs)


def roll_back_unless_shown(session: Session, attempt: Attempt, verification: Verification) -> None:
    """Rolls the run back and raises NeedsPersonError, unless the fact table shows what was published.

    Raises TransientError when the warehouse does not answer meanwhile.
    """
    try:
        refuse_differences(verification.comparisons, verification.repeated_keys)
    except NeedsPersonError as error:
        try:
            roll_back_run(session, attempt, one_line(error))
        except NeedsPersonError as obstacle:
            raise NeedsPersonError(f"{error}; the batch could not be rolled back: {obstacle}") from error
        except SalesEtlError as obstacle:
            raise TransientError(f"{error}; whether the batch was rolled back is not known: {obstacle}") from error
        raise NeedsPersonError(f"{error}; the batch was rolled back to its state before this run") from error


def find_difference(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Difference:
    """The batches and runs to roll back, and the changes. Raises NeedsPersonError as `roll_back` does."""
    if batch_id.startswith(ADOPTION):
        raise NeedsPersonError(
            f"batch {batch_id} cannot be rolled back: it holds the rows that another tool loaded before the fact table "
            "was adopted, and no earlier state is known"
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


def undo_runs(session: Session, runs: Sequence[PublishedRun], run_number: int, hold_back: bool) -> None:
    """Restores every sale to its version before these runs; inside the caller's transaction, under the lock.

    The undo log records `run_number` as the run that removed their versions. With `hold_back`, some keys are held
    back from later heals and replays: those that a heal among these runs had changed or rejected.

    Raises PublishRefusedError when the sales to undo are not those that the ledger and the undo log count, or when the
    tables afterwards still show something of these runs.
    """
    names = {"runs": _numbers(runs)}
    before = _count_standing(session, runs)
    _demand("sales inserted by the batch", sum(run.inserted for run in runs), before.inserted)
    _demand("versions that the batch replaced, in the undo log", sum(run.updated for run in runs), before.replaced)
    _demand("rows of SALES_FACT written by the batch", before.inserted + before.to_restore, before.written)
    if hold_back:
        session.query(render("rollback/hold_back", **names))
    session.query(render("rollback/insert_undo", **names), [run_number])
    session.query(render("rollback/delete_sales", **names))
    session.query(render("rollback/restore_sales", **names))
    after = _count_standing(session, runs)
    _demand("SALES_FACT", before.in_fact - before.written + before.to_restore, after.in_fact)
    _demand("versions added to the undo log", before.written, after.removed)
    _demand("versions restored", before.to_restore, after.restored)
    _demand_none(session, "rollback/count_left", SALES_NOT_UNDONE, runs)


def settle_rejected(session: Session, runs: Sequence[PublishedRun]) -> None:
    """Closes reopened rejected rows whose sale has a newer valid version in SALES_FACT.

    To be called after the ledger has recorded the rollback. The view SALES_REJECTED follows the ledger: it no longer
    shows the rejected rows of these runs, and shows those that they had closed as open.

    Raises PublishRefusedError when SALES_REJECTED still has rejected rows of the runs, or rows closed by them.
    """
    standing_now = render_part("rollback/standing_now")
    session.query(render("publish/close_rejected", standing_now=standing_now), [None, "", 0])
    _demand_none(session, "rollback/count_left_rejected", REJECTED_NOT_UNDONE, runs)


def _count_standing(session: Session, runs: Iterable[PublishedRun]) -> RollbackCounts:
    (counts,) = session.query(render("rollback/count_standing", runs=_numbers(runs)))
    return RollbackCounts(*(int(count) for count in counts))


def _demand(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise PublishRefusedError(
            f"the rollback was refused and changed nothing: {what}: expected {expected:,} rows, found {found:,}"
        )


def _demand_none(session: Session, name: str, counted: Sequence[str], runs: Iterable[PublishedRun]) -> None:
    for what, rows in zip(counted, session.query(render(name, runs=_numbers(runs)))[0], strict=True):
        _demand(what, 0, int(rows))


def _numbers(runs: Iterable[PublishedRun]) -> str:
    """The run numbers as a list for SQL's IN; 0, which no run has, when there are none."""
    return ", ".join(f"{number:d}" for number in sorted({run.run_number for run in runs})) or "0"


def _runs_in_effect(session: Session, batches: Iterable[str], days: int) -> list[PublishedRun]:
    statement = render(
        "rollback/runs_in_effect",
        batches=text_literals(batches),
        # A publish writes its undo rows before its ledger entry, so retention may delete them first.
        kept_since=f"DATEADD('hour', {UNDO_MARGIN_HOURS - 24 * days:d}, CURRENT_TIMESTAMP())",
    )
    return [
        PublishedRun(batch_id, region, int(run_number), int(inserted), int(updated), published_at, kept_since)
        for batch_id, region, run_number, inserted, updated, published_at, kept_since in session.query(statement)
    ]


def _later_batches(session: Session, runs: Iterable[PublishedRun]) -> dict[str, int]:
    """Returns the other batches that have changed sales of these runs after them, with the number of such sales."""
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
                f"undo_retention_days ({undo_days}); only batches published since {run.kept_since:%Y-%m-%d %H:%M} UTC "
                "can be rolled back. Correct the source and run the date again"
            )


def _earlier_rollback(session: Session, batch_id: str) -> str | None:
    """Returns run, time and reason of the latest rollback as a sentence; None while a region is in production.

    Raises NeedsPersonError when no region of it was ever published.
    """
    latest = session.query(render("rollback/in_production"), [batch_id])
    if not latest:
        raise NeedsPersonError(
            f"batch {batch_id} is not in production, there is nothing to roll back: the ledger knows "
            f"{'no run of it' if not _known_regions(session, batch_id) else 'only runs that published nothing'}"
        )
    if any(status != Status.ROLLED_BACK for _, status, *_ in latest):
        return None
    _, _, run_number, recorded_at, cause = max(latest, key=lambda row: row[2])
    return f"by run {run_number} at {recorded_at:%Y-%m-%d %H:%M} UTC ({cause})"


def _regions_to_record(session: Session, batch_id: str) -> tuple[str, ...]:
    """The regions to record as ROLLED_BACK: of a date all, or a backfill would load those that no run has tried."""
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
    """Rolls the batch back, or in a dry run only finds what would change. When the answer to COMMIT is lost, the
    next try asks the ledger."""
    logger = get_run_logger()
    with task_session(warehouse, f"rollback {batch_id}") as session:
        if dry_run:
            return look_at_rollback(session, batch_id, cascade, undo_days)
        try:
            rollback = roll_back(session, batch_id, reason, cascade, undo_days, flow_run_id, logger.warning)
        except OutcomeUnknownError as error:
            raise TransientError(str(error)) from error
    logger.info("step=roll-back batch=%s run=%s already=%s", batch_id, rollback.run_number, rollback.earlier)
    return rollback
