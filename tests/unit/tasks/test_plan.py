"""Which regions go on: closed, missing by rows, missing by error, required, or none left."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy.exc

from blocks.variables import Settings
from expectations.regions import REGIONS
from expectations.thresholds import Thresholds
from tasks.batch import Batch
from tasks.errors import NeedsPersonError, RegionUnfitError, TransientError
from tasks.extract import Extracted
from tasks.plan import Plan, check_regions, needs_floor, one_line, plan
from tasks.tally import Tally
from tasks.warehouse.states import Status
from tests.unit.sales import SNAPSHOT

CHRISTMAS = date(2017, 12, 25)
ALL = tuple(REGIONS)
OPEN = Settings(
    thresholds=Thresholds(min_region_record_count=3),
    s3_staging_bucket="bucket",
    snowflake_warehouse="ETL_WH",
    snowflake_watch_warehouse="ETL_WATCH_WH",
    closed_days={},
    regions_required=(),
    extra_columns={},
    lease_minutes=15,
    replica_wait_minutes=15,
    source_timeout_minutes=30,
)
DOWN = TransientError("connection refused")


def closed(*regions: str) -> Settings:
    return replace(OPEN, closed_days={region: frozenset({CHRISTMAS}) for region in regions})


def answer(region: str, rows: int) -> Extracted:
    return Extracted(region, (Path("x.arrow"),), SNAPSHOT, Tally(rows), Tally(rows), (), 0.1)


def planned(settings: Settings = OPEN, **outcomes: int | BaseException) -> Plan:
    """The plan for Christmas of regions that were read with this number of rows, or failed with this error."""
    answers = {region: answer(region, o) if isinstance(o, int) else o for region, o in outcomes.items()}
    return plan(Batch(CHRISTMAS, tuple(outcomes)), answers, settings)


def fates(planned_regions: Plan) -> dict[str, str]:
    present = {extracted.region: "present" for extracted in planned_regions.present}
    return present | {entry.region: str(entry.status) for entry in planned_regions.left_out}


@pytest.mark.parametrize(
    ("rows", "settings", "fate"),
    [
        pytest.param(3, OPEN, "present", id="just-enough-rows"),
        pytest.param(2, OPEN, "MISSING", id="one-row-too-few"),
        pytest.param(0, OPEN, "MISSING", id="no-rows-on-an-open-day"),
        pytest.param(0, closed("EUROPE"), "EMPTY", id="closed-day"),
        pytest.param(1, closed("EUROPE"), "present", id="rows-that-came-on-a-closed-day"),
        pytest.param(0, closed("US_EAST"), "MISSING", id="closed-elsewhere"),
        pytest.param(
            0, replace(OPEN, closed_days={"EUROPE": frozenset({date(2017, 12, 24)})}), "MISSING", id="another-day"
        ),
        pytest.param(DOWN, OPEN, "MISSING", id="down"),
        pytest.param(DOWN, closed("EUROPE"), "MISSING", id="down-on-a-closed-day"),
        pytest.param(RegionUnfitError("no table"), OPEN, "MISSING", id="unfit"),
        pytest.param(psycopg2.OperationalError("refused"), OPEN, "MISSING", id="driver-error"),
        pytest.param(
            sqlalchemy.exc.OperationalError("SELECT 1", {}, psycopg2.OperationalError("refused")),
            OPEN,
            "MISSING",
            id="wrapped-driver-error",
        ),
    ],
)
def test_a_region_is_sorted_by_its_rows_or_its_error(rows: int | BaseException, settings: Settings, fate: str) -> None:
    assert fates(planned(settings, EUROPE=rows)) == {"EUROPE": fate}


@pytest.mark.parametrize(
    ("rows", "settings", "fate"),
    [
        pytest.param(3, OPEN, "present", id="enough-rows"),
        pytest.param(0, OPEN, "MISSING", id="no-rows"),
        pytest.param(0, closed("EUROPE"), "MISSING", id="no-rows-on-a-closed-day"),
    ],
)
def test_a_standby_that_is_behind_counts_for_what_it_shows_only(rows: int, settings: Settings, fate: str) -> None:
    answers = {"EUROPE": replace(answer("EUROPE", rows), behind="its database is a standby that lags")}
    planned_regions = plan(Batch(CHRISTMAS, ("EUROPE",)), answers, settings)
    assert fates(planned_regions) == {"EUROPE": fate}
    if fate == "MISSING":
        assert planned_regions.missing_message == (
            "EUROPE left out: answered with 0 rows: its database is a standby that lags"
        )


def test_every_region_has_one_place() -> None:
    planned_regions = planned(closed("US_WEST"), US_EAST=5, US_WEST=0, EUROPE=DOWN, ASIA_PACIFIC=1)
    assert fates(planned_regions) == {
        "US_EAST": "present",
        "US_WEST": "EMPTY",
        "EUROPE": "MISSING",
        "ASIA_PACIFIC": "MISSING",
    }
    assert [extracted.region for extracted in planned_regions.answered] == ["US_EAST", "US_WEST", "ASIA_PACIFIC"]


def test_the_message_names_each_missing_region_and_its_cause() -> None:
    planned_regions = planned(closed("US_WEST"), US_EAST=5, US_WEST=0, EUROPE=DOWN, ASIA_PACIFIC=1)
    assert planned_regions.missing_message == (
        "EUROPE left out: connection refused; "
        "ASIA_PACIFIC left out: answered with 1 rows, min_region_record_count is 3: "
        "look at its database, or name the date in closed_days"
    )
    assert {entry.status for entry in planned_regions.missing} == {Status.MISSING}


@pytest.mark.parametrize(
    "error", [KeyError("x"), ZeroDivisionError(), KeyboardInterrupt(), OSError("disk full")], ids=repr
)
def test_an_error_that_does_not_concern_one_region_fails_the_run(error: BaseException) -> None:
    with pytest.raises(type(error)):
        planned(US_EAST=5, EUROPE=error)


def test_a_required_region_that_is_missing_fails_the_run() -> None:
    required = replace(OPEN, regions_required=("EUROPE",))
    with pytest.raises(NeedsPersonError, match="a required region is missing: EUROPE left out: connection refused"):
        check_regions(planned(required, US_EAST=5, EUROPE=DOWN), ALL, required)


def test_a_required_region_may_be_closed() -> None:
    settings = replace(closed("EUROPE"), regions_required=("EUROPE",))
    assert check_regions(planned(settings, US_EAST=5, EUROPE=0), ALL, settings) is None


def test_a_run_without_any_region_fails_with_every_cause() -> None:
    with pytest.raises(NeedsPersonError, match="no region left: US_EAST left out: .*; EUROPE left out: "):
        check_regions(planned(US_EAST=DOWN, EUROPE=DOWN), ALL, OPEN)


@pytest.mark.parametrize(
    ("rows", "record_count"),
    [
        pytest.param({}, 0, id="a-day-without-rows"),
        pytest.param({"US_EAST": 1, "US_WEST": 2}, 3, id="too-few-rows-everywhere"),
    ],
)
def test_a_day_with_too_few_rows_fails_the_gate_in_its_words(rows: dict[str, int], record_count: int) -> None:
    check = check_regions(planned(OPEN, **(dict.fromkeys(ALL, 0) | rows)), ALL, OPEN)
    assert check is not None
    assert (check.passed, check.message) == (False, f"record count {record_count} is below threshold 100")


@pytest.mark.parametrize(
    ("settings", "outcomes"),
    [
        pytest.param(
            replace(OPEN, thresholds=Thresholds(min_region_record_count=5000)),
            dict.fromkeys(ALL, 2000),
            id="enough-rows-for-a-batch-but-not-for-any-region",
        ),
        pytest.param(OPEN, {"EUROPE": 0}, id="loading-a-region-that-has-no-rows"),
        pytest.param(OPEN, dict.fromkeys(ALL, 0) | {"EUROPE": DOWN}, id="one-down-and-the-others-without-rows"),
    ],
)
def test_without_a_region_left_every_region_is_named(
    settings: Settings, outcomes: dict[str, int | BaseException]
) -> None:
    planned_regions = planned(settings, **outcomes)
    with pytest.raises(NeedsPersonError) as caught:
        check_regions(planned_regions, ALL, settings)
    assert str(caught.value) == f"no region left: {planned_regions.missing_message}"
    assert all(f"{region} left out: " in str(caught.value) for region in outcomes)


@pytest.mark.parametrize(
    "planned_regions",
    [
        pytest.param(planned(US_EAST=5, EUROPE=DOWN), id="one-left"),
        pytest.param(planned(closed("US_EAST", "EUROPE"), US_EAST=0, EUROPE=0), id="closed-everywhere"),
    ],
)
def test_what_can_be_loaded_goes_on(planned_regions: Plan) -> None:
    assert check_regions(planned_regions, ALL, OPEN) is None


def test_a_closed_region_does_not_excuse_the_missing_ones() -> None:
    """No region left: Failed. Here one is closed and three are down, so nothing was read, and the run must say so."""
    settings = closed("EUROPE")
    planned_regions = planned(settings, US_EAST=DOWN, US_WEST=DOWN, EUROPE=0, ASIA_PACIFIC=DOWN)
    with pytest.raises(NeedsPersonError, match="no region left: US_EAST left out: "):
        check_regions(planned_regions, ALL, settings)


def test_a_closed_region_does_not_excuse_too_few_rows() -> None:
    settings = closed("EUROPE")
    check = check_regions(planned(settings, US_EAST=1, US_WEST=0, EUROPE=0, ASIA_PACIFIC=0), ALL, settings)
    assert check is not None
    assert check.message == "record count 1 is below threshold 100"


@pytest.mark.parametrize(
    ("regions", "settings", "needed"),
    [
        pytest.param(ALL, OPEN, True, id="a-whole-day"),
        pytest.param(("EUROPE",), OPEN, False, id="loading-one-region"),
        pytest.param(ALL, closed("EUROPE"), True, id="closed-in-one-region"),
        pytest.param(ALL, closed(*ALL), False, id="closed-everywhere"),
    ],
)
def test_when_the_floor_applies(regions: tuple[str, ...], settings: Settings, needed: bool) -> None:
    assert needs_floor(Batch(CHRISTMAS, regions), ALL, settings) is needed


def test_a_region_that_is_named_before_it_opens_makes_no_whole_day() -> None:
    assert not needs_floor(Batch(CHRISTMAS, ("EUROPE",)), ("US_EAST",), OPEN)


REFUSED = 'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused\n\tIs the server running?\n'
NEXT_STEP = f"its database cannot be read: check block {REGIONS['EUROPE'].block} and the database. The driver says: "


def from_server(state: str, text: str) -> psycopg2.Error:
    """An error as the server sends it, with its SQLSTATE."""
    error = psycopg2.errors.lookup(state)(text)
    error.__setstate__({"pgcode": state})
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(
            psycopg2.OperationalError(REFUSED),
            'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused Is the server running?',
            id="refused",
        ),
        pytest.param(
            sqlalchemy.exc.OperationalError("SELECT secret", {"password": "x"}, psycopg2.OperationalError("lost")),
            "lost",
            id="wrapped",
        ),
        pytest.param(
            from_server("42501", "permission denied for table sales_transactions\n"),
            "permission denied for table sales_transactions",
            id="no-permission",
        ),
        pytest.param(
            from_server("42883", "function round(text) does not exist\nLINE 9: ...\nHINT: No function matches\n"),
            "function round(text) does not exist",
            id="without-the-statement",
        ),
        pytest.param(psycopg2.OperationalError("x" * 9_999), f"{'x' * 248} ... {'x' * 247}", id="bounded"),
    ],
)
def test_a_drivers_error_is_reported_with_its_next_step_only(error: BaseException, cause: str) -> None:
    assert planned(US_EAST=5, EUROPE=error).missing_message == f"EUROPE left out: {NEXT_STEP}{cause}"


def test_a_drivers_error_becomes_one_line_without_the_statement() -> None:
    cause = psycopg2.OperationalError("connection to server failed:\n\tConnection refused\n\tIs it running?\n")
    wrapped = sqlalchemy.exc.OperationalError("SELECT secret", {"password": "x"}, cause)
    assert one_line(wrapped) == "connection to server failed: Connection refused Is it running?"
    assert len(one_line(ValueError("x" * 9_999))) == 500
