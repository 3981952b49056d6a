"""Backfills as a worker runs them: from a deployment, in a separate process, in a queue with one slot."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, get_client
from prefect.artifacts import Artifact
from prefect.client.schemas import FlowRun
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.deployments import run_deployment
from prefect.states import State

from flows.backfill import backfill
from flows.daily_sales import daily_sales
from local.environment import CHECKOUT
from tests.integration.processes import start_python

POOL, SLOT = "backfill-tests", "load"
WAIT_S_MAX = 600
JOB_VARIABLES = {"stream_output": False}


@dataclass(frozen=True)
class Queue:
    """A queue with one slot, with deployments of the backfill and the daily run in it; no worker polls it."""

    backfill_id: UUID
    daily_id: UUID

    def add_backfill(self, **parameters: Any) -> FlowRun:
        """A run of the backfill that is due now, with job variables of its own."""
        return run_deployment(self.backfill_id, parameters=parameters, job_variables=JOB_VARIABLES, timeout=0)

    def add_daily(self) -> FlowRun:
        """A daily run that is due now."""
        return run_deployment(self.daily_id, timeout=0)

    def next_runs(self) -> list[FlowRun]:
        """The runs that the server would hand to a worker now."""
        return asyncio.run(self._next_runs())

    async def _next_runs(self) -> list[FlowRun]:
        async with get_client() as client:
            answers = await client.get_scheduled_flow_runs_for_work_pool(POOL, [SLOT])
        return [answer.flow_run for answer in answers]


@contextmanager
def queue_with_one_slot() -> Iterator[Queue]:
    """The queue, removed at the end."""
    queue = asyncio.run(_deploy())
    try:
        yield queue
    finally:
        asyncio.run(_remove(queue))


async def _deploy() -> Queue:
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        await client.create_work_queue(SLOT, concurrency_limit=1, work_pool_name=POOL)
        return Queue(await _deploy_flow(client, backfill), await _deploy_flow(client, daily_sales))


async def _deploy_flow(client: Any, flow: Flow[Any, Any]) -> UUID:
    source = Path(sys.modules[flow.fn.__module__].__file__ or "").relative_to(CHECKOUT)
    return await client.create_deployment(
        await client.create_flow(flow),
        "tests",
        entrypoint=f"{source}:{flow.fn.__name__}",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(CHECKOUT)}}],
        work_pool_name=POOL,
        work_queue_name=SLOT,
        parameter_openapi_schema=flow.parameters.dict(),
        enforce_parameter_schema=True,
    )


async def _remove(queue: Queue) -> None:
    async with get_client() as client:
        await client.delete_deployment(queue.backfill_id)
        await client.delete_deployment(queue.daily_id)
        await client.delete_work_pool(POOL)


@contextmanager
def running(run: FlowRun) -> Iterator[None]:
    """The process that a worker starts for a run, waited for at the end."""
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": str(run.id)}
    engine = start_python("-m", "prefect.engine", environment=environment)
    try:
        yield
        engine.ended()
    finally:
        engine.process.kill()


def execute(run: FlowRun) -> State:
    """Executes a run and returns its state."""
    with running(run):
        pass
    return read(run).state


def read(run: FlowRun) -> FlowRun:
    """The run as the server knows it now."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.id)


def set_state(run: FlowRun, state: State) -> None:
    """Gives a run a state, as the dashboard does."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state, force=True)


def wait_for_child(run: FlowRun) -> None:
    """Waits until a run has begun its first date."""
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
    until = time.monotonic() + WAIT_S_MAX
    with get_client(sync_client=True) as client:
        while not client.read_flow_runs(flow_run_filter=children):
            assert time.monotonic() < until, f"{run.name} has begun no date"
            time.sleep(0.1)


def table() -> list[dict[str, str]]:
    """The rows of the newest artifact of a backfill."""
    head, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in _lines("backfill")]
    return [dict(zip(head, cells, strict=True)) for cells in lines]


def _lines(key: str) -> list[str]:
    found: Any = Artifact.get(key)
    return ["||", "||"] if found.data == "None." else str(found.data).splitlines()
