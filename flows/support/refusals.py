"""Refusals: what an operator asked for by mistake ends at once, with a message that says why, and mails nobody."""

import re
from datetime import UTC, datetime

from prefect.states import Failed, State

from flows.support.parameters import WITHOUT_DATE, choose_range
from tasks.batch import YESTERDAY, parse_business_date, refuse_future

REFUSED = "Refused"
"""The name of the state. No automation mails it."""


def refused(message: str) -> State:
    """The state of a run that was asked for what makes no sense: nothing was done."""
    return Failed(name=REFUSED, message=message)


def refused_dates(*asked: str | int | None) -> State | None:
    """The state Refused of a run that was asked for a date to come, by the clock; None when none of them is.

    `yesterday` and the batch ids of named keys are no dates to come.
    """
    try:
        for value in asked:
            if value is not None and value != YESTERDAY and not re.fullmatch(WITHOUT_DATE, str(value)):
                refuse_future(parse_business_date(value), datetime.now(UTC))
    except ValueError as error:
        return refused(str(error))
    return None


def refused_range(start_date: str | int | None, end_date: str | int | None) -> State | None:
    """The state Refused of a run that was asked for a range that makes no sense; None for one that does."""
    if in_future := refused_dates(start_date, end_date):
        return in_future
    try:
        choose_range(start_date, end_date)
    except ValueError as error:
        return refused(str(error))
    return None
