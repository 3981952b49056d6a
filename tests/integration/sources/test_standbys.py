"""A region that is read from a standby: the snapshot's time is that of the last commit that the standby has applied.

A standby that is behind lacks the newest sales, whatever its clock says.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.batch import Window
from tasks.extract import Extracted
from tasks.source import standby as module
from tasks.source.snapshot import Limits
from tests.integration.conftest import wait_for
from tests.integration.sources.clusters import Cluster, Standby, running_cluster, running_standby
from tests.integration.sources.reading import read

IMPATIENT, PATIENT = Limits(standby_s=2), Limits(standby_s=60)
"""How long a reading waits for a standby that is behind."""


@pytest.fixture(autouse=True)
def _soon_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 1)


@pytest.fixture(scope="module")
def primary(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory, autovacuum="off") as primary:
        yield primary


@pytest.fixture
def standby(primary: Cluster, directory: Path) -> Iterator[Standby]:
    """A standby that has applied everything of its primary: one sale."""
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


def read_window(standby: Standby, window: Window, directory: Path, limits: Limits) -> Extracted:
    return read(standby.url(), directory, wanted=window, limits=limits)


def test_a_standby_that_has_caught_up_with_an_idle_primary_shows_the_whole_window(
    primary: Cluster, standby: Standby, tmp_path: Path
) -> None:
    # Nothing is written any more, so the last commit that it has applied stays before the end of the window.
    window = sell(primary)
    standby.catch_up()
    extracted = read_window(standby, window, tmp_path, PATIENT)
    assert (extracted.read.rows, extracted.behind) == (1, None)
    assert extracted.snapshot_at >= window.end


def test_a_later_commit_shows_that_the_window_is_whole(primary: Cluster, standby: Standby, tmp_path: Path) -> None:
    window = sell(primary)
    primary.insert({"sale_id": "later"})
    standby.catch_up()
    extracted = read_window(standby, window, tmp_path, IMPATIENT)
    assert (extracted.read.rows, extracted.behind) == (1, None)
    assert extracted.snapshot_at >= window.end


def test_a_standby_that_catches_up_in_time_is_waited_for(primary: Cluster, standby: Standby, tmp_path: Path) -> None:
    standby.pause()
    window = sell(primary)
    primary.insert({"sale_id": "later"})
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_window, standby, window, tmp_path, PATIENT)
        wait_for(lambda: is_asked(standby), "the reading looks at the standby")
        standby.resume()
        extracted = reading.result()
    assert (extracted.read.rows, extracted.behind) == (1, None)


def is_asked(standby: Standby) -> bool:
    return bool(standby.execute("SELECT 1 FROM pg_stat_activity WHERE usename = 'sales_reader'"))


def test_a_window_that_is_not_over_is_not_waited_for(standby: Standby, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
    extracted = read_window(standby, window, tmp_path, PATIENT)
    assert extracted.behind is None
    assert extracted.snapshot_at < now


def pause(standby: Standby) -> None:
    standby.pause()


def lag(standby: Standby) -> None:
    standby.lag()


def cut_off(standby: Standby) -> None:
    standby.cut_off()


@pytest.mark.parametrize(
    ("hold_back", "why"),
    [
        pytest.param(pause, "its replay is paused", id="paused"),
        pytest.param(lag, "it lags behind its primary", id="lagging"),
        pytest.param(cut_off, "it is cut off from its primary: no WAL receiver is alive", id="cut-off"),
    ],
)
def test_a_standby_that_is_behind_says_until_when_it_shows_sales(
    primary: Cluster, standby: Standby, tmp_path: Path, hold_back: Callable[[Standby], None], why: str
) -> None:
    hold_back(standby)
    assert_behind(read_window(standby, window := sell(primary), tmp_path, IMPATIENT), window, why)


def test_a_standby_whose_primary_is_stopped_is_not_taken_for_idle(
    primary: Cluster, standby: Standby, tmp_path: Path
) -> None:
    # Received to the last byte; what else would have come is unknown.
    primary.stop()
    try:
        wait_for(lambda: not standby.receives(), "the standby has no WAL receiver")
        end = datetime.now(UTC)
        wait_for(lambda: datetime.now(UTC) > end, "the end of the window")
        window = Window(end - timedelta(minutes=1), end)
        assert_behind(
            read_window(standby, window, tmp_path, IMPATIENT),
            window,
            "it is cut off from its primary: no WAL receiver is alive",
        )
    finally:
        primary.start()


def assert_behind(extracted: Extracted, window: Window, why: str) -> None:
    assert extracted.read.rows == 0
    assert extracted.snapshot_at < window.end
    assert extracted.behind is not None
    assert f"a standby that shows sales until {extracted.snapshot_at:%Y-%m-%d %H:%M:%S} UTC: {why}" in extracted.behind
