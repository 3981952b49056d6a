"""The parameters as Prefect itself validates them before a run begins, and the batch that they mean."""

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.schema_tools import validation as schemas

from expectations.regions import REGIONS
from flows.backfill import backfill
from flows.daily_sales import daily_sales
from flows.support import parameters, run_hooks
from flows.support.parameters import ACTIVE_MAX, choose_batch, choose_range
from flows.support.refusals import refused_batch, refused_dates, refused_range
from tasks.batch import DateRange

ALL = tuple(REGIONS)


@pytest.mark.parametrize(
    ("given", "validated"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"date": None, "regions": None}, {"date": None, "regions": None}, id="none"),
        pytest.param({"date": "yesterday"}, {"date": "yesterday"}, id="yesterday"),
        pytest.param({"date": "2999-01-01"}, {"date": "2999-01-01"}, id="future-which-the-run-refuses"),
        pytest.param({"date": "2017-12-23"}, {"date": "2017-12-23"}, id="iso"),
        pytest.param({"date": "20171223"}, {"date": "2017-12-23"}, id="compact-text"),
        pytest.param({"date": 20171223}, {"date": "2017-12-23"}, id="integer-as-on-the-command-line"),
        pytest.param({"date": date(2017, 12, 23)}, {"date": "2017-12-23"}, id="date"),
        pytest.param({"regions": ["EUROPE", "US_EAST"]}, {"regions": ["US_EAST", "EUROPE"]}, id="regions-in-order"),
        pytest.param({"regions": ["EUROPE", "EUROPE"]}, {"regions": ["EUROPE"]}, id="region-twice"),
    ],
)
def test_accepted_parameters(given: dict[str, Any], validated: dict[str, Any]) -> None:
    assert daily_sales.validate_parameters(given) == validated


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"date": True}, "date True is not understood: write it as 2024-01-15 or 20240115", id="true"),
        pytest.param({"date": False}, "date False is not understood", id="false"),
        pytest.param({"date": 20171223.0}, "date 20171223.0 is not understood", id="float"),
        pytest.param({"date": ""}, "date '' is not understood", id="empty-text"),
        pytest.param({"date": "Yesterday"}, "date 'Yesterday' is not understood", id="another-word"),
        pytest.param({"date": "2017-12-32"}, "date '2017-12-32' is no day of the calendar", id="no-such-day"),
        pytest.param({"date": datetime(2017, 12, 23)}, "is not understood", id="datetime"),
        pytest.param({"date": 1513987200}, "date 1513987200 is not understood", id="seconds-since-1970"),
        pytest.param(
            {"regions": ["MARS"]},
            "region 'MARS' is unknown: choose from US_EAST, US_WEST, EUROPE, ASIA_PACIFIC, or leave regions out",
            id="unknown-region",
        ),
        pytest.param(
            {"regions": "EUROPE"},
            "regions 'EUROPE' is no list of region codes: write it as [\"US_EAST\"]",
            id="plain-text",
        ),
        pytest.param({"regions": []}, "regions is empty", id="empty-list"),
        pytest.param({"regions": [1]}, "regions [1] is no list of region codes", id="numbers"),
        pytest.param({"regions": {"EUROPE": 1}}, "is no list of region codes", id="mapping"),
    ],
)
def test_refused_parameters_say_what_to_write(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterTypeError) as caught:
        daily_sales.validate_parameters(given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "is_valid"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"date": None}, True, id="none"),
        pytest.param({"date": "yesterday"}, True, id="yesterday"),
        pytest.param({"date": "2024-01-15"}, True, id="iso"),
        pytest.param({"date": "20240115"}, True, id="compact-text"),
        pytest.param({"date": 20240115}, True, id="integer"),
        pytest.param({"date": ""}, False, id="empty-text"),
        pytest.param({"date": "yesterdays"}, False, id="another-word"),
        pytest.param({"date": "2024-02-30"}, False, id="30-february"),
    ],
)
def test_the_form_shows_yesterday_and_takes_dates(given: dict[str, Any], is_valid: bool) -> None:
    schema = daily_sales.parameters.dict()
    assert schema["properties"]["date"]["default"] == "yesterday"
    assert schemas.is_valid(given, schema) is is_valid


def test_the_form_of_the_dashboard_describes_each_parameter() -> None:
    properties = daily_sales.parameters.properties
    assert list(properties) == ["date", "regions", "engine"]
    assert "2024-01-15 or 20240115" in properties["date"]["description"]
    assert "Region codes" in properties["regions"]["description"]
    assert properties["engine"]["enum"] == ["pandas", "spark"]
    assert not daily_sales.parameters.required


@pytest.mark.parametrize("engine", ["Spark", "duckdb", "", None, 1])
def test_an_unknown_engine_is_refused(engine: Any) -> None:
    with pytest.raises(ParameterTypeError, match=f"engine {engine!r} is unknown: write pandas or spark"):
        daily_sales.validate_parameters({"engine": engine})


@pytest.mark.parametrize(
    ("given", "validated"),
    [
        pytest.param(
            {"start_date": 20240110, "end_date": "20240114"},
            {"start_date": "2024-01-10", "end_date": "2024-01-14"},
            id="compact",
        ),
        pytest.param({"mode": "all", "order": "newest"}, {"mode": "all", "order": "newest"}, id="choices"),
        pytest.param(
            {"max_active": ACTIVE_MAX, "dry_run": True}, {"max_active": ACTIVE_MAX, "dry_run": True}, id="limits"
        ),
    ],
)
def test_accepted_parameters_of_a_backfill(given: dict[str, Any], validated: dict[str, Any]) -> None:
    assert backfill.validate_parameters(given) == validated


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"start_date": "last week"}, "date 'last week' is not understood", id="no-date"),
        pytest.param({"max_active": 0}, "max_active 0 is not understood: write a whole number from 1 to 8", id="none"),
        pytest.param({"max_active": 9}, "max_active 9 is not understood", id="too-many"),
        pytest.param({"max_active": True}, "max_active True is not understood", id="true"),
        pytest.param({"max_active": "2"}, "max_active '2' is not understood", id="text"),
        pytest.param({"mode": "some"}, "'missing', 'failed' or 'all'", id="mode"),
        pytest.param({"order": "random"}, "'oldest' or 'newest'", id="order"),
        pytest.param({"regions": ["MARS"]}, "region 'MARS' is unknown", id="region"),
        pytest.param({"dry_run": "perhaps"}, "dry_run", id="dry-run"),
    ],
)
def test_refused_parameters_of_a_backfill_say_what_to_write(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterTypeError) as caught:
        backfill.validate_parameters(given)
    assert message in str(caught.value)


@pytest.mark.parametrize("flow", [daily_sales, backfill], ids=["daily-sales", "backfill"])
def test_each_parameter_is_described_in_the_form_and_none_is_required(flow: Any) -> None:
    assert all(shown.get("description") for shown in flow.parameters.properties.values())
    assert not flow.parameters.required


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was scheduled for 06:00 UTC and is on its way."""
    run = SimpleNamespace(scheduled_start_time=datetime(2024, 1, 16, 6, tzinfo=UTC), parameters={})
    monkeypatch.setattr(parameters, "flow_run", run)
    monkeypatch.setattr(run_hooks, "current", run)


@pytest.mark.usefixtures("scheduled")
def test_without_a_date_the_batch_is_the_day_before_the_scheduled_start() -> None:
    for asked in (None, "yesterday"):
        batch = choose_batch(asked, None)
        assert (batch.date, batch.regions) == (date(2024, 1, 15), ALL)
    assert run_hooks.name_of_run() == "daily-sales-2024-01-15"
    run_hooks.current.parameters["date"] = "yesterday"
    assert run_hooks.name_of_run() == "daily-sales-2024-01-15"


@pytest.mark.usefixtures("scheduled")
def test_with_a_date_the_schedule_does_not_matter() -> None:
    batch = choose_batch("2017-12-23", ["EUROPE"])
    assert (batch.batch_id, batch.regions) == ("20171223", ("EUROPE",))


@pytest.mark.usefixtures("scheduled")
def test_a_region_that_has_not_opened_by_the_date_is_read_only_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for code in REGIONS:
        monkeypatch.setitem(REGIONS, code, replace(REGIONS[code], first_date=date(2024, 1, 1)))
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=date(2024, 1, 16)))
    others = tuple(code for code in REGIONS if code != "EUROPE")
    assert choose_batch("yesterday", None).regions == others
    assert choose_batch("2024-01-16", None).regions == tuple(REGIONS)
    assert choose_batch("2023-12-31", ["EUROPE"]).regions == ("EUROPE",)
    assert refused_batch("2023-12-31", ["EUROPE"]) is None
    refused = refused_batch("2023-12-31", None)
    assert refused is not None
    assert (refused.name, refused.message) == (
        "Refused",
        "no region has opened by 2023-12-31: see first_date in expectations/regions.toml, or name the regions to read",
    )


def test_a_run_is_named_by_its_date_in_either_form(monkeypatch: pytest.MonkeyPatch) -> None:
    for written in ("2017-12-23", "20171223", 20171223):
        monkeypatch.setattr(
            run_hooks, "current", SimpleNamespace(parameters={"date": written}, scheduled_start_time=None)
        )
        assert run_hooks.name_of_run() == "daily-sales-2017-12-23"


@pytest.mark.usefixtures("scheduled")
def test_a_backfill_ends_with_the_day_before_its_scheduled_start() -> None:
    assert choose_range(None, None) == (None, date(2024, 1, 15))
    assert choose_range("yesterday", "yesterday")[0] == DateRange(date(2024, 1, 15), date(2024, 1, 15))
    with pytest.raises(ValueError, match="end_date 2024-01-16 was not over when the run was due"):
        choose_range("2024-01-10", "2024-01-16")


def test_a_future_date_is_refused_with_today_named_and_not_mailed() -> None:
    state = refused_dates("2024-01-15", "2999-01-01")
    assert state is not None
    assert (state.name, state.is_failed()) == ("Refused", True)
    today = datetime.now(UTC).date()
    assert state.message == f"date 2999-01-01 is in the future (today is {today} UTC): choose {today} or an earlier day"


@pytest.mark.parametrize("asked", [None, "yesterday", "2024-01-15", "20240115", "H29990116T091500Z"])
def test_dates_that_have_begun_and_batch_ids_are_not_refused(asked: str | None) -> None:
    assert refused_dates(asked) is None


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        pytest.param("2999-01-01", "2999-01-02", "date 2999-01-01 is in the future (today is ", id="future"),
        pytest.param("2024-01-14", "2024-01-10", "start_date 2024-01-14 is later than end_date 2024-01-10", id="order"),
        pytest.param("2024-01-14", None, "start_date is given without end_date: give both, or neither", id="one"),
        pytest.param("2024-01-14", "2024-01-16", "end_date 2024-01-16 was not over when the run was due", id="today"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(start: str, end: str | None, message: str) -> None:
    state = refused_range(start, end)
    assert state is not None
    assert state.name == "Refused"
    assert str(state.message).startswith(message)


@pytest.mark.usefixtures("scheduled")
def test_a_range_that_makes_sense_is_not_refused() -> None:
    assert refused_range("2024-01-10", "2024-01-15") is None
    assert refused_range(None, None) is None
