"""A daily run is called by its date, also before it has begun."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.client.schemas import FlowRun

from flows.support.run_hooks import name_of_waiting

SIX = datetime(2024, 1, 16, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        pytest.param({}, "daily-sales-2024-01-15", id="scheduled"),
        pytest.param({"date": None, "regions": None}, "daily-sales-2024-01-15", id="without-a-date"),
        pytest.param({"date": 20240110}, "daily-sales-2024-01-10", id="with-a-date"),
        pytest.param({"date": "soon"}, "the daily run due at 2024-01-16 06:00 UTC", id="date-not-understood"),
    ],
)
def test_a_run_that_has_not_begun_is_named_by_its_date(parameters: dict[str, Any], name: str) -> None:
    run = FlowRun.construct(name="tangible-lemur", parameters=parameters, expected_start_time=SIX)
    assert name_of_waiting(run) == name
