"""The first date that is expected in production, where the variable `first_date` does not set it.

A date is expected when its run was due after the daily deployment was made, or when the ledger knows one of the days
before it. So a first deployment sends no alert about the days before it, and one that moves to another Prefect server
does. Where neither is known, outside Prefect with an empty ledger, no date is expected.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session
from tasks.watch.late_and_dead import DATES_WATCHED, SCHEDULED_AT
from tasks.watch.runs import read_deployed_at

Late = TypeVar("Late")


def is_expected(day: date, deployed_at: datetime | None, known: Iterable[date]) -> bool:
    """Whether `day` is expected in production.

    `deployed_at` (aware) is when the daily deployment was made, None when unknown; `known` are dates of the ledger.
    """
    due = datetime.combine(day + timedelta(days=1), SCHEDULED_AT, tzinfo=UTC)
    first, last = days_before(day)
    return (deployed_at is not None and deployed_at <= due) or any(first <= other <= last for other in known)


def days_before(day: date) -> tuple[date, date]:
    """Returns the first and the last of the dates before `day` that prove that the pipeline was in use."""
    return day - timedelta(days=DATES_WATCHED), day - timedelta(days=1)


def only_expected(session: Session, late: Mapping[date, Late], asks_prefect: bool) -> dict[date, Late]:
    """Returns those of the late dates that are expected."""
    deployed_at = read_deployed_at() if asks_prefect and late else None
    return {
        day: regions
        for day, regions in late.items()
        if is_expected(day, deployed_at, (state.date for state in known_states(session, *days_before(day))))
    }
