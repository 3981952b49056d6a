"""Mails lost alerts: those of runs of send-alert that failed, or that no worker has begun."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast, get_args

from prefect import get_client
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from tasks.alerts.request import AlertKind, AlertRequest
from tasks.alerts.sender import Sender
from tasks.watch.one_pass import Report

DEPLOYMENT = names.deployment("send-alert")
ENDED_BADLY = (StateType.FAILED, StateType.CRASHED)
WAITS = (StateType.SCHEDULED, StateType.PENDING)
WAITS_MAX = timedelta(minutes=10)
"""After that time without a worker, an alert is mailed from outside Prefect."""
LOST_SINCE_MAX = timedelta(days=7)
RUNS_READ_MAX = 200
MAILED_LATER = "MailedLater"
"""The state of a run of send-alert whose alert the watchdog has mailed; completed."""


def mail_lost(sender: Sender, waiting_too: bool, report: Report) -> None:
    """Mails lost alerts, each once, and ends their runs. `waiting_too`: also those that no worker has begun."""
    for run in read_lost(waiting_too):
        report.carry_out(f"{run.name} ({run.state_name}) was not mailed", partial(_mail, sender, run))


def _mail(sender: Sender, run: FlowRun) -> str:
    done = sender.send(request_of(run.parameters))
    _end(run, f"the watchdog: {done}")
    return done


@sync_compatible
async def read_lost(waiting_too: bool) -> list[FlowRun]:
    """Returns the runs of send-alert of the last days that have not mailed, the oldest first."""
    now = datetime.now(UTC)
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return []
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.parse_obj(
                {
                    "state": {"type": {"any_": [*ENDED_BADLY, *WAITS]}},
                    "expected_start_time": {"after_": now - LOST_SINCE_MAX, "before_": now},
                }
            ),
            deployment_filter=DeploymentFilter.parse_obj({"id": {"any_": [deployment.id]}}),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=RUNS_READ_MAX,
        )
    return [
        run for run in runs if _is_lost(run, waiting_too, now) and run.parameters.get("kind") in get_args(AlertKind)
    ]


def _is_lost(run: FlowRun, waiting_too: bool, now: datetime) -> bool:
    if run.state_type in ENDED_BADLY:
        return True
    return waiting_too and run.expected_start_time is not None and now - run.expected_start_time > WAITS_MAX


def request_of(parameters: Mapping[str, Any]) -> AlertRequest:
    """Returns the request of a run of send-alert. Automations pass what an event lacks as an empty text."""

    def given(name: str) -> str | None:
        value = parameters.get(name)
        return None if value in (None, "", "None") else str(value)

    kind = cast(AlertKind, parameters["kind"])
    return AlertRequest(kind, given("flow_run_id"), given("date"), given("region"), given("message"))


@sync_compatible
async def _end(run: FlowRun, message: str) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Completed(name=MAILED_LATER, message=message), force=True)
