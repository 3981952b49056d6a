"""What the runs of a date are doing now, as a mail reports it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.alerts.activity import Around, Doing, RunNow, choose_run, in_words

DAY = date(2024, 1, 15)
SIX, NOW = datetime(2024, 1, 16, 6, tzinfo=UTC), datetime(2024, 1, 16, 8, tzinfo=UTC)


def run_now(doing: Doing, **changes: Any) -> RunNow:
    facts: dict[str, Any] = {
        "name": "daily-sales-2024-01-15",
        "state": "Late",
        "since": SIX,
        "due": SIX,
        "link": "http",
    }
    return RunNow(**{**facts, "doing": doing, **changes})


BACKFILL = run_now(Doing.RUNS, name="backfill-2024-01-10-to-14", state="Running", link="http://ahead")


@pytest.mark.parametrize(
    ("runs", "around", "words"),
    [
        pytest.param([], Around(), "Now: no run of 2024-01-15 exists", id="none"),
        pytest.param(
            [],
            Around(is_schedule_paused=True),
            "Now: no run of 2024-01-15 exists\nThe schedule of daily-sales/production is paused: it starts no run.",
            id="none-because-the-schedule-is-paused",
        ),
        pytest.param(
            [run_now(Doing.ENDED, state="QualityFailed")],
            Around(),
            "Now: no run of 2024-01-15 runs or waits; daily-sales-2024-01-15 ended as QualityFailed at "
            "2024-01-16 06:00 UTC\nhttp",
            id="ended",
        ),
        pytest.param(
            [run_now(Doing.RUNS, steps=("publish",))],
            Around(),
            "Now: daily-sales-2024-01-15 runs since 2024-01-16 06:00 UTC, step publish\nhttp",
            id="runs",
        ),
        pytest.param(
            [run_now(Doing.HANDED_OVER)],
            Around(),
            "Now: its run was handed to a worker at 2024-01-16 06:00 UTC and has not begun\nhttp",
            id="about-to-start",
        ),
        pytest.param(
            [run_now(Doing.WAITS)], Around(), "Now: its run waits for a worker: none is online\nhttp", id="no-worker"
        ),
        pytest.param(
            [run_now(Doing.WAITS)],
            Around(workers=2),
            "Now: its run waits for a worker to take it: 2 online\nhttp",
            id="worker-online",
        ),
        pytest.param(
            [run_now(Doing.WAITS)],
            Around(ahead=BACKFILL, workers=1),
            "Now: its run waits behind backfill-2024-01-10-to-14 (Running since 2024-01-16 06:00 UTC)\nhttp\n"
            "ahead of it: http://ahead",
            id="behind-another",
        ),
        pytest.param(
            [run_now(Doing.WAITS)],
            Around(paused=("work queue load is",), ahead=BACKFILL),
            "Now: its run waits since 2024-01-16 06:00 UTC: work queue load is paused\nhttp",
            id="queue-paused",
        ),
        pytest.param(
            [run_now(Doing.WAITS, due=NOW + timedelta(hours=1))],
            Around(ahead=BACKFILL),
            "Now: its run waits for its time, 2024-01-16 09:00 UTC\nhttp",
            id="scheduled-later",
        ),
        pytest.param(
            [run_now(Doing.PAUSED)],
            Around(),
            "Now: daily-sales-2024-01-15 is paused since 2024-01-16 06:00 UTC\nhttp",
            id="run-paused",
        ),
    ],
)
def test_a_mail_says_what_the_run_is_doing_now(runs: list[RunNow], around: Around, words: str) -> None:
    assert in_words(DAY, runs, around, NOW) == words


def test_of_several_runs_the_one_that_goes_on_is_reported() -> None:
    ended, later = run_now(Doing.ENDED), run_now(Doing.ENDED, since=NOW)
    waits, runs = run_now(Doing.WAITS), run_now(Doing.RUNS)
    assert choose_run([ended, waits, runs, later]) is runs
    assert choose_run([ended, waits, later]) is waits
    assert choose_run([ended, later]) is later
    assert choose_run([]) is None
