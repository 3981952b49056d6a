"""How long flow runs are kept on the Prefect server. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from blocks import names

TAG = names.of(names.PROJECT)
"""The tag of this project's runs, set by their deployments in prefect.yaml or by `flows/support/command_line.py`."""

ROUTINE_FLOW = "watchdog"
ROUTINE_DAYS_MAX = 7
"""There are 288 passes a day; a week later a successful one is of no use, and ledger and mails record what it did."""

UNSUCCESSFUL_FACTOR = 3
"""How many times as long unsuccessful runs are kept."""


class Kind(StrEnum):
    """Runs that are kept for the same time, with their names in a report."""

    ROUTINE = "completed runs of the watchdog"
    COMPLETED = "completed runs of all others"
    UNSUCCESSFUL = "failed, crashed and cancelled runs"


STATE_TYPES = {
    Kind.ROUTINE: ("COMPLETED",),
    Kind.COMPLETED: ("COMPLETED",),
    Kind.UNSUCCESSFUL: ("FAILED", "CRASHED", "CANCELLED"),
}
"""Types of Prefect states; a run in any other has not ended, and stays."""


@dataclass(frozen=True)
class PastRun:
    """A flow run; `ended_at` is aware."""

    flow: str
    state_type: str
    ended_at: datetime | None


def days_kept(kind: Kind, days: int) -> int:
    """Returns the days for which runs of this kind are kept; `days` is the variable prefect_retention_days."""
    match kind:
        case Kind.ROUTINE:
            return min(days, ROUTINE_DAYS_MAX)
        case Kind.COMPLETED:
            return days
        case Kind.UNSUCCESSFUL:
            return days * UNSUCCESSFUL_FACTOR


def kind_of(run: PastRun) -> Kind | None:
    """The kind of a run, None when it has not ended."""
    if run.state_type in STATE_TYPES[Kind.UNSUCCESSFUL]:
        return Kind.UNSUCCESSFUL
    if run.state_type in STATE_TYPES[Kind.COMPLETED]:
        return Kind.ROUTINE if run.flow == ROUTINE_FLOW else Kind.COMPLETED
    return None


def may_go(family: Sequence[PastRun], days: int, now: datetime) -> bool:
    """Whether a run and all that it has started ended longer ago than runs of their kinds are kept."""
    return all(_is_old(run, days, now) for run in family)


def _is_old(run: PastRun, days: int, now: datetime) -> bool:
    kind = kind_of(run)
    return kind is not None and run.ended_at is not None and run.ended_at < now - timedelta(days=days_kept(kind, days))
