"""An anomaly that a daily run found is emitted as an event that automations can match."""

import time
from datetime import date
from typing import Any

from tests.integration.conftest import World
from tests.integration.server import PatientClient, events_enabled

WAIT_S_MAX = 300


def anomalies_of(world: World, day: date, what: str, count: int = 1) -> list[dict[str, Any]]:
    """The server's events of a sort about a date, once there are `count` of them: they may arrive after the run's
    end."""
    asked = {"filter": {"event": {"name": ["retail-sales.anomaly"]}}}
    give_up = time.monotonic() + WAIT_S_MAX
    with PatientClient(base_url=world.environment["PREFECT_API_URL"]) as api:
        while time.monotonic() < give_up:
            answer = api.post("/events/filter", json=asked).raise_for_status()
            events = [event for event in answer.json()["events"] if event["payload"]["date"] == str(day)]
            found = [event for event in events if event["payload"]["what"] == what]
            if len(found) >= count:
                return found
            time.sleep(0.5)
    return []


def test_a_new_column_stops_no_load_and_is_reported_with_its_run(world: World, day: date) -> None:
    world.fill(day, rows=120, regions=("EUROPE",))
    world.change("EUROPE", "ALTER TABLE sales_transactions ADD COLUMN loyalty_tier text")
    try:
        with events_enabled():
            run = world.run(day, ["EUROPE"])
    finally:
        world.change("EUROPE", "ALTER TABLE sales_transactions DROP COLUMN loyalty_tier")
    assert run.state.name == "Completed"
    assert run.report is not None
    assert "EUROPE: new columns in the source: loyalty_tier (text)" in run.report.anomalies

    (event,) = anomalies_of(world, day, "new-column")
    assert event["payload"]["region"] == "EUROPE"
    assert event["resource"]["prefect.resource.id"] == "retail-sales.region.EUROPE"
    assert "new columns in the source: loyalty_tier (text)" in event["payload"]["message"]
    related = {resource["prefect.resource.role"]: resource["prefect.resource.id"] for resource in event["related"]}
    assert related["flow-run"] == f"prefect.flow-run.{run.report.flow_run_id}"
