"""Applies the deployments of prefect.yaml by `prefect deploy --all`, and puts back what that loses.

Deploying again resumes paused schedules and deletes scheduled runs, late ones that wait for their turn included. So
nothing is deployed unless something differs, and both are put back afterwards, also when it fails or is stopped.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from uuid import UUID

import httpx
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
from deployments.automations import WATCHDOG
from deployments.image import READY_OF_SHELL
from deployments.image_file import IMAGE_FILE
from deployments.planned import PROJECT_FILE, Deployment, project_file, stored_deployment

DEPLOY_S_MAX = 300


async def apply_deployments(
    client: PrefectClient, planned: Mapping[str, Deployment], image: str | None = None
) -> tuple[dict[str, UUID], list[Applied]]:
    """Deploys when anything differs; returns the ids by `<flow>/<name>`, and the outcome of each. `image`: the one that
    runs start from, in pools of containers. Raises DeployError when `prefect deploy` fails or takes too long, or the
    server then holds something else."""
    before = {name: await _read(client, name) for name in planned}
    differing = {name for name, wanted in planned.items() if not _holds(before[name], wanted)}
    queued_again = await _deploy(client, before, image) if differing else []
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
        note = "schedule stays paused" if stored and _is_paused(stored) else ""
        applied.append(Applied("deployment", name, outcome, note))
    return ids, applied + queued_again


async def _read(client: PrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _holds(stored: DeploymentResponse | None, wanted: Deployment) -> bool:
    return stored is not None and stored_deployment(stored) == wanted


async def _deploy(
    client: PrefectClient, before: Mapping[str, DeploymentResponse | None], image: str | None
) -> list[Applied]:
    """Deploys, and puts back what that loses, however it ends; returns the runs that are queued again."""
    waiting = await _late_runs(client, before)
    try:
        await _prefect_deploy(image)
    finally:
        queued_again = await _put_back(client, before, waiting)
    return queued_again


async def _prefect_deploy(image: str | None) -> None:
    server = {"PREFECT_API_URL": PREFECT_API_URL.value()}
    key = {"PREFECT_API_KEY": PREFECT_API_KEY.value()} if PREFECT_API_KEY.value() else {}
    ready = {READY_OF_SHELL: image} if image else {}
    command = [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all"]
    with NamedTemporaryFile("w", prefix="retail-sales-", suffix=".yaml") as file:
        if image or names.ENVIRONMENT != names.PRODUCTION:
            yaml.safe_dump(project_file(IMAGE_FILE if image else PROJECT_FILE), file)
            file.flush()
            command += ["--prefect-file", file.name]
        status, output = await _run(command, os.environ | server | key | ready)
    if status:
        last = without_password("".join([line.strip() for line in output.splitlines() if line.strip()][-1:]))
        raise DeployError(f"`prefect deploy --all` failed: {last}; run it by itself to see more")


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Its exit status and output. It has ended when this returns or raises: what it loses is put back after it."""
    with TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=HOME, env=environment, stdout=output, stderr=asyncio.subprocess.STDOUT
        )
        try:
            status = await asyncio.wait_for(process.wait(), DEPLOY_S_MAX)
        except TimeoutError:
            raise DeployError(
                f"`prefect deploy --all` had not ended after {DEPLOY_S_MAX:g} s and was stopped: "
                f"run `{names.HERE}make deploy` again, or it by itself to see more"
            ) from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        output.seek(0)
        return status, output.read().decode(errors="replace")


# What deploying loses


def _is_paused(deployment: DeploymentResponse) -> bool:
    return bool(deployment.schedules) and (deployment.paused or not any(s.active for s in deployment.schedules))


async def _put_back(
    client: PrefectClient, before: Mapping[str, DeploymentResponse | None], waiting: Sequence[FlowRun]
) -> list[Applied]:
    """Returns the runs that are queued again. Raises DeployError with what was lost when the server does not answer."""
    try:
        await _pause_again(client, before)
        return await _queue_again(client, waiting)
    except httpx.HTTPError as error:
        lost = [
            *(f"the pause of {name}" for name, stored in before.items() if stored and _is_paused(stored)),
            *(f"flow run {_title(run)}" for run in waiting),
        ]
        raise DeployError(
            f"the Prefect server cannot be asked ({type(error).__name__}) to put back what deploying may have lost: "
            f"look at `{names.HERE}make runs`, and put back by hand {', '.join(lost)}"
        ) from error


async def _pause_again(client: PrefectClient, before: Mapping[str, DeploymentResponse | None]) -> None:
    for name, stored in before.items():
        if stored and _is_paused(stored) and (after := await _read(client, name)) and not _is_paused(after):
            for schedule in after.schedules:
                await client.update_deployment_schedule(after.id, schedule.id, active=False)


async def _late_runs(client: PrefectClient, before: Mapping[str, DeploymentResponse | None]) -> list[FlowRun]:
    """The scheduled runs that are due and wait for a worker or for their slot, but for those of the watchdog: its next
    pass does the same."""
    filters = {
        "deployment_id": {"any_": [stored.id for name, stored in before.items() if stored and name != WATCHDOG]},
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC)},
    }
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj(filters))
    return [run for run in runs if run.auto_scheduled]


async def _queue_again(client: PrefectClient, waiting: Sequence[FlowRun]) -> list[Applied]:
    """Creates the runs that deploying has deleted again, with the same scheduled start."""
    applied = []
    for run in waiting:
        try:
            await client.read_flow_run(run.id)
        except ObjectNotFound:
            await client.create_flow_run_from_deployment(
                run.deployment_id,
                parameters=run.parameters,
                state=Scheduled(scheduled_time=run.expected_start_time),
                name=run.name,
                idempotency_key=f"queued again {run.id}",
            )
            applied.append(Applied("flow run", _title(run), "queued again"))
    return applied


def _title(run: FlowRun) -> str:
    return f"{run.name} of {run.expected_start_time:%Y-%m-%d %H:%M} UTC"
