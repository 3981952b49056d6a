"""`python -m benchmarks.engines`: the daily run with pandas and with engines, in turn, on one machine.

`sail` is a Sail server that each run starts for itself; `spark` an Apache Spark on this machine, whose memory is not
counted, and whose files a data source of Python reads and writes, slowly; `remote` the engine at TEST_SPARK_REMOTE.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.flow_run import FlowRun, run_flow
from benchmarks.results import median_steps
from benchmarks.warehouse import forget_runs
from benchmarks.work import DAY, Work, prepared
from local.spark import installed, running_spark

ROWS, REPEATS = 500_000, 3
ENGINES = ("pandas", "sail", "spark", "remote")
PANDAS, SAIL, SPARK, REMOTE = ENGINES
SPARK_MEMORY = "8g"


def main() -> int:
    """Prints seconds and peak memory of each engine, by step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    default = (PANDAS, REMOTE if os.environ.get("TEST_SPARK_REMOTE") else SAIL)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=default, help="by default: %(default)s")
    asked = parser.parse_args()
    if REMOTE in asked.engines and not os.environ.get("TEST_SPARK_REMOTE"):
        parser.error("engine remote: set TEST_SPARK_REMOTE to its address, like sc://host:15002")
    runs = defaultdict[str, list[FlowRun]](list)
    with prepared(asked.rows, for_peers=False) as work, tempfile.TemporaryDirectory() as directory:
        packages = installed() if SPARK in asked.engines else None
        for repeat in range(1, asked.repeats + 1):
            for engine in asked.engines:
                forget_runs(work.environment)
                with address_of(engine, packages, Path(directory)) as remote:
                    runs[engine].append(run := run_on(work, engine, remote))
                print(f"{repeat}: {engine} {run.seconds:.1f} s, {run.peak_mb / 1000:.2f} GB", flush=True)
    print_table(runs)
    return 0


@contextmanager
def address_of(engine: str, packages: Path | None, directory: Path) -> Iterator[str]:
    """The address of an engine; empty for one that a run has itself. Apache Spark runs during the body."""
    if engine == SPARK and packages:
        with running_spark(packages, directory, SPARK_MEMORY) as address:
            yield address
    else:
        yield os.environ["TEST_SPARK_REMOTE"] if engine == REMOTE else ""


def run_on(work: Work, engine: str, remote: str) -> FlowRun:
    """Runs the flow once."""
    command = [sys.executable, "-m", "blocks.variables", "spark_remote", remote]
    subprocess.run(command, env=dict(work.environment), check=True, stdout=subprocess.DEVNULL)
    module = "benchmarks.spark_flow" if engine == SPARK else "flows.daily_sales"
    return run_flow(work, DAY, engine=PANDAS if engine == PANDAS else "spark", module=module)


def print_table(runs: Mapping[str, Sequence[FlowRun]]) -> None:
    """Prints a line for each step, and for the whole: the medians of each engine, and their ratios to the first."""
    steps = {engine: median_steps(of_engine) for engine, of_engine in runs.items()}
    print(f"{'seconds':20s}" + "".join(f"{engine:>10s}" for engine in runs) + "   each to the first")
    for step in steps[next(iter(steps))]:
        print_line(step, [steps[engine].get(step, 0.0) for engine in runs])
    print_line("the run", [median(run.seconds for run in of_engine) for of_engine in runs.values()])
    print_line("peak, GB", [median(run.peak_mb / 1000 for run in of_engine) for of_engine in runs.values()])


def print_line(what: str, figures: Sequence[float]) -> None:
    """Prints the figures, and the ratios of the others to the first."""
    ratios = "".join(f"{figure / figures[0]:8.2f}" for figure in figures[1:])
    print(f"{what:20s}" + "".join(f"{figure:10.2f}" for figure in figures) + ratios)


if __name__ == "__main__":
    sys.exit(main())
