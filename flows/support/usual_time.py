"""The usual duration of a flow's runs, from the Prefect server."""

from statistics import median

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

RUNS = 9
"""The newest runs, whose median is taken."""


def usual_seconds(flow_name: str) -> float | None:
    """Median seconds of the newest completed runs of the flow; None without any."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED]))
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=RUNS,
        )
    return median(run.total_run_time.total_seconds() for run in runs) if runs else None
