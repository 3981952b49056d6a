"""Dates side by side: what stops the others, and what is an outcome of its own."""

import logging
import time
from datetime import date, timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.states import Completed

from flows import backfill as flow
from flows.backfill import load_date, load_dates, usual_backfill_seconds
from flows.support.outcomes import DateOutcome
from tasks.backfill.gaps import Gap
from tasks.prefect_server.stopping import StoppedError

GAPS = [Gap(date(2024, 1, 10) + timedelta(days=n), ("EUROPE",), whole=False) for n in range(20)]


@pytest.fixture(autouse=True)
def _without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "get_run_logger", lambda: logging.getLogger("backfill"))
    monkeypatch.setattr(flow, "flow_run", SimpleNamespace(id="3f0c8d9e"))
    monkeypatch.setattr(flow, "find_waiting", lambda *_: None)


def completed(gap: Gap) -> DateOutcome:
    return DateOutcome(gap.date, "EUROPE", "Completed", True, "")


@pytest.mark.parametrize("max_active", [1, 2, 3])
def test_a_cancelled_backfill_begins_no_further_date(max_active: int) -> None:
    begun = []

    def stop(gap: Gap) -> DateOutcome:
        begun.append(gap)
        raise StoppedError("cancelled")

    with pytest.raises(StoppedError):
        load_dates(GAPS, max_active, stop)
    assert len(begun) <= max_active


def test_a_server_that_cannot_say_who_waits_stops_no_backfill(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(flow, "find_waiting", refuse)
    outcomes, waiting = load_dates(GAPS[:3], 2, completed)
    assert ([outcome.date for outcome in outcomes], waiting) == ([gap.date for gap in GAPS[:3]], None)
    assert "cannot see whether a daily run waits: ConnectError: refused" in caplog.text


def test_an_error_of_one_date_waits_for_another_that_is_under_way() -> None:
    under_way, ended = Event(), []

    def load(gap: Gap) -> DateOutcome:
        if gap is GAPS[0]:
            under_way.wait(60)
            raise KeyError("a fault of the program")
        under_way.set()
        time.sleep(0.2)
        ended.append(gap)
        return completed(gap)

    with pytest.raises(KeyError):
        load_dates(GAPS[:2], 2, load)
    assert ended == [GAPS[1]]


def test_a_date_that_the_server_does_not_let_go_on_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(**_: Any) -> None:
        raise httpx.ReadTimeout("no answer")

    monkeypatch.setattr(flow, "daily_sales", lose)
    monkeypatch.setattr(flow, "is_cancelled", lambda *_: False)
    outcome = load_date(GAPS[0], "pandas", "all", "ETL_WATCH_WH")
    assert (outcome.state, outcome.completed) == ("Crashed", False)
    assert outcome.message == "the Prefect server was lost: ReadTimeout: no answer"


def test_the_estimate_does_not_promise_that_dates_side_by_side_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "usual_seconds", lambda _: 4.0)
    assert usual_backfill_seconds(365, 1) == 4 * 365
    assert usual_backfill_seconds(365, 8) == usual_backfill_seconds(365, 2) == 3 * 365
    assert usual_backfill_seconds(1, 1) is None


def test_a_completed_date_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "daily_sales", lambda **_: Completed())
    assert load_date(GAPS[0], "pandas", "all", "ETL_WATCH_WH").completed
