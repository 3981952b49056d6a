"""The first day: from which date on a missing one is missed, where variable `first_date` does not say it.

A date is missed when its run was due after the daily deployment was made, or when the ledger goes on: when it knows one
of the days before. So a first deployment is not blamed for the days before it, and one that moves to another Prefect
server is. Where neither is known, outside Prefect with an empty ledger, nothing is missed.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session
from tasks.watch.late_and_dead import DATES_WATCHED, SCHEDULED_AT
from tasks.watch.runs import read_deployed_at

Late = TypeVar("Late")


def is_missed(day: date, deployed_at: datetime | None, known: Iterable[date]) -> bool:
    """Whether somebody waits for `day`.

    `deployed_at` (aware) is when the daily deployment was made, None when nobody can tell; `known` are dates of the
    ledger.
    """
    due = datetime.combine(day + timedelta(days=1), SCHEDULED_AT, tzinfo=UTC)
    first, last = days_before(day)
    return (deployed_at is not None and deployed_at <= due) or any(first <= other <= last for other in known)


def days_before(day: date) -> tuple[date, date]:
    """The first and the last of the dates before `day` that show that the pipeline was in use."""
    return day - timedelta(days=DATES_WATCHED), day - timedelta(days=1)


def only_missed(session: Session, late: Mapping[date, Late], asks_prefect: bool) -> dict[date, Late]:
    """Those of the late dates for which somebody waits."""
    deployed_at = read_deployed_at() if asks_prefect and late else None
    return {
        day: regions
        for day, regions in late.items()
        if is_missed(day, deployed_at, (state.date for state in known_states(session, *days_before(day))))
    }
