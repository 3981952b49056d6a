"""Reads the ledger's states of a range of dates."""

from datetime import date

from prefect import task

from tasks.retries import RETRIES
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import task_session
from tasks.warehouse.states import LedgerState


@task(name="read-ledger", **RETRIES)
def read_ledger(first: date | None, last: date, warehouse: str) -> list[LedgerState]:
    """The ledger's state of each date and region of a range."""
    with task_session(warehouse, f"read-ledger {last}") as session:
        return known_states(session, first, last)
