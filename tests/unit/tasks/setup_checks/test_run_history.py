"""check-setup counts the runs on the server, and reports old ones only when nobody removes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.setup_checks.check import SetupFaultError
from tasks.setup_checks.run_history import SLACK, History, describe_history

NOW = datetime(2024, 1, 16, 12, tzinfo=UTC)
GROWN = History(105_120, NOW - timedelta(days=365), NOW - timedelta(days=364), None)


def test_the_line_has_the_figures() -> None:
    line = describe_history(replace(GROWN, runs=9_876, overdue_at=None), 30, NOW)
    assert line == ("9,876, the oldest of 2023-01-16; completed ones are kept 30 days, the watchdog's 7, others 90")
    assert describe_history(History(0, None, None, None), 30, NOW) == "none yet"


@pytest.mark.parametrize(
    ("cleaned_at", "since"),
    [(None, "on this server"), (NOW - SLACK - timedelta(hours=1), "since 2024-01-09")],
    ids=["never", "long-ago"],
)
def test_old_runs_that_nobody_removes_are_bad(cleaned_at: datetime | None, since: str) -> None:
    with pytest.raises(
        SetupFaultError, match=f"ended on 2023-01-17 should have been removed.* has not completed {since}: `prefect"
    ):
        describe_history(replace(GROWN, cleaned_at=cleaned_at), 30, NOW)


def test_a_backlog_that_is_being_removed_is_no_fault() -> None:
    assert describe_history(replace(GROWN, cleaned_at=NOW - timedelta(days=1)), 30, NOW).startswith("105,120, ")
