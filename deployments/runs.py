"""`make runs`: what runs, what waits and why, and what has ended, as the Prefect server of PREFECT_API_URL knows it."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect import PrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from blocks.names import DEPLOYMENTS, POOL
from deployments.prefect_command import missing_server
from deployments.run_list import ACTIVE, WAITING, Pool, QueueNow, Run, ServerRuns, to_lines
from tasks.errors import one_line
from tasks.lines import hide_values

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
ENDED_SHOWN = 15
RUNS_READ_MAX = 200
"""The most runs that the server returns at once."""
WIDTH_MIN, WIDTH_OF_FILES = 60, 120
"""Characters of a line: at least, and where the output is no terminal."""
OFTEN = "watchdog"
"""The flow whose passes would hide all others: only its newest ended run is listed."""
FLOWS = [deployment.name.partition("/")[0] for deployment in DEPLOYMENTS]
BY_HAND = ["setup-warehouse"]
"""Flows that have no deployment."""

UTC_MIN = datetime.min.replace(tzinfo=UTC)


async def read_server_runs() -> ServerRuns:
    """Reads runs, pool and schedules of this project's flows; others on the same server are left out."""
    async with get_client() as client:
        flows = {flow.id: flow.name for flow in await client.read_flows(flow_filter=_named([*FLOWS, *BY_HAND]))}
        pool, queues = await _read_pool(client)
        found = {
            kind: [
                _listed(run, flows, queues)
                for names, limit in groups
                for run in await _read_runs(client, states, names, sort, limit)
            ]
            for kind, states, groups, sort in (
                ("active", ACTIVE, [([*FLOWS, *BY_HAND], RUNS_READ_MAX)], FlowRunSort.START_TIME_ASC),
                ("waiting", WAITING, [([*FLOWS, *BY_HAND], RUNS_READ_MAX)], FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC),
                ("ended", ENDED, _groups_of_ended(), FlowRunSort.END_TIME_DESC),
            )
        }
        ended = sorted(found["ended"], key=lambda run: run.at, reverse=True)
        deployments = await client.read_deployments(flow_filter=_named(FLOWS))
        return ServerRuns(pool, found["active"], found["waiting"], ended, _paused_schedules(deployments, flows))


def _groups_of_ended() -> list[tuple[list[str], int]]:
    return [([name for name in [*FLOWS, *BY_HAND] if name != OFTEN], ENDED_SHOWN - 1), ([OFTEN], 1)]


def _named(names: Sequence[str]) -> FlowFilter:
    return FlowFilter.parse_obj({"name": {"any_": list(names)}})


async def _read_runs(
    client: PrefectClient, states: Sequence[str], flows: Sequence[str], sort: FlowRunSort, limit: int
) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_filter=_named(flows),
        flow_run_filter=FlowRunFilter.parse_obj({"state": {"type": {"any_": list(states)}}}),
        sort=sort,
        limit=limit,
    )


async def _read_pool(client: PrefectClient) -> tuple[Pool | None, dict[Any, str]]:
    """The pool, and the names of its queues by id."""
    try:
        pool = await client.read_work_pool(POOL)
    except ObjectNotFound:
        return None, {}
    queues = await client.read_work_queues(POOL)
    known = {q.name: QueueNow(q.name, q.concurrency_limit, q.is_paused, _utc(q.last_polled)) for q in queues}
    return Pool(POOL, known, pool.concurrency_limit, pool.is_paused), {q.id: q.name for q in queues}


def _listed(run: FlowRun, flows: dict[Any, str], queues: dict[Any, str]) -> Run:
    kind = run.state_type.value if run.state_type else ""
    moments = {
        **dict.fromkeys(WAITING, run.next_scheduled_start_time or run.expected_start_time),
        **dict.fromkeys(ENDED, run.end_time),
    }
    changed = run.state.timestamp if run.state else run.created
    return Run(
        id=str(run.id),
        flow=flows.get(run.flow_id, ""),
        name=run.name,
        state=run.state_name or "",
        kind=kind,
        at=_utc(moments.get(kind) or (run.start_time if kind in ACTIVE else None) or changed) or UTC_MIN,
        message=one_line(hide_values((run.state and run.state.message) or "")),
        queue=queues.get(run.work_queue_id),
        by_schedule=bool(run.auto_scheduled),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return datetime.fromtimestamp(moment.timestamp(), UTC) if moment else None


def _paused_schedules(deployments: Sequence[DeploymentResponse], flows: dict[Any, str]) -> dict[str, str]:
    """What resumes the schedules of each deployment that has paused ones, by the deployment's name."""
    return {
        name: ", then ".join(steps)
        for deployment in deployments
        for name in [f"{flows.get(deployment.flow_id, '')}/{deployment.name}"]
        if (steps := _resuming(deployment, name))
    }


def _resuming(deployment: DeploymentResponse, name: str) -> list[str]:
    """The steps that resume its schedules. `paused` is the switch of the dashboard, which leaves the schedules active;
    Prefect 2.20 has no command that turns it."""
    if not deployment.schedules:
        return []
    inactive = [schedule.id for schedule in deployment.schedules if not schedule.active]
    commands = [f"`prefect deployment schedule resume '{name}' {schedule_id}`" for schedule_id in inactive]
    return ["switch the deployment on in the dashboard", *commands] if deployment.paused else commands


def main() -> int:
    """Prints the list; returns 1 after a line on stderr where no server answers."""
    if fault := missing_server():
        print(f"runs: {fault}", file=sys.stderr)
        return 1
    try:
        runs = asyncio.run(read_server_runs())
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        print(f"runs: the Prefect server cannot be asked: {hide_values(one_line(error))}", file=sys.stderr)
        return 1
    width = shutil.get_terminal_size((WIDTH_OF_FILES, 0)).columns
    print("\n".join(to_lines(runs, datetime.now(UTC), max(width, WIDTH_MIN))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
