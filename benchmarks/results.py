"""Measurements and their targets: a Markdown page, the same as JSON, and its plot."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.flow_run import FlowRun
from benchmarks.peers import HERE, python

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("prefect", "pandas", "pyarrow", "great-expectations", "snowflake-connector-python", "duckdb")


@dataclass(frozen=True)
class Target:
    """A ratio or a figure, and the most that it may be."""

    what: str
    value: float
    most: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.most


@dataclass(frozen=True)
class Timing:
    """Seconds of all repeats of one thing."""

    what: str
    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True)
class Results:
    """One benchmark: `rows` is the number per region."""

    rows: int
    timings: Sequence[Timing]
    steps: Mapping[str, float]
    peak_mb: float
    targets: Sequence[Target]


def median_steps(runs: Sequence[FlowRun]) -> dict[str, float]:
    """The median wall seconds of each step."""
    return {step: median(run.steps[step] for run in runs if step in run.steps) for step in runs[0].steps}


def write(results: Results, directory: Path = RESULTS) -> Path:
    """Writes the Markdown page, its JSON and its plot; returns the page's path."""
    now = datetime.now(UTC)
    name = f"{now:%Y-%m-%d}-{results.rows}"
    data = directory / f"{name}.json"
    data.write_text(json.dumps(asdict(results), indent=1) + "\n")
    subprocess.run([python(), HERE / "plot.py", data, data.with_suffix(".svg")], check=True)
    page = data.with_suffix(".md")
    page.write_text(to_markdown(results, now, plot=f"{name}.svg"))
    return page


def to_markdown(results: Results, now: datetime, plot: str) -> str:
    """The page of one benchmark."""
    targets = [
        (t.what, f"{t.value:.2f}{t.unit}", f"<= {t.most:g}{t.unit}", "yes" if t.met else "no") for t in results.targets
    ]
    timings = [
        (t.what, f"{t.median:.1f}", ", ".join(f"{seconds:.1f}" for seconds in t.seconds)) for t in results.timings
    ]
    steps = [(step, f"{seconds:.1f}") for step, seconds in results.steps.items()]
    return (
        "\n\n".join(
            [
                f"# 4 x {results.rows:,} rows, {now:%Y-%m-%d}",
                f"{_machine()}\n\n{', '.join(f'{package} {version(package)}' for package in PACKAGES)}",
                "Ratios are of medians of this run on this machine; only ratios are comparable with other machines.",
                _table(("what", "measured", "target", "met"), targets),
                "## Seconds",
                _table(("what", "median", "each"), timings),
                f"![seconds]({plot})",
                "## Steps of the flow",
                "Wall seconds from the start of a step's first task to the end of its last; steps overlap.",
                _table(("step", "seconds"), steps),
            ]
        )
        + "\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"
