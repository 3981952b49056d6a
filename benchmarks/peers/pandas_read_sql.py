"""pandas.read_sql of every region in a thread each, and nothing more: the extract of the design that the flow replaces.
Prints its seconds and rows as JSON; imports are not timed."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import sqlalchemy


def read(url: str, table: str) -> int:
    """Rows of one region's table."""
    with sqlalchemy.create_engine(url).connect() as connection:
        return len(pd.read_sql(f"SELECT * FROM {table}", connection))


if __name__ == "__main__":
    table, urls = sys.argv[1], sys.argv[2:]
    start = time.perf_counter()
    with ThreadPoolExecutor(len(urls)) as pool:
        rows = sum(pool.map(lambda url: read(url, table), urls))
    print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows}))
