"""A real browser for pages: Debian's Chromium. It records what a page asks for and what it complains about."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.integration.packages import require_chromium

PHONE, DESK = 390, 1440
"""Widths in pixels."""
Scheme = Literal["light", "dark"]


def words_of(html: str) -> str:
    """The text of a page with single blanks, without its stylesheet and charts."""
    body = re.sub(r"<(style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@dataclass
class Opened:
    """A page in the browser, the requests that it made beyond itself, and the errors on its console."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """The rules of accessibility that the page breaks, with the first element of each."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]

    def overflows(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; its sandbox needs rights that a container lacks."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, file: Path, width: int = DESK, scheme: Scheme = "light") -> Iterator[Opened]:
    """Opens a file. Every other request is recorded, and refused unless it is of a file."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    page = context.new_page()
    found = Opened(page)

    def judge(route: Route) -> None:
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            found.requests.append(route.request.url)
            route.abort()

    page.route("**/*", judge)
    page.on("console", lambda line: found.errors.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.goto(file.as_uri())
    try:
        yield found
    finally:
        context.close()
