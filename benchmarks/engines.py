"""`python -m benchmarks.engines`: the daily run with pandas and with an engine, in turn, on one machine.

The engine is the one at TEST_SPARK_REMOTE, or without it a Sail server that each run starts for itself.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.flow_run import FlowRun, run_flow
from benchmarks.results import median_steps
from benchmarks.warehouse import forget_runs
from benchmarks.work import DAY, prepared

ROWS, REPEATS = 500_000, 3
ENGINES = ("pandas", "spark")


def main() -> int:
    """Prints seconds and peak memory of each engine, by step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    runs = defaultdict[str, list[FlowRun]](list)
    with prepared(asked.rows, for_peers=False) as work:
        if remote := os.environ.get("TEST_SPARK_REMOTE"):
            command = [sys.executable, "-m", "blocks.variables", "spark_remote", remote]
            subprocess.run(command, env=dict(work.environment), check=True, stdout=subprocess.DEVNULL)
        for repeat in range(1, asked.repeats + 1):
            for engine in ENGINES:
                forget_runs(work.environment)
                runs[engine].append(run := run_flow(work, DAY, engine=engine))
                print(f"{repeat}: {engine} {run.seconds:.1f} s, {run.peak_mb / 1000:.2f} GB", flush=True)
    print_table(runs)
    return 0


def print_table(runs: Mapping[str, Sequence[FlowRun]]) -> None:
    """Prints a line for each step, and for the whole: medians of both engines, and their ratio."""
    steps = {engine: median_steps(of_engine) for engine, of_engine in runs.items()}
    print(f"{'seconds':20s}" + "".join(f"{engine:>10s}" for engine in runs) + "     ratio")
    for step in steps["pandas"]:
        print_line(step, [steps[engine].get(step, 0.0) for engine in runs])
    print_line("the run", [median(run.seconds for run in of_engine) for of_engine in runs.values()])
    print_line("peak, GB", [median(run.peak_mb / 1000 for run in of_engine) for of_engine in runs.values()])


def print_line(what: str, figures: Sequence[float]) -> None:
    """Prints the figures, and the ratio of the last to the first."""
    print(f"{what:20s}" + "".join(f"{figure:10.2f}" for figure in figures) + f"{figures[-1] / figures[0]:10.2f}")


if __name__ == "__main__":
    sys.exit(main())
