"""Reads runs that may be dead from the Prefect server, and sets them to Crashed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.names import POOL
from blocks.server_waits import log_waits
from blocks.variables import read_variables
from tasks.alerts.request import DAILY_FLOW
from tasks.alerts.run_now import read_active_loads
from tasks.prefect_server.kin import find_root, read_children
from tasks.watch.late_and_dead import Family, WatchedRun
from tasks.watch.processes import Process, find_process

log_waits()

DAILY = names.deployment(DAILY_FLOW)
ANSWER_S_MAX = 10
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError)
"""What Prefect's client raises when no server answers, or only with errors."""
RUNS_READ_MAX = 200
ACTIVE = (StateType.PENDING, StateType.RUNNING)
"""The states of a queue's runs that count against its limit."""
CHANGES_SALES = ["daily-sales", "backfill", "replay-rejected", "reconcile", "rollback"]
"""Flows that publish or roll back batches."""


@dataclass(frozen=True)
class RunEnd:
    """Whether a run has ended, as Completed or otherwise, and whether its process runs on this machine."""

    has_ended: bool
    is_completed: bool
    has_process: bool


@sync_compatible
async def server_answers() -> bool:
    """Whether the server of PREFECT_API_URL answers, with or without its database; False when none is set."""
    if not PREFECT_API_URL.value():
        return False
    try:
        async with get_client(httpx_settings={"timeout": ANSWER_S_MAX}) as client:
            await client.hello()
    except NO_ANSWER:
        return False
    return True


def find_variables() -> dict[str, str | None] | None:
    """Returns the texts of this pipeline's variables on the server of PREFECT_API_URL; None when it does not answer or
    has lost its database, and when none is set."""
    if not PREFECT_API_URL.value():
        return None
    try:
        return read_variables(ANSWER_S_MAX)
    except NO_ANSWER:
        return None


@sync_compatible
async def read_deployed_at() -> datetime | None:
    """Returns when the daily deployment was made (aware UTC); deploying again does not change it. None without one."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(DAILY)
        except ObjectNotFound:
            return None
    return deployment.created and datetime.fromtimestamp(deployment.created.timestamp(), UTC)


@sync_compatible
async def read_families(flow_run_ids: Iterable[str]) -> list[Family]:
    """Returns the runs that hold a slot of queue `load`, rollbacks whose process has ended on this machine, and the
    known ones of the given ids, each with its children."""
    async with get_client() as client:
        roots = {run.id: run for run in [*await read_active_loads(client), *await _read_ended_rollbacks(client)]}
        for flow_run_id in flow_run_ids:
            root = await _read_root(client, flow_run_id)
            if root is not None:
                roots[root.id] = root
        return [await read_family(client, root) for root in roots.values()]


async def _read_ended_rollbacks(client: PrefectClient) -> list[FlowRun]:
    """The active rollbacks, which hold no lease and no slot of queue `load`, that have no process here any more."""
    runs = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter.parse_obj({"state": {"type": {"any_": ACTIVE}}}),
        work_pool_filter=WorkPoolFilter.parse_obj({"name": {"any_": [POOL]}}),
        flow_filter=FlowFilter.parse_obj({"name": {"any_": ["rollback"]}}),
        limit=RUNS_READ_MAX,
    )
    return [run for run in runs if find_process(run.infrastructure_pid, str(run.id)) is Process.ENDED]


async def _read_root(client: PrefectClient, flow_run_id: str) -> FlowRun | None:
    try:
        run = await client.read_flow_run(UUID(flow_run_id))
    except (ObjectNotFound, ValueError):
        return None
    return await find_root(client, run)


async def read_family(client: PrefectClient, root: FlowRun) -> Family:
    """Returns a root with its children."""
    children = await read_children(client, root)
    return Family(_watched(root), tuple(_watched(child) for child in children))


def _watched(run: FlowRun) -> WatchedRun:
    since = run.state.timestamp if run.state else run.created
    return WatchedRun(
        id=str(run.id),
        name=run.name,
        state=run.state_name or "",
        is_active=run.state_type in ACTIVE,
        since=datetime.fromtimestamp(since.timestamp(), UTC),
        process=find_process(run.infrastructure_pid, str(run.id)),
    )


@sync_compatible
async def read_ends(flow_run_ids: Iterable[str]) -> dict[str, RunEnd]:
    """Returns how each known run has ended: the run at its top, whose process it shares."""
    async with get_client() as client:
        roots = {flow_run_id: await _read_root(client, flow_run_id) for flow_run_id in flow_run_ids}
    return {
        flow_run_id: RunEnd(
            has_ended=bool(root.state and root.state.is_final()),
            is_completed=bool(root.state and root.state.is_completed()),
            has_process=find_process(root.infrastructure_pid, str(root.id)) is Process.RUNS,
        )
        for flow_run_id, root in roots.items()
        if root
    }


@sync_compatible
async def read_unexplained(since: datetime) -> list[tuple[FlowRun, list[str]]]:
    """Returns the runs of CHANGES_SALES that were cancelled since then and whose state has no message, each with its
    own id and those of the runs that it started."""
    async with get_client() as client:
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.parse_obj({"state": {"type": {"any_": [StateType.CANCELLED]}}}),
            work_pool_filter=WorkPoolFilter.parse_obj({"name": {"any_": [POOL]}}),
            flow_filter=FlowFilter.parse_obj({"name": {"any_": CHANGES_SALES}}),
            sort=FlowRunSort.END_TIME_DESC,
            limit=RUNS_READ_MAX,
        )
        silent = [run for run in runs if run.state and not run.state.message and run.end_time and run.end_time >= since]
        return [(run, [str(run.id), *(str(child.id) for child in await read_children(client, run))]) for run in silent]


@sync_compatible
async def set_message_of_cancelled(flow_run_id: UUID, message: str) -> None:
    """Sets the message of a cancelled run's state, which Prefect leaves empty."""
    async with get_client() as client:
        await client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)


@sync_compatible
async def crash_run(flow_run_id: str, cause: str) -> None:
    """Sets a run to Crashed, which frees its slot; the server refuses that for a run that has ended meanwhile."""
    async with get_client() as client:
        await client.set_flow_run_state(UUID(flow_run_id), Crashed(message=f"set by the watchdog: {cause}"))


@sync_compatible
async def forget_missed_passes(flow_run_id: str) -> int:
    """Deletes the scheduled runs of the same deployment that are due; returns their number.

    After a night without a worker they would all start at once and find the same.
    """
    async with get_client() as client:
        own = await client.read_flow_run(UUID(flow_run_id))
        if own.deployment_id is None:
            return 0
        missed = FlowRunFilter.parse_obj(
            {
                "deployment_id": {"any_": [own.deployment_id]},
                "state": {"type": {"any_": [StateType.SCHEDULED]}},
                "expected_start_time": {"before_": datetime.now(UTC)},
            }
        )
        runs = [
            run
            for run in await client.read_flow_runs(flow_run_filter=missed, limit=RUNS_READ_MAX)
            if run.auto_scheduled
        ]
        for run in runs:
            await client.delete_flow_run(run.id)
    return len(runs)
