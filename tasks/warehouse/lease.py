"""The lease of an attempt: renewed while its run works; a lease that is over belongs to a dead run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from prefect import get_run_logger

from blocks import names
from blocks.once import load_once
from blocks.snowflake import SnowflakeHostConnector
from tasks.batch import Attempt
from tasks.warehouse.session import open_session
from tasks.warehouse.statements import render

RENEWAL_INTERVAL = timedelta(minutes=5)
"""How often a lease is renewed while a step goes on."""


@contextmanager
def lease_kept(attempt: Attempt, warehouse: str, lease_minutes: int) -> Iterator[None]:
    """Renews the lease of `attempt` every 5 minutes, in a thread, while the body runs.

    A failed renewal is logged, and the next one tries again: a lease may lapse, but the load must not fail for it.
    """
    connector, logger = load_once(SnowflakeHostConnector, names.WAREHOUSE), get_run_logger()
    done, tag = threading.Event(), f"retail-sales renew {attempt.batch_id}"

    def renew() -> None:
        while not done.wait(RENEWAL_INTERVAL.total_seconds()):
            try:
                with open_session(connector, warehouse, tag, logger.warning) as session:
                    session.query(render("ledger/renew_lease"), [attempt.run_number, lease_minutes])
                logger.info("step=renew run=%d still working", attempt.run_number)
            except Exception as error:  # noqa: BLE001 (the load goes on in any case)
                logger.warning("step=renew run=%d failed: %s", attempt.run_number, error)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
