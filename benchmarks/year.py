"""`python -m benchmarks.year`: a backfill of the real year, timed by date and by step, and checked by a plain model.

Each date is a daily run of its own, `--max-active` of them side by side. Afterwards the fact table is compared with one
pass over all rows of the four sources (`plain_model.py`).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import median

from benchmarks.flow_run import ended_too, runs_of_flow
from benchmarks.plain_model import content_of_sources, content_of_table
from benchmarks.work import fresh_stack, register
from expectations.regions import REGIONS

FIRST, LAST = date(2017, 1, 1), date(2017, 12, 31)
CLOSED = json.dumps({code: ["2017-12-25"] for code in REGIONS})
"""The sample data have no sale on that day."""
DATE_S_MAX = 6.0


def main() -> int:
    """Returns 1 if a date takes longer than DATE_S_MAX on average, or the table is not what the model says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--first", type=date.fromisoformat, default=FIRST)
    parser.add_argument("--last", type=date.fromisoformat, default=LAST)
    parser.add_argument("--max-active", type=int, default=1, help="dates side by side")
    asked = parser.parse_args()
    with fresh_stack(sample_data="year") as environment:
        register({**environment, "CLOSED_DAYS": CLOSED})
        seconds = backfill(asked.first, asked.last, asked.max_active, environment)
        dates = (asked.last - asked.first).days + 1
        print(f"{dates} dates, {asked.max_active} side by side: {seconds:.0f} s, {seconds / dates:.2f} s a date")
        print_steps(runs_of_flow(environment["PREFECT_API_URL"], "daily-sales"), seconds / dates)
        table, model = content_of_table(environment), content_of_sources(environment, asked.first, asked.last)
    print(f"fact table:  {table}\nplain model: {model}")
    return 0 if table == model and seconds <= dates * DATE_S_MAX else 1


def backfill(first: date, last: date, max_active: int, environment: Mapping[str, str]) -> float:
    """Loads the dates; returns the seconds of the whole command. Prints its lines about dates done and time left."""
    command = [sys.executable, "-m", "flows.backfill", f"{first}", f"{last}", "--max-dates", "400"]
    start = time.monotonic()
    with (
        subprocess.Popen(
            [*command, "--max-active", str(max_active)],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        ended_too(process),
    ):
        for line in process.stdout or ():
            if "step=backfill dates=" in line or " | ERROR " in line:
                print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"the backfill ended with exit code {process.returncode}: {line}")
    return time.monotonic() - start


def print_steps(runs: Sequence[tuple[float, Mapping[str, float]]], date_s: float) -> None:
    """Prints a line for each step: its median seconds over all runs."""
    steps = dict.fromkeys(step for _, of_run in runs for step in of_run)
    for step in steps:
        print(f"{step:20s}{median(of_run[step] for _, of_run in runs if step in of_run):6.2f} s")
    between = median(seconds - sum(of_run.values()) for seconds, of_run in runs)
    print(f"{'between steps':20s}{between:6.2f} s, where Prefect ends one and starts the next")
    print(f"{'the run':20s}{median(seconds for seconds, _ in runs):6.2f} s of {date_s:.2f} s a date")


if __name__ == "__main__":
    sys.exit(main())
