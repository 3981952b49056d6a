"""Which dates and regions a backfill loads, by the ledger, and in which order."""

from dataclasses import replace
from datetime import date
from typing import NamedTuple

import pytest

from expectations.regions import REGIONS
from tasks.backfill.gaps import (
    BackfillPlan,
    Gap,
    Mode,
    Order,
    plan_again,
    plan_backfill,
    range_since,
    rest_of,
    tried_before,
    unloaded,
)
from tasks.batch import DAYS_MAX, DateRange, check_range
from tasks.errors import NeedsPersonError
from tasks.warehouse.states import LedgerState, Status

ALL = ("US_EAST", "EUROPE")
DAY = date(2024, 1, 10)
YESTERDAY = date(2024, 1, 15)


def state(region: str, status: str, in_production: str | None = None, under_way: bool = False) -> LedgerState:
    return LedgerState(DAY, region, Status(status), Status(in_production) if in_production else None, under_way)


def plan(
    *known: LedgerState,
    mode: Mode = "missing",
    order: Order = "oldest",
    regions: tuple[str, ...] = ALL,
    last: date = DAY,
) -> BackfillPlan:
    return plan_backfill(DateRange(DAY, last), known, regions, ALL, mode, order)


class Known(NamedTuple):
    """The ledger's latest status of a date, the status in production, and whether a live run is loading it."""

    status: str
    in_production: str | None = None
    under_way: bool = False


@pytest.mark.parametrize(
    ("known", "taken_by"),
    [
        pytest.param(None, {"missing", "all"}, id="never-run"),
        pytest.param(Known("PUBLISHED", in_production="PUBLISHED"), {"all"}, id="published"),
        pytest.param(Known("EMPTY", in_production="EMPTY"), {"all"}, id="empty"),
        pytest.param(Known("ROLLED_BACK", in_production="ROLLED_BACK"), {"all"}, id="rolled-back"),
        pytest.param(
            Known("MISSING", in_production="ROLLED_BACK"), {"missing", "failed", "all"}, id="missing-once-named-again"
        ),
        pytest.param(
            Known("FAILED", in_production="ROLLED_BACK"), {"missing", "failed", "all"}, id="failed-once-named-again"
        ),
        pytest.param(Known("OVERTAKEN", in_production="PUBLISHED"), {"all"}, id="overtaken"),
        pytest.param(Known("MISSING"), {"missing", "failed", "all"}, id="missing"),
        pytest.param(Known("FAILED"), {"missing", "failed", "all"}, id="failed"),
        pytest.param(Known("STARTED"), {"missing", "failed", "all"}, id="died"),
        pytest.param(Known("FAILED", in_production="PUBLISHED"), {"all"}, id="failed-over-published"),
        pytest.param(Known("MISSING", in_production="PUBLISHED"), {"all"}, id="missing-over-published"),
        pytest.param(Known("STARTED", under_way=True), set(), id="under-way"),
        pytest.param(Known("STARTED", in_production="PUBLISHED", under_way=True), set(), id="under-way-again"),
    ],
)
def test_a_gap_is_what_is_not_in_production_and_not_under_way(known: Known | None, taken_by: set[str]) -> None:
    states = [] if known is None else [state(region, *known) for region in ALL]
    modes: tuple[Mode, ...] = ("missing", "failed", "all")
    assert {mode for mode in modes if plan(*states, mode=mode).gaps} == taken_by


def test_only_the_lacking_region_of_a_date_is_taken() -> None:
    (gap,) = plan(state("US_EAST", "PUBLISHED", "PUBLISHED"), state("EUROPE", "MISSING")).gaps
    assert (gap.regions, gap.whole) == (("EUROPE",), False)


def test_a_date_that_lacks_all_regions_is_taken_whole() -> None:
    (gap,) = plan().gaps
    assert (gap.regions, gap.whole) == (ALL, True)


def test_regions_that_were_not_asked_for_are_left_alone() -> None:
    (gap,) = plan(regions=("EUROPE",)).gaps
    assert (gap.regions, gap.whole) == (("EUROPE",), False)


def test_a_region_that_is_under_way_is_named_and_the_other_one_taken() -> None:
    planned = plan(state("EUROPE", "STARTED", under_way=True))
    assert [gap.regions for gap in planned.gaps] == [("US_EAST",)]
    assert [gap.regions for gap in planned.under_way] == [("EUROPE",)]


def test_a_published_date_that_is_loaded_again_is_not_named_as_under_way() -> None:
    assert plan(*(state(region, "STARTED", "PUBLISHED", under_way=True) for region in ALL)).under_way == ()


@pytest.mark.parametrize(
    ("order", "first"),
    [pytest.param("oldest", DAY, id="oldest"), pytest.param("newest", date(2024, 1, 14), id="newest")],
)
def test_dates_come_in_the_order_asked_for(order: Order, first: date) -> None:
    dates = [gap.date for gap in plan(order=order, last=date(2024, 1, 14)).gaps]
    assert dates[0] == first
    assert sorted(dates) == list(DateRange(DAY, date(2024, 1, 14)))


@pytest.mark.parametrize("mode", ["missing", "all"])
def test_the_time_before_a_region_opened_is_no_gap_of_it(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    opened = date(2024, 1, 12)
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=opened))
    gaps = plan(mode=mode, last=opened).gaps
    assert [(gap.date.day, gap.regions, gap.whole) for gap in gaps] == [
        (10, ("US_EAST",), True),
        (11, ("US_EAST",), True),
        (12, ALL, True),
    ]
    assert plan(mode=mode, regions=("EUROPE",)).gaps == ()
    assert unloaded([DAY, opened], [], ["EUROPE"], mode) == {opened}


def test_what_was_tried_before_a_region_opened_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=YESTERDAY))
    (gap,) = plan(state("EUROPE", "FAILED"), state("US_EAST", "PUBLISHED", "PUBLISHED")).gaps
    assert (gap.regions, gap.whole) == (("EUROPE",), False)


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("mode", ["missing", "all"])
@pytest.mark.parametrize("loaded", [0, 1, 4])
def test_the_rest_of_a_range_holds_all_that_follows_and_nothing_that_was_loaded(
    order: Order, mode: Mode, loaded: int
) -> None:
    whole = plan(order=order, mode=mode, last=date(2024, 1, 14))
    rest = rest_of(whole.days, whole.gaps[loaded:], order)
    assert plan_backfill(rest, [], ALL, ALL, mode, order).gaps == whole.gaps[loaded:]


@pytest.mark.parametrize(("order", "end"), [("oldest", date(2024, 1, 14)), ("newest", DAY)])
def test_the_rest_is_the_end_of_the_range_where_only_dates_outside_it_were_not_begun(order: Order, end: date) -> None:
    outside = Gap(date(2024, 1, 8), ALL, whole=True)
    assert rest_of(DateRange(DAY, date(2024, 1, 14)), [outside], order) == DateRange(end, end)


def test_dates_outside_the_range_are_planned_too() -> None:
    before = date(2024, 1, 8)
    planned = plan_backfill(DateRange(DAY, DAY), [], ALL, ALL, "missing", "oldest", also=[before, DAY])
    assert [gap.date for gap in planned.gaps] == [before, DAY]


def test_what_another_run_had_begun_is_planned_again_by_what_has_become_of_it() -> None:
    busy = plan(*(state(region, "STARTED", under_way=True) for region in ALL))
    left = plan_again(busy, [state("US_EAST", "PUBLISHED", "PUBLISHED"), state("EUROPE", "STARTED")], ALL, "missing")
    assert [(gap.date, gap.regions, gap.whole) for gap in left.gaps] == [(DAY, ("EUROPE",), False)]
    assert left.under_way == ()
    still = plan_again(busy, [state(region, "RENEWED", under_way=True) for region in ALL], ALL, "missing")
    assert (still.gaps, still.under_way) == ((), busy.under_way)


@pytest.mark.parametrize(
    ("known", "is_unloaded"),
    [
        pytest.param([], True, id="never-loaded"),
        pytest.param(
            [state("EUROPE", "FAILED"), state("US_EAST", "PUBLISHED", "PUBLISHED")], True, id="a-region-failed"
        ),
        pytest.param([state(region, "PUBLISHED", "PUBLISHED") for region in ALL], False, id="mended"),
    ],
)
def test_a_date_is_unloaded_while_one_of_its_regions_is(known: list[LedgerState], is_unloaded: bool) -> None:
    assert unloaded([DAY], known, ALL, "missing") == ({DAY} if is_unloaded else set())


def test_a_date_whose_new_load_failed_over_an_earlier_one_is_not_taken_for_mended() -> None:
    known = [state(region, "FAILED", "PUBLISHED") for region in ALL]
    assert unloaded([DAY], known, ALL, "all") == {DAY}


def test_with_neither_first_date_nor_ledger_a_person_is_asked() -> None:
    with pytest.raises(NeedsPersonError, match="set first_date, or give start_date and end_date"):
        range_since(None, YESTERDAY)


def test_a_first_date_in_the_future_leaves_nothing_to_do() -> None:
    assert list(range_since(date(2024, 2, 1), YESTERDAY)) == []


def test_of_the_dates_before_the_first_one_only_those_that_were_tried_in_vain_are_taken() -> None:
    def on(day: date, status: Status, in_production: Status | None = None) -> LedgerState:
        return LedgerState(day, "EUROPE", status, in_production, under_way=False)

    typo, rolled_back = date(1917, 12, 23), date(2024, 1, 7)
    known = [on(rolled_back, Status.ROLLED_BACK, Status.ROLLED_BACK), on(typo, Status.FAILED), on(DAY, Status.FAILED)]
    assert tried_before(DAY, known) == [typo]
    planned = plan_backfill(DateRange(DAY, DAY), known, ALL, ALL, "missing", "oldest", tried_before(DAY, known))
    assert [gap.date for gap in planned.gaps] == [typo, DAY]


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        pytest.param(DAY, None, "start_date is given without end_date: give both, or neither", id="no-end"),
        pytest.param(None, DAY, "end_date is given without start_date: give both, or neither", id="no-start"),
        pytest.param(YESTERDAY, DAY, "start_date 2024-01-15 is later than end_date 2024-01-10", id="reversed"),
        pytest.param(DAY, date(2024, 1, 16), "end_date 2024-01-16 was not over when the run was due", id="today"),
        pytest.param(date(1924, 1, 10), DAY, f"are 36526 days, {DAYS_MAX} is the most", id="typo-in-the-year"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(start: date | None, end: date | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_range(start, end, YESTERDAY)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [(None, None, None), (DAY, DAY, DateRange(DAY, DAY)), (DAY, YESTERDAY, DateRange(DAY, YESTERDAY))],
    ids=["none", "one-day", "up-to-yesterday"],
)
def test_a_range_is_taken_with_both_ends(start: date | None, end: date | None, days: DateRange | None) -> None:
    assert check_range(start, end, YESTERDAY) == days
