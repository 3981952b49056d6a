"""Times the daily flow as a worker starts it: a separate process, with the stack's Prefect server."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import httpx

from benchmarks.memory import peak_of
from benchmarks.work import Work

RUN_S_MAX = 3600


@dataclass(frozen=True)
class FlowRun:
    """One run: `seconds` from the flow run's start to its terminal state, as the Prefect server has them.

    `cold_start` is from the process's start to that of its first task, `steps` from the start of a step's first task to
    the end of its last (steps overlap), `peak_mb` the PSS of the process tree in MB (10^6 bytes).
    """

    seconds: float
    cold_start: float
    peak_mb: float
    steps: Mapping[str, float]


def run_flow(
    work: Work,
    day: date,
    environment: Mapping[str, str] | None = None,
    engine: str = "pandas",
    module: str = "flows.daily_sales",
) -> FlowRun:
    """Runs `day` and reads its times from the Prefect server. Raises RuntimeError unless it ended as Completed.

    `environment` is that of the process, by default the stack's; `module` is the program that runs the flow.
    """
    started_at = datetime.now(UTC)
    process = subprocess.Popen(
        [sys.executable, "-m", module, day.isoformat(), "--engine", engine],
        env=dict(environment or work.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with peak_of(process.pid) as peak, ended_too(process):
        output, _ = process.communicate(timeout=RUN_S_MAX)
    if process.returncode != 0 or "Completed: " not in output:
        raise RuntimeError(f"the flow on {day} ended with {process.returncode}: {output[-2000:]}")
    return _read(work.environment["PREFECT_API_URL"], started_at, peak.pss / 1e6)


@contextmanager
def ended_too(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process where the body is interrupted: a signal may have reached this process alone."""
    try:
        yield
    except KeyboardInterrupt:
        process.terminate()
        raise


def _read(api: str, started_at: datetime, peak_mb: float) -> FlowRun:
    after = {"expected_start_time": {"after_": started_at.isoformat()}}
    (flow_run,) = _query(api, "flow_runs", {"flow_runs": after})
    within = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    while flow_run["end_time"] is None:  # The server writes updates in the background.
        time.sleep(0.2)
        (flow_run,) = _query(api, "flow_runs", within)
    tasks = [task for task in _query(api, "task_runs", within) if task["start_time"]]
    first = min(_moment(task["start_time"]) for task in tasks)
    return FlowRun(
        seconds=_seconds(flow_run["start_time"], flow_run["end_time"]),
        cold_start=(first - started_at).total_seconds(),
        peak_mb=peak_mb,
        steps=_steps(tasks),
    )


def runs_of_flow(api: str, flow: str) -> list[tuple[float, Mapping[str, float]]]:
    """Seconds of each completed run of a flow, oldest first, and the wall seconds of its steps."""
    found: list[dict[str, Any]] = []
    while page := _query(
        api, "flow_runs", {**_completed(flow), "sort": "EXPECTED_START_TIME_ASC", "offset": len(found)}
    ):
        found += page
    return [
        (
            _seconds(run["start_time"], run["end_time"]),
            _steps(_query(api, "task_runs", {"flow_runs": {"id": {"any_": [run["id"]]}}})),
        )
        for run in found
    ]


def _completed(flow: str) -> dict[str, Any]:
    return {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}


def _steps(tasks: list[dict[str, Any]]) -> dict[str, float]:
    """Wall seconds of each step, in the order in which they began."""
    spans: dict[str, tuple[str, str]] = {}
    for task in sorted(tasks, key=lambda task: str(task["start_time"])):
        step = task["task_key"].rpartition("-")[0]  # the rest is a hash of where it is defined
        start, end = spans.get(step, (task["start_time"], task["end_time"]))
        spans[step] = min(start, task["start_time"]), max(end, task["end_time"])
    return {step: _seconds(start, end) for step, (start, end) in spans.items()}


def _query(api: str, what: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = httpx.post(f"{api}/{what}/filter", json=body)
    response.raise_for_status()
    found: list[dict[str, Any]] = response.json()
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _seconds(start: str, end: str) -> float:
    return (_moment(end) - _moment(start)).total_seconds()
