"""The automations as they are applied: none misses a way in which a run may end."""

import json
from datetime import timedelta
from uuid import UUID, uuid5

import pytest
import yaml
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore
from prefect.server.events.schemas.automations import AutomationCreate

from deployments.automations import (
    PREFIX,
    SEND_ALERT,
    TERMINAL,
    AlertLimits,
    as_json,
    planned_automations,
    watches,
)
from flows.support import states
from flows.support.refusals import REFUSED
from tests.unit.golden import assert_golden

WATCHES = watches(AlertLimits(timedelta(hours=2)))
NAMES = sorted({SEND_ALERT, *(name for watch in WATCHES for name in watch.deployments)})
IDS = {name: uuid5(UUID(int=0), name) for name in NAMES}
BLOCK_ID = UUID(int=1)


def planned(block_id: UUID | None = BLOCK_ID, sla: timedelta = timedelta(minutes=120)) -> list[AutomationCore]:
    return planned_automations(IDS, block_id, "https://prefect.example.com", AlertLimits(sla))


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such. Its own, because prefect.cli changes that of all SafeDumpers."""


def _to_yaml(dumper: Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, _to_yaml)


def test_the_automations_are_those_of_the_golden_file() -> None:
    text = json.dumps([as_json(automation) for automation in planned()])
    for name, deployment_id in IDS.items():
        text = text.replace(str(deployment_id), name)
    text = text.replace(str(BLOCK_ID), "retail-sales-alerts")
    shown = yaml.dump(json.loads(text), Dumper=Dumper, sort_keys=False, width=120)
    assert_golden("deployments-automations.yaml", shown)


def test_the_server_accepts_them() -> None:
    accepted = [AutomationCreate.parse_obj(as_json(automation)).name for automation in planned()]
    assert len(accepted) == len(set(accepted)) == 9


def test_every_name_of_a_final_state_is_known() -> None:
    own = {value for name, value in vars(states).items() if name.isupper() and isinstance(value, str)} | {REFUSED}
    assert own
    assert own <= TERMINAL


@pytest.mark.parametrize("watch", [w for w in WATCHES if w.after], ids=lambda w: w.name)
def test_a_run_that_has_ended_is_never_overdue(watch: object) -> None:
    assert watch.expect >= TERMINAL  # type: ignore[attr-defined]


def test_no_run_is_reported_twice_for_one_end() -> None:
    seen = [
        (deployment, state)
        for watch in WATCHES
        if not watch.after
        for deployment in watch.deployments
        for state in watch.expect
    ]
    assert len(seen) == len(set(seen))


def test_a_backfill_that_makes_room_is_not_reported_so_that_its_last_run_reports_all_dates_once() -> None:
    reported_at_its_end = [watch for watch in WATCHES if not watch.after]
    assert [watch.name for watch in reported_at_its_end if states.YIELDED in watch.expect] == []


ABOUT_SEND_ALERT = {PREFIX + "alert not mailed", PREFIX + "alert not begun"}


def test_a_failure_of_send_alert_does_not_start_send_alert() -> None:
    about_itself = [a for a in planned() if str(IDS[SEND_ALERT]) in json.dumps(as_json(a)["trigger"])]
    assert {automation.name for automation in about_itself} == ABOUT_SEND_ALERT
    assert {type(action) for automation in about_itself for action in automation.actions} == {SendNotification}


def test_each_other_one_notifies_and_mails() -> None:
    for automation in planned():
        if automation.name not in ABOUT_SEND_ALERT:
            assert [type(action) for action in automation.actions] == [SendNotification, RunDeployment]


def test_without_a_notification_block_they_mail() -> None:
    automations = planned(block_id=None)
    assert len(automations) == 7
    assert all([type(action) for action in automation.actions] == [RunDeployment] for automation in automations)


def test_the_time_of_publication_is_the_variables() -> None:
    [due] = [a.trigger.within for a in planned(sla=timedelta(minutes=45)) if a.name == PREFIX + "not published in time"]
    assert due == timedelta(minutes=45)


def test_the_server_waits_ten_seconds_at_least() -> None:
    [due] = [a.trigger.within for a in planned(sla=timedelta(0)) if a.name == PREFIX + "not published in time"]
    assert due == timedelta(seconds=10)
