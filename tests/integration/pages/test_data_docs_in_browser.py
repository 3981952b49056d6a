"""Data Docs open in a browser from the disk: nothing is asked of another host, nothing fails, all is there to see."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tasks.pages.data_docs import build_data_docs
from tests.unit.tasks.pages.dirty_batch import judged_batch

pytestmark = pytest.mark.more

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reports") / "data-docs"
    build_data_docs(directory, judged_batch(tmp_path_factory.mktemp("batch")))
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Watched:
    """A page, and what went wrong on it. Requests that leave the disk are blocked."""

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.route(lambda url: not url.startswith(("file:", "data:")), self._block)
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", lambda request: self.errors.append(f"{request.url} failed"))

    def _block(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page()
    yield Watched(page)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_offline(site: Path, watched: Watched, scheme: Literal["light", "dark"]) -> None:
    watched.page.emulate_media(color_scheme=scheme)
    pages = sorted(site.rglob("*.html"))
    for path in pages:
        watched.page.goto(path.as_uri(), wait_until="networkidle")
        expect(watched.page.get_by_text("Data Docs").first).to_be_visible()
    assert len(pages) > 15
    assert (watched.outside, watched.errors) == ([], [])


def test_a_reader_finds_what_failed(site: Path, watched: Watched) -> None:
    page = watched.page
    page.goto((site / "index.html").as_uri())
    failed = page.get_by_role("row").filter(has=page.locator(".fa-times"), has_text="rows-as-read")
    failed.get_by_role("cell", name="EUROPE", exact=True).click()
    expect(page.locator("body")).to_contain_text("Data asset: EUROPE")
    expect(page.locator("body")).to_contain_text(re.compile(r"Status:\s*Failed"))
    page.get_by_text("Failed Only").click()
    expect(page.locator("body")).to_contain_text("4 unexpected values found")
    expect(page.get_by_role("heading", name="currency")).to_be_hidden()
    page.get_by_role("link", name="rows-as-read").click()
    expect(page.get_by_text("fewer than 5.0 % of the values may be NULL").first).to_be_visible()
    page.get_by_role("link", name="Home").click()
    page.get_by_role("tab", name="Expectation Suites").click()
    page.get_by_role("cell", name="clean-keys").last.click()
    expect(page.get_by_text("values must be unique")).to_be_visible()
    assert (watched.outside, watched.errors) == ([], [])
