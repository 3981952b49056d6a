"""The steps of a run, as the Prefect server has recorded them."""

import re
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import TaskRunSort

from tasks.pages.run_page import Step

STEPS_MAX = 200
_NUMBER = re.compile(r"-\d+$")
"""Prefect numbers the tasks of a name."""


def read_steps(flow_run_id: str) -> list[Step]:
    """Returns the run's tasks that have begun, oldest first; those of subflows are not among them."""
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)])),
            sort=TaskRunSort.END_TIME_DESC,
            limit=STEPS_MAX,
        )
    return [
        Step(_NUMBER.sub("", run.name), run.state_name or "", _utc(run.start_time), run.end_time and _utc(run.end_time))
        for run in sorted((run for run in found if run.start_time), key=lambda run: run.start_time)
    ]


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)
