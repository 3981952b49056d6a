"""Rollback: restores every row that a batch has changed, in ONE transaction, or changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from prefect import get_run_logger, task

from expectations.regions import REGIONS, expected_on
from tasks.batch import ADOPTION, Attempt, parse_business_date
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
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render, render_part, text_literals
from tasks.warehouse.states import Status

SAMPLE_ROWS_MAX = 100
"""The most changed sales that a rollback lists."""

UNDO_MARGIN_HOURS = 2
"""How much younger than undo_retention_days a batch must be to be rolled back. No publish takes longer than this."""

SALES_NOT_UNDONE = ("versions not restored", "rows of the batch still in SALES_FACT")
"""What the figures of sql/rollback/count_left.sql count, in their order."""
REJECTED_NOT_UNDONE = ("rows of the batch still in SALES_REJECTED", "rejected rows still closed by the batch")
"""What the figures of sql/rollback/count_left_rejected.sql count, in their order."""


@dataclass(frozen=True)
class PublishedRun:
    """A run's publish of one region, in effect: it was not rolled back. `inserted` and `updated` count sales.

    `kept_since` (aware, UTC): what was published earlier is too old to be rolled back.
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
    before the rollback (`now`) and after it."""

    region: str
    currency: str
    rows_now: int
    amount_now: Decimal
    rows_after: int
    amount_after: Decimal


@dataclass(frozen=True)
class ChangedSale:
    """A sale that a rollback changes: its version before the rollback (`now`), and the one that the rollback restores,
    from before the batches (`before`). The latter has only None when the batches inserted the sale."""

    region: str
    sale_id: str
    currency: str | None
    updated_at_now: datetime | None
    amount_now: Decimal | None
    updated_at_before: datetime | None
    amount_before: Decimal | None


@dataclass(frozen=True)
class ChangedRejected:
    """Counts of the rejected rows that a rollback changes. It removes those that the batches rejected (`brought`). It
    reopens those of other runs that the batches' rejected rows had replaced (`replaced`), and those that the batches
    had closed (`closed`)."""

    brought: int
    replaced: int
    closed: int


@dataclass(frozen=True)
class Changes:
    """The changes that a rollback of `batches` makes by undoing their `runs`. `sales` are the first SAMPLE_ROWS_MAX
    changed sales by region and key."""

    batches: tuple[str, ...]
    runs: tuple[PublishedRun, ...]
    totals: tuple[ChangedTotals, ...]
    rejected: ChangedRejected
    sales: tuple[ChangedSale, ...]


@dataclass(frozen=True)
class Rollback:
    """The result of a rollback. `run_number` is the rollback's own number in the ledger, None in a dry run.

    For a batch that was rolled back before, nothing is done: `run_number` and `changes` are None, and
    `earlier_rollback` has run, time and reason of that rollback, as words of a sentence. When it was an earlier try of
    the same flow run, `run_number` is of that, and `batches` are what it has rolled back.
    """

    batch_id: str
    run_number: int | None
    changes: Changes | None
    earlier_rollback: str | None = None
    batches: tuple[str, ...] = ()


@dataclass(frozen=True)
class RollbackCounts:
    """Counts of rows, as sql/rollback/count_standing.sql returns them.

    SALES_FACT has `in_fact` rows. The runs to undo wrote `written` of them, and were the first to insert `inserted` of
    them. The undo log has `replaced` versions that these runs replaced; other runs wrote `to_restore` of those. This
    transaction has moved `removed` versions to the undo log and `restored` versions back to SALES_FACT.
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
    """Rolls the batch back, and with `cascade` later batches that have changed its sales; records ROLLED_BACK, also for
    a batch that was rolled back before when another run of it has begun since.

    Raises NeedsPersonError when the batch is not in production or is older than the undo log, when later batches have
    changed its sales and `cascade` is not set, or when this rollback's own flow run was cancelled meanwhile.
    """
    with lock_held(session, 0) as writing:
        # Taken under the lock: all runs of the batch that are under way have lower numbers, and end as Overtaken.
        run_number = next_run_number(writing)
        if earlier := _earlier_rollback(writing, batch_id, flow_run_id):
            return earlier
        changes = find_changes(writing, batch_id, cascade, undo_days)
        undo_runs(writing, changes.runs, run_number, hold_back=True)
        for batch in changes.batches:
            attempt = Attempt(run_number, flow_run_id, batch, _regions_to_record(writing, batch))
            record(writing, attempt, [Entry(region, Status.ROLLED_BACK, cause=reason) for region in attempt.regions])
        close_reopened_rejected(writing, changes.runs)
        refuse_stopped(flow_run_id, commit=flow_run_id, say=say)
    return Rollback(batch_id, run_number, changes)


def preview_rollback(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Rollback:
    """The dry run: returns the changes that `roll_back` would make, or raises its error; changes nothing."""
    if earlier := _earlier_rollback(session, batch_id):
        return earlier
    return Rollback(batch_id, None, find_changes(session, batch_id, cascade, undo_days))


def roll_back_run(session: Session, attempt: Attempt, cause: str) -> None:
    """Rolls back what this one run has published; records FAILED, not ROLLED_BACK, so that its date becomes a gap,
    which backfill loads.

    Raises NeedsPersonError when a later batch has changed the run's sales, or when the run was rolled back already.
    """
    with lock_held(session, attempt.run_number) as writing:
        in_effect = _runs_in_effect(writing, [attempt.batch_id], undo_days=0)
        runs = [run for run in in_effect if run.run_number == attempt.run_number]
        if not runs:
            raise NeedsPersonError(f"batch {attempt.batch_id} was rolled back already")
        _refuse_later(attempt.batch_id, _later_batches(writing, runs))
        undo_runs(writing, runs, attempt.run_number, hold_back=False)
        record(writing, attempt, [Entry(run.region, Status.FAILED, cause=cause) for run in runs])
        close_reopened_rejected(writing, runs)


def roll_back_unless_verified(session: Session, attempt: Attempt, verification: Verification) -> None:
    """Does nothing when the second look (`verification`) found no difference. Otherwise rolls the run back and raises
    NeedsPersonError.

    Raises TransientError when the warehouse fails during the rollback, so that its outcome is not known.
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


def find_changes(session: Session, batch_id: str, cascade: bool, undo_days: int) -> Changes:
    """Returns the batches and runs to roll back, and the changes that this makes. With `cascade`, later batches are
    added until none outside has changed a sale of one inside.

    Raises NeedsPersonError when the batch cannot be rolled back, as `roll_back` says.
    """
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
    totals = session.query(render("rollback/count_changes", **names))
    (rejected,) = session.query(render("rollback/count_rejected", **names))
    sales = session.query(render("rollback/changed_sales", rows_max=f"{SAMPLE_ROWS_MAX:d}", **names))
    return Changes(
        tuple(batches),
        tuple(runs),
        tuple(
            ChangedTotals(region, currency, int(rows_now), amount_now, int(rows_after), amount_after)
            for region, currency, rows_now, amount_now, rows_after, amount_after in totals
        ),
        ChangedRejected(*(int(rows) for rows in rejected)),
        tuple(ChangedSale(*sale) for sale in sales),
    )


def undo_runs(session: Session, runs: Sequence[PublishedRun], run_number: int, hold_back: bool) -> None:
    """Restores every sale to its version before these runs. To be called under the lock, in the caller's transaction.

    The versions that leave the fact table go to the undo log, as removed by run `run_number`. With `hold_back`, the
    sales of each heal among these runs, those that it rejected included, are held back: later heals and replays leave
    them out.

    Raises PublishRefusedError when ledger, undo log and fact table do not agree on the sales to undo, or when the fact
    table afterwards still has a row of these runs or lacks a version that was to return.
    """
    names = {"runs": _numbers(runs)}
    before = _count_standing(session, runs)
    _require_rows("sales inserted by the batch", sum(run.inserted for run in runs), before.inserted)
    _require_rows(
        "versions that the batch replaced, in the undo log", sum(run.updated for run in runs), before.replaced
    )
    _require_rows("rows of SALES_FACT written by the batch", before.inserted + before.to_restore, before.written)
    if hold_back:
        session.query(render("rollback/hold_back", **names))
    session.query(render("rollback/insert_undo", **names), [run_number])
    session.query(render("rollback/delete_sales", **names))
    session.query(render("rollback/restore_sales", **names))
    after = _count_standing(session, runs)
    _require_rows("SALES_FACT", before.in_fact - before.written + before.to_restore, after.in_fact)
    _require_rows("versions added to the undo log", before.written, after.removed)
    _require_rows("versions restored", before.to_restore, after.restored)
    _require_no_rows(session, "rollback/count_left", SALES_NOT_UNDONE, runs)


def close_reopened_rejected(session: Session, runs: Sequence[PublishedRun]) -> None:
    """Closes rejected rows that the rollback of these runs has reopened, where SALES_FACT has a newer valid version.

    To be called when the ledger has recorded the rollback. The view SALES_REJECTED follows the ledger: from then on,
    the rows that these runs rejected are no longer in it, and the rows that they closed are open in it.

    Raises PublishRefusedError when SALES_REJECTED still has rows that the runs rejected or closed.
    """
    standing_now = render_part("rollback/standing_now")
    session.query(render("publish/close_rejected", standing_now=standing_now), [None, "", 0])
    _require_no_rows(session, "rollback/count_left_rejected", REJECTED_NOT_UNDONE, runs)


def _count_standing(session: Session, runs: Iterable[PublishedRun]) -> RollbackCounts:
    (counts,) = session.query(render("rollback/count_standing", runs=_numbers(runs)))
    return RollbackCounts(*(int(count) for count in counts))


def _require_rows(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise PublishRefusedError(
            f"the rollback was refused and changed nothing: {what}: expected {expected:,} rows, found {found:,}"
        )


def _require_no_rows(session: Session, name: str, counted: Sequence[str], runs: Iterable[PublishedRun]) -> None:
    for what, rows in zip(counted, session.query(render(name, runs=_numbers(runs)))[0], strict=True):
        _require_rows(what, 0, int(rows))


def _numbers(runs: Iterable[PublishedRun]) -> str:
    """The run numbers as a list for SQL's IN. Without runs, it is 0, which is no run's number."""
    return ", ".join(f"{number:d}" for number in sorted({run.run_number for run in runs})) or "0"


def _runs_in_effect(session: Session, batches: Iterable[str], undo_days: int) -> list[PublishedRun]:
    """Returns the publishes of the batches that are in effect, of any age."""
    statement = render(
        "rollback/runs_in_effect",
        batches=text_literals(batches),
        # A publish writes its undo rows before its ledger entry, so retention may delete them first.
        kept_since=f"DATEADD('hour', {UNDO_MARGIN_HOURS - 24 * undo_days:d}, CURRENT_TIMESTAMP())",
    )
    return [
        PublishedRun(batch_id, region, int(run_number), int(inserted), int(updated), published_at, kept_since)
        for batch_id, region, run_number, inserted, updated, published_at, kept_since in session.query(statement)
    ]


def _later_batches(session: Session, runs: Iterable[PublishedRun]) -> dict[str, int]:
    """Returns the other batches that have since changed sales of these runs, with the number of such sales."""
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


def _earlier_rollback(session: Session, batch_id: str, flow_run_id: str | None = None) -> Rollback | None:
    """Returns the batch's latest rollback where there is nothing left to do: where no run of it has begun since.
    `flow_run_id` is the rollback's own.

    Raises NeedsPersonError when no region of the batch was ever published.
    """
    newest = session.query(render("rollback/newest_entries"), [batch_id])
    if not any(was_in_production for *_, was_in_production in newest):
        raise NeedsPersonError(
            f"batch {batch_id} is not in production, there is nothing to roll back: the ledger knows "
            f"{'only runs that published nothing' if newest else 'no run of it'}"
        )
    # A run that has begun since would publish, and one that has failed would be a gap, without a newer rollback.
    if any(status != Status.ROLLED_BACK for status, *_ in newest):
        return None
    _, run_number, by_flow_run, recorded_at, cause, _ = max(newest, key=lambda row: row[1])
    if by_flow_run == flow_run_id:
        batches = session.query(
            "SELECT DISTINCT BATCH_ID FROM ANALYTICS.ETL_BATCHES WHERE RUN_NUMBER = ? ORDER BY 1", [run_number]
        )
        return Rollback(batch_id, int(run_number), None, batches=tuple(batch for (batch,) in batches))
    earlier = f"by run {run_number} at {recorded_at:%Y-%m-%d %H:%M} UTC ({cause})"
    return Rollback(batch_id, None, None, earlier)


def _regions_to_record(session: Session, batch_id: str) -> tuple[str, ...]:
    """The regions to record as ROLLED_BACK: for a date all that are expected, because a backfill loads those without an
    entry; for named keys, those that the ledger knows."""
    known = _known_regions(session, batch_id)
    if not batch_id.isdigit():
        return known
    return tuple(dict.fromkeys([*expected_on(parse_business_date(batch_id), REGIONS), *known]))


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
    """Rolls the batch back; in a dry run, only returns what would change. When the answer to COMMIT is lost, the task's
    next try finds in the ledger whether the batch was rolled back."""
    logger = get_run_logger()
    with task_session(warehouse, f"rollback {batch_id}") as session:
        if dry_run:
            return preview_rollback(session, batch_id, cascade, undo_days)
        try:
            rollback = roll_back(session, batch_id, reason, cascade, undo_days, flow_run_id, logger.warning)
        except OutcomeUnknownError as error:
            raise TransientError(str(error)) from error
    logger.info(
        "step=roll-back batch=%s run=%s earlier_rollback=%s", batch_id, rollback.run_number, rollback.earlier_rollback
    )
    return rollback
