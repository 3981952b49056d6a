"""Applies the deployments of prefect.yaml by `prefect deploy --all`, and puts back what that loses.

Deploying again resumes paused schedules and deletes scheduled runs, late ones that wait for their turn included. So
nothing is deployed unless something differs, and both are put back afterwards.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import UUID

import yaml
from prefect import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL
from prefect.states import Scheduled

from blocks import names
from blocks.project import HOME
from blocks.server import without_password
from deployments.applied import Applied, DeployError
from deployments.automations import DAILY
from deployments.image import READY_OF_SHELL
from deployments.image_file import IMAGE_FILE
from deployments.planned import PROJECT_FILE, Deployment, project_file, stored_deployment

DEPLOY_S_MAX = 300


async def apply_deployments(
    client: PrefectClient, planned: Mapping[str, Deployment], image: str | None = None
) -> tuple[dict[str, UUID], list[Applied]]:
    """Deploys when anything differs; returns the ids by `<flow>/<name>`, and the outcome of each. `image`: the one that
    runs start from, in pools of containers."""
    before = {name: await _read(client, name) for name in planned}
    differing = {name for name, wanted in planned.items() if not _holds(before[name], wanted)}
    waiting = await _late_runs(client, before[DAILY])
    if differing:
        _prefect_deploy(image)
    applied, ids = [], {}
    for name, wanted in planned.items():
        after = await _read(client, name)
        if after is None or not _holds(after, wanted):
            raise DeployError(
                f"deployment {name} is not what {IMAGE_FILE if image else PROJECT_FILE} asks for: "
                f"compare `prefect deployment inspect {name}`"
            )
        ids[name] = after.id
        stored = before[name]
        outcome = "created" if stored is None else "updated" if name in differing else "unchanged"
        paused = stored is not None and _is_paused(stored)
        if paused and not _is_paused(after):
            await _pause(client, after)
        applied.append(Applied("deployment", name, outcome, "schedule stays paused" if paused else ""))
    return ids, applied + await _queue_again(client, ids[DAILY], waiting)


async def _read(client: PrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _holds(stored: DeploymentResponse | None, wanted: Deployment) -> bool:
    return stored is not None and stored_deployment(stored) == wanted


def _prefect_deploy(image: str | None) -> None:
    server = {"PREFECT_API_URL": PREFECT_API_URL.value()}
    key = {"PREFECT_API_KEY": PREFECT_API_KEY.value()} if PREFECT_API_KEY.value() else {}
    ready = {READY_OF_SHELL: image} if image else {}
    command = [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all"]
    with NamedTemporaryFile("w", prefix="retail-sales-", suffix=".yaml") as file:
        if image or names.ENVIRONMENT != names.PRODUCTION:
            yaml.safe_dump(project_file(IMAGE_FILE if image else PROJECT_FILE), file)
            file.flush()
            command += ["--prefect-file", file.name]
        result = subprocess.run(
            command,
            cwd=HOME,
            env=os.environ | server | key | ready,
            capture_output=True,
            text=True,
            timeout=DEPLOY_S_MAX,
        )
    if result.returncode:
        last = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()][-1:]
        raise DeployError(f"`prefect deploy --all` failed: {without_password(' '.join(last))}; run it by itself to see more")


# What deploying would lose


def _is_paused(deployment: DeploymentResponse) -> bool:
    return bool(deployment.schedules) and (deployment.paused or not any(s.active for s in deployment.schedules))


async def _pause(client: PrefectClient, deployment: DeploymentResponse) -> None:
    for schedule in deployment.schedules:
        await client.update_deployment_schedule(deployment.id, schedule.id, active=False)


async def _late_runs(client: PrefectClient, deployment: DeploymentResponse | None) -> list[FlowRun]:
    """The scheduled runs that are due and wait for a worker or for their slot."""
    if deployment is None:
        return []
    filters = {
        "deployment_id": {"any_": [deployment.id]},
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC)},
    }
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj(filters))
    return [run for run in runs if run.auto_scheduled]


async def _queue_again(client: PrefectClient, deployment_id: UUID, waiting: list[FlowRun]) -> list[Applied]:
    """Creates the runs that deploying has deleted again, with the same scheduled start."""
    applied = []
    for run in waiting:
        try:
            await client.read_flow_run(run.id)
        except ObjectNotFound:
            await client.create_flow_run_from_deployment(
                deployment_id,
                parameters=run.parameters,
                state=Scheduled(scheduled_time=run.expected_start_time),
                name=run.name,
                idempotency_key=f"queued again {run.id}",
            )
            applied.append(
                Applied("flow run", f"{run.name} of {run.expected_start_time:%Y-%m-%d %H:%M} UTC", "queued again")
            )
    return applied
