"""Reads from the Prefect server the flow run that an alert is about."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterLevel,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.utilities.asyncutils import sync_compatible

from tasks.alerts.request import ChildRun, FailedTask, RunFacts
from tasks.prefect_server.kin import find_root, link_of, read_children

BAD_STATES = (StateType.FAILED, StateType.CRASHED)
INFO_LEVEL, ERROR_LEVEL = 20, 40
TRACE_SEARCH_MAX = 20
"""The last error lines, which are searched for a stack trace."""

LOG_READ_MAX = 150
"""More than is shown: Prefect's chatter is left out later."""


@sync_compatible
async def read_run(flow_run_id: str) -> RunFacts | None:
    """Returns the run with its failed tasks, its children that did not end well, and the ends of trace and log.

    None when the server does not know the run.
    """
    async with get_client() as client:
        try:
            run = await client.read_flow_run(UUID(flow_run_id))
        except (ObjectNotFound, ValueError) as error:
            get_logger(__name__).warning("step=read-run run=%s is unknown: %s", flow_run_id, error)
            return None
        children = await _read_bad_children(client, run)
        ids = [run.id, *(child.id for child in children)]
        root = await find_root(client, run)
        return RunFacts(
            id=str(run.id),
            flow=(await client.read_flow(run.flow_id)).name,
            name=run.name,
            state=run.state_name or "",
            message=(run.state and run.state.message) or "",
            link=link_of(str(run.id)),
            scheduled_at=_utc(run.expected_start_time or run.created),
            deployment=await _read_deployment(client, run),
            parameters=dict(run.parameters or {}),
            started_at=run.start_time and _utc(run.start_time),
            ended_at=run.end_time and _utc(run.end_time),
            root_id=str(root.id) if run.parent_task_run_id else None,
            failed_tasks=tuple(await _read_failed_tasks(client, ids)),
            children=tuple(_child(child) for child in children),
            trace=tuple(await _read_trace(client, ids)),
            log=tuple(await _read_log(client, ids)),
        )


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


async def _read_deployment(client: PrefectClient, run: FlowRun) -> str | None:
    if run.deployment_id is None:
        return None
    try:
        name: str = (await client.read_deployment(run.deployment_id)).name
    except ObjectNotFound:
        return None
    return name


async def _read_bad_children(client: PrefectClient, run: FlowRun) -> list[FlowRun]:
    children = await read_children(client, run)
    return [child for child in children if child.state_type in BAD_STATES or child.state_name == "PartiallyLoaded"]


def _child(run: FlowRun) -> ChildRun:
    asked = (run.parameters or {}).get("date")
    named = re.search(r"\d{4}-\d{2}-\d{2}", run.name)
    return ChildRun(
        name=run.name,
        date=named[0] if named else asked and str(asked),
        state=run.state_name or "",
        message=(run.state and run.state.message) or "",
    )


async def _read_failed_tasks(client: PrefectClient, flow_run_ids: list[UUID]) -> list[FailedTask]:
    bad = TaskRunFilterState(type=TaskRunFilterStateType(any_=list(BAD_STATES)))
    task_runs = await client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=flow_run_ids)), task_run_filter=TaskRunFilter(state=bad)
    )
    # A subflow is a task run of its parent, too; it is listed as a child.
    own = [run for run in task_runs if not (run.state and run.state.state_details.child_flow_run_id)]
    return [FailedTask(run.name, (run.state and run.state.message) or "") for run in own]


async def _read_trace(client: PrefectClient, flow_run_ids: list[UUID]) -> list[str]:
    """The lines of the last stack trace that was logged."""
    logs = await _read_last(client, flow_run_ids, ERROR_LEVEL, TRACE_SEARCH_MAX)
    last = next((log.message for log in reversed(logs) if "Traceback (most recent call last)" in log.message), "")
    return list(last.splitlines())


async def _read_log(client: PrefectClient, flow_run_ids: list[UUID]) -> list[str]:
    """The last lines, each with its time (UTC); of a stack trace, which has its own section, only the first line."""
    logs = await _read_last(client, flow_run_ids, INFO_LEVEL, LOG_READ_MAX)
    return [
        f"{_utc(log.timestamp):%H:%M:%S} {log.message.strip().splitlines()[0]}" for log in logs if log.message.strip()
    ]


async def _read_last(client: PrefectClient, flow_run_ids: list[UUID], level: int, count: int) -> list[Any]:
    which = LogFilter(flow_run_id=LogFilterFlowRunId(any_=flow_run_ids), level=LogFilterLevel(ge_=level))
    logs = await client.read_logs(which, limit=count, sort=LogSort.TIMESTAMP_DESC)
    return list(reversed(logs))
