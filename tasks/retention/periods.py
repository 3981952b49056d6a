"""How long flow runs stay on the Prefect server. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from blocks import names

TAG = names.of(names.PROJECT)
"""What runs of this project carry: from their deployments in prefect.yaml, or from `flows/support/command_line.py`."""

ROUTINE_FLOW = "watchdog"
ROUTINE_DAYS_MAX = 7
"""288 passes a day; one that ended well says nothing a week later, and what it did stands in ledger and mails."""

UNSUCCESSFUL_FACTOR = 3
"""So many times as long stays what did not end well."""


class Kind(StrEnum):
    """Runs that are kept for the same time, as a report calls them."""

    ROUTINE = "completed runs of the watchdog"
    COMPLETED = "completed runs of all others"
    UNSUCCESSFUL = "failed, crashed and cancelled runs"


STATE_TYPES = {
    Kind.ROUTINE: ("COMPLETED",),
    Kind.COMPLETED: ("COMPLETED",),
    Kind.UNSUCCESSFUL: ("FAILED", "CRASHED", "CANCELLED"),
}
"""The types of Prefect's states; a run in any other is not over, and stays."""


@dataclass(frozen=True)
class PastRun:
    """A flow run; `ended_at` is aware."""

    flow: str
    state_type: str
    ended_at: datetime | None


def days_kept(kind: Kind, days: int) -> int:
    """How many days runs of this kind are kept, by the variable prefect_retention_days."""
    match kind:
        case Kind.ROUTINE:
            return min(days, ROUTINE_DAYS_MAX)
        case Kind.COMPLETED:
            return days
        case Kind.UNSUCCESSFUL:
            return days * UNSUCCESSFUL_FACTOR


def kind_of(run: PastRun) -> Kind | None:
    """None for a run that is not over."""
    if run.state_type in STATE_TYPES[Kind.UNSUCCESSFUL]:
        return Kind.UNSUCCESSFUL
    if run.state_type in STATE_TYPES[Kind.COMPLETED]:
        return Kind.ROUTINE if run.flow == ROUTINE_FLOW else Kind.COMPLETED
    return None


def may_go(family: Sequence[PastRun], days: int, now: datetime) -> bool:
    """Whether a run and all that it has started are over, each for longer than runs of its kind are kept."""
    return all(_is_old(run, days, now) for run in family)


def _is_old(run: PastRun, days: int, now: datetime) -> bool:
    kind = kind_of(run)
    return kind is not None and run.ended_at is not None and run.ended_at < now - timedelta(days=days_kept(kind, days))
