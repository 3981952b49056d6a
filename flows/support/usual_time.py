"""How long runs of a flow usually take, as the Prefect server knows them."""

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
"""The last ones, of which the median is taken."""


def usual_seconds(flow_name: str) -> float | None:
    """Median seconds of the last completed runs of the flow; None when there is none."""
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
