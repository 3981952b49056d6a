"""`make runs`: why a run waits, what is listed, and that it reads well in 80 columns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.run_list import LATE_SHOWN, Pool, QueueNow, Run, ServerRuns, shorten_waiting, to_lines, why_it_waits

NOW = datetime(2024, 1, 15, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JUST_NOW = NOW - timedelta(seconds=5)
LATE = Run("11111111-1111-1111-1111-111111111111", "daily-sales", "a", "Late", "SCHEDULED", NOW - MINUTE, queue="load")
BACKFILL = replace(
    LATE,
    id="22222222-2222-2222-2222-222222222222",
    flow="backfill",
    state="Running",
    kind="RUNNING",
    at=NOW - MINUTE * 90,
)
LOAD, OPS = QueueNow("load", 1, polled_at=JUST_NOW), QueueNow("ops", polled_at=JUST_NOW)


def seen(load: QueueNow = LOAD, pool: dict[str, Any] | None = None, **runs: Any) -> ServerRuns:
    known = Pool("retail-sales", {"load": load, "ops": OPS}, **(pool or {}))
    return ServerRuns(known, **{"active": [], "waiting": [LATE], "ended": [], "paused_schedules": {}} | runs)


@pytest.mark.parametrize(
    ("run", "state", "why"),
    [
        pytest.param(replace(LATE, at=NOW + MINUTE), seen(), "it is not yet due", id="not-yet-due"),
        pytest.param(LATE, seen(), "a worker starts it within seconds", id="about-to-start"),
        pytest.param(
            LATE,
            seen(replace(LOAD, polled_at=NOW - MINUTE * 2)),
            "no worker has polled queue load since 2024-01-15 06:58:00 UTC: start one with `make worker`",
            id="no-worker-any-more",
        ),
        pytest.param(
            LATE,
            seen(replace(LOAD, polled_at=None)),
            "no worker has polled queue load yet: start one with `make worker`",
            id="no-worker-yet",
        ),
        pytest.param(
            LATE, seen(active=[BACKFILL]), f"the limit of queue load is 1, taken by backfill {BACKFILL.id}", id="limit"
        ),
        pytest.param(
            replace(LATE, queue="ops"),
            seen(active=[BACKFILL], pool={"limit": 1}),
            f"the limit of pool retail-sales is 1, taken by backfill {BACKFILL.id}",
            id="limit-of-the-pool",
        ),
        pytest.param(LATE, seen(replace(LOAD, limit=0)), "the limit of queue load is 0", id="limit-of-none"),
        pytest.param(
            LATE,
            seen(active=[replace(BACKFILL, kind="CANCELLING")]),
            "a worker starts it within seconds",
            id="a-run-that-is-cancelled-holds-no-slot",
        ),
        pytest.param(
            LATE,
            seen(waiting=[LATE, replace(BACKFILL, kind="SCHEDULED")]),
            f"backfill {BACKFILL.id} is due earlier, and queue load runs 1 at a time",
            id="behind-another",
        ),
        pytest.param(
            LATE,
            seen(replace(LOAD, is_paused=True, polled_at=None)),
            "queue load is paused: `prefect work-queue resume load --pool retail-sales`",
            id="queue-paused",
        ),
        pytest.param(
            LATE,
            seen(replace(LOAD, is_paused=True), pool={"is_paused": True}),
            "work pool retail-sales is paused: `prefect work-pool resume retail-sales`",
            id="pool-paused",
        ),
        pytest.param(
            replace(LATE, state="AwaitingRetry"),
            seen(replace(LOAD, polled_at=None)),
            "it tries again by itself",
            id="retry",
        ),
        pytest.param(
            replace(LATE, kind="PAUSED", state="Paused"),
            seen(),
            "it is paused: resume it in the dashboard",
            id="paused",
        ),
        pytest.param(
            replace(LATE, queue=None),
            seen(),
            "it is in no queue of this project: `make deploy`, then start it again",
            id="no-queue",
        ),
    ],
)
def test_why_a_run_waits(run: Run, state: ServerRuns, why: str) -> None:
    assert why_it_waits(run, state, NOW) == why


def test_what_a_schedule_plans_ahead_and_has_piled_up_is_shortened() -> None:
    watchdog = replace(LATE, flow="watchdog", by_schedule=True)
    late = [replace(watchdog, id=f"late-{n}", at=NOW - MINUTE * 5 * n) for n in range(10)]
    ahead = [replace(watchdog, id=f"ahead-{n}", at=NOW + MINUTE * 5 * (n + 1)) for n in range(10)]
    by_hand = [replace(LATE, id=f"by-hand-{n}", at=NOW + MINUTE) for n in range(2)]
    shown = [(run.id, hidden) for run, hidden in shorten_waiting([*ahead, *late, *by_hand], NOW)]
    assert shown == [
        ("late-2", 10 - LATE_SHOWN),
        ("late-1", 0),
        ("late-0", 0),
        ("by-hand-0", 0),
        ("by-hand-1", 0),
        ("ahead-0", 0),
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_ids_and_commands_stay_whole(width: int) -> None:
    resume = f"prefect deployment schedule resume 'daily-sales/production' {BACKFILL.id}"
    failed = replace(LATE, state="Failed", kind="FAILED", message="record count 0 is below threshold 100 " * 5)
    state = seen(
        replace(LOAD, is_paused=True),
        active=[replace(BACKFILL, message="")],
        ended=[failed],
        paused_schedules={"daily-sales/production": f"`{resume}`"},
    )
    lines = list(to_lines(state, NOW, width))
    assert [line for line in lines if len(line) > width and resume not in line] == []
    text = "\n".join(lines)
    for whole in (LATE.id, BACKFILL.id, resume, "`prefect work-queue resume load --pool retail-sales`"):
        assert whole in text
    assert " ".join(text.split()).count("threshold 100") == 5
    assert "Running since 2024-01-15 05:30:00 UTC (1 h 30 min)" in text
    assert [line for line in lines if not line.startswith(" ")] == ["Running: 1", "Waiting: 1", "Ended: the newest 1"]


def test_an_empty_server_has_an_empty_list() -> None:
    nothing = ServerRuns(None, [], [], [], {})
    assert list(to_lines(nothing, NOW, 80)) == ["Running: none", "Waiting: none", "Ended: none"]
