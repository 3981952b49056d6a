"""Flow runs and their kin on the Prefect server."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from blocks.server import dashboard

PAGE_ROWS = 200
"""The server's limit for one request."""
GENERATIONS_MAX = 5


def link_of(flow_run_id: str) -> str:
    """The run's page in the dashboard."""
    return f"{dashboard()}/flow-runs/flow-run/{flow_run_id}"


async def find_root(client: PrefectClient, run: FlowRun) -> FlowRun:
    """The topmost ancestor of a run; itself without one."""
    return (await read_ancestors(client, run))[-1]


async def read_ancestors(client: PrefectClient, run: FlowRun) -> list[FlowRun]:
    """The run, its parent, its grandparent and so on, as far as the server knows them."""
    runs = [run]
    while (task_run_id := runs[-1].parent_task_run_id) and len(runs) <= GENERATIONS_MAX:
        try:
            parent = await client.read_task_run(task_run_id)
            runs.append(await client.read_flow_run(parent.flow_run_id))
        except ObjectNotFound:
            break
    return runs


async def read_children(client: PrefectClient, run: FlowRun) -> list[FlowRun]:
    """All runs that a run started in its own process, in their order."""
    children: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=PAGE_ROWS,
            offset=len(children),
        )
        children += page
        if len(page) < PAGE_ROWS:
            return children
