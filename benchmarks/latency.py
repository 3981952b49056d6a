"""`python -m benchmarks.latency`: how much longer a small day takes when warehouse and Prefect server are far away.

Each statement takes 250 ms longer, each call of the Prefect server 80 ms; logins and renewals of a session take no
longer. The same day runs near and far in turn, on one machine, as a process of its own. Log lines below WARNING are not
sent: a thread of Prefect's would send them beside the run.
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
    """Prints both times and their difference; 1 when it is larger than LONGER_S_MAX."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    with prepared(asked.rows, for_peers=False) as work:
        return compare(work, asked.repeats)


def compare(work: Work, repeats: int) -> int:
    """Near and far in turn, so that a slow minute of the machine hits both."""
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
        f"at most {LONGER_S_MAX:g} s is wanted"
    )
    return 0 if longer <= LONGER_S_MAX else 1


def seconds_of(work: Work, warehouse_port: str, settings: Mapping[str, str]) -> float:
    """Seconds of the whole command that runs the day for the first time, with other environment variables."""
    forget_runs(work.environment)
    environment = {**work.environment, "SNOWFLAKE_PORT": warehouse_port}
    subprocess.run([sys.executable, "-m", "blocks.register"], env=environment, check=True, stdout=subprocess.DEVNULL)
    start = time.monotonic()
    run_flow(work, DAY, {**work.environment, **settings})
    return time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
