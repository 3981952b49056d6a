"""A region that is read from a standby: the time of what was read is that of what the standby has applied.

Only what stands on the standby can be read, so a standby that is behind is not as late as its clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.batch import Window
from tasks.extract import Extracted
from tests.integration.conftest import wait_for
from tests.integration.sources.clusters import Cluster, Standby, running_cluster, running_standby
from tests.integration.sources.reading import read

STANDBY_WAIT_S_MAX = 2
"""How long a reading may wait for a standby that is behind."""


@pytest.fixture(scope="module")
def primary(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory, autovacuum="off") as primary:
        yield primary


@pytest.fixture
def standby(primary: Cluster, directory: Path) -> Iterator[Standby]:
    """Has applied all that its primary has, which is one sale."""
    primary.empty()
    primary.insert({"sale_id": "1"})
    with running_standby(directory, primary) as standby:
        standby.catch_up()
        yield standby


def sell(primary: Cluster) -> Window:
    """Inserts a sale of this moment; returns a window that ends after it, and is over."""
    now = datetime.now(UTC)
    primary.insert({"sale_id": "2", "sale_date": now, "updated_at": now})
    end = datetime.now(UTC)
    wait_for(lambda: datetime.now(UTC) > end, "the end of the window")
    return Window(now - timedelta(minutes=1), end)


def read_window(standby: Standby, window: Window, directory: Path) -> Extracted:
    return read(standby.url(), directory, wanted=window)


def test_a_standby_that_has_caught_up_is_as_late_as_its_clock(
    primary: Cluster, standby: Standby, tmp_path: Path
) -> None:
    window = sell(primary)
    standby.catch_up()
    extracted = read_window(standby, window, tmp_path)
    assert extracted.read.rows == 1
    assert extracted.snapshot_at >= window.end


def test_a_standby_of_an_idle_primary_is_as_late_as_its_clock(standby: Standby, tmp_path: Path) -> None:
    # Nothing is written any more, so the last commit that it has applied stays before the end of the window.
    end = datetime.now(UTC)
    wait_for(lambda: datetime.now(UTC) > end, "the end of the window")
    extracted = read_window(standby, Window(end - timedelta(minutes=1), end), tmp_path)
    assert extracted.snapshot_at >= end


def test_a_paused_standby_is_as_late_as_its_last_commit(primary: Cluster, standby: Standby, tmp_path: Path) -> None:
    standby.pause()
    _is_read_as_late_as_it_is(standby, sell(primary), tmp_path)


def test_a_lagging_standby_is_as_late_as_its_last_commit(primary: Cluster, standby: Standby, tmp_path: Path) -> None:
    standby.lag()
    _is_read_as_late_as_it_is(standby, sell(primary), tmp_path)


def test_a_standby_that_is_cut_off_is_as_late_as_its_last_commit(
    primary: Cluster, standby: Standby, tmp_path: Path
) -> None:
    standby.cut_off()
    _is_read_as_late_as_it_is(standby, sell(primary), tmp_path)


def test_a_standby_whose_primary_is_stopped_is_as_late_as_its_last_commit(
    primary: Cluster, standby: Standby, tmp_path: Path
) -> None:
    # Received to the last byte, but nobody knows what else would have come.
    primary.stop()
    try:
        wait_for(lambda: not standby.receives(), "the standby has no WAL receiver")
        end = datetime.now(UTC)
        wait_for(lambda: datetime.now(UTC) > end, "the end of the window")
        _is_read_as_late_as_it_is(standby, Window(end - timedelta(minutes=1), end), tmp_path)
    finally:
        primary.start()


def _is_read_as_late_as_it_is(standby: Standby, window: Window, directory: Path) -> None:
    extracted = read_window(standby, window, directory)
    assert extracted.read.rows == 0
    assert extracted.snapshot_at < window.end
