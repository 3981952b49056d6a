"""Reads what the ledger says of a range of dates."""

from datetime import date

from prefect import get_run_logger, task

from blocks.once import load_once
from blocks.snowflake import SnowflakeHostConnector
from tasks.retries import RETRIES
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import open_session
from tasks.warehouse.states import LedgerState


@task(name="read-ledger", **RETRIES)
def read_ledger(first: date | None, last: date, connector_block: str, warehouse: str) -> list[LedgerState]:
    """What the ledger says of each date and region of a range."""
    connector, logger = load_once(SnowflakeHostConnector, connector_block), get_run_logger()
    with open_session(connector, warehouse, f"retail-sales read-ledger {last}", logger.warning) as session:
        return known_states(session, first, last)
