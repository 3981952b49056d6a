"""Frees slots of Prefect's concurrency limits that tasks of ended runs still hold: a killed process gives none back."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun, SetStateStatus
from prefect.client.schemas.filters import TaskRunFilter
from prefect.states import Crashed
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.server_waits import log_waits
from tasks.prefect_server.kin import read_ancestors
from tasks.watch.late_and_dead import Lease, goes_on
from tasks.watch.runs import read_family

log_waits()

LIMITS_READ_MAX = 200


@sync_compatible
async def free_slots(leases: Mapping[str, Lease]) -> str:
    """Frees the slots of tasks that have ended, whose run has ended, or that were deleted; returns how many by limit,
    in words. `leases`: the ledger's, by flow run."""
    freed = Counter[str]()
    async with get_client() as client:
        for limit in await client.read_concurrency_limits(limit=LIMITS_READ_MAX, offset=0):
            if limit.tag in names.LIMITED:
                freed[limit.tag] = sum([await _free(client, limit.tag, slot, leases) for slot in limit.active_slots])
    return ", ".join(f"{slots} of {tag} freed" for tag, slots in freed.items() if slots)


async def _free(client: PrefectClient, tag: str, slot: UUID, leases: Mapping[str, Lease]) -> bool:
    """Frees the slot of one task, unless it goes on; returns whether it was freed."""
    found = await client.read_task_runs(task_run_filter=TaskRunFilter.parse_obj({"id": {"any_": [slot]}}))
    if not found or (found[0].state and found[0].state.is_final()):
        return await _take_out(client, tag, slot)
    if not await _end(client, await client.read_flow_run(found[0].flow_run_id), leases):
        return False
    answer = await client.set_task_run_state(slot, Crashed(message="set by the watchdog: its run has ended"))
    return bool(answer.status is SetStateStatus.ACCEPT)


async def _end(client: PrefectClient, run: FlowRun, leases: Mapping[str, Lease]) -> bool:
    """Returns whether the run has ended. One whose root has, and whose process is gone, is set to Crashed: the end of a
    process is reported for the root alone."""
    if _has_ended(run):
        return True
    *line, root = await read_ancestors(client, run)
    if not _has_ended(root) or goes_on(await read_family(client, root), leases):
        return False
    crashed = Crashed(message=f"set by the watchdog: {root.name} has ended, and its process with it")
    for member in line:
        await client.set_flow_run_state(member.id, crashed)
    return True


def _has_ended(run: FlowRun) -> bool:
    return bool(run.state and run.state.is_final())


async def _take_out(client: PrefectClient, tag: str, slot: UUID) -> bool:
    """Takes the slot of a task that changes its state no more out of those held now; returns whether it was there."""
    held = (await client.read_concurrency_limit_by_tag(tag)).active_slots
    if slot not in held:
        return False
    await client.reset_concurrency_limit_by_tag(tag, slot_override=[other for other in held if other != slot])
    return True
