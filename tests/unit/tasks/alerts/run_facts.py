"""A failed run as the Prefect server knows it, for the tests of mails and slots."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.alerts.request import FailedTask, RunFacts

SIX = datetime(2024, 1, 16, 6, tzinfo=UTC)
RUN_ID = "3f0c8d9e-0000-4000-8000-000000000001"
ROOT_ID = "3f0c8d9e-0000-4000-8000-000000000002"
ERROR = "NeedsPersonError: COPY of a.parquet loaded 1 rows, the manifest says 2"


def run_of(flow: str = "daily-sales", **changes: Any) -> RunFacts:
    """A daily run unless `flow` says otherwise."""
    facts: dict[str, Any] = {
        "id": RUN_ID,
        "flow": flow,
        "name": f"{flow}-2024-01-15",
        "state": "Failed",
        "message": f"Flow run encountered an exception. {ERROR}",
        "link": f"http://127.0.0.1:4200/flow-runs/flow-run/{RUN_ID}",
        "scheduled_at": SIX,
        "started_at": SIX + timedelta(seconds=3),
        "ended_at": SIX + timedelta(minutes=2),
        "deployment": "production",
        "failed_tasks": (FailedTask("load", "Task run encountered an exception"),),
        "trace": (
            "Traceback (most recent call last):",
            *(f'  File "{n}.py", line {n}' for n in range(40)),
            "ValueError: end",
        ),
        "log": ("06:00:03 Created a new engine.", "06:00:04 step=extract region=EUROPE rows=1 seconds=0.1"),
    }
    return RunFacts(**{**facts, **changes})
