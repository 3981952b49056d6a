"""A reports directory of its own for a test, in which pages are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from blocks.project import REPORTS_OF_SHELL
from flows.support import history, pages, run_hooks
from tasks.batch import DateRange
from tests.integration.conftest import World

DAYS_AROUND = 60
WRITTEN_S_MAX = 600
"""Pages that take longer than a run should wait for are tested where that is set, not on every slow machine."""


@contextmanager
def pages_written_to(directory: Path, day: date) -> Iterator[None]:
    """Turns pages on. The history ends soon after the day: other tests leave dates of other centuries in the ledger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(REPORTS_OF_SHELL, str(directory))
        around = DateRange(day - timedelta(days=DAYS_AROUND), day + timedelta(days=DAYS_AROUND))
        patch.setattr(history, "read_ledger_range", lambda _session: around)
        patch.setattr(pages, "READ_S_MAX", WRITTEN_S_MAX)
        patch.setattr(run_hooks, "PAGE_S_MAX", WRITTEN_S_MAX)
        yield


@pytest.fixture
def reports(tmp_path: Path, world: World, day: date) -> Iterator[Path]:
    """An empty directory for pages, on this machine."""
    assert world.environment[REPORTS_OF_SHELL] == "off"
    directory = tmp_path / "reports"
    with pages_written_to(directory, day):
        yield directory


@pytest.fixture
def far_date(world: World) -> Iterator[date]:
    """A date of another century, in the ledger."""
    far = date(2098, 1, 1)
    world.sql(
        "INSERT INTO ETL_BATCHES (BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, CONTRACT_VERSION) "
        "SELECT ?, 'EUROPE', 1, 'of a page', 'FAILED', CURRENT_TIMESTAMP(), '1'",
        (f"{far:%Y%m%d}",),
    )
    yield far
    world.forget(far)
