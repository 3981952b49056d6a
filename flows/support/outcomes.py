"""The outcomes of a backfill: a row per date for the table, and one state for all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect.states import Completed, Failed, State

from flows.support.refusals import refused
from flows.support.states import PARTIALLY_LOADED, YIELDED
from tasks.backfill.gaps import BackfillPlan, Gap
from tasks.batch import DateRange, parse_business_date
from tasks.errors import one_line
from tasks.lines import counted

DATES_NAMED_MAX = 10
"""Dates that a state's message names; the table lists all."""
CAUSE_LENGTH_MAX = 160
NOT_STARTED, UNDER_WAY = "not started", "under way"
LEFT_TO_THE_REST = (NOT_STARTED, UNDER_WAY)
"""States of dates that the run which goes on has to try."""
SETTLED = "settled meanwhile"
"""The state of a date that was rolled back, or loaded by another run, between planning and loading."""


@dataclass(frozen=True)
class DateOutcome:
    """How a date ended. `state` is the name of its run's final state."""

    date: date
    regions: str
    state: str
    completed: bool
    message: str
    seconds: float = 0.0

    @property
    def is_settled(self) -> bool:
        return self.state == SETTLED

    @property
    def fully_loaded(self) -> bool:
        return self.completed and self.state != PARTIALLY_LOADED

    @property
    def is_left_to_the_rest(self) -> bool:
        return self.state in LEFT_TO_THE_REST


def outcome_of(gap: Gap, state: State, seconds: float) -> DateOutcome:
    """The outcome of a date's run."""
    message = one_line(state.message or "", CAUSE_LENGTH_MAX)
    return DateOutcome(gap.date, regions_of(gap), state.name, state.is_completed(), message, seconds)


def regions_of(gap: Gap) -> str:
    """`all`, or the codes."""
    return "all" if gap.whole else " ".join(gap.regions)


def to_carry_over(
    outcomes: Sequence[DateOutcome], not_begun: Iterable[Gap] = (), under_way: Iterable[Gap] = ()
) -> dict[str, str]:
    """The dates that were not fully loaded, and their states, for the run that goes on with the rest: of those
    `not_begun` the ones that its range does not hold."""
    ended = {outcome.date.isoformat(): outcome.state for outcome in outcomes if not outcome.fully_loaded}
    left = [*((gap, NOT_STARTED) for gap in not_begun), *((gap, UNDER_WAY) for gap in under_way)]
    return ended | {gap.date.isoformat(): state for gap, state in left}


def carried_over(states: Mapping[str, str] | None) -> list[DateOutcome]:
    """The outcomes of the run that made room."""
    message = "in the run before this one made room for a daily run"
    return [
        DateOutcome(parse_business_date(day), "", state, state == PARTIALLY_LOADED, message)
        for day, state in (states or {}).items()
    ]


def outcome_table(outcomes: Sequence[DateOutcome], plan: BackfillPlan) -> list[dict[str, Any]]:
    """A row per date: those that ended, then those that were left alone or not begun."""
    begun = {outcome.date for outcome in outcomes}
    ended = [
        {"date": str(o.date), "regions": o.regions, "state": o.state, "message": o.message, "seconds": o.seconds}
        for o in outcomes
    ]
    busy = [_row(gap, UNDER_WAY, "another run has begun it") for gap in plan.under_way]
    return ended + busy + [_row(gap, NOT_STARTED, "") for gap in plan.gaps if gap.date not in begun]


def _row(gap: Gap, state: str, message: str) -> dict[str, Any]:
    return {"date": str(gap.date), "regions": regions_of(gap), "state": state, "message": message, "seconds": 0.0}


def planned_state(plan: BackfillPlan, mode: str, usual_s: float | None) -> State:
    """The state of a dry run; `usual_s`: the seconds that all of it usually takes, None if unknown."""
    if not plan.gaps:
        return Completed(message=_nothing(plan, mode) + _left_alone(plan))
    taking = f"; takes {_duration(usual_s)} or so" if usual_s else ""
    return Completed(
        message=f"dry run: would load {_count(len(plan.gaps))}: {_gaps(plan.gaps)}{_left_alone(plan)}{taking}"
    )


def refused_state(plan: BackfillPlan, max_dates: int, seconds_per_date: float | None) -> State:
    """The state of a run over more dates than `max_dates`; `seconds_per_date` is the usual time, None if unknown."""
    count, first, last = len(plan.gaps), min(gap.date for gap in plan.gaps), max(gap.date for gap in plan.gaps)
    taking = f" ({_duration(count * seconds_per_date)} or so, one after the other)" if seconds_per_date else ""
    message = (
        f"nothing was loaded: {count:,} dates from {first} to {last}{taking} are more than max_dates={max_dates} "
        f"allows: name start_date and end_date, or give max_dates={count}"
    )
    return refused(message)


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def yielded_state(
    outcomes: Sequence[DateOutcome], begun: int, plan: BackfillPlan, waiting: str, rest: DateRange, queued: str
) -> State:
    """The state of a run that made room for run `waiting` after it had `begun` so many dates, and queued `rest` of its
    range as run `queued`. `outcomes` are its own and those carried over."""
    message = f"made room for {waiting} after {_count(begun)}: {queued} goes on with {rest}"
    busy = f"; it also tries what another run has begun: {_gaps(plan.under_way)}" if plan.under_way else ""
    return Completed(name=YIELDED, message=message + busy + _failed(outcomes) + _partly(outcomes) + _settled(outcomes))


def ended_state(outcomes: Sequence[DateOutcome], plan: BackfillPlan, mode: str) -> State:
    """The state of a run that came to its end: Failed when a date failed, PartiallyLoaded when a region is missing or
    another run has begun it."""
    if not outcomes:
        message = _nothing(plan, mode) + _left_alone(plan)
        return Completed(name=PARTIALLY_LOADED if plan.under_way else None, message=message)
    tried = [outcome for outcome in outcomes if not outcome.is_settled]
    completed = sum(outcome.completed for outcome in tried)
    what = _count(completed) if completed == len(tried) else f"{completed} of {_count(len(tried))}"
    message = f"{what} loaded{_failed(outcomes)}{_partly(outcomes)}{_settled(outcomes)}{_left_alone(plan)}"
    if completed < len(tried):
        return Failed(message=f"{message}; artifact backfill shows all")
    fully = all(outcome.fully_loaded for outcome in outcomes) and not plan.under_way
    return Completed(message=message) if fully else Completed(name=PARTIALLY_LOADED, message=message)


def _failed(outcomes: Sequence[DateOutcome]) -> str:
    failed = [f"{o.date} ({o.state}: {o.message})" for o in outcomes if not o.completed]
    return f"; failed: {_named(failed)}" if failed else ""


def _partly(outcomes: Sequence[DateOutcome]) -> str:
    partly = [f"{o.date} ({o.message})" for o in outcomes if o.completed and not o.fully_loaded]
    return f"; partially loaded: {_named(partly)}" if partly else ""


def _settled(outcomes: Sequence[DateOutcome]) -> str:
    settled = [f"{o.date} ({o.message})" for o in outcomes if o.is_settled]
    return f"; {SETTLED}: {_named(settled)}" if settled else ""


def _left_alone(plan: BackfillPlan) -> str:
    begun = "another run has begun it and goes on, or has died within the last lease_minutes (load it again then)"
    return f"; left alone, because {begun}: {_gaps(plan.under_way)}" if plan.under_way else ""


def _gaps(gaps: Iterable[Gap]) -> str:
    return _named([f"{gap.date} ({regions_of(gap)})" for gap in gaps], ", ")


def _nothing(plan: BackfillPlan, mode: str) -> str:
    return f"nothing to load in mode {mode} from {plan.days}"


def _named(texts: Sequence[str], separator: str = "; ") -> str:
    rest = f"{separator}and {len(texts) - DATES_NAMED_MAX} more" if len(texts) > DATES_NAMED_MAX else ""
    return separator.join(texts[:DATES_NAMED_MAX]) + rest


def _count(dates: int) -> str:
    return counted(dates, "date")
