"""Pages in a real browser: nothing is asked for, all can read them, on a phone and on a desk, by day and by night."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from local.generator import Dirt
from tasks.pages.paths import HISTORY, RUNS
from tests.integration.conftest import World
from tests.integration.pages.browser import DESK, PHONE, Scheme, chromium, opened
from tests.integration.pages.conftest import pages_written_to

pytestmark = pytest.mark.more

FIRST = date(2018, 3, 5)
DAYS = [FIRST + timedelta(weeks=week) for week in range(5)]
PUBLISHED, REFUSED = DAYS[-1], DAYS[-1] + timedelta(days=1)
PRINTED_PAGES_MAX = 2


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def reports(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pages of five Mondays, and of a batch that was refused."""
    directory = tmp_path_factory.mktemp("pages") / "reports"
    with pages_written_to(directory, PUBLISHED):
        for number, day in enumerate(DAYS):
            world.fill(day, rows=200 + 10 * number, dirt=Dirt(bad_amounts=0.02, duplicates=0.02, late=0.05))
            assert world.run(day).state.is_completed()
        world.fill(REFUSED, rows=100, dirt=Dirt(bad_amounts=0.5))
        assert world.run(REFUSED).state.name == "QualityFailed"
        yield directory
    world.forget(*DAYS, REFUSED)


def file_of(reports: Path, which: str) -> Path:
    if which == "history":
        return reports / HISTORY
    day = PUBLISHED if which == "published" else REFUSED
    (file,) = (reports / RUNS / str(day)).glob("*.html")
    return file


ALL = ["published", "refused", "history"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ALL)
def test_a_page_asks_for_nothing_and_all_can_read_it(
    browser: Browser, reports: Path, which: str, width: int, scheme: Scheme
) -> None:
    with opened(browser, file_of(reports, which), width, scheme) as found:
        assert found.violations() == []
        assert not found.overflows()
    assert found.requests == []
    assert found.errors == []


@pytest.mark.parametrize(("which", "charts"), [("published", 8), ("history", 9)])
def test_charts_are_drawn_and_have_a_text_in_their_place(
    browser: Browser, reports: Path, which: str, charts: int
) -> None:
    with opened(browser, file_of(reports, which)) as found:
        drawn = found.page.locator("svg[role=img]")
        assert drawn.count() == charts
        for number in range(charts):
            one = drawn.nth(number)
            assert re.search(r"\d", one.get_attribute("aria-label") or "")
            box = one.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 80
            marks = one.locator(".bar rect, .color-1 path, .dot")
            assert marks.count() > 0
        first = found.page.locator("svg .color-1 .bar rect, svg .color-1 path").first
        colour = first.evaluate("mark => getComputedStyle(mark).fill + getComputedStyle(mark).stroke")
        assert "rgb(31, 95, 168)" in colour, "the accent of the stylesheet"


def test_a_cell_shows_its_counts_on_hover_and_focus_and_leads_to_its_page(browser: Browser, reports: Path) -> None:
    with opened(browser, reports / HISTORY) as found:
        cell = found.page.locator(f'a.day[aria-label^="{PUBLISHED} EUROPE"]')
        assert "published, " in (cell.get_attribute("aria-label") or "")

        def tip() -> str:
            return str(cell.evaluate("one => getComputedStyle(one, '::after').content"))

        assert tip() == "none"
        cell.hover()
        assert str(PUBLISHED) in tip()
        found.page.mouse.move(0, 0)
        cell.focus()
        assert str(PUBLISHED) in tip()
        cell.click()
        found.page.wait_for_url("**/runs/**")
        assert found.page.title() == f"Daily sales {PUBLISHED}: Published"
        found.page.get_by_role("link", name="all dates").click()
        found.page.wait_for_url(f"**/{HISTORY}")


def test_the_figures_behind_a_chart_open(browser: Browser, reports: Path) -> None:
    with opened(browser, file_of(reports, "published")) as found:
        figure = found.page.locator("figure").first
        table = figure.locator("table")
        assert not table.is_visible()
        figure.get_by_text("Figures").click()
        assert table.is_visible()
        assert table.locator("tbody tr").count() == len(DAYS)


@pytest.mark.parametrize("which", ["published", "refused"])
def test_a_run_prints_on_two_pages(browser: Browser, reports: Path, which: str) -> None:
    with opened(browser, file_of(reports, which)) as found:
        printed = found.page.pdf(format="A4", prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= PRINTED_PAGES_MAX
