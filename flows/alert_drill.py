"""Proves the path from a failure to a mail: makes a run fail on purpose and waits for its mail."""

import time
from uuid import UUID

from prefect import flow, get_client, get_run_logger
from prefect.client.schemas import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run as current
from prefect.states import Completed, Failed, State
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.server_waits import log_waits
from tasks.alerts.book import AlertEntry, Stage
from tasks.alerts.request import DRILL_FLOW, DRILL_PARAMETER
from tasks.alerts.variable_book import VariableBook
from tasks.errors import NeedsPersonError
from tasks.retries import ONCE

log_waits()

DEPLOYMENT = names.deployment(DRILL_FLOW)
POLL_S = 2
START_S_MAX = 600
"""For a worker to begin the run that fails."""


class DrillError(NeedsPersonError):
    """Raised when a run is to fail on purpose: it stops nothing but a drill."""


def name_of_run() -> str:
    """Names the run that fails on purpose, and the one that watches it."""
    return "drill-failure" if (current.parameters or {}).get(DRILL_PARAMETER) else "alert-drill"


@flow(name=DRILL_FLOW, flow_run_name=name_of_run, **ONCE)
def alert_drill(wait_s_max: int = 600, fail: bool = False) -> State:
    """Proves that a failure is mailed: from a failed run over automation, worker and send-alert to the mail server.

    Starts a second run of itself that fails on purpose. Ends as Completed with the seconds that its mail took, or as
    Failed with the place where the path ends, be it for some of the recipients.

    Args:
        wait_s_max: Seconds to wait for the mail, once the run has failed.
        fail: Fail at once, on purpose. Set by the drill itself.
    """
    if fail:
        raise DrillError("this run fails on purpose, to prove that alerts arrive")
    failed = start_failure()
    if failed.state is None or not failed.state.is_failed():
        state = failed.state_name
        return Failed(
            message=f"{failed.name} is {state} after {START_S_MAX} s and should have failed: is a worker alive, and "
            "does it serve queue ops? See docs/runbook.md#drill"
        )
    get_run_logger().info("step=drill run=%s failed on purpose", failed.name)
    sent = wait_for_mail(str(failed.id), wait_s_max)
    if sent is None:
        return Failed(
            message=f"no mail within {wait_s_max} s after {failed.name} failed: look at the automations, at the "
            "runs of send-alert and at the mail server. See docs/runbook.md#drill"
        )
    seconds = sent.at.timestamp() - failed.state.timestamp.timestamp()
    done = f"a mail was sent {seconds:.0f} s after the failure"
    if sent.refused:
        return Failed(message=f"{done}, but {sent.refused}. See docs/runbook.md#drill")
    return Completed(message=done)


def start_failure() -> FlowRun:
    """Starts the failing run as a separate run and waits for its end."""
    try:
        started = run_deployment(DEPLOYMENT, parameters={DRILL_PARAMETER: True}, timeout=0, as_subflow=False)
    except ObjectNotFound as error:
        raise NeedsPersonError(f"deployment {DEPLOYMENT} is missing: run `{names.HERE}make deploy`") from error
    give_up = time.monotonic() + START_S_MAX
    run = read_flow_run(started.id)
    while not (run.state and run.state.is_final()) and time.monotonic() < give_up:
        time.sleep(POLL_S)
        run = read_flow_run(started.id)
    return run


@sync_compatible
async def read_flow_run(flow_run_id: UUID) -> FlowRun:
    """Reads a flow run from the server."""
    async with get_client() as client:
        return await client.read_flow_run(flow_run_id)


def wait_for_mail(flow_run_id: str, wait_s_max: int) -> AlertEntry | None:
    """Returns the entry of the mail about the run in the book of alerts; None when it was not sent in time."""
    book, give_up = VariableBook(), time.monotonic() + wait_s_max
    while True:
        entry = book.find(f"{flow_run_id} drill")
        if entry and entry.stage is Stage.SENT:
            return entry
        if time.monotonic() >= give_up:
            return None
        time.sleep(POLL_S)
