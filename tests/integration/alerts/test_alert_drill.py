"""The drill proves the whole path: a run fails, an automation sees it, send-alert runs, the mail arrives."""

import mailbox
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas import FlowRun
from prefect.deployments import run_deployment
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.utilities.asyncutils import sync_compatible

from deployments.apply import apply
from flows import alert_drill as module
from flows.alert_drill import alert_drill, read_flow_run
from local.environment import state_dir
from tasks.alerts.book import confirm, new_entry, take
from tasks.alerts.request import AlertRequest
from tasks.alerts.variable_book import VariableBook
from tests.integration.conftest import World
from tests.integration.processes import start_python
from tests.integration.server import events_enabled

START_S_MAX = 300
DRILL_S_MAX = 600
NO_MAIL_S = 1

SERVE = """
from prefect import serve
from flows.alert_drill import alert_drill
from flows.send_alert import send_alert
serve(alert_drill.to_deployment("production"), send_alert.to_deployment("production"), pause_on_shutdown=False)
"""


@sync_compatible
async def deployment_id(name: str) -> UUID | None:
    async with get_client() as client:
        try:
            return UUID(str((await client.read_deployment_by_name(name)).id))
        except ObjectNotFound:
            return None


@sync_compatible
async def add_automation(planned: AutomationCore) -> UUID:
    async with get_client() as client:
        return UUID(str(await client.create_automation(planned)))


@sync_compatible
async def remove(automation: UUID | None, *deployments: UUID) -> None:
    async with get_client() as client:
        if automation:
            await client.delete_automation(automation)
        for deployment in deployments:
            await client.delete_deployment(deployment)


@pytest.fixture(autouse=True)
def _automations_enabled() -> Iterator[None]:
    with events_enabled():
        yield


@pytest.fixture
def served(world: World) -> Iterator[tuple[UUID, UUID]]:
    """The drill and send-alert, served by a separate process; yields the ids of their deployments."""
    was_deployed = deployment_id("alert-drill/production") is not None
    served = start_python("-c", SERVE)
    give_up = time.monotonic() + START_S_MAX
    ids: list[UUID] = []
    while len(ids) < 2:
        assert served.process.is_alive()
        assert time.monotonic() < give_up
        time.sleep(0.5)
        found = [deployment_id(name) for name in ("alert-drill/production", "send-alert/production")]
        ids = [found_id for found_id in found if found_id]
    yield ids[0], ids[1]
    served.process.terminate()
    served.ended()
    remove(None, *ids)
    if was_deployed:
        # For the tests that come after: the deployments of these names are those of the project again.
        apply(os.environ, lambda _: None)


def drill(wait_s_max: int) -> FlowRun:
    parameters = {"wait_s_max": wait_s_max}
    return run_deployment("alert-drill/production", parameters=parameters, timeout=DRILL_S_MAX, poll_interval=1)


def test_the_drill_proves_the_path_from_a_failure_to_a_mail(world: World, served: tuple[UUID, UUID]) -> None:
    drill_id, send_id = served
    trigger = EventTrigger(
        posture=Posture.Reactive,
        expect={"prefect.flow-run.Failed"},
        match=ResourceSpecification.parse_obj({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification.parse_obj(
            {"prefect.resource.role": "deployment", "prefect.resource.id": f"prefect.deployment.{drill_id}"}
        ),
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(0),
    )
    parameters = {"kind": "failed", "flow_run_id": "{{ event.resource.id.split('.')[-1] }}"}
    action = RunDeployment(source="selected", deployment_id=send_id, parameters=parameters)
    automation = add_automation(AutomationCore(name="drill", trigger=trigger, actions=[action]))
    mailbox.Maildir(state_dir() / "mail").clear()
    try:
        run = drill(120)
    finally:
        remove(automation)
    assert run.state is not None
    assert run.state_name == "Completed", run.state.message
    assert str(run.state.message).startswith("a mail was sent ")
    # What other tests have left undone on this server may be mailed meanwhile, too.
    subjects = [str(mail["Subject"]) for mail in mailbox.Maildir(state_dir() / "mail")]
    assert [s for s in subjects if "drill" in s] == ["[retail-sales] alert-drill: drill"], subjects


def test_a_path_that_is_broken_fails_the_drill(world: World, served: tuple[UUID, UUID]) -> None:
    run = drill(NO_MAIL_S)
    assert run.state is not None
    assert run.state.is_failed()
    assert f"no mail within {NO_MAIL_S} s after drill-failure failed" in str(run.state.message)


def test_a_mail_that_some_recipients_do_not_get_fails_the_drill(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "the mail server refused 1 of 2 recipients (variable alert_email_list): recipient 2 with 550"

    def fail_and_mail() -> FlowRun:
        """The run that fails, its automation and send-alert in one."""
        run = read_flow_run(alert_drill(fail=True, return_state=True).state_details.flow_run_id)
        now = datetime.now(UTC)
        entry = new_entry(f"{run.id} drill", AlertRequest("drill", str(run.id)), now)
        mine = take(VariableBook(), entry, now, lambda _: False)
        assert mine is not None
        confirm(VariableBook(), replace(mine, refused=refused), now)
        return run

    monkeypatch.setattr(module, "start_failure", fail_and_mail)
    state = alert_drill(return_state=True)
    assert state.is_failed()
    assert re.fullmatch(
        rf"a mail was sent \d+ s after the failure, but {re.escape(refused)}\. See docs/runbook\.md#drill",
        str(state.message),
    )
