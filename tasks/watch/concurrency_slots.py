"""Frees slots of Prefect's concurrency limits that tasks of ended runs still hold: a killed process gives none back."""

from collections import Counter
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import TaskRunFilter
from prefect.client.schemas.objects import ConcurrencyLimit
from prefect.states import Crashed
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.server_waits import log_waits

log_waits()

LIMITS_READ_MAX = 200


@sync_compatible
async def free_slots() -> str:
    """Sets tasks of ended runs that hold a slot to Crashed, which frees it; returns how many by limit, in words."""
    freed = Counter[str]()
    async with get_client() as client:
        for limit in await client.read_concurrency_limits(limit=LIMITS_READ_MAX, offset=0):
            if limit.tag in names.LIMITED:
                freed[limit.tag] = sum([await _free(client, limit, slot) for slot in limit.active_slots])
    return ", ".join(f"{slots} of {tag} freed" for tag, slots in freed.items() if slots)


async def _free(client: PrefectClient, limit: ConcurrencyLimit, slot: UUID) -> bool:
    """Frees the slot of one task, unless its run goes on."""
    runs = await client.read_flow_runs(task_run_filter=TaskRunFilter.parse_obj({"id": {"any_": [slot]}}))
    if not runs:  # somebody has deleted it
        others = [other for other in limit.active_slots if other != slot]
        await client.reset_concurrency_limit_by_tag(limit.tag, slot_override=others)
        return True
    if not all(run.state and run.state.is_final() for run in runs):
        return False
    await client.set_task_run_state(slot, Crashed(message="set by the watchdog: its run has ended"))
    return True
