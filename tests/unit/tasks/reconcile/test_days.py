"""The ledger says which days of which regions are compared, and which are held back."""

from datetime import date

from tasks.batch import DateRange
from tasks.reconcile.days import DaysOfRegion, days_of_regions, last_days
from tasks.warehouse.states import LedgerState, Status

FIRST, SECOND, THIRD = (date(2024, 1, number) for number in (10, 11, 12))

DAYS = DateRange(FIRST, THIRD)


def state(day: date, region: str, in_production: str | None, status: str = "STARTED") -> LedgerState:
    return LedgerState(day, region, Status(status), Status(in_production) if in_production else None, under_way=False)


def test_the_last_days_end_with_yesterday() -> None:
    assert last_days(THIRD, 1) == DateRange(THIRD, THIRD)
    assert last_days(THIRD, 3) == DateRange(FIRST, THIRD)


def test_published_and_empty_days_are_compared_and_rolled_back_ones_held_back() -> None:
    known = [
        state(SECOND, "EUROPE", "EMPTY"),
        state(FIRST, "EUROPE", "PUBLISHED"),
        state(THIRD, "EUROPE", "ROLLED_BACK"),
        state(FIRST, "US_WEST", "PUBLISHED"),
    ]
    assert days_of_regions(known, DAYS, ["US_WEST", "EUROPE"]) == [
        DaysOfRegion("US_WEST", (FIRST,), ()),
        DaysOfRegion("EUROPE", (FIRST, SECOND), (THIRD,)),
    ]


def test_days_before_the_range_do_not_matter() -> None:
    known = [
        state(FIRST, "EUROPE", "ROLLED_BACK"),
        state(FIRST, "US_WEST", "PUBLISHED"),
        state(SECOND, "EUROPE", "PUBLISHED"),
    ]
    assert days_of_regions(known, DateRange(SECOND, THIRD), ["US_WEST", "EUROPE"]) == [
        DaysOfRegion("EUROPE", (SECOND,), ())
    ]


def test_gaps_and_regions_that_nobody_asked_for_are_left_out() -> None:
    known = [
        state(FIRST, "EUROPE", None, "MISSING"),
        state(SECOND, "EUROPE", None, "FAILED"),
        state(FIRST, "US_EAST", "PUBLISHED"),
    ]
    assert days_of_regions(known, DAYS, ["EUROPE"]) == []
    assert days_of_regions([], DAYS, ["EUROPE"]) == []
