"""Plan: which regions can go on after extract, and which are left out and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg2
import sqlalchemy.exc

from blocks import names
from blocks.variables import Settings
from tasks.batch import Batch
from tasks.errors import NeedsPersonError, SalesEtlError, one_line
from tasks.extract import Extracted
from tasks.lines import quoting
from tasks.quality import QualityCheck, too_few_rows
from tasks.warehouse.ledger import Entry
from tasks.warehouse.states import Status

REGION_ERRORS = (SalesEtlError, psycopg2.Error, sqlalchemy.exc.DBAPIError)
"""Errors that concern one region; any other is a fault of the program and fails the run."""


@dataclass(frozen=True)
class Plan:
    """`present` regions go on; `left_out` are the ledger's entries of the others (MISSING, EMPTY). `answered` are all
    that were read."""

    present: tuple[Extracted, ...]
    left_out: tuple[Entry, ...]
    answered: tuple[Extracted, ...]

    @property
    def missing(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.left_out if entry.status is Status.MISSING)

    @property
    def missing_message(self) -> str:
        """Which regions are missing and why, in one line."""
        return "; ".join(f"{entry.region} left out: {entry.cause}" for entry in self.missing)


def plan(batch: Batch, outcomes: Mapping[str, Extracted | BaseException], settings: Settings) -> Plan:
    """Sorts the regions by the outcome of their extract.

    A closed day without rows is EMPTY, unless its standby does not show the whole day. A region that failed, or
    has fewer rows than `min_region_record_count`, is MISSING. Raises an error that does not concern one region.
    """
    answered = tuple(outcome for outcome in outcomes.values() if isinstance(outcome, Extracted))
    left_out = [entry for region, outcome in outcomes.items() if (entry := _left_out(batch, region, outcome, settings))]
    codes = {entry.region for entry in left_out}
    return Plan(tuple(e for e in answered if e.region not in codes), tuple(left_out), answered)


def _left_out(batch: Batch, region: str, outcome: Extracted | BaseException, settings: Settings) -> Entry | None:
    if isinstance(outcome, BaseException):
        return Entry(region, Status.MISSING, cause=cause_of(region, outcome))
    rows, floor = outcome.read.rows, settings.thresholds.min_region_record_count
    closed = region in closed_regions(batch, settings)
    if closed and rows == 0 and not outcome.behind:
        return Entry(region, Status.EMPTY, counts={"EXTRACTED": 0}, cause="closed day", snapshot_at=outcome.snapshot_at)
    if rows < floor and outcome.behind:
        cause = f"answered with {rows} rows: {outcome.behind}"
        return Entry(region, Status.MISSING, counts={"EXTRACTED": rows}, cause=cause)
    if not closed and rows < floor:
        cause = (
            f"answered with {rows} rows, min_region_record_count is {floor}: "
            "look at its database, or name the date in closed_days"
        )
        return Entry(region, Status.MISSING, counts={"EXTRACTED": rows}, cause=cause)
    return None


def unread_regions(outcomes: Mapping[str, object]) -> dict[str, str]:
    """Regions that could not be read, with the reason. Raises an error that does not concern one region."""
    failed = {region: outcome for region, outcome in outcomes.items() if isinstance(outcome, BaseException)}
    return {region: cause_of(region, error) for region, error in failed.items()}


def closed_regions(batch: Batch, settings: Settings) -> frozenset[str]:
    """The regions of the batch for which the variable `closed_days` names its date."""
    return frozenset(r for r in batch.regions if batch.date in settings.closed_days.get(r, frozenset()))


def needs_floor(batch: Batch, expected: Sequence[str], settings: Settings) -> bool:
    """Whether `min_record_count` applies: not when some of the expected regions are loaded, nor when all are closed."""
    return batch.regions == tuple(expected) and closed_regions(batch, settings) != set(batch.regions)


def check_regions(planned: Plan, expected: Sequence[str], settings: Settings) -> QualityCheck | None:
    """The failed check of a day on which all `expected` regions were read, with fewer rows than a batch needs.

    Raises NeedsPersonError when a required region is missing, or no region is left for another reason.
    """
    required = [entry for entry in planned.missing if entry.region in settings.regions_required]
    if required:
        raise NeedsPersonError(f"a required region is missing: {planned.missing_message}")
    if planned.present or not planned.missing:
        return None
    answered = {extracted.region for extracted in planned.answered}
    rows, floor = sum(e.read.rows for e in planned.answered), settings.thresholds.min_record_count
    if answered == {*expected} and rows < floor:
        return too_few_rows(rows, floor)
    raise NeedsPersonError(f"no region left: {planned.missing_message}")


def cause_of(region: str, error: BaseException) -> str:
    """Why a region was left out, and what to do about it. Raises an error that does not concern one region."""
    if not isinstance(error, REGION_ERRORS):
        raise error
    if isinstance(error, SalesEtlError):
        return one_line(error)
    ours = f"its database cannot be read: check block {names.database(region)} and the database"
    return quoting(ours, _driver_text(error))


def _driver_text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    if getattr(cause, "pgcode", None) is None:
        return one_line(cause)
    # The server's own message; detail, hint and the statement follow on further lines.
    return one_line(str(cause).partition("\n")[0])
