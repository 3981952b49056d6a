"""The work pool and its queues: which runs wait for each other."""

from prefect import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkQueue
from prefect.exceptions import ObjectNotFound

from blocks.names import POOL, QUEUES, Queue
from deployments.applied import Applied
from deployments.pool_templates import Template

POOL_TYPE = "process"
"""The type of a pool that is created here; a pool of another type is kept."""


async def apply_pool(client: PrefectClient) -> list[Applied]:
    """Creates a missing pool and missing queues, and sets limits and priorities to those of QUEUES."""
    applied = [await _apply_pool(client)]
    existing = {queue.name: queue for queue in await client.read_work_queues(POOL)}
    return applied + [await _apply_queue(client, queue, existing.get(queue.name)) for queue in QUEUES]


async def find_image_fault(client: PrefectClient, image: str | None) -> str | None:
    """Returns why runs of the pool would not start from this project's image; None when they do, or need none.
    `image`: the one that the environment names."""
    try:
        pool = await client.read_work_pool(POOL)
    except ObjectNotFound:
        return image_fault(POOL_TYPE, {}, image)
    return image_fault(pool.type, pool.base_job_template, image)


def image_fault(pool_type: str, template: Template, image: str | None) -> str | None:
    """The same for a pool of this type with this base job template."""
    variables = template.get("variables", {})
    default = variables.get("properties", {}).get("image", {}).get("default")
    if image and pool_type == POOL_TYPE:
        return f"work pool {POOL} is of type {pool_type}, whose runs start from no image: unset RETAIL_SALES_IMAGE"
    if not image and not default and "image" in variables.get("required", []):
        return (
            f"work pool {POOL} is of type {pool_type}, and nothing names the image of its runs: "
            "set RETAIL_SALES_IMAGE, like registry.example.com/retail-sales"
        )
    return None


async def _apply_pool(client: PrefectClient) -> Applied:
    try:
        pool = await client.read_work_pool(POOL)
    except ObjectNotFound:
        from prefect.workers.process import ProcessWorker

        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL_TYPE, base_job_template=template))
        return Applied("work pool", POOL, "created")
    notes = ([] if pool.type == POOL_TYPE else [f"of type {pool.type}"]) + (["paused"] if pool.is_paused else [])
    return Applied("work pool", POOL, "unchanged", ", ".join(notes))


async def _apply_queue(client: PrefectClient, queue: Queue, existing: WorkQueue | None) -> Applied:
    name = f"{POOL}/{queue.name}"
    wanted = {"description": queue.description, "priority": queue.priority, "concurrency_limit": queue.limit}
    if existing is None:
        await client.create_work_queue(queue.name, work_pool_name=POOL, **wanted)
        return Applied("work queue", name, "created")
    note = "paused" if existing.is_paused else ""
    if all(getattr(existing, field) == value for field, value in wanted.items()):
        return Applied("work queue", name, "unchanged", note)
    await client.update_work_queue(existing.id, **wanted)
    return Applied("work queue", name, "updated", note)
