"""What a pass of the watchdog reports that it looked at."""

from datetime import UTC, date, datetime

import pytest

from tasks.watch.late_and_dead import Lease
from tasks.watch.one_pass import describe_dates, describe_runs, describe_unsent

FIRST, SECOND = date(2024, 1, 14), date(2024, 1, 15)


@pytest.mark.parametrize(
    ("dates", "absent", "expected", "words"),
    [
        pytest.param([], [], [], "no date is due", id="none-is-due"),
        pytest.param([SECOND], [], [], "dates due, 2024-01-15: in production", id="the-only-one-is-there"),
        pytest.param([FIRST, SECOND], [], [], "dates due, 2024-01-14 to 2024-01-15: in production", id="all-are-there"),
        pytest.param(
            [FIRST, SECOND],
            [FIRST],
            [FIRST],
            "dates due, 2024-01-14 to 2024-01-15: not in production: 2024-01-14",
            id="one-of-two-is-absent",
        ),
        pytest.param(
            [FIRST],
            [FIRST],
            [],
            "dates due, 2024-01-14: from before the first deployment: 2024-01-14",
            id="the-absent-one-is-not-expected",
        ),
        pytest.param(
            [FIRST, SECOND],
            [FIRST, SECOND],
            [SECOND],
            "dates due, 2024-01-14 to 2024-01-15: not in production: 2024-01-15; from before the first deployment: "
            "2024-01-14",
            id="only-one-of-two-absent-ones-is-expected",
        ),
    ],
)
def test_due_dates_and_absent_ones_are_named(
    dates: list[date], absent: list[date], expected: list[date], words: str
) -> None:
    assert describe_dates(dates, absent, expected) == words


def test_runs_that_are_alive_and_mails_that_are_not_sent_are_counted() -> None:
    live, ended = (Lease("run", "20240115", datetime(2024, 1, 16, tzinfo=UTC), True, r) for r in (("EUROPE",), ()))
    assert [describe_runs(leases) for leases in ([ended], [live], [live, live])] == [
        "no run is alive",
        "1 run is alive",
        "2 runs are alive",
    ]
    assert [describe_unsent(count) for count in (0, 1, 2)] == [
        "all mails are sent",
        "1 mail is unsent",
        "2 mails are unsent",
    ]
