"""Gaps: the dates and regions that a backfill loads, by the ledger. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from expectations.regions import expected_on
from tasks.batch import DateRange
from tasks.errors import NeedsPersonError
from tasks.warehouse.states import LedgerState, Status

Mode = Literal["missing", "failed", "all"]
Order = Literal["oldest", "newest"]


@dataclass(frozen=True)
class Gap:
    """A date and those of its regions that have to be loaded; `whole` when these are all that are expected."""

    date: date
    regions: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class BackfillPlan:
    """`gaps` in the order of loading; `under_way` are being loaded by other runs."""

    days: DateRange
    gaps: tuple[Gap, ...]
    under_way: tuple[Gap, ...]


def range_since(first: date | None, yesterday: date) -> DateRange:
    """Returns the range from `first` to yesterday. `first` is the variable `first_date`, or else the first date that
    was ever loaded. Raises NeedsPersonError when there is neither."""
    if first is None:
        raise NeedsPersonError(
            "variable first_date is empty and the ledger knows no date: set first_date, or give start_date and end_date"
        )
    return DateRange(first, yesterday)


def tried_before(first: date, known: Iterable[LedgerState]) -> list[date]:
    """Returns the dates before `first` that were tried and are still to be loaded; those between them are no gaps."""
    return sorted({state.date for state in known if state.date < first and is_wanted(state, "failed")})


def plan_backfill(
    days: DateRange,
    known: Iterable[LedgerState],
    asked_regions: Sequence[str],
    all_regions: Sequence[str],
    mode: Mode,
    order: Order,
    also: Collection[date] = (),
) -> BackfillPlan:
    """Returns the gaps of the range and of the dates `also`. Dates that are empty or rolled back are no gaps; `mode`
    "all" takes every date."""
    asked = dict.fromkeys(sorted({*days, *also}, reverse=order == "newest"), asked_regions)
    return _plan(days, known, asked, all_regions, mode)


def plan_again(
    plan: BackfillPlan, known: Iterable[LedgerState], all_regions: Sequence[str], mode: Mode
) -> BackfillPlan:
    """Returns the plan for what other runs had under way: what they have left to load, and what they still have."""
    return _plan(plan.days, known, {gap.date: gap.regions for gap in plan.under_way}, all_regions, mode)


def _plan(
    days: DateRange,
    known: Iterable[LedgerState],
    asked: Mapping[date, Sequence[str]],
    all_regions: Sequence[str],
    mode: Mode,
) -> BackfillPlan:
    states = _by_date_and_region(known)
    gaps, under_way = [], []
    for day, regions in asked.items():
        wanted, everything = _wanted(states, day, regions, mode), expected_on(day, all_regions)
        busy = tuple(region for region in wanted if _is_under_way(states, day, region))
        free = tuple(region for region in wanted if region not in busy)
        if busy:
            under_way.append(Gap(day, busy, whole=busy == everything))
        if free:
            gaps.append(Gap(day, free, whole=free == everything))
    return BackfillPlan(days, tuple(gaps), tuple(under_way))


def unloaded(days: Iterable[date], known: Iterable[LedgerState], regions: Sequence[str], mode: Mode) -> set[date]:
    """Returns those of the dates of which a region is still to be loaded. In `mode` "all" these are all dates: where a
    new load has failed, the ledger may show an earlier one."""
    states = _by_date_and_region(known)
    return {day for day in days if _wanted(states, day, regions, mode)}


def _wanted(states: Mapping[tuple[date, str], LedgerState], day: date, regions: Sequence[str], mode: Mode) -> list[str]:
    """The regions to load, of those that are expected on the day or were tried."""
    expected = expected_on(day, regions)
    found = {region: states.get((day, region)) for region in regions}
    return [code for code, state in found.items() if (state or code in expected) and is_wanted(state, mode)]


def _by_date_and_region(known: Iterable[LedgerState]) -> dict[tuple[date, str], LedgerState]:
    return {(state.date, state.region): state for state in known}


def is_wanted(state: LedgerState | None, mode: Mode) -> bool:
    """Whether a date and region is loaded in this mode; the state of one that is not in the ledger is None."""
    if mode == "all":
        return True
    if state is None:
        return mode == "missing"
    # Without anything in production, the newest attempt was MISSING, FAILED or never ended. An attempt over a published
    # date leaves no gap; one over a rolled-back date does, as somebody has named that date since.
    named_since = state.in_production is Status.ROLLED_BACK and state.status is not Status.ROLLED_BACK
    return state.in_production is None or named_since


def _is_under_way(states: Mapping[tuple[date, str], LedgerState], day: date, region: str) -> bool:
    state = states.get((day, region))
    return state is not None and state.under_way


def rest_of(days: DateRange, not_begun: Iterable[Gap], order: Order) -> DateRange:
    """The rest of the range from its first gap on that was not begun, without the dates loaded before; the end of the
    range where all were."""
    end = days.last if order == "oldest" else days.first
    following = next((gap.date for gap in not_begun if gap.date in days), end)
    return DateRange(following, days.last) if order == "oldest" else DateRange(days.first, following)
