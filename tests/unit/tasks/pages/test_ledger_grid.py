"""The ledger as a grid: a word per date and region, including dates that nobody loaded."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from expectations import regions
from tasks.batch import DateRange
from tasks.pages.ledger_grid import DATES_SHOWN, LEGEND, Grid, cell, shown_range, to_grid
from tasks.warehouse.states import LedgerState, Status

FIRST, LAST = date(2024, 1, 10), date(2024, 1, 12)
REGIONS = ("US_EAST", "EUROPE")


def state(status: str, in_production: str | None = None, under_way: bool = False, day: date = FIRST) -> LedgerState:
    return LedgerState(day, "EUROPE", Status(status), Status(in_production) if in_production else None, under_way)


@pytest.mark.parametrize(
    ("known", "word"),
    [
        pytest.param(None, "missing", id="never-run"),
        pytest.param(state("PUBLISHED", "PUBLISHED"), "published", id="published"),
        pytest.param(state("EMPTY", "EMPTY"), "empty", id="empty"),
        pytest.param(state("ROLLED_BACK", "ROLLED_BACK"), "rolled back", id="rolled-back"),
        pytest.param(state("OVERTAKEN", "PUBLISHED"), "published", id="overtaken"),
        pytest.param(state("STARTED", "PUBLISHED", under_way=True), "published >", id="published-and-running"),
        pytest.param(state("FAILED", "PUBLISHED"), "published !", id="published-and-failed-again"),
        pytest.param(state("STARTED", "PUBLISHED"), "published !", id="published-and-died-again"),
        pytest.param(state("MISSING", "PUBLISHED"), "published !", id="published-and-left-out-again"),
        pytest.param(state("STARTED", under_way=True), "running", id="running"),
        pytest.param(state("RENEWED", under_way=True), "running", id="renewed"),
        pytest.param(state("STARTED"), "died", id="died"),
        pytest.param(state("MISSING"), "left out", id="left-out"),
        pytest.param(state("FAILED"), "failed", id="failed"),
        pytest.param(state("PUBLISHED"), "not over", id="loaded-before-the-day-was-over"),
    ],
)
def test_a_cell_says_what_production_holds_and_how_the_newest_run_goes(known: LedgerState | None, word: str) -> None:
    assert cell(known) == word


def test_every_date_has_a_row_the_newest_first() -> None:
    known = [state("PUBLISHED", "PUBLISHED"), state("FAILED", day=LAST)]
    assert to_grid(DateRange(FIRST, LAST), known, REGIONS).rows() == [
        {"date": "2024-01-12", "US_EAST": "missing", "EUROPE": "failed"},
        {"date": "2024-01-11", "US_EAST": "missing", "EUROPE": "missing"},
        {"date": "2024-01-10", "US_EAST": "missing", "EUROPE": "published"},
    ]


def test_a_region_that_only_the_ledger_knows_has_a_column() -> None:
    assert to_grid(DateRange(FIRST, FIRST), [state("PUBLISHED")], ("US_EAST",)).regions == ("US_EAST", "EUROPE")


def test_the_time_before_a_region_opened_is_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(regions.REGIONS, "US_EAST", replace(regions.REGIONS["US_EAST"], first_date=LAST))
    grid = to_grid(DateRange(FIRST, LAST), [state("PUBLISHED", "PUBLISHED")], REGIONS)
    assert [row["US_EAST"] for row in grid.rows()] == ["missing", "", ""]
    assert grid.legend() == [f"missing: {LEGEND['missing']}"]


def test_the_newest_dates_are_shown() -> None:
    whole = DateRange(FIRST - timedelta(days=2000), LAST)
    shown = shown_range(whole)
    assert shown is not None
    assert (len(list(shown)), shown.last) == (DATES_SHOWN, LAST)
    grid = to_grid(whole, [state("PUBLISHED", day=whole.first)], REGIONS)
    assert len(grid.cells) == DATES_SHOWN
    assert grid.headline() == f"The newest {DATES_SHOWN} of 2,003 dates, {whole}"


def test_of_the_dates_before_the_first_one_that_was_loaded_those_that_were_tried_are_shown() -> None:
    tried = [state("FAILED", day=day) for day in (FIRST - timedelta(days=3), FIRST - timedelta(days=DATES_SHOWN))]
    grid = to_grid(DateRange(FIRST, LAST), [*tried, state("PUBLISHED", "PUBLISHED")], REGIONS)
    assert [str(day) for day in grid.cells] == ["2024-01-12", "2024-01-11", "2024-01-10", "2024-01-07"]
    assert grid.headline() == "4 dates, 2024-01-07 to 2024-01-12"


def test_the_legend_explains_what_occurs() -> None:
    grid = Grid(
        REGIONS, {FIRST: ("published >", "left out"), LAST: ("published", "published !")}, DateRange(FIRST, LAST)
    )
    assert grid.legend() == [f"{mark}: {LEGEND[mark]}" for mark in ("left out", ">", "!")]


def test_the_page_is_the_grid_with_its_legend() -> None:
    page = to_grid(DateRange(FIRST, FIRST), [state("FAILED", "PUBLISHED")], REGIONS).markdown()
    assert page == (
        "## 1 date, 2024-01-10 to 2024-01-10\n\n"
        "| date | US_EAST | EUROPE |\n| --- | --- | --- |\n| 2024-01-10 | missing | published ! |\n\n"
        f"- `missing`: {LEGEND['missing']}\n- `!`: {LEGEND['!']}"
    )


def test_an_empty_ledger_is_a_sentence() -> None:
    grid = to_grid(None, [], REGIONS)
    assert (grid.headline(), grid.rows(), grid.legend()) == ("The ledger knows no date yet", [], [])
