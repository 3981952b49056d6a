"""The timed work: generated rows in a separate local stack."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg2

from local import generator, stack
from local.environment import CHECKOUT, REGION_CODES, read_stack_env
from local.generator import Dirt

STATE_DIR = CHECKOUT / ".benchmark"
DAY = date(2024, 1, 15)
"""The day of the work; DAY_OF_FEW is for the fixed share of the time."""
DAY_OF_FEW, FEW_ROWS = date(2024, 2, 15), 25
DIRT = 0.02

PEER_TABLE = "sales_transactions_for_peers"
"""The day's rows that a loader without rules can take: each key once and not NULL, no NaN, no infinity."""

_PEER_ROWS = f"""
CREATE TABLE {PEER_TABLE} AS
SELECT DISTINCT ON (sale_id) *
FROM sales_transactions
WHERE (sale_date < '2024-02-01' OR updated_at < '2024-02-01')
    AND sale_id IS NOT NULL AND unit_price <> 'NaN' AND isfinite(updated_at) AND isfinite(sale_date)
ORDER BY sale_id, updated_at DESC
"""


@dataclass(frozen=True)
class Work:
    """The running stack, its environment variables, and the rows of each region on DAY."""

    environment: Mapping[str, str]
    rows: int

    def source_urls(self) -> list[str]:
        """One URL per region, as the pipeline's role."""
        return [self.environment[f"PG_{code}_URL"] for code in REGION_CODES]


@contextmanager
def prepared(rows: int, for_peers: bool) -> Iterator[Work]:
    """A fresh stack with `rows` dirty rows a region on DAY, and a table for peers; stopped and removed afterwards."""
    with fresh_stack(sample_data="none") as stack_environment:
        environment = {**stack_environment, "PREFECT_LOGGING_LEVEL": "WARNING"}
        with ThreadPoolExecutor(len(REGION_CODES)) as pool:
            urls = {code: environment[f"PG_{code}_OWNER_URL"] for code in REGION_CODES}
            list(pool.map(lambda code: _fill(urls[code], code, rows, for_peers), REGION_CODES))
        register(environment)
        yield Work(environment, rows)


@contextmanager
def fresh_stack(sample_data: str) -> Iterator[dict[str, str]]:
    """The environment of a new stack, which is stopped and removed afterwards, also after Ctrl-C or SIGTERM.

    `sample_data`: `none`, or `year`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.update(RETAIL_SALES_LOCAL_DIR=str(STATE_DIR), RETAIL_SALES_SAMPLE_DATA=sample_data)
    os.environ.pop("PREFECT_API_URL", None)
    stack.clean()
    try:
        stack.up()
        yield {**os.environ, **read_stack_env()}
    finally:
        stack.clean()
        shutil.rmtree(STATE_DIR, ignore_errors=True)


def register(environment: Mapping[str, str]) -> None:
    """Registers blocks and variables, and creates the warehouse's tables."""
    for module in ("local.register", "flows.setup_warehouse"):
        subprocess.run([sys.executable, "-m", module], env=environment, check=True, stdout=subprocess.DEVNULL)


def _fill(url: str, code: str, rows: int, for_peers: bool) -> None:
    made = (part.table for part in generator.batches(code, DAY, rows, seed=1, dirt=Dirt.of(DIRT)))
    generator.load(url, made)
    generator.load(url, [generator.generate(code, DAY_OF_FEW, FEW_ROWS, seed=1).table])
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    if for_peers:
        cursor.execute(_PEER_ROWS)
        cursor.execute(f"GRANT SELECT ON {PEER_TABLE} TO sales_reader")
    cursor.execute("VACUUM ANALYZE")
    connection.close()
