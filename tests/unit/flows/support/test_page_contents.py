"""A run's page: its verdict, its figures, and nothing from outside that could become HTML."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas import StateType
from prefect.states import Cancelled, Crashed, Failed, State

from flows.support.page_contents import RunEnd, build_run_page, late_arrivals
from flows.support.states import final_state
from flows.support.verdict import to_outcome
from tasks.anomalies import Anomaly
from tasks.pages.run_page import DaySales, RunTimes, Step, Tone, render_run_page, timeline, weekdays_before
from tasks.report import Findings, summarize
from tasks.transform import Transformed
from tests.unit import findings as made

BEGAN = datetime(2024, 1, 16, 6, 0, 2, tzinfo=UTC)
TIMES = RunTimes(BEGAN, BEGAN, BEGAN + timedelta(seconds=36), 120)
ODD = '<script>alert("x")</script>'


def page_of(found: Findings | None, state: State | None = None, **parts: Any) -> str:
    if state is None:
        assert found is not None
        state = final_state(summarize(found))
    end = RunEnd(made.DAY, "flow-run", "daily-sales-2024-01-15", "http://127.0.0.1:4200/flow-runs/x", state, TIMES)
    page = build_run_page(end, found, (), (), "../../index.html")
    return render_run_page(replace(page, **parts))


class Outline(HTMLParser):
    """The tags, ids and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.addresses = list[str](), list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]


@pytest.mark.parametrize(
    ("ended", "tone", "headline"),
    [
        pytest.param(made.completed, Tone.GOOD, "Published", id="completed"),
        pytest.param(made.partially_loaded, Tone.WARN, "Partly published", id="partially-loaded"),
        pytest.param(made.overtaken, Tone.WARN, "Overtaken", id="overtaken"),
        pytest.param(made.quality_failed, Tone.BAD, "Refused", id="quality-failed"),
        pytest.param(made.refused_before_commit, Tone.BAD, "Refused", id="refused-before-commit"),
        pytest.param(made.too_few_answered, Tone.BAD, "Refused", id="too-few-answered"),
    ],
)
def test_the_verdict_is_the_end_of_the_run(ended: Callable[[], Findings], tone: Tone, headline: str) -> None:
    found = ended()
    state = final_state(summarize(found))
    outcome = to_outcome(state, found)
    assert (outcome.tone, outcome.headline) == (tone, headline)
    assert outcome.message == state.message
    assert headline in page_of(found)


@pytest.mark.parametrize(
    "state",
    [
        Failed(message="NeedsPersonError: no disk"),
        Crashed(message="NeedsPersonError: no disk"),
        Cancelled(message="NeedsPersonError: no disk"),
    ],
    ids=lambda state: state.name,
)
@pytest.mark.parametrize(
    "found", [None, replace(made.completed(), verification=None)], ids=["before-extract", "around-commit"]
)
def test_a_run_that_failed_promises_nothing(state: State, found: Findings | None) -> None:
    outcome = to_outcome(state, found)
    assert outcome.tone is Tone.BAD
    assert "is in production, and nothing else" in outcome.meaning
    html = page_of(found, state)
    assert "no disk" in html
    assert "PUBLISHED" not in html
    assert ("see the ledger" in html) is (found is not None)


def test_a_run_that_failed_after_the_second_look_says_that_its_batch_is_there() -> None:
    outcome = to_outcome(Failed(message="the Prefect server is gone"), made.completed())
    assert (outcome.tone, outcome.headline) == (Tone.WARN, "Published, then failed")
    assert outcome.meaning.startswith("In production: US_EAST, EUROPE. Rows and exact money")


def test_a_cancelled_run_is_called_so() -> None:
    """The hook sees it while it is being cancelled."""
    assert to_outcome(State(type=StateType.CANCELLING), None).headline == "Cancelled"


def test_a_drivers_words_stay_out() -> None:
    message = "COPY into SALES_FACT failed. The driver says: String 'Max Mustermann' is too long"
    assert to_outcome(Failed(message=message), None).message == "COPY into SALES_FACT failed"


def test_a_day_that_was_read_before_it_was_over_is_no_plain_success() -> None:
    found = made.completed()
    first, *others = found.plan.present
    first = replace(first, snapshot_at=found.batch.window.end - timedelta(hours=1))
    early = replace(found, plan=replace(found.plan, present=(first, *others)))
    outcome = to_outcome(final_state(summarize(early)), early)
    assert (outcome.tone, outcome.headline) == (Tone.WARN, "Published, not over")
    assert outcome.meaning.endswith("Read before all of the day was there, and still a gap: US_EAST.")


def test_a_partly_published_batch_names_what_is_there_and_what_is_missing() -> None:
    assert to_outcome(final_state(summarize(made.partially_loaded())), made.partially_loaded()).meaning == (
        "In production: US_EAST. Missing: EUROPE."
    )


def test_the_conservation_table_has_a_line_per_region_and_a_sum() -> None:
    text = re.sub(r"<[^>]+>", " ", page_of(made.completed()))
    assert re.search(r"EUROPE\s+PUBLISHED\s+100\s+80\s+0\s+0\s+0\s+8\s+12", text)
    assert re.search(r"all\s+200\s+180\s+0\s+0\s+0\s+8\s+12", text)


def test_rejected_rows_are_counted_and_their_keys_stay_out() -> None:
    html = page_of(made.completed())
    assert "quantity_not_positive" in html
    assert not [key for key in made.KEYS if key in html]


def test_nothing_from_outside_becomes_html() -> None:
    found = replace(made.completed(), anomalies=[Anomaly("EUROPE", "new-column", f"new columns: {ODD}")])
    html = page_of(
        found,
        Failed(message=ODD),
        notes=[ODD],
        facts={"Run": ODD, "Link": f"https://x/{ODD}"},
        steps=[Step(ODD, ODD, BEGAN, BEGAN)],
        sales=[DaySales(ODD, made.DAY, ODD, 1, Decimal(1))],
    )
    assert "script" not in Outline(html).tags
    assert html.count("&lt;script&gt;") >= 6


def test_the_page_asks_for_nothing_outside_itself() -> None:
    sales = [DaySales("EUROPE", day, "EUR", 7, Decimal("1.10")) for day in weekdays_before(made.DAY)]
    html = page_of(made.completed(), sales=sales)
    outside = [
        address
        for address in Outline(html).addresses
        if not address.startswith(("../../", "data:,", "http://127.0.0.1:4200/flow-runs"))
    ]
    assert outside == []
    assert "script" not in Outline(html).tags
    assert "url(" not in html
    assert "@import" not in html


def test_personal_data_in_a_message_is_hidden() -> None:
    assert "jo@example.com" not in page_of(None, Failed(message="mail jo@example.com could not be read"))


def test_money_is_exact() -> None:
    day = made.DAY
    sales = [DaySales("EUROPE", one, "EUR", 1, Decimal("12345678901234.57")) for one in weekdays_before(day)]
    assert "12,345,678,901,234.57" in page_of(made.completed(), sales=sales)


def test_a_day_without_sales_counts_as_none_sold() -> None:
    html = page_of(made.completed(), sales=[DaySales("EUROPE", made.DAY, "EUR", 7, Decimal(1))])
    assert "2023-12-18 0 sales, 2023-12-25 0 sales, 2024-01-01 0 sales, 2024-01-08 0 sales, 2024-01-15 7 sales" in html


def test_currencies_are_not_added() -> None:
    sales = [DaySales("EUROPE", made.DAY, currency, 7, Decimal(10)) for currency in ("CHF", "EUR")]
    html = page_of(made.completed(), sales=sales)
    assert html.count("<figure>") == 2
    assert "Sales in CHF" in html


def of_days(region: str, **sold_on: int) -> Transformed:
    days = {date(2024, 1, int(day.removeprefix("jan"))): rows for day, rows in sold_on.items()}
    return replace(made.transformed(region, sum(days.values())), sold_on=days)


def test_late_arrivals_are_counted_by_age() -> None:
    rows = late_arrivals(
        [of_days("EUROPE", jan15=100, jan14=9, jan8=3, jan1=2), of_days("US_EAST", jan15=50)], made.DAY
    )
    assert rows == [
        {"region": "EUROPE", "the day itself": 100, "1 day": 9, "2 to 7 days": 3, "8 to 30 days": 2},
        {"region": "US_EAST", "the day itself": 50, "1 day": 0, "2 to 7 days": 0, "8 to 30 days": 0},
    ]


def test_without_late_arrivals_there_is_no_table() -> None:
    assert late_arrivals([of_days("EUROPE", jan15=100)], made.DAY) == []


def test_very_old_and_later_sales_are_counted_too() -> None:
    of_region = replace(made.transformed("EUROPE", 3), sold_on={date(2020, 1, 1): 2, date(2024, 1, 16): 1})
    assert late_arrivals([of_region], made.DAY) == [
        {"region": "EUROPE", "the day itself": 0, "older": 2, "later than the day": 1}
    ]


def test_steps_are_on_one_scale() -> None:
    def step(name: str, begin: int, end: int | None) -> Step:
        ended = None if end is None else BEGAN + timedelta(seconds=end)
        return Step(name, "Completed", BEGAN + timedelta(seconds=begin), ended)

    bars = timeline([step("publish", 5, None), step("begin", 0, 5)], BEGAN + timedelta(seconds=10))
    assert [(bar.step.name, bar.seconds, bar.left, bar.width) for bar in bars] == [
        ("begin", 5.0, 0.0, 50.0),
        ("publish", 5.0, 50.0, 50.0),
    ]


def test_the_share_of_the_time_allowed() -> None:
    assert TIMES.share_of_sla == 36 / 7200
    assert "36.0 s from when it was due to its end, of 120 minutes: 0.5 %" in page_of(made.completed())


def test_the_wait_of_a_run_that_began_late_counts() -> None:
    late = replace(TIMES, due_at=BEGAN - timedelta(minutes=60))
    assert "1 h 00 min from when it was due to its end" in page_of(made.completed(), times=late)


def test_a_page_without_findings_says_so() -> None:
    html = page_of(None, Failed(message="x"))
    assert "the run ended before its rows were checked" in html
    assert "The quality gate was not reached." in html
    assert "the run ended before the regions were read" in html
    assert "No late arrivals" not in html
    assert "No row was rejected" not in html


def test_a_region_that_is_no_longer_configured_has_its_chart() -> None:
    sales = [DaySales("ATLANTIS", made.DAY, "EUR", 7, Decimal(1)), DaySales("EUROPE", made.DAY, "EUR", 7, Decimal(1))]
    end = RunEnd(made.DAY, "x", "y", "z", final_state(summarize(made.completed())), TIMES)
    assert [one.region for one in build_run_page(end, made.completed(), sales, (), "").sales] == ["EUROPE", "ATLANTIS"]


def test_the_stylesheet_has_both_schemes_and_print() -> None:
    css = (Path(__file__).parents[4] / "tasks/pages/templates/page.css").read_text("utf-8")
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
