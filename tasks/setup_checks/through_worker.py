"""check-setup through a worker: the findings of the machine that does the work, read back from the server."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from tasks.errors import one_line
from tasks.setup_checks.check import Finding, Outcome
from tasks.setup_checks.prefect_server import DEPLOY
from tasks.stopwatch import Say

DEPLOYMENT, ARTIFACT_KEY = names.deployment("check-setup"), "check-setup"
WORKER = "worker"
NOT_READY = "NotReady"
"""The state of a failed check-setup whose findings are read at once: nobody is mailed."""
START_S_MAX = 60
REPORT_S_MAX = 60
"""What a run may take beside its checks, to write its findings and to end."""
POLL_S, SAY_S = 0.5, 5
WAITING = (StateType.SCHEDULED, StateType.PENDING)


@dataclass(frozen=True)
class Answer:
    """Whether a worker has run the checks, and its findings, none where it did not."""

    worker: Finding
    findings: tuple[Finding, ...] = ()


@sync_compatible
async def check_through_worker(say: Say, checks_s_max: float, start_s_max: float = START_S_MAX) -> Answer:
    """Runs the deployment of check-setup without mail, whose checks take at most `checks_s_max` seconds. A run that no
    worker has started within `start_s_max` seconds is cancelled. Logs every few seconds what it waits for."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return _bad(f"deployment {DEPLOYMENT} is missing, no worker can start it: {DEPLOY}")
        run = await client.create_flow_run_from_deployment(deployment.id, parameters={"mail": False})
        started = f"for a worker to start {DEPLOYMENT}, {start_s_max:g} s at most"
        run = await _wait(
            client, run, lambda state: state not in WAITING, start_s_max, lambda: say(f"waiting {started}")
        )
        if run.state_type in WAITING:
            message = f"no worker has started {run.name} within {start_s_max:g} s"
            await client.set_flow_run_state(run.id, Cancelled(message=message))
            return _bad(
                f"{message}: `{names.HERE}make worker` on the machine that does the work, then look at its output"
            )
        ended = f"for the end of {run.name}"
        run = await _wait(client, run, _is_final, checks_s_max + REPORT_S_MAX, lambda: say(f"waiting {ended}"))
        findings = await _read_findings(client, run)
    if not findings:
        return _bad(f"{run.name} is {run.state_name} and has found nothing: {_last_words(run)}")
    return Answer(Finding(WORKER, Outcome.OK, f"{run.name} ran there and found what follows"), findings)


def _bad(message: str) -> Answer:
    return Answer(Finding(WORKER, Outcome.BAD, message))


async def _wait(
    client: PrefectClient,
    run: FlowRun,
    is_over: Callable[[StateType | None], bool],
    s_max: float,
    say: Callable[[], None],
) -> FlowRun:
    begun = logged_at = time.monotonic()
    while not is_over(run.state_type) and time.monotonic() - begun < s_max:
        if time.monotonic() - logged_at > SAY_S or logged_at == begun:
            say()
            logged_at = time.monotonic()
        await anyio.sleep(POLL_S)
        run = await client.read_flow_run(run.id)
    return run


def _is_final(state: StateType | None) -> bool:
    return state in (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)


async def _read_findings(client: PrefectClient, run: FlowRun) -> tuple[Finding, ...]:
    found = await client.read_artifacts(
        artifact_filter=ArtifactFilter(
            key=ArtifactFilterKey(any_=[names.of(ARTIFACT_KEY)]), flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])
        )
    )
    rows = json.loads(str(found[0].data)) if found else []
    return tuple(Finding(row["check"], Outcome(row["outcome"]), row["what"]) for row in rows)


def _last_words(run: FlowRun) -> str:
    """The last line of the state's message: a stack trace comes before it where a run could not begin."""
    message = run.state.message if run.state else None
    return one_line(message.strip().splitlines()[-1]) if message else "see its log in the dashboard"
