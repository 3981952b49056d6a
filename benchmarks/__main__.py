"""`python -m benchmarks`: compares the daily run with its floor and its peers, as medians on one machine."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.floor import load_finished_files, read_to_nowhere
from benchmarks.flow_run import FlowRun, run_flow
from benchmarks.peers import run_peer
from benchmarks.results import Results, Target, Timing, median_steps, write
from benchmarks.warehouse import forget_runs
from benchmarks.work import DAY, DAY_OF_FEW, FEW_ROWS, Work, prepared

ROWS, REPEATS = 500_000, 3

FIRST, AGAIN, FEW = "daily-sales, first run", "daily-sales, again", f"daily-sales, 4 x {FEW_ROWS} rows"
FLOOR, READ, LOAD = "floor", "floor: COPY to nowhere", "floor: COPY and MERGE of the finished files"
PEERS = {
    "dlt fast, into DuckDB": ("dlt_to_duckdb", "fast"),
    "dlt exact, into DuckDB": ("dlt_to_duckdb", "exact"),
    "pandas.read_sql alone": ("pandas_read_sql",),
    "sling, to CSV": ("sling_to_csv",),
}
FLOW_OVER = {
    "dlt fast, into DuckDB": 0.75,
    "dlt exact, into DuckDB": 0.40,
    "pandas.read_sql alone": 0.40,
    FLOOR: 2.5,
}
LOADING = ("publish", "verify")
"""The steps that correspond to the floor's COPY and MERGE: load and publish, and the second look."""
LOADING_OVER_FLOOR = 2.3
AGAIN_OVER_FIRST, PEAK_GB, FEW_S, COLD_START_S = 1.0, 1.5, 5.0, 10.0
TIME_OVER_ROWS, PEAK_OVER_ROWS = 11.0, 1.5
"""Limits for ten times ROWS, as multiples of the figures for ROWS."""

GUARDED_RATIO = 8.0
"""The guard's limit for the time that grows with the rows, over the floor; see docs/performance.md."""


def main() -> int:
    """Runs the benchmark, or with --guard the small one that only compares with the floor."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument(
        "--guard", action="store_true", help="no peers: fail if the run is slow compared with its floor"
    )
    parser.add_argument("--alone", action="store_true", help="no peers; implied above 500,000 rows")
    asked = parser.parse_args()
    if asked.guard:
        with made(asked.rows) as work:
            return guard(work, asked.repeats)
    fewer = [] if asked.rows <= ROWS else first_runs(ROWS, asked.repeats)
    peers = {} if asked.alone or fewer else PEERS
    with made(asked.rows, for_peers=bool(peers)) as work:
        return compare(work, asked.repeats, peers, fewer)


@contextmanager
def made(rows: int, for_peers: bool = False) -> Iterator[Work]:
    """Prepares a stack with `rows` rows per region, after a line that announces it."""
    print(f"making 4 x {rows:,} rows ...", flush=True)
    with prepared(rows, for_peers) as work:
        yield work


def first_runs(rows: int, repeats: int) -> list[FlowRun]:
    """First runs of fewer rows, for comparison."""
    runs = []
    with made(rows) as work:
        for repeat in range(1, repeats + 1):
            forget_runs(work.environment)
            runs.append(run_flow(work, DAY))
            _print_run(repeat, f"{FIRST} of 4 x {rows:,} rows", runs[-1])
    return runs


def compare(work: Work, repeats: int, peers: dict[str, tuple[str, ...]], fewer: list[FlowRun]) -> int:
    """Times all in turn in each repeat, so that a slow minute of the machine affects all.

    With `fewer`, only first runs and the floor, whose growth is measured.
    """
    days = {FIRST: DAY} if fewer else {FEW: DAY_OF_FEW, FIRST: DAY, AGAIN: DAY}
    seconds: dict[str, list[float]] = defaultdict(list)
    runs: dict[str, list[FlowRun]] = defaultdict(list)
    for repeat in range(1, repeats + 1):
        forget_runs(work.environment)
        for name, day in days.items():
            runs[name].append(run_flow(work, day))
            _print_run(repeat, name, runs[name][-1])
        parts = {READ: read_to_nowhere(work), LOAD: load_finished_files(work)}
        for name, part in {**parts, FLOOR: sum(parts.values())}.items():
            seconds[name].append(part)
            _print_seconds(repeat, name, part)
        for name, (script, *options) in peers.items():
            seconds[name].append(run_peer(work, script, *options))
            _print_seconds(repeat, name, seconds[name][-1])
    timed = {name: [run.seconds for run in found] for name, found in runs.items()} | seconds
    results = Results(
        rows=work.rows,
        timings=[Timing(name, found) for name, found in timed.items()],
        steps=median_steps(runs[FIRST]),
        peak_mb=median(run.peak_mb for run in runs[FIRST]),
        targets=[*_targets(runs, timed), *_growth(runs[FIRST], fewer)],
    )
    page = write(results)
    print(f"\n{page.read_text()}\nwritten to {page}")
    return 0


def _targets(runs: dict[str, list[FlowRun]], timed: dict[str, list[float]]) -> list[Target]:
    middle = {name: median(seconds) for name, seconds in timed.items()}
    others = {other: most for other, most in FLOW_OVER.items() if other in middle}
    targets = [
        *(Target(f"first run / {other}", middle[FIRST] / middle[other], most) for other, most in others.items()),
        Target("peak memory (PSS)", median(run.peak_mb for run in runs[FIRST]) / 1000, PEAK_GB, " GB"),
        Target("cold start to the first task", median(run.cold_start for run in runs[FIRST]), COLD_START_S, " s"),
    ]
    loading = median(sum(run.steps[step] for step in LOADING) for run in runs[FIRST])
    targets.append(Target("load, publish and verify / COPY and MERGE", loading / middle[LOAD], LOADING_OVER_FLOOR))
    if AGAIN in middle:
        targets.append(Target("second run / first run", middle[AGAIN] / middle[FIRST], AGAIN_OVER_FIRST))
    if FEW in middle:
        targets.append(Target(f"the flow on 4 x {FEW_ROWS} rows", middle[FEW], FEW_S, " s"))
    return targets


def _growth(more: list[FlowRun], fewer: list[FlowRun]) -> list[Target]:
    if not fewer:
        return []
    seconds = median(run.seconds for run in more) / median(run.seconds for run in fewer)
    peak = median(run.peak_mb for run in more) / median(run.peak_mb for run in fewer)
    return [
        Target(f"time / that of 4 x {ROWS:,} rows", seconds, TIME_OVER_ROWS),
        Target(f"peak memory / that of 4 x {ROWS:,} rows", peak, PEAK_OVER_ROWS),
    ]


def guard(work: Work, repeats: int) -> int:
    """Returns 1 if the time that grows with the rows is more than GUARDED_RATIO times the floor."""
    ratios = []
    for repeat in range(1, repeats + 1):
        forget_runs(work.environment)
        few, first = run_flow(work, DAY_OF_FEW).seconds, run_flow(work, DAY).seconds
        floor = read_to_nowhere(work) + load_finished_files(work)
        ratios.append((first - few) / floor)
        for name, seconds in ((FIRST, first), (FEW, few), (FLOOR, floor)):
            _print_seconds(repeat, name, seconds)
    ratio = median(ratios)
    print(f"the time that grows with the rows is {ratio:.1f} x the floor (limit {GUARDED_RATIO:g})")
    return 0 if ratio <= GUARDED_RATIO else 1


def _print_run(repeat: int, name: str, run: FlowRun) -> None:
    print(f"{repeat}: {name} {run.seconds:.1f} s, {run.peak_mb / 1000:.2f} GB", flush=True)


def _print_seconds(repeat: int, name: str, seconds: float) -> None:
    print(f"{repeat}: {name} {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
