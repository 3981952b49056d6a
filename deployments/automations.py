"""The automations: what the server itself watches for, and how it reports it. Applied by name, idempotently.

The server evaluates them and sends notifications without a worker; a mail needs one, as `send-alert` is a run.
Only runs of our deployments count: a subflow's events name no deployment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import PrefectClient
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from blocks import names
from deployments.applied import Applied
from flows.support import states
from flows.support.refusals import REFUSED
from tasks.alerts.mail import ALERTS, SUBJECT_BEGIN
from tasks.setup_checks.through_worker import NOT_READY
from tasks.watch.lost_alerts import MAILED_LATER

PREFIX = f"{names.TITLE}: "
"""Begins the names of our automations: one that is no longer in this file is removed."""

DAILY = names.deployment("daily-sales")
WATCHDOG = names.deployment("watchdog")
SEND_ALERT = names.deployment("send-alert")
LOADS = (DAILY, names.deployment("backfill"))
REPLAY, RECONCILE = names.deployment("replay-rejected"), names.deployment("reconcile")
REPAIRS = (names.deployment("rollback"), REPLAY, RECONCILE)
HOUSEKEEPING = (names.deployment("list-rejected"), names.deployment("clean-staging"))
OTHERS = (names.deployment("check-setup"), names.deployment("alert-drill"))
REPORTED_EACH_TIME = (*LOADS, *REPAIRS, *HOUSEKEEPING, *OTHERS)

FAILED = frozenset({"Failed", "Crashed", "TimedOut"})
OWN_STATES = frozenset({states.PARTIALLY_LOADED, states.OVERTAKEN, states.QUALITY_FAILED, REFUSED, "Yielded"})
TERMINAL = FAILED | OWN_STATES | {"Completed", "Cached", "RolledBack", "Cancelled", NOT_READY, MAILED_LATER}
"""Every name under which a run may end: an event carries the name of a state, not its type."""

NEVER_STARTED = timedelta(minutes=30)
WITHIN_MIN = timedelta(seconds=10)
"""The shortest time that a server waits for an absent event."""
ONCE_AN_HOUR = timedelta(hours=1)

RUN_ID = "{{ event.resource.id.split('.')[-1] }}"
"""Not `flow_run.id`: the run may have been deleted since."""
SHORT_NAME = "{{ event.resource.name | replace('daily-sales-', '') | truncate(40) }}"
"""The date of a daily run that has begun, the name of any other run."""
MESSAGE = "{{ event.resource['prefect.state-message'] | default('', true) | truncate(1000) }}"


@dataclass(frozen=True)
class AlertLimits:
    """How long the server waits before it reports that something is missing."""

    sla: timedelta
    never_started: timedelta = NEVER_STARTED


@dataclass(frozen=True)
class Watch:
    """What is watched: events of runs of some deployments, or, with `after`, their absence `within` a time."""

    name: str
    description: str
    headline: str
    """As in the subjects of mails."""
    deployments: tuple[str, ...]
    expect: frozenset[str]
    after: frozenset[str] = frozenset()
    within: timedelta = timedelta(0)
    each: str = "prefect.resource.id"
    kind: str | None = None
    """The kind that send-alert is started with; None: no mail."""


def watches(limits: AlertLimits) -> tuple[Watch, ...]:
    """Returns the watches over runs."""
    return (
        Watch(
            name="run failed or crashed",
            description="A run ended as failed, timed out or crashed.",
            headline=ALERTS["failed"].subject,
            deployments=REPORTED_EACH_TIME,
            expect=FAILED,
            kind="failed",
        ),
        Watch(
            name="quality gate failed",
            description="The quality gate refused a batch; nothing was loaded.",
            headline=ALERTS["quality-failed"].subject,
            deployments=LOADS,
            expect=frozenset({states.QUALITY_FAILED}),
            kind="quality-failed",
        ),
        Watch(
            name="partially loaded",
            description="A region was left out; the others are published.",
            headline=ALERTS["partially-loaded"].subject,
            deployments=(*LOADS, REPLAY, RECONCILE),
            expect=frozenset({states.PARTIALLY_LOADED}),
            kind="partially-loaded",
        ),
        Watch(
            name="not published in time",
            description="A daily run had not ended when its data were due (variable sla_minutes, as last deployed).",
            headline=ALERTS["sla"].subject,
            deployments=(DAILY,),
            after=frozenset({"Late", "Pending", "Running"}),
            expect=TERMINAL,
            within=max(limits.sla, WITHIN_MIN),
            kind="sla",
        ),
        Watch(
            name="never started",
            description="A daily run was still waiting half an hour after its scheduled start: is a worker up, is "
            "another load in its way?",
            headline=ALERTS["never-started"].subject,
            deployments=(DAILY,),
            after=frozenset({"Late", "Pending"}),
            expect=TERMINAL | {"Running"},
            within=limits.never_started,
            kind="never-started",
        ),
        Watch(
            name="watchdog failed",
            description="The watchdog itself failed; reported once an hour.",
            headline=ALERTS["failed"].subject,
            deployments=(WATCHDOG,),
            expect=FAILED,
            within=ONCE_AN_HOUR,
            each="related:deployment:prefect.resource.id",
            kind="failed",
        ),
        Watch(
            name="alert not mailed",
            description="send-alert failed, so a mail is missing; reported by the server alone, once an hour.",
            headline="alert not mailed",
            deployments=(SEND_ALERT,),
            expect=FAILED,
            within=ONCE_AN_HOUR,
            each="related:deployment:prefect.resource.id",
        ),
        Watch(
            name="alert not begun",
            description="No worker has begun a run of send-alert, so a mail is missing; reported by the server alone.",
            headline="alert not begun",
            deployments=(SEND_ALERT,),
            after=frozenset({"Late", "Pending"}),
            expect=TERMINAL | {"Running"},
            within=limits.never_started,
            each="related:deployment:prefect.resource.id",
        ),
    )


def planned_automations(
    ids: Mapping[str, UUID], block_id: UUID | None, ui_url: str | None, limits: AlertLimits
) -> list[AutomationCore]:
    """Returns all automations.

    Args:
        ids: Ids of the deployments by `<flow>/<name>`.
        block_id: The notification block. None: automations only mail, and those that do not mail are left out.
        ui_url: Address of the dashboard, for the link to the run.
    """
    planned = [_of_watch(watch, ids, block_id, ui_url) for watch in watches(limits)]
    return [automation for automation in [*planned, _anomaly(ids, block_id, ui_url)] if automation.actions]


def _of_watch(watch: Watch, ids: Mapping[str, UUID], block_id: UUID | None, ui_url: str | None) -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Proactive if watch.after else Posture.Reactive,
        after=_events(watch.after),
        expect=_events(watch.expect),
        match=ResourceSpecification.parse_obj({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification.parse_obj(
            {
                "prefect.resource.role": "deployment",
                "prefect.resource.id": [f"prefect.deployment.{ids[name]}" for name in watch.deployments],
            }
        ),
        for_each={watch.each},
        within=watch.within,
        threshold=1,
    )
    run = "{{ event.resource_in_role['flow'].name }} {{ event.resource.name }}"
    state = "{{ event.resource['prefect.state-name'] }}"
    body = [
        f"Run: {run}",
        f"State: {state}",
        f"Message: {MESSAGE}",
        f"What: {watch.description}",
    ]
    parameters = {"kind": watch.kind, "flow_run_id": RUN_ID} if watch.kind else None
    actions = _actions(f"{SHORT_NAME}: {watch.headline}", body, _link(ui_url, RUN_ID), parameters, ids, block_id)
    return AutomationCore(name=PREFIX + watch.name, description=watch.description, trigger=trigger, actions=actions)


def _anomaly(ids: Mapping[str, UUID], block_id: UUID | None, ui_url: str | None) -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Reactive,
        expect={names.EVENT},
        match=ResourceSpecification.parse_obj({"prefect.resource.id": f"{names.REGION_RESOURCE}.*"}),
        for_each={"prefect.resource.id"},
        within=timedelta(0),
        threshold=1,
    )
    date, region, message = (
        "{{ event.payload.date }}",
        "{{ event.resource.id.split('.')[-1] }}",
        "{{ event.payload.message }}",
    )
    run_id = "{{ event.resource_in_role['flow-run'].id.split('.')[-1] }}"
    body = [f"Date: {date}", f"Region: {region}", "What: {{ event.payload.what }}", f"Message: {message}"]
    headline = f"{date} {region}: {ALERTS['anomaly'].subject}: {{{{ event.payload.what }}}}"
    # send-alert reads the sort of an anomaly from the word before the first colon.
    sorted_message = "{{ event.payload.what }}: {{ event.payload.message }}"
    parameters = {"kind": "anomaly", "flow_run_id": run_id, "date": date, "region": region, "message": sorted_message}
    return AutomationCore(
        name=PREFIX + "anomaly",
        description="A daily run saw something unusual in the data, which are loaded all the same.",
        trigger=trigger,
        actions=_actions(headline, body, _link(ui_url, run_id), parameters, ids, block_id),
    )


def _actions(
    headline: str,
    body: Sequence[str],
    link: Sequence[str],
    parameters: Mapping[str, str] | None,
    ids: Mapping[str, UUID],
    block_id: UUID | None,
) -> list[SendNotification | RunDeployment]:
    actions: list[SendNotification | RunDeployment] = []
    if block_id is not None:
        subject = f"{SUBJECT_BEGIN} {headline}"
        actions.append(SendNotification(block_document_id=block_id, subject=subject, body="\n".join([*body, *link])))
    if parameters is not None:
        actions.append(RunDeployment(source="selected", deployment_id=ids[SEND_ALERT], parameters=dict(parameters)))
    return actions


def _link(ui_url: str | None, run_id: str) -> list[str]:
    return [f"{ui_url.rstrip('/')}/flow-runs/flow-run/{run_id}"] if ui_url else []


def _events(state_names: frozenset[str]) -> set[str]:
    return {f"prefect.flow-run.{name}" for name in state_names}


def as_json(automation: AutomationCore) -> dict[str, Any]:
    """Returns the settings of an automation, without what the server adds; sets are sorted."""
    content: dict[str, Any] = automation.dict(
        json_compatible=True, include={"name", "description", "trigger", "actions"}
    )
    trigger = content["trigger"]
    for field in ("after", "expect", "for_each"):
        trigger[field] = sorted(trigger[field])
    return content


async def read_ours(client: PrefectClient) -> list[Automation]:
    """The automations on the server whose names have our prefix."""
    return [automation for automation in await client.read_automations() if automation.name.startswith(PREFIX)]


async def apply_automations(client: PrefectClient, planned: Sequence[AutomationCore]) -> list[Applied]:
    """Creates, updates and removes until the server holds `planned` and no other with our prefix."""
    surplus = {automation.id: automation for automation in await read_ours(client)}
    applied = []
    for wanted in planned:
        stored = next((one for one in surplus.values() if one.name == wanted.name), None)
        if stored is None:
            await client.create_automation(wanted)
            outcome = "created"
        else:
            del surplus[stored.id]
            outcome = await _update(client, stored, wanted)
        applied.append(Applied("automation", wanted.name, outcome, "" if not stored or stored.enabled else "disabled"))
    for automation in surplus.values():
        await client.delete_automation(automation.id)
        applied.append(Applied("automation", automation.name, "removed"))
    return applied


async def _update(client: PrefectClient, stored: Automation, wanted: AutomationCore) -> str:
    if as_json(stored) == as_json(wanted):
        return "unchanged"
    # Parsed from JSON, every field counts as set, and the client sends only those. What is disabled stays disabled.
    update = AutomationCore.parse_obj(as_json(wanted) | {"enabled": stored.enabled})
    await client.update_automation(stored.id, update)
    return "updated"
