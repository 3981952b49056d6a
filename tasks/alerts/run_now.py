"""Reads from the Prefect server the runs of a date, and what decides whether they start."""

import re
from datetime import UTC, date, datetime, timedelta

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter, TaskRunFilter, WorkPoolFilter, WorkQueueFilter
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.names import LOAD, POOL
from tasks.alerts.activity import Around, Doing, RunNow, in_words
from tasks.alerts.request import DAILY_FLOW, AlertKind
from tasks.batch import date_asked
from tasks.errors import one_line
from tasks.lines import hide_values
from tasks.prefect_server.kin import link_of

LATE: frozenset[AlertKind] = frozenset({"sla", "never-started"})
"""Alerts about a date that should be in production, or a run that should have begun."""
RUNS_READ_MAX = 200
LOOKED_AHEAD = timedelta(days=1)
DOING = {
    StateType.RUNNING: Doing.RUNS,
    StateType.PENDING: Doing.HANDED_OVER,
    StateType.SCHEDULED: Doing.WAITS,
    StateType.PAUSED: Doing.PAUSED,
    StateType.CANCELLING: Doing.CANCELLING,
}


def describe_activity(kind: AlertKind, day: date | None) -> str:
    """Returns what the runs of a late date are doing now; empty for other alerts. Never raises, so that the mail goes
    out."""
    if kind not in LATE or day is None:
        return ""
    try:
        activity: str = read_activity(day)
    except Exception as error:  # noqa: BLE001 (see above)
        return f"Now: the Prefect server could not be asked what the run is doing: {hide_values(one_line(error))}"
    return activity


@sync_compatible
async def read_activity(day: date) -> str:
    """Returns what the runs of a date are doing now, in words."""
    now = datetime.now(UTC)
    async with get_client() as client:
        runs = [await _run_now(client, run) for run in await _read_runs(client, day, now)]
        return in_words(day, runs, await _read_around(client), now)


async def _read_runs(client: PrefectClient, day: date, now: datetime) -> list[FlowRun]:
    """The newest daily runs of the date, those within backfills included."""
    due = {"expected_start_time": {"before_": now + LOOKED_AHEAD}}
    runs = await client.read_flow_runs(
        flow_filter=FlowFilter.parse_obj({"name": {"any_": [DAILY_FLOW]}}),
        flow_run_filter=FlowRunFilter.parse_obj(due),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=RUNS_READ_MAX,
    )
    return [run for run in runs if _date_of(run) == day]


def _date_of(run: FlowRun) -> date | None:
    try:
        return date_asked((run.parameters or {}).get("date"), run.expected_start_time or run.created)
    except ValueError:
        return None


async def _run_now(client: PrefectClient, run: FlowRun) -> RunNow:
    doing = DOING.get(run.state_type, Doing.ENDED)
    steps = await _read_steps(client, run) if doing is Doing.RUNS else ()
    since = run.state.timestamp if run.state else run.created
    due = run.expected_start_time or run.created
    return RunNow(run.name, doing, run.state_name or "", _utc(since), _utc(due), link_of(str(run.id)), steps)


async def _read_steps(client: PrefectClient, run: FlowRun) -> tuple[str, ...]:
    """The names of running tasks, each once."""
    task_runs = await client.read_task_runs(
        flow_run_filter=FlowRunFilter.parse_obj({"id": {"any_": [run.id]}}),
        task_run_filter=TaskRunFilter.parse_obj({"state": {"type": {"any_": [StateType.RUNNING]}}}),
    )
    return tuple(dict.fromkeys(re.sub(r"-\d+$", "", task_run.name) for task_run in task_runs))


async def _read_around(client: PrefectClient) -> Around:
    """What is paused, the run that holds the slot of queue `load`, and the workers of the pool."""
    try:
        deployment = await client.read_deployment_by_name(names.deployment(DAILY_FLOW))
        pool = await client.read_work_pool(POOL)
        queue = await client.read_work_queue_by_name(LOAD, work_pool_name=POOL)
        workers = await client.read_workers_for_work_pool(POOL)
    except ObjectNotFound:
        return Around()
    active = await read_active_loads(client)
    holds = ((pool.is_paused, f"work pool {POOL} is"), (queue.is_paused, f"work queue {LOAD} is"))
    return Around(
        paused=tuple(words for is_paused, words in holds if is_paused),
        is_schedule_paused=deployment.paused or not any(one.active for one in deployment.schedules),
        ahead=await _run_now(client, active[0]) if active else None,
        workers=sum(worker.status == "ONLINE" for worker in workers),
    )


async def read_active_loads(client: PrefectClient) -> list[FlowRun]:
    """The runs that hold a slot of queue `load`."""
    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter.parse_obj({"state": {"type": {"any_": [StateType.PENDING, StateType.RUNNING]}}}),
        work_pool_filter=WorkPoolFilter.parse_obj({"name": {"any_": [POOL]}}),
        work_queue_filter=WorkQueueFilter.parse_obj({"name": {"any_": [LOAD]}}),
        limit=RUNS_READ_MAX,
    )


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)
