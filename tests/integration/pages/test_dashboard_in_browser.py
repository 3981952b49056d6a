"""The Prefect dashboard in a real browser: a flow run shows our artifacts, and they link its page."""

from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from blocks.project import REPORTS_OF_SHELL
from tasks.pages.paths import path_of_run
from tests.integration.conftest import World
from tests.integration.pages.browser import chromium

pytestmark = pytest.mark.more

DAY = date(2018, 5, 7)
BASE = "https://reports.example.com/sales"
LOADS_MS_MAX = 120_000
ARTIFACTS = ("daily-sales-report", "daily-sales-extraction", "daily-sales-reconciliation", "daily-sales-quality")


def test_a_flow_run_shows_its_artifacts_and_the_report_links_its_page(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPORTS_OF_SHELL, str(tmp_path))
    world.fill(DAY)
    with world.variable("report_base_url", BASE):
        run = world.run(DAY)
    assert run.report is not None, run.state.message
    server, foreign = world.environment["PREFECT_UI_URL"].rstrip("/"), set[str]()
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(LOADS_MS_MAX)
        expect.set_options(timeout=LOADS_MS_MAX)
        page.on(
            "request", lambda asked: foreign.add(urlsplit(asked.url).netloc) if is_foreign(asked.url, server) else None
        )
        page.goto(f"{server}/flow-runs/flow-run/{run.report.flow_run_id}")
        page.get_by_text("Artifacts", exact=True).click()
        for name in ARTIFACTS:
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        page.get_by_text("daily-sales-report", exact=True).first.click()
        place = f"{BASE}/{path_of_run(DAY, run.report.flow_run_id)}"
        expect(page.locator(f'a[href="{place}"]').first).to_be_visible()
    # Prefect's own requests to others are not ours to forbid: the test's output lists them.
    print("hosts that the dashboard asks besides its server:", sorted(foreign) or "none")


def is_foreign(url: str, server: str) -> bool:
    """Whether the dashboard asks another host than its server."""
    return url.startswith("http") and not url.startswith(server)
