"""Business dates, windows and regions: what is accepted and what is refused, with which message."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from tasks.batch import Batch, Window, choose_regions, day_before, parse_business_date, refuse_future

KNOWN = ("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC")
MICROSECOND = timedelta(microseconds=1)
BOTH_FORMS = r"2024-01-15 or 20240115"


@pytest.mark.parametrize(
    ("value", "day"),
    [
        pytest.param("2024-01-15", date(2024, 1, 15), id="iso"),
        pytest.param("20240115", date(2024, 1, 15), id="compact-text"),
        pytest.param(20240115, date(2024, 1, 15), id="integer"),
        pytest.param(date(2024, 1, 15), date(2024, 1, 15), id="date"),
        pytest.param("2024-02-29", date(2024, 2, 29), id="leap-day"),
        pytest.param(19700101, date(1970, 1, 1), id="not-seconds-since-1970"),
    ],
)
def test_accepted_forms_of_a_date(value: Any, day: date) -> None:
    assert parse_business_date(value) == day


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(datetime(2024, 1, 15), id="datetime"),
        pytest.param(datetime(2024, 1, 15, tzinfo=UTC), id="aware-datetime"),
        pytest.param("2024-01-15T00:00:00", id="datetime-text"),
        pytest.param("2024-1-5", id="digits-missing"),
        pytest.param("2024/01/15", id="slashes"),
        pytest.param("2024-0115", id="one-hyphen"),
        pytest.param("202401-15", id="the-other-hyphen"),
        pytest.param(" 2024-01-15", id="blank-before"),
        pytest.param("20240115 ", id="blank-after"),
        pytest.param("20240115\n", id="newline-after"),
        pytest.param("20240230", id="february-30"),
        pytest.param(20240230, id="february-30-integer"),
        pytest.param("2023-02-29", id="no-leap-year"),
        pytest.param("2024-13-01", id="month-13"),
        pytest.param("2024-00-10", id="month-0"),
        pytest.param("00000101", id="year-0"),
        pytest.param(-20240115, id="negative"),
        pytest.param("-20240115", id="negative-text"),
        pytest.param("+20240115", id="plus-sign"),
        pytest.param(2024, id="too-few-digits"),
        pytest.param(202401150, id="too-many-digits"),
        pytest.param("２０２４０１１５", id="full-width-digits"),
        pytest.param("２０２４-０１-１５", id="full-width-digits-with-hyphens"),
        pytest.param("٢٠٢٤٠١١٥", id="arabic-digits"),
        pytest.param("2024\u201001\u201015", id="unicode-hyphens"),
        pytest.param("2024_0115", id="underscore"),
        pytest.param(20240115.0, id="float"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("yesterday", id="word"),
        pytest.param(b"20240115", id="bytes"),
        pytest.param(["2024-01-15"], id="list"),
    ],
)
def test_every_other_form_is_refused_with_both_forms_named(value: Any) -> None:
    with pytest.raises(ValueError, match=BOTH_FORMS):
        parse_business_date(value)


def test_the_batch_id_is_the_date_without_hyphens() -> None:
    assert Batch(date(2024, 1, 5), KNOWN).batch_id == "20240105"


def test_a_batch_id_has_eight_digits_in_early_years_too() -> None:
    """0017 for 2017 is a likely typing mistake; its batch must not look like another kind of id."""
    assert Batch(date(17, 12, 23), KNOWN).batch_id == "00171223"


def test_the_window_is_the_utc_day_half_open() -> None:
    window, midnight = Window.of_day(date(2024, 2, 29)), datetime(2024, 2, 29, tzinfo=UTC)
    assert (window.start, window.end) == (midnight, datetime(2024, 3, 1, tzinfo=UTC))
    assert Batch(date(2024, 2, 29), KNOWN).window == window
    assert Window.of_day(date(2024, 2, 28)).end == window.start
    assert window.start.utcoffset() == window.end.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        pytest.param(datetime(2024, 1, 16, 6, tzinfo=UTC), date(2024, 1, 15), id="on-time"),
        pytest.param(datetime(2024, 1, 16, tzinfo=UTC), date(2024, 1, 15), id="midnight"),
        pytest.param(datetime(2024, 1, 17, tzinfo=UTC) - MICROSECOND, date(2024, 1, 15), id="late-in-the-day"),
        pytest.param(datetime(2024, 3, 1, 6, tzinfo=UTC), date(2024, 2, 29), id="after-the-leap-day"),
        pytest.param(datetime(2024, 1, 1, 6, tzinfo=UTC), date(2023, 12, 31), id="after-new-year"),
        pytest.param(
            datetime(2024, 1, 16, 1, tzinfo=timezone(timedelta(hours=8))),
            date(2024, 1, 14),
            id="still-yesterday-in-utc",
        ),
        pytest.param(
            datetime(2024, 1, 15, 23, tzinfo=timezone(-timedelta(hours=5))),
            date(2024, 1, 15),
            id="already-next-day-in-utc",
        ),
    ],
)
def test_a_run_loads_the_utc_day_before_its_moment(moment: datetime, day: date) -> None:
    assert day_before(moment) == day


@pytest.mark.parametrize(
    ("day", "now"),
    [
        pytest.param(date(2024, 1, 15), datetime(2024, 1, 16, 6, tzinfo=UTC), id="yesterday"),
        pytest.param(date(2024, 1, 16), datetime(2024, 1, 16, tzinfo=UTC), id="today-at-its-first-moment"),
    ],
)
def test_a_day_that_has_begun_is_no_future(day: date, now: datetime) -> None:
    assert refuse_future(day, now) == day


@pytest.mark.parametrize("day", [date(2024, 1, 17), date(2999, 1, 1), date(9999, 12, 31)], ids=str)
def test_a_future_day_is_refused_with_today_named(day: date) -> None:
    now = datetime(2024, 1, 17, tzinfo=UTC) - MICROSECOND
    with pytest.raises(ValueError, match=f"date {day} is in the future .today is 2024-01-16 UTC.: choose 2024-01-16"):
        refuse_future(day, now)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        pytest.param(None, KNOWN, id="all"),
        pytest.param(["EUROPE"], ("EUROPE",), id="one"),
        pytest.param(["EUROPE", "US_EAST"], ("US_EAST", "EUROPE"), id="in-the-known-order"),
        pytest.param(["EUROPE", "EUROPE"], ("EUROPE",), id="repeated-once"),
    ],
)
def test_regions_to_load(asked: list[str] | None, chosen: tuple[str, ...]) -> None:
    assert choose_regions(asked, KNOWN) == chosen


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            ["MARS"], "region 'MARS' is unknown: choose from US_EAST, US_WEST, EUROPE, ASIA_PACIFIC", id="unknown"
        ),
        pytest.param(["EUROPE", "europe"], "region 'europe' is unknown", id="codes-are-exact"),
        pytest.param([""], "region '' is unknown", id="empty-code"),
        pytest.param([], "regions is empty: choose from US_EAST", id="empty-list"),
    ],
)
def test_regions_that_are_refused(asked: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_regions(asked, KNOWN)
