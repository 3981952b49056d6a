"""Reads the ledger's first date, and the states of a range of dates."""

from datetime import date

from prefect import task

from tasks.pages.figures import read_ledger_range
from tasks.retries import RETRIES
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import task_session
from tasks.warehouse.states import LedgerState


@task(name="read-ledger", **RETRIES)
def read_ledger(first: date | None, last: date, warehouse: str) -> list[LedgerState]:
    """The ledger's state of each date and region of a range."""
    with task_session(warehouse, f"read-ledger {last}") as session:
        return known_states(session, first, last)


@task(name="read-first-date", **RETRIES)
def read_first_date(warehouse: str) -> date | None:
    """The first date that was ever loaded, or else tried; None for an empty ledger."""
    with task_session(warehouse, "read-first-date") as session:
        whole = read_ledger_range(session)
    return whole.first if whole else None
