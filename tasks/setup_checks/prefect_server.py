"""Checks of the Prefect server: variables, pool and queues, deployments, automations."""

from functools import partial
from typing import Any

import httpx
import prefect
from prefect import get_client
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.names import CHECK_SETUP, DEPLOYMENTS, POOL, QUEUES, Deployment, Queue
from blocks.project import HOME, version
from blocks.register import TOKEN_KEY_LENGTH_MIN
from blocks.variables import DEFINITIONS, read_variable
from tasks.errors import one_line
from tasks.lines import counted, hide_values, quoting
from tasks.setup_checks.check import Check, SetupFaultError

AUTOMATION_PREFIX = f"{names.TITLE}: "
AUTOMATIONS = (
    "run failed or crashed",
    "quality gate failed",
    "partially loaded",
    "not published in time",
    "never started",
    "watchdog failed",
    "anomaly",
)
"""Those that exist with and without a notification block."""

DEPLOY = f"run `{names.HERE}make deploy`"
SERVER = "prefect server"
START = "start the server, or correct PREFECT_API_URL"


def prefect_checks() -> list[Check]:
    """Server, variables, token key, pool, queues, deployments, automations."""
    after = (SERVER,)
    return [
        Check(SERVER, _hello, START),
        *(Check(f"variable {d.name}", partial(_read, d.name), needs=after) for d in DEFINITIONS),
        Check("token key", _look_at_token_key, needs=after),
        Check(f"work pool {POOL}", _look_at_pool, DEPLOY, needs=after),
        *(
            Check(f"work queue {queue.name}", partial(_look_at_queue, queue), DEPLOY, needs=(f"work pool {POOL}",))
            for queue in QUEUES
        ),
        *(Check(f"deployment {d.name}", partial(_look_at_deployment, d), DEPLOY, needs=after) for d in DEPLOYMENTS),
        Check("version", _look_at_version, needs=(f"deployment {CHECK_SETUP}",)),
        Check("automations", _look_for_automations, DEPLOY, needs=after),
        *(
            Check(f"automation {name}", partial(_look_at_automation, name), DEPLOY, needs=("automations",))
            for name in AUTOMATIONS
        ),
    ]


@sync_compatible
async def _hello() -> str:
    url = PREFECT_API_URL.value()
    if not url:
        raise SetupFaultError("PREFECT_API_URL is not set: set it to http://<host>:4200/api, or run `make up` first")
    shown = hide_values(url)
    try:
        async with get_client() as client:
            version = str((await client._client.get("/admin/version")).json())
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError) as error:
        raise SetupFaultError(
            quoting(f"{shown} does not answer: {START}", one_line(error) or type(error).__name__)
        ) from error
    if _minor(version) != _minor(prefect.__version__):
        raise SetupFaultError(
            f"{shown} runs Prefect {version} and this program {prefect.__version__}: install the same"
        )
    return f"{shown} runs Prefect {version}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _read(name: str) -> str:
    read_variable(name)
    return "understood"


def _look_at_token_key() -> str:
    mend = f"set PII_TOKEN_KEY to the key used so far and run `{names.HERE}python -m blocks.register`"
    try:
        key = Secret.load(names.TOKEN_KEY).get()
    except ValueError as error:
        raise SetupFaultError(f"block secret/{names.TOKEN_KEY} is missing or unreadable: {mend}") from error
    if len(key) < TOKEN_KEY_LENGTH_MIN:
        raise SetupFaultError(f"the key has fewer than {TOKEN_KEY_LENGTH_MIN} characters: {mend}")
    return "is there"


@sync_compatible
async def _look_at_pool() -> str:
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(POOL)
        except ObjectNotFound:
            raise SetupFaultError(f"work pool {POOL} is missing: {DEPLOY}") from None
        workers = await client.read_workers_for_work_pool(POOL)
    if pool.is_paused:
        raise SetupFaultError(f"is paused, nothing starts: `prefect work-pool resume {POOL}`")
    online = sum(worker.status == "ONLINE" for worker in workers)
    workers_now = (
        f"{counted(online, 'worker')} online"
        if online
        else f"no worker online yet: `{names.HERE}make worker` starts one"
    )
    return f"type {pool.type}, {workers_now}"


@sync_compatible
async def _look_at_queue(expected: Queue) -> str:
    async with get_client() as client:
        try:
            found = await client.read_work_queue_by_name(expected.name, work_pool_name=POOL)
        except ObjectNotFound:
            raise SetupFaultError(f"work queue {expected.name} of pool {POOL} is missing: {DEPLOY}") from None
    if found.is_paused:
        raise SetupFaultError(
            f"is paused, its runs do not start: `prefect work-queue resume {expected.name} --pool {POOL}`"
        )
    if found.concurrency_limit != expected.limit:
        raise SetupFaultError(f"has the limit {found.concurrency_limit} and needs {expected.limit}: {DEPLOY}")
    return "no limit" if expected.limit is None else f"limit {expected.limit}"


@sync_compatible
async def _look_at_deployment(expected: Deployment) -> str:
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(expected.name)
        except ObjectNotFound:
            raise SetupFaultError(f"deployment {expected.name} is missing: {DEPLOY}") from None
    if (found.work_pool_name, found.work_queue_name) != (POOL, expected.queue):
        raise SetupFaultError(
            f"sits in {found.work_pool_name}/{found.work_queue_name} and belongs to {POOL}/{expected.queue}: {DEPLOY}"
        )
    if expected.scheduled and not found.schedules:
        raise SetupFaultError(f"has no schedule: {DEPLOY}")
    return describe_schedules(found)


def describe_schedules(deployment: Any) -> str:
    """The deployment's schedules, and whether they are paused."""
    paused = deployment.paused
    schedules = [
        f"schedule {getattr(one.schedule, 'cron', one.schedule)} {'PAUSED' if paused or not one.active else 'active'}"
        for one in deployment.schedules
    ]
    return ", ".join(schedules) or "no schedule"


@sync_compatible
async def _look_at_version() -> str:
    async with get_client() as client:
        deployed = (await client.read_deployment_by_name(CHECK_SETUP)).version
    own = version()
    if own != deployed:
        raise SetupFaultError(
            f"{deployed} is deployed, and the checkout here, {HOME}, is {own}: bring it to that, or {DEPLOY} from it"
        )
    return f"{own}, at {HOME}"


async def _read_automations(client: PrefectClient) -> dict[str, Any]:
    found = await client.read_automations()
    return {a.name.removeprefix(AUTOMATION_PREFIX): a for a in found if a.name.startswith(AUTOMATION_PREFIX)}


@sync_compatible
async def _look_for_automations() -> str:
    async with get_client() as client:
        try:
            found = await _read_automations(client)
        except PrefectHTTPStatusError as error:
            raise SetupFaultError(
                f"the server answers HTTP {error.response.status_code} for automations: start it with "
                "PREFECT_EXPERIMENTAL_EVENTS=true"
            ) from error
    return f"{len(found)} of this pipeline"


@sync_compatible
async def _look_at_automation(name: str) -> str:
    async with get_client() as client:
        found = (await _read_automations(client)).get(name)
    if found is None:
        raise SetupFaultError(f"automation {AUTOMATION_PREFIX}{name} is missing: {DEPLOY}")
    if not found.enabled:
        raise SetupFaultError(f"is switched off: `prefect automation resume '{AUTOMATION_PREFIX}{name}'`")
    return "enabled"
