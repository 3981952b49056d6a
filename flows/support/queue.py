"""Making room: a long run finds daily runs that wait in its queue, and queues its own rest behind them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    WorkQueueFilter,
    WorkQueueFilterId,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment

WAITING_STATES = ["Scheduled", "Late", "Pending"]
"""Without AwaitingRetry and the like: such a run holds its slot already."""


def find_waiting(run_id: str, flow_name: str) -> FlowRun | None:
    """Returns the first due run of the flow that waits in the queue of run `run_id`; None without a queue.

    Runs of other queues do not count: they would not start when this run ends.
    """
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(UUID(run_id))
        if own.work_queue_id is None:
            return None
        waiting = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
            work_queue_filter=WorkQueueFilter(id=WorkQueueFilterId(any_=[own.work_queue_id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(name=FlowRunFilterStateName(any_=WAITING_STATES)),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
    return next(iter(waiting), None)


def queue_behind(run_id: str, name: str, parameters: dict[str, Any]) -> FlowRun:
    """Queues a run `name` of the deployment of run `run_id`, due now, behind those that are due already.

    Called twice by one run, it returns the same new run.
    """
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(UUID(run_id))
    return run_deployment(
        own.deployment_id,
        flow_run_name=name,
        parameters=parameters,
        work_queue_name=own.work_queue_name,
        job_variables=own.job_variables,
        timeout=0,
        as_subflow=False,
        idempotency_key=f"rest of {run_id}, try {own.run_count}",
    )
