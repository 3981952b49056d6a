"""What the server notices and tells by itself. No worker is alive: runs go on in processes of their own."""

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID

import pytest
from prefect import get_client
from prefect.events import emit_event

from deployments.automations import TERMINAL, AlertLimits, apply_automations, planned_automations
from expectations.regions import REGIONS
from tests.integration.conftest import World, wait_for
from tests.integration.deployments.conftest import Operator
from tests.integration.server import events_enabled

DAILY, ROLLBACK = "daily-sales/production", "rollback/production"
USUAL = AlertLimits(sla=timedelta(minutes=120))
SHORT = AlertLimits(sla=timedelta(seconds=40), never_started=timedelta(seconds=20))
EMPTY_DAY, LOST_REGION_DAY, NEVER_LOADED_DAY = date(2018, 3, 5), date(2018, 3, 6), date(2018, 3, 7)


def apply_limits(operator: Operator, limits: AlertLimits) -> None:
    """Applies the automations with these limits, over the same notification block and deployments."""
    ids = {deployment: UUID(operator.deployment(deployment)["id"]) for deployment in operator.deployments()}
    block = operator.api.get("/block_types/slug/custom-webhook/block_documents/name/retail-sales-alerts").json()
    planned = planned_automations(ids, UUID(block["id"]), operator.environment["PREFECT_UI_URL"], limits)

    async def on_the_server() -> None:
        async with get_client() as client:
            await apply_automations(client, planned)

    with events_enabled():
        asyncio.run(on_the_server())


@pytest.fixture(scope="module")
def told(operator: Operator, world: World) -> Iterator[dict[str, str]]:
    """Runs that ended in each way, by what is wrong with them; all alerts about them have arrived."""
    world.fill(LOST_REGION_DAY, regions=tuple(REGIONS)[:3])
    dates = {"no rows": EMPTY_DAY, "a region without rows": LOST_REGION_DAY, "a day to come": date(2999, 12, 31)}
    ids = {wrong: operator.start(DAILY, "-p", f"date={day}") for wrong, day in dates.items()}
    ids["never loaded"] = operator.start(ROLLBACK, "-p", f"date={NEVER_LOADED_DAY}", "-p", "reason=wrong prices")
    operator.execute_all(ids.values())
    emit_anomaly(ids["a region without rows"])
    wait_for(lambda: len(alerts_about(operator, ids)) == 4, "four runs of send-alert")
    wrong = [run for what, run in ids.items() if what != "a day to come"]
    wait_for(lambda: all(operator.sink.about(run) for run in wrong), "a notification about each run")
    wait_for(lambda: anomalies_told(operator), "a notification of the anomaly")
    yield ids
    operator.forget_alert_runs()


@pytest.fixture(scope="module")
def overdue(operator: Operator, told: dict[str, str]) -> Iterator[str]:
    """A run that nobody starts, after runs that ended in time under every name; its alerts have arrived."""
    apply_limits(operator, SHORT)
    try:
        for name in TERMINAL:
            operator.report_end(DAILY, name)
        waiting = operator.start(DAILY)
        wait_for(lambda: len(operator.sink.about(waiting)) == 2, "never started, and not published in time")
        kinds = {"never-started", "sla"}
        wait_for(lambda: kinds <= {run["kind"] for run in operator.alert_runs()}, "a run of send-alert for each")
        yield waiting
    finally:
        operator.clear_the_way()
        operator.forget_alert_runs()
        apply_limits(operator, USUAL)


def alerts_about(operator: Operator, told: dict[str, str]) -> list[dict[str, str]]:
    """The runs of send-alert about these runs: those of other tests are told, too."""
    return [run for run in operator.alert_runs() if run.get("flow_run_id") in told.values()]


def anomalies_told(operator: Operator) -> list[dict[str, str]]:
    """The notifications of anomalies of that day."""
    return [m for m in operator.sink.messages if "anomaly" in m["subject"] and str(LOST_REGION_DAY) in m["subject"]]


def emit_anomaly(flow_run_id: str) -> None:
    event = {
        "event": "retail-sales.anomaly",
        "resource": {"prefect.resource.id": "retail-sales.region.EUROPE"},
        "related": [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}],
        "payload": {"date": "2018-03-06", "region": "EUROPE", "what": "row-count", "message": "half the rows"},
    }
    with events_enabled():
        emit_event(**event)


@pytest.mark.parametrize(
    ("wrong", "subject", "body"),
    [
        pytest.param(
            "no rows",
            "[retail-sales] 2018-03-05: quality failed",
            "Run: daily-sales daily-sales-2018-03-05\nState: QualityFailed\n"
            "Message: nothing was loaded for 2018-03-05: record count 0 is below threshold 100",
            id="quality-failed",
        ),
        pytest.param(
            "a region without rows",
            "[retail-sales] 2018-03-06: partially loaded",
            "Run: daily-sales daily-sales-2018-03-06\nState: PartiallyLoaded\nMessage: ASIA_PACIFIC",
            id="partially-loaded",
        ),
    ],
)
def test_the_notification_says_run_state_message_and_link(
    operator: Operator, told: dict[str, str], wrong: str, subject: str, body: str
) -> None:
    assert [message["subject"] for message in operator.sink.about(told[wrong])] == [subject], operator.sink.messages
    [message] = operator.sink.about(told[wrong])
    assert message["body"].startswith(body)
    link = f"{operator.environment['PREFECT_UI_URL']}/flow-runs/flow-run/{told[wrong]}"
    assert message["body"].splitlines()[-1] == link


def test_a_failed_run_is_told_with_its_cause(operator: Operator, told: dict[str, str]) -> None:
    [message] = operator.sink.about(told["never loaded"])
    assert message["subject"].endswith(": failed")
    assert "batch 20180307 is not in production" in message["body"]


def test_a_slip_in_a_date_answers_who_made_it_and_tells_nobody_else(operator: Operator, told: dict[str, str]) -> None:
    run = operator.flow_run(told["a day to come"])
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Refused")
    assert "date 2999-12-31 is in the future (today is " in run["state"]["message"]
    assert operator.sink.about(told["a day to come"]) == []


def test_an_anomaly_is_told_with_date_and_region(operator: Operator, told: dict[str, str]) -> None:
    [message] = anomalies_told(operator)
    assert message["subject"] == "[retail-sales] 2018-03-06 EUROPE: anomaly: row-count"
    assert "What: row-count\nMessage: half the rows" in message["body"]


def test_each_alert_starts_send_alert_once_with_its_kind_and_run(operator: Operator, told: dict[str, str]) -> None:
    assert alerts_about(operator, told) == [
        {
            "kind": "anomaly",
            "flow_run_id": told["a region without rows"],
            "date": "2018-03-06",
            "region": "EUROPE",
            "message": "row-count: half the rows",
        },
        {"kind": "failed", "flow_run_id": told["never loaded"]},
        {"kind": "partially-loaded", "flow_run_id": told["a region without rows"]},
        {"kind": "quality-failed", "flow_run_id": told["no rows"]},
    ]


def test_a_run_that_nobody_starts_is_told_after_its_start_and_when_its_data_are_due(
    operator: Operator, overdue: str
) -> None:
    # A server that was busy may find both overdue in one look.
    subjects = sorted(message["subject"] for message in operator.sink.about(overdue))
    assert ["never started" in subjects[0], "not published in time" in subjects[1]] == [True, True], subjects
    assert [run for run in operator.alert_runs() if run.get("flow_run_id") == overdue] == [
        {"kind": "never-started", "flow_run_id": overdue},
        {"kind": "sla", "flow_run_id": overdue},
    ]


def test_a_run_that_ended_under_whatever_name_is_not_overdue(operator: Operator, overdue: str) -> None:
    late = ("never started", "not published in time")
    about_time = [message for message in operator.sink.messages if any(text in message["subject"] for text in late)]
    assert [message for message in about_time if overdue not in message["body"]] == []
