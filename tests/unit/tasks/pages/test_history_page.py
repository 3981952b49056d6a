"""The history: what each cell says, where it leads, and the figures beside the grid."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from expectations.regions import REGIONS
from tasks.batch import DateRange
from tasks.pages.history_page import (
    DATES_SHOWN,
    Due,
    EndedRun,
    GridCell,
    History,
    duration_chart,
    failures_by_cause,
    newest_date,
    render_history_page,
    shown_dates,
    success_rate,
    to_cells,
    to_months,
    trend_charts,
    words_used,
)
from tasks.pages.paths import path_of_run
from tasks.pages.run_page import DaySales, Tone
from tasks.warehouse.states import LedgerState, Status

DAY = date(2024, 1, 15)
DUE = Due(time(6), 120)
DEADLINE = datetime(2024, 1, 16, 8, tzinfo=UTC)
FIRST_RUN = datetime(2024, 1, 1, tzinfo=UTC)


def ended(
    status: Status = Status.PUBLISHED,
    day: date = DAY,
    region: str = "EUROPE",
    number: int = 7,
    at: datetime = DEADLINE - timedelta(hours=1),
    seconds: float = 30,
    rows: int | None = 100,
    cause: str | None = None,
) -> EndedRun:
    return EndedRun(day, region, number, f"run-{number}", status, at - timedelta(seconds=seconds), at, rows, 3, cause)


def shown(
    day: date = DAY, region: str = "EUROPE", status: Status = Status.PUBLISHED, under_way: bool = False
) -> LedgerState:
    held = status if status in (Status.PUBLISHED, Status.EMPTY, Status.ROLLED_BACK) else None
    return LedgerState(day, region, status, held, under_way)


def history(
    states: Sequence[LedgerState] = (), ends: Sequence[EndedRun] = (), first: date = DAY, last: date = DAY
) -> History:
    first_run = ended(number=1, day=date(2023, 12, 31), at=FIRST_RUN)
    return History(
        whole=DateRange(first, last),
        regions=("EUROPE",),
        states=states,
        ends=[first_run, *ends],
        sales=(),
        open_rejected=(),
        pages=frozenset(),
        due=DUE,
        usual=(0.5, 2.0),
        title="Daily sales",
        built_at=DEADLINE,
    )


def cell_of(found: History, day: date = DAY) -> GridCell:
    return to_cells(found)[day]["EUROPE"]


@pytest.mark.parametrize(
    ("state", "end", "sort", "about"),
    [
        pytest.param(
            shown(), ended(), "published", "2024-01-15 EUROPE: published, 100 rows, 3 rejected", id="published"
        ),
        pytest.param(
            shown(),
            ended(at=DEADLINE + timedelta(seconds=1)),
            "published-late",
            "2024-01-15 EUROPE: published late, 100 rows, 3 rejected",
            id="late",
        ),
        pytest.param(None, None, "missing", "2024-01-15 EUROPE: missing", id="missing"),
        pytest.param(
            shown(status=Status.FAILED),
            ended(Status.FAILED, cause="Failed: no disk"),
            "failed",
            "2024-01-15 EUROPE: failed, Failed: no disk",
            id="failed",
        ),
        pytest.param(shown(status=Status.EMPTY), ended(Status.EMPTY), "empty", "2024-01-15 EUROPE: empty", id="empty"),
        pytest.param(
            shown(status=Status.ROLLED_BACK),
            ended(Status.ROLLED_BACK, cause="wrong prices"),
            "rolled-back",
            "2024-01-15 EUROPE: rolled back, wrong prices",
            id="rolled-back",
        ),
        pytest.param(
            shown(status=Status.MISSING),
            ended(Status.MISSING, cause="connection refused"),
            "left-out",
            "2024-01-15 EUROPE: left out, connection refused",
            id="left-out",
        ),
        pytest.param(
            shown(status=Status.STARTED, under_way=True), None, "running", "2024-01-15 EUROPE: running", id="running"
        ),
        pytest.param(shown(status=Status.STARTED), None, "died", "2024-01-15 EUROPE: died", id="died"),
    ],
)
def test_a_cell_says_what_became_of_the_date(
    state: LedgerState | None, end: EndedRun | None, sort: str, about: str
) -> None:
    found = cell_of(history([state] if state else [], [end] if end else []))
    assert (found.kind, found.about) == (sort, about)


def test_a_failure_is_named_by_its_kind_and_a_rollback_by_its_reason() -> None:
    def about(state: LedgerState, end: EndedRun) -> str:
        return cell_of(replace(history([state], [end]), name_cause=lambda _cause: "Disk full")).about

    assert about(shown(status=Status.FAILED), ended(Status.FAILED, cause="x")) == "2024-01-15 EUROPE: failed, Disk full"
    rolled_back = ended(Status.ROLLED_BACK, cause="wrong prices, says jo@example.com")
    assert about(shown(status=Status.ROLLED_BACK), rolled_back) == (
        "2024-01-15 EUROPE: rolled back, wrong prices, says <address>"
    )


def test_a_newer_failure_over_a_published_date_is_named() -> None:
    state = LedgerState(DAY, "EUROPE", Status.FAILED, Status.PUBLISHED, False)
    found = cell_of(history([state], [ended(number=7), ended(Status.FAILED, number=8, cause="no disk")]))
    assert found.kind == "published"
    assert found.about == "2024-01-15 EUROPE: published, the newest run failed, 100 rows, 3 rejected, no disk"


def test_a_date_that_was_corrected_later_is_not_late() -> None:
    """Its first publish was in time."""
    again = ended(number=8, at=DEADLINE + timedelta(days=9))
    assert cell_of(history([shown()], [ended(number=7), again])).kind == "published"


def test_dates_that_were_due_before_the_first_run_are_not_late() -> None:
    old = date(2023, 6, 1)
    found = history([shown(old)], [ended(day=old, at=DEADLINE)], first=old, last=old)
    assert cell_of(found, old).kind == "published"


def test_a_cell_leads_to_the_page_of_its_newest_run_where_there_is_one() -> None:
    found = history([shown()], [ended(number=7), ended(number=8)])
    assert cell_of(found).page == ""
    page = path_of_run(DAY, "run-8")
    assert cell_of(replace(found, pages={page, path_of_run(DAY, "run-7")})).page == page
    assert f'href="{page}"' in render_history_page(replace(found, pages={page}))


def test_the_grid_has_a_year_and_every_day_of_it() -> None:
    whole = DateRange(date(2020, 2, 1), date(2024, 3, 1))
    found = shown_dates(whole, whole.last)
    assert found == DateRange(date(2023, 3, 3), date(2024, 3, 1))
    grid = to_cells(history(first=whole.first, last=whole.last))
    assert len(grid) == DATES_SHOWN
    months = to_months(grid, ("EUROPE",))
    assert [month.name for month in months[:2]] == ["March 2024", "February 2024"]
    assert months[1].days == tuple(range(1, 30))
    assert sum(one is not None for month in months for _, cells in month.rows for one in cells) == DATES_SHOWN


def test_of_the_dates_before_the_first_one_that_was_loaded_those_that_were_tried_are_shown() -> None:
    days = [DAY - timedelta(days=DATES_SHOWN), DAY - timedelta(days=9), DAY]
    found = history([shown(day, status=Status.FAILED) for day in days], first=DAY - timedelta(days=1))
    assert list(to_cells(found)) == [DAY - timedelta(days=9), DAY - timedelta(days=1), DAY]


def test_the_legend_counts_the_kinds_of_cells() -> None:
    states = [shown(DAY - timedelta(days=n)) for n in (0, 2)]
    grid = to_cells(history(states, first=DAY - timedelta(days=3)))
    assert [(used.kind, used.count, used.meaning) for used in words_used(grid)] == [
        ("missing", 2, "the ledger knows nothing of it"),
        ("published", 2, ""),
    ]


@pytest.mark.parametrize(
    ("states", "tone", "headline", "meaning"),
    [
        ([shown()], Tone.GOOD, "2024-01-15: all regions are in production", "1 date of 2 lacks a region."),
        (
            [shown(), shown(DAY - timedelta(days=1), status=Status.FAILED)],
            Tone.GOOD,
            "2024-01-15: all regions are in production",
            "1 date of 2 lacks a region.",
        ),
        ([shown(DAY - timedelta(days=1))], Tone.BAD, "2024-01-15: EUROPE missing", "1 date of 2 lacks a region."),
        (
            [shown(), shown(DAY - timedelta(days=1))],
            Tone.GOOD,
            "2024-01-15: all regions are in production",
            "No date lacks a region.",
        ),
    ],
    ids=["good", "failed-before", "missing", "whole"],
)
def test_the_newest_date_comes_first(states: list[LedgerState], tone: Tone, headline: str, meaning: str) -> None:
    of_two_days = history(states, first=DAY - timedelta(days=1))
    found = newest_date(to_cells(of_two_days), of_two_days)
    assert (found.tone, found.headline, found.meaning) == (tone, headline, meaning)


def test_dates_that_were_due_since_are_on_the_grid_and_lack_their_regions() -> None:
    later = replace(history([shown()], [ended()]), built_at=DEADLINE + timedelta(days=2))
    grid = to_cells(later)
    assert list(grid) == [DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)]
    found = newest_date(grid, later)
    assert (found.tone, found.headline) == (Tone.BAD, "2024-01-17: EUROPE missing")
    assert found.meaning == "2 dates of 3 lack a region."


def test_a_ledger_that_ended_long_ago_is_shown_and_is_not_called_good() -> None:
    later = replace(history([shown()], [ended()]), built_at=DEADLINE + timedelta(days=9 * 365))
    grid = to_cells(later)
    assert list(grid) == [DAY]
    found = newest_date(grid, later)
    assert (found.tone, found.headline) == (Tone.WARN, "2024-01-15: all regions are in production")
    assert found.meaning.startswith("Nothing newer is loaded; 2033-01-")


def test_a_date_is_due_when_its_time_is_over() -> None:
    assert DUE.last_date(DEADLINE) == DAY
    assert DUE.last_date(DEADLINE - timedelta(seconds=1)) == DAY - timedelta(days=1)


def test_dates_before_the_first_one_that_the_warehouse_has_to_hold_are_no_gaps() -> None:
    found = replace(history([shown()], [ended()], first=DAY - timedelta(days=9)), first_date=DAY)
    assert newest_date(to_cells(found), found).meaning == "No date lacks a region."


def test_the_time_before_a_region_opened_has_no_cells_of_it_and_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIONS, "US_EAST", replace(REGIONS["US_EAST"], first_date=DAY))
    before, regions = DAY - timedelta(days=1), ("EUROPE", "US_EAST", "NO_LONGER_CONFIGURED")
    states = [shown(before), shown(before, "NO_LONGER_CONFIGURED"), shown(), shown(region="US_EAST")]
    found = replace(history(states, first=before), regions=regions)
    grid = to_cells(found)
    assert {day: [*cells] for day, cells in grid.items()} == {
        before: ["EUROPE", "NO_LONGER_CONFIGURED"],
        DAY: ["EUROPE", "US_EAST"],
    }
    assert newest_date(grid, found).meaning == "No date lacks a region."
    (month,) = to_months(grid, regions)
    assert [[cell is not None for cell in cells[13:15]] for _, cells in month.rows] == [
        [True, True],
        [False, True],
        [True, False],
    ]
    assert "US_EAST" in render_history_page(found)


def test_the_cell_of_a_date_that_was_rolled_back_leads_to_the_run_that_had_loaded_it() -> None:
    ends = [ended(number=7), ended(Status.ROLLED_BACK, number=8, cause="wrong prices")]
    found = replace(history([shown(status=Status.ROLLED_BACK)], ends), pages={path_of_run(DAY, "run-7")})
    assert cell_of(found).page == path_of_run(DAY, "run-7")


def test_a_region_that_is_no_longer_configured_has_its_charts() -> None:
    sales = [DaySales("ATLANTIS", DAY, "EUR", 1, Decimal(1)), DaySales("EUROPE", DAY, "EUR", 1, Decimal(1))]
    assert [chart.region for chart in trend_charts(replace(history(), sales=sales))] == ["EUROPE", "ATLANTIS"]


def test_the_longest_run_is_one_of_those_on_the_chart() -> None:
    old = DAY - timedelta(days=200)
    ends = [ended(day=old, number=2, seconds=7000), ended(seconds=36)]
    found = duration_chart(history([shown()], ends, first=old))
    assert found is not None
    assert found.words.startswith("The longest took 36.0 s")


def test_rollbacks_and_overtaken_runs_do_not_count_as_successes() -> None:
    ends = [ended(Status.ROLLED_BACK, number=8), ended(Status.OVERTAKEN, number=9), ended(Status.FAILED, number=10)]
    assert success_rate(history(ends=ends)) == "1 of 2 runs succeeded: 50 %."


def test_an_empty_ledger_has_a_page() -> None:
    empty = replace(history(), whole=None, ends=())
    html = render_history_page(empty)
    assert "Nothing is loaded yet" in html
    assert "No run has ended yet." in html


def test_trends_are_by_region_and_currency_with_a_band_of_four_weekdays() -> None:
    days = [DAY - timedelta(days=n) for n in range(118)]
    sales = [DaySales("EUROPE", day, currency, 100, Decimal(10)) for day in days for currency in ("EUR", "CHF")]
    charts = trend_charts(replace(history(first=DAY - timedelta(days=400)), sales=sales))
    assert [(chart.region, chart.currency) for chart in charts] == [("EUROPE", "CHF"), ("EUROPE", "EUR")]
    assert 'aria-label="Sales in EUROPE from 2023-10-18 to 2024-01-15: from 100 to 100, last 100"' in charts[0].sales
    assert "color-0" in charts[0].sales


def test_durations_are_compared_with_the_time_allowed() -> None:
    found = duration_chart(history([shown()], [ended(seconds=36)]))
    assert found is not None
    assert found.words == "The longest took 36.0 s, 0.5 % of the 120 minutes allowed from when a run is due."
    assert duration_chart(replace(history(), ends=())) is None


def test_failures_are_counted_by_cause_and_run() -> None:
    ends = [
        ended(Status.FAILED, number=7, region="EUROPE", cause="no disk"),
        ended(Status.FAILED, number=7, region="US_EAST", cause="no disk"),
        ended(Status.FAILED, number=8, day=date(2024, 1, 16), cause="no disk"),
        ended(Status.FAILED, number=9, cause="no bucket"),
    ]
    found = history(ends=ends)
    assert failures_by_cause(found) == [
        {"cause": "no disk", "runs": 2, "last of date": date(2024, 1, 16)},
        {"cause": "no bucket", "runs": 1, "last of date": DAY},
    ]
    assert success_rate(found) == "1 of 4 runs succeeded: 25 %."


def test_nothing_from_outside_becomes_html() -> None:
    odd = '"><script>alert(1)</script>'
    found = replace(
        history([shown(status=Status.FAILED)], [ended(Status.FAILED, cause=odd)]),
        title=odd,
        notes=[odd],
        open_rejected=[{odd: odd}],
    )
    assert "<script" not in render_history_page(found)


def test_a_year_of_four_regions_stays_below_a_megabyte() -> None:
    regions = ("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC")
    days = [DAY - timedelta(days=n) for n in range(DATES_SHOWN)]
    runs = {day: n for n, day in enumerate(reversed(days), start=2)}
    ids = {day: f"0b0c0a76-1b7d-4c0c-9a83-{runs[day]:012d}" for day in days}
    found = replace(
        history(first=days[-1]),
        regions=regions,
        states=[shown(day, region) for day in days for region in regions],
        ends=[
            replace(ended(day=day, region=region, number=runs[day]), flow_run_id=ids[day])
            for day in days[::-1]
            for region in regions
        ],
        sales=[DaySales(region, day, "EUR", 7000, Decimal("123456.78")) for day in days[:118] for region in regions],
        pages={path_of_run(day, ids[day]) for day in days},
    )
    html = render_history_page(found)
    assert len(re.findall(r'<a class="day', html)) == 4 * DATES_SHOWN
    assert len(html.encode()) < 1_000_000
