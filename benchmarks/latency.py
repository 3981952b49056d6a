"""`python -m benchmarks.latency`: how much longer a small day takes when warehouse and Prefect server are far away.

Each statement is delayed by 250 ms, each call of the Prefect server by 80 ms; logins and session renewals are not. The
same day runs near and far in turn, on one machine, each in a new process. Log lines below WARNING are not sent: one of
Prefect's threads would send them during the run.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median
from urllib.parse import urlsplit

from benchmarks.far_away import QUERY, far_away
from benchmarks.flow_run import run_flow
from benchmarks.warehouse import forget_runs
from benchmarks.work import DAY, Work, prepared

ROWS, REPEATS = 3_000, 3
STATEMENT_S, CALL_S = 0.250, 0.080
LONGER_S_MAX = 14.0


def main() -> int:
    """Prints both times and their difference; returns 1 if it is larger than LONGER_S_MAX."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    with prepared(asked.rows, for_peers=False) as work:
        return compare(work, asked.repeats)


def compare(work: Work, repeats: int) -> int:
    """Times near and far in turn, so that a slow minute of the machine affects both."""
    near, far = [], []
    with (
        far_away(int(work.environment["SNOWFLAKE_PORT"]), STATEMENT_S, QUERY) as warehouse,
        far_away(urlsplit(work.environment["PREFECT_API_URL"]).port or 0, CALL_S) as server,
    ):
        far_off = {"PREFECT_API_URL": f"http://127.0.0.1:{server.port}/api"}
        for repeat in range(1, repeats + 1):
            near.append(seconds_of(work, work.environment["SNOWFLAKE_PORT"], {}))
            before = len(warehouse.requests_to(QUERY)), len(server.requests)
            far.append(seconds_of(work, str(warehouse.port), far_off))
            statements, calls = len(warehouse.requests_to(QUERY)) - before[0], len(server.requests) - before[1]
            print(
                f"{repeat}: near {near[-1]:.1f} s, far {far[-1]:.1f} s ({statements} statements, {calls} calls)",
                flush=True,
            )
    longer = median(there - here for here, there in zip(near, far, strict=True))
    print(
        f"far away the day of 4 x {work.rows:,} rows takes {longer:.1f} s longer (median of {repeats}); "
        f"the limit is {LONGER_S_MAX:g} s"
    )
    return 0 if longer <= LONGER_S_MAX else 1


def seconds_of(work: Work, warehouse_port: str, settings: Mapping[str, str]) -> float:
    """Seconds of the whole command that runs the day for the first time, with extra environment variables."""
    forget_runs(work.environment)
    environment = {**work.environment, "SNOWFLAKE_PORT": warehouse_port}
    subprocess.run([sys.executable, "-m", "blocks.register"], env=environment, check=True, stdout=subprocess.DEVNULL)
    start = time.monotonic()
    run_flow(work, DAY, {**work.environment, **settings})
    return time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
