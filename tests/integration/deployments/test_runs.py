"""Runs of the deployments on a worker, started as a user starts them."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.deployments.conftest import Operator, side_by_side

DAILY = "daily-sales/production"


@dataclass(frozen=True)
class Loads:
    """Three daily runs that were started at once, as they ended."""

    by_text: dict[str, Any]
    by_number: dict[str, Any]
    by_schedule: dict[str, Any]

    def all(self) -> list[dict[str, Any]]:
        return [self.by_text, self.by_number, self.by_schedule]


@pytest.fixture(scope="module")
def loads(operator: Operator, worker: None, year: None) -> Loads:
    operator.clear_the_way()
    ids = side_by_side(
        lambda: operator.start(DAILY, "-p", "date=2017-12-23"),
        lambda: operator.start(DAILY, "-p", "date=20171224"),
        lambda: operator.start(DAILY, "--start-at", "2017-12-23 06:00:00"),
    )
    return Loads(*(operator.finished(flow_run_id) for flow_run_id in ids))


def test_a_run_with_a_date_loads_that_day_and_leaves_its_report(operator: Operator, loads: Loads) -> None:
    assert (loads.by_text["state_name"], loads.by_text["name"]) == ("Completed", "daily-sales-2017-12-23")
    assert loads.by_text["state"]["message"] == "2017-12-23: 7,064 clean rows of 4 regions"
    artifacts = operator.filter("artifacts", artifacts={"flow_run_id": {"any_": [loads.by_text["id"]]}})
    assert {artifact["type"] for artifact in artifacts} == {"markdown"}


def test_a_date_may_be_the_batch_id_which_arrives_as_a_number(loads: Loads) -> None:
    assert loads.by_number["parameters"] == {"date": 20171224}
    assert (loads.by_number["state_name"], loads.by_number["name"]) == ("Completed", "daily-sales-2017-12-24")


def test_a_run_without_date_takes_the_day_before_its_scheduled_start_however_late_it_begins(loads: Loads) -> None:
    assert loads.by_schedule["expected_start_time"].startswith("2017-12-23T06:00:00")
    assert (loads.by_schedule["state_name"], loads.by_schedule["name"]) == ("Completed", "daily-sales-2017-12-22")


def test_one_load_at_a_time(loads: Loads) -> None:
    first, second, third = sorted(loads.all(), key=lambda run: run["start_time"])
    assert first["end_time"] <= second["start_time"]
    assert second["end_time"] <= third["start_time"]


DATE_EXPECTED = (
    "Validation failed for field 'date'. Failure reason: 'a day like 2024-01-15 or 20240115, or yesterday' was expected"
)
REGIONS_EXPECTED = (
    "Validation failed for field 'regions'. Failure reason: "
    "'a list of US_EAST, US_WEST, EUROPE, ASIA_PACIFIC, like [\"US_EAST\"]' was expected"
)
REFUSED = [
    pytest.param("date", True, DATE_EXPECTED, id="boolean"),
    pytest.param("date", 1705276800, DATE_EXPECTED, id="seconds-since-1970"),
    pytest.param("date", 2024.5, DATE_EXPECTED, id="fraction"),
    pytest.param("date", ["2017-12-23"], DATE_EXPECTED, id="list-for-date"),
    pytest.param("date", "23.12.2017", DATE_EXPECTED, id="other-form"),
    pytest.param("date", "2017-13-01", DATE_EXPECTED, id="thirteenth-month"),
    pytest.param("date", "2017-02-30", DATE_EXPECTED, id="thirtieth-of-february"),
    pytest.param("date", "20170431", DATE_EXPECTED, id="thirty-first-of-april"),
    pytest.param("date", "", DATE_EXPECTED, id="empty-text"),
    pytest.param("regions", "US_EAST", REGIONS_EXPECTED, id="text-for-list"),
    pytest.param("regions", ["MARS"], REGIONS_EXPECTED, id="unknown-region"),
    pytest.param("regions", [], REGIONS_EXPECTED, id="no-region"),
]


@pytest.mark.parametrize(("parameter", "value", "expected"), REFUSED)
def test_a_wrong_parameter_is_refused_before_there_is_a_run(
    operator: Operator, parameter: str, value: Any, expected: str
) -> None:
    deployment = operator.deployment(DAILY)["id"]
    answer = operator.api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": {parameter: value}})
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"Error creating flow run: {expected}"


def test_the_command_line_shows_the_refusal(operator: Operator) -> None:
    refused = operator.prefect("deployment", "run", DAILY, "-p", "date=23.12.2017")
    assert (refused.returncode, DATE_EXPECTED in refused.stdout) == (1, True)
