"""dlt: the tables of all regions merged by key into one DuckDB table. `exact` reads through pyarrow, `fast` through
connectorx, which makes floats of decimals. Prints its seconds and rows as JSON; imports are not timed."""

import json
import sys
import tempfile
import time

import dlt
from dlt.sources.sql_database import sql_table

BACKENDS = {"exact": "pyarrow", "fast": "connectorx"}
_CHUNK_ROWS = 100_000


def load(backend: str, table: str, urls: list[str]) -> tuple[float, int]:
    """Seconds and rows of one load into an empty database."""
    with tempfile.TemporaryDirectory() as directory:
        pipeline = dlt.pipeline(
            "peer", pipelines_dir=directory, destination=dlt.destinations.duckdb(f"{directory}/peer.duckdb")
        )
        start = time.perf_counter()
        resources = []
        for number, url in enumerate(urls):
            read = sql_table(
                credentials=url, table=table, backend=BACKENDS[backend], chunk_size=_CHUNK_ROWS, reflection_level="full"
            )
            named = read.with_name(f"region_{number}").parallelize()
            named.apply_hints(table_name="sales", write_disposition="merge", primary_key="sale_id")
            resources.append(named)
        pipeline.run(resources).raise_on_failed_jobs()
        seconds = time.perf_counter() - start
        with pipeline.sql_client() as client:
            ((rows,),) = client.execute_sql("SELECT COUNT(*) FROM sales")
        return seconds, rows


if __name__ == "__main__":
    seconds, rows = load(sys.argv[1], sys.argv[2], sys.argv[3:])
    print(json.dumps({"seconds": seconds, "rows": rows}))
