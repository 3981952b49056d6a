"""The moment up to which a server counts as complete, and how long a run waits for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.source import standby
from tasks.source.standby import IDLE_S, Position, Shown, wait_until_shown

MIDNIGHT = datetime(2024, 1, 16, tzinfo=UTC)
STARTED = datetime(2024, 1, 1, tzinfo=UTC)
MORNING = MIDNIGHT + timedelta(hours=6)
BEFORE, AFTER = MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(hours=5)
IDLE = Position(
    is_standby=True,
    started_at=STARTED,
    clock=MORNING,
    replayed_at=BEFORE,
    is_paused=False,
    has_receiver=True,
    receiver_timeout_ms=60_000,
    has_replayed_all=True,
    replayed="0/100",
)
PRIMARY = Position(False, STARTED, MORNING, None, None, False, 60_000, None, None)
LAGGING = replace(IDLE, has_replayed_all=False)
CAUGHT_UP = replace(IDLE, replayed_at=AFTER)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(standby.time, "monotonic", lambda: clock.now)
    return clock


def wait(clock: Clock, *positions: Position, wait_s: float = 900, needed: datetime | None = MIDNIGHT) -> Shown:
    """Waits for a server that takes these positions, a second each, and stays in the last."""
    following = iter(positions)
    last = [positions[-1]]

    def read_next() -> Position:
        last[0] = next(following, last[0])
        return last[0]

    return wait_until_shown(read_next, needed, wait_s, clock.sleep)


def test_a_primary_is_not_waited_for(clock: Clock) -> None:
    assert wait(clock, PRIMARY) == Shown(STARTED, is_standby=False)
    assert clock.now == 0


def test_a_standby_that_has_replayed_a_later_commit_is_not_waited_for(clock: Clock) -> None:
    assert wait(clock, CAUGHT_UP) == Shown(STARTED, True, AFTER)
    assert clock.now == 0


def test_named_keys_need_no_moment(clock: Clock) -> None:
    assert wait(clock, LAGGING, needed=None) == Shown(STARTED, True, BEFORE)
    assert clock.now == 0


def test_a_day_that_is_not_over_is_not_waited_for(clock: Clock) -> None:
    early = replace(LAGGING, clock=MIDNIGHT - timedelta(hours=1))
    assert wait(clock, early) == Shown(STARTED, True, BEFORE)
    assert clock.now == 0


def test_it_is_waited_for_until_it_has_caught_up(clock: Clock) -> None:
    assert wait(clock, *[LAGGING] * 30, CAUGHT_UP) == Shown(STARTED, True, AFTER)
    assert clock.now == 30


def test_a_standby_that_stands_still_with_nothing_to_replay_counts_as_complete_after_a_while(clock: Clock) -> None:
    assert wait(clock, IDLE) == Shown(STARTED, True, MORNING - timedelta(minutes=1))
    assert clock.now == IDLE_S


def test_the_end_of_the_wait_does_not_cut_short_the_proof_of_an_idle_night(clock: Clock) -> None:
    assert wait(clock, IDLE, wait_s=0).behind is None


def test_one_that_moves_is_not_idle(clock: Clock) -> None:
    moving = [replace(IDLE, replayed=f"0/{number}") for number in range(40)]
    assert wait(clock, *moving, LAGGING, wait_s=60).behind is not None


@pytest.mark.parametrize(
    ("position", "why"),
    [
        pytest.param(LAGGING, "it lags behind its primary", id="lagging"),
        pytest.param(replace(IDLE, is_paused=True), "its replay is paused: SELECT pg_wal_replay_resume()", id="paused"),
        pytest.param(
            replace(IDLE, has_receiver=False), "it is cut off from its primary: no WAL receiver is alive", id="cut-off"
        ),
        pytest.param(replace(IDLE, receiver_timeout_ms=0), "it lags behind its primary", id="no-timeout"),
        pytest.param(
            replace(IDLE, clock=MIDNIGHT + timedelta(seconds=59)), "it lags behind its primary", id="within-the-timeout"
        ),
    ],
)
def test_a_standby_that_stays_behind_is_read_after_the_wait(clock: Clock, position: Position, why: str) -> None:
    shown = wait(clock, position)
    assert (shown.until, clock.now) == (BEFORE, 900)
    assert shown.behind == f"its database is a standby that shows sales until 2024-01-15 22:00:00 UTC: {why}"


def test_a_standby_that_has_replayed_nothing_has_no_moment(clock: Clock) -> None:
    shown = wait(clock, replace(LAGGING, replayed_at=None), wait_s=5)
    assert shown.until is None
    assert "until nobody knows when" in (shown.behind or "")
