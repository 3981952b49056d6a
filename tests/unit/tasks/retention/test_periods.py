"""How long runs are kept: by their end, the watchdog's for a shorter time, and for ever while they have not ended."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.retention.periods import STATE_TYPES, Kind, PastRun, days_kept, kind_of, may_go

NOW = datetime(2024, 1, 16, 12, tzinfo=UTC)


def ended(state_type: str, days: float, flow: str = "daily-sales") -> PastRun:
    return PastRun(flow, state_type, NOW - timedelta(days=days))


@pytest.mark.parametrize(
    ("run", "goes"),
    [
        pytest.param(ended("COMPLETED", 30.1), True, id="completed"),
        pytest.param(ended("COMPLETED", 29.9), False, id="completed-lately"),
        pytest.param(ended("COMPLETED", 7.1, "watchdog"), True, id="watchdog"),
        pytest.param(ended("COMPLETED", 6.9, "watchdog"), False, id="watchdog-lately"),
        pytest.param(ended("COMPLETED", 7.1, "send-alert"), False, id="send-alert-is-no-routine"),
        pytest.param(ended("FAILED", 89.9, "watchdog"), False, id="watchdog-failed-lately"),
        pytest.param(ended("FAILED", 90.1, "watchdog"), True, id="watchdog-failed"),
        pytest.param(ended("CRASHED", 90.1), True, id="crashed"),
        pytest.param(ended("CANCELLED", 89.9), False, id="cancelled-lately"),
        pytest.param(ended("CANCELLED", 90.1), True, id="cancelled"),
        pytest.param(PastRun("daily-sales", "COMPLETED", None), False, id="end-unknown"),
    ],
)
def test_a_run_is_removed_when_it_is_older_than_its_kind_is_kept(run: PastRun, goes: bool) -> None:
    assert may_go([run], 30, NOW) is goes


@pytest.mark.parametrize("state_type", ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", ""])
def test_a_run_that_has_not_ended_is_kept_for_ever(state_type: str) -> None:
    assert kind_of(ended(state_type, 4_000)) is None
    assert not may_go([ended(state_type, 4_000)], 1, NOW)


def test_a_run_is_kept_with_the_runs_that_it_has_started() -> None:
    parent, child = ended("COMPLETED", 31, "backfill"), ended("COMPLETED", 31)
    assert may_go([parent, child], 30, NOW)
    for stays in (ended("FAILED", 31), ended("RUNNING", 31), ended("COMPLETED", 29)):
        assert not may_go([parent, child, stays], 30, NOW)


def test_a_short_retention_holds_for_the_watchdog_too() -> None:
    assert [days_kept(kind, 3) for kind in Kind] == [3, 3, 9]
    assert [days_kept(kind, 30) for kind in Kind] == [7, 30, 90]


def test_every_kind_has_states() -> None:
    assert set(STATE_TYPES) == set(Kind)
