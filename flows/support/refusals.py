"""Refusals: a run with impossible dates ends at once with a message that says why. Nobody is mailed."""

import re
from datetime import UTC, datetime

from prefect.states import Failed, State

from flows.support.parameters import WITHOUT_DATE, choose_batch, choose_range
from tasks.batch import YESTERDAY, parse_business_date, refuse_future

REFUSED = "Refused"
"""The name of the state. No automation mails it."""


def refused(message: str) -> State:
    """The state of a run that was refused before it did anything."""
    return Failed(name=REFUSED, message=message)


def refused_dates(*asked: str | int | None) -> State | None:
    """The state Refused when one of the dates is in the future, by the clock; else None.

    `yesterday` and batch ids of named keys are accepted.
    """
    try:
        for value in asked:
            if value is not None and value != YESTERDAY and not re.fullmatch(WITHOUT_DATE, str(value)):
                refuse_future(parse_business_date(value), datetime.now(UTC))
    except ValueError as error:
        return refused(str(error))
    return None


def refused_batch(date: str | int | None, regions: list[str] | None) -> State | None:
    """The state Refused for a date in the future, or on which no region has opened; else None."""
    if in_future := refused_dates(date):
        return in_future
    try:
        choose_batch(date, regions)
    except ValueError as error:
        return refused(str(error))
    return None


def refused_range(start_date: str | int | None, end_date: str | int | None) -> State | None:
    """The state Refused for an impossible or future range; else None."""
    if in_future := refused_dates(start_date, end_date):
        return in_future
    try:
        choose_range(start_date, end_date)
    except ValueError as error:
        return refused(str(error))
    return None
