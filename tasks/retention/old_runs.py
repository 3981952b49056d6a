"""Retention on the Prefect server: removes this project's old flow runs and their artifacts through its API.

The server removes a run's task runs, states and inputs with the run, but not its artifacts, which are removed before
it. No API removes logs and events: `deployments/clean_prefect_database.py` does, beside the server.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from uuid import UUID

from prefect import get_client, get_run_logger, task
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactFilter,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from blocks import names
from blocks.names import DEPLOYMENTS
from tasks.prefect_server.kin import read_children
from tasks.retention.periods import ROUTINE_FLOW, STATE_TYPES, TAG, Kind, PastRun, days_kept, may_go
from tasks.retention.staged import Removal
from tasks.retries import RETRIES

FLOWS = (*dict.fromkeys(deployment.name.partition("/")[0] for deployment in DEPLOYMENTS), "setup-warehouse")
PAGE_ROWS = 200
"""The most that the server returns at once."""

RUNS_REMOVED_MAX = 5_000
"""In a pass, one a day: sixteen times the runs of a day, and minutes of work for the server."""

GENERATIONS_MAX = 5
STAYS = (
    f"logs and events stay on the server until `{names.HERE}python -m deployments.clean_prefect_database` is run "
    "beside it; Prefect Cloud removes them by itself"
)

_Family = list[FlowRun]
"""A run, followed by the runs that it has started, parents first."""


@dataclass(frozen=True)
class Ours:
    """The flows of this project on the server, by id, and other projects' deployments of the same flows."""

    flows: Mapping[UUID, str]
    foreign_deployments: Collection[UUID]

    def past(self, run: FlowRun) -> PastRun:
        """The run as retention judges it."""
        ended_at = run.end_time or (run.state and run.state.timestamp)
        state_type = run.state_type.value if run.state_type else ""
        return PastRun(self.flows.get(run.flow_id, ""), state_type, ended_at)


async def read_ours(client: PrefectClient) -> Ours:
    """Finds this project's flows. On the server a flow of the same name in another project is the same flow: then the
    deployments distinguish them."""
    wanted = FlowFilter.parse_obj({"name": {"any_": FLOWS}})
    flows = {flow.id: flow.name for flow in await client.read_flows(flow_filter=wanted, limit=PAGE_ROWS)}
    own = {deployment.name for deployment in DEPLOYMENTS}
    deployments = await client.read_deployments(
        flow_filter=wanted, deployment_filter=DeploymentFilter.parse_obj({}), limit=PAGE_ROWS
    )
    foreign = {found.id for found in deployments if f"{flows.get(found.flow_id)}/{found.name}" not in own}
    return Ours(flows, foreign)


async def read_page(
    client: PrefectClient, kind: Kind, started_before: datetime, offset: int = 0, limit: int = PAGE_ROWS
) -> list[FlowRun]:
    """Runs of a kind, oldest first, by the time at which they were due: the server has no filter by their end."""
    which = {
        "tags": {"all_": [TAG]},
        "state": {"type": {"any_": STATE_TYPES[kind]}},
        "expected_start_time": {"before_": started_before},
    }
    flows = {
        Kind.ROUTINE: (ROUTINE_FLOW,),
        Kind.COMPLETED: tuple(name for name in FLOWS if name != ROUTINE_FLOW),
        Kind.UNSUCCESSFUL: FLOWS,
    }
    return await client.read_flow_runs(
        flow_filter=FlowFilter.parse_obj({"name": {"any_": flows[kind]}}),
        flow_run_filter=FlowRunFilter.parse_obj(which),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=limit,
        offset=offset,
    )


async def choose(client: PrefectClient, ours: Ours, page: list[FlowRun], days: int, now: datetime) -> list[_Family]:
    """The runs of a page that may be removed, each with those that it has started.

    A run that wrote the newest version of an artifact stays until another run writes a newer one.
    """
    families = await _read_families(client, [run for run in page if run.deployment_id not in ours.foreign_deployments])
    old = [family for family in families if may_go([ours.past(run) for run in family], days, now)]
    newest = await _read_newest(client, [run.id for family in old for run in family])
    return [family for family in old if not any(run.id in newest for run in family)]


async def _read_families(client: PrefectClient, roots: list[FlowRun]) -> list[_Family]:
    if not roots or not await _read_any_child(client, [run.id for run in roots]):
        return [[run] for run in roots]
    return [await _read_family(client, run, GENERATIONS_MAX) for run in roots]


async def _read_any_child(client: PrefectClient, parents: list[UUID]) -> list[FlowRun]:
    children = FlowRunFilter.parse_obj({"parent_flow_run_id": {"any_": parents}})
    return await client.read_flow_runs(flow_run_filter=children, limit=1)


async def _read_family(client: PrefectClient, run: FlowRun, generations: int) -> _Family:
    family = [run]
    for child in await read_children(client, run) if generations else ():
        family += await _read_family(client, child, generations - 1)
    return family


async def _read_newest(client: PrefectClient, runs: list[UUID]) -> set[UUID | None]:
    """The runs among these that have written the newest version of an artifact."""
    newest: set[UUID | None] = set()
    for start in range(0, len(runs), PAGE_ROWS):
        which = ArtifactCollectionFilter.parse_obj({"flow_run_id": {"any_": runs[start : start + PAGE_ROWS]}})
        newest |= {found.flow_run_id for found in await client.read_latest_artifacts(artifact_filter=which)}
    return newest


async def remove_runs(
    client: PrefectClient, days: int, now: datetime, dry_run: bool, runs_max: int = RUNS_REMOVED_MAX
) -> list[Removal]:
    """Removes, or counts, the runs of this project that have ended and are older than runs of their kind are kept, with
    their artifacts. At most `runs_max` runs, oldest first; the next pass goes on where this one ended or was cut short.

    Args:
        client: The client of the server.
        days: The variable prefect_retention_days.
        now: The time from which ages are counted, aware.
        dry_run: Counts, and removes nothing.
        runs_max: At least one; a run and those that it has started are removed together.
    """
    ours, counts, artifacts = await read_ours(client), Counter[Kind](), 0
    removed: set[UUID] = set()
    for kind in Kind:
        started_before, offset = now - timedelta(days=days_kept(kind, days)), 0
        while len(removed) < runs_max and (page := await read_page(client, kind, started_before, offset)):
            families = _within(await choose(client, ours, page, days, now), runs_max - len(removed))
            runs = [run.id for family in families for run in reversed(family) if run.id not in removed]
            artifacts += await _remove_artifacts(client, runs, dry_run)
            if not dry_run:
                await _remove_runs(client, runs)
            removed.update(runs)
            counts[kind] += len(runs)
            offset += len(page) if dry_run else sum(run.id not in removed for run in page)
    found = [Removal(f"{kind}", days_kept(kind, days), counts[kind]) for kind in Kind]
    return [*found, Removal("artifacts of these runs", days_kept(Kind.ROUTINE, days), artifacts)]


def _within(families: list[_Family], runs_max: int) -> list[_Family]:
    """The first families up to `runs_max` runs, the last one whole."""
    before = accumulate((len(family) for family in families), initial=0)
    return [family for family, runs in zip(families, before, strict=False) if runs < runs_max]


async def _remove_artifacts(client: PrefectClient, runs: list[UUID], dry_run: bool) -> int:
    """Removes task results, tables and pages; returns their number. One may have been removed by others meanwhile."""
    if not runs:
        return 0
    which, count = ArtifactFilter.parse_obj({"flow_run_id": {"any_": runs}}), 0
    while page := await client.read_artifacts(artifact_filter=which, limit=PAGE_ROWS, offset=count if dry_run else 0):
        for artifact in page if not dry_run else ():
            with suppress(ObjectNotFound):
                await client.delete_artifact(artifact.id)
        count += len(page)
    return count


async def _remove_runs(client: PrefectClient, runs: list[UUID]) -> None:
    for run in runs:
        with suppress(ObjectNotFound):
            await client.delete_flow_run(run)


@task(name="remove-old-runs", **RETRIES)
def remove_old_runs(days: int, dry_run: bool) -> list[Removal]:
    """Removes this project's flow runs that have ended and are older than `days`, or than the days of their kind."""

    async def remove() -> list[Removal]:
        async with get_client() as client:
            return await remove_runs(client, days, datetime.now(UTC), dry_run)

    removals, logger = asyncio.run(remove()), get_run_logger()
    *of_runs, artifacts = removals
    runs = sum(removal.count for removal in of_runs)
    logger.info("step=remove-old-runs runs=%d artifacts=%d dry_run=%s: %s", runs, artifacts.count, dry_run, STAYS)
    if runs >= RUNS_REMOVED_MAX:
        logger.info("step=remove-old-runs more may be old enough: a pass removes %d, the next goes on", runs)
    return removals
