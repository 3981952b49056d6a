"""A long wait is logged, again and again; a short one is not."""

import threading
from types import SimpleNamespace

import pytest

from blocks import waits as module
from blocks.waits import logged_if_slow


class Listener:
    """Keeps lines and lets a test wait for them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._heard = threading.Semaphore(0)

    def say(self, line: str) -> None:
        self.lines.append(line)
        self._heard.release()

    def wait_for(self, lines: int) -> None:
        for _ in range(lines):
            assert self._heard.acquire(timeout=30)


def test_a_long_wait_is_logged_with_its_limit_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, slept = Listener(), list[float]()

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            slept.append(timeout)
            return super().wait(0.001)

    monkeypatch.setattr(module, "threading", SimpleNamespace(Event=Clock, Thread=threading.Thread))
    with logged_if_slow(listener.say, "extract region=EUROPE", "the rows of EUROPE", 1800):
        listener.wait_for(8)
    assert listener.lines[0] == (
        "step=extract region=EUROPE still waiting for the rows of EUROPE after 10 s (limit 1,800 s)"
    )
    assert slept[:8] == [10, 10, 20, 40, 80, 160, 300, 300]


def test_a_short_wait_is_not_logged() -> None:
    listener = Listener()
    with logged_if_slow(listener.say, "stage", "S3", 20):
        pass
    assert listener.lines == []


def test_a_wait_within_another_is_logged_by_the_outer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_FIRST_S", 0.001)
    listener = Listener()
    with (
        logged_if_slow(listener.say, "lock", "the publish lock"),
        logged_if_slow(listener.say, "warehouse", "an answer"),
    ):
        listener.wait_for(3)
    assert all(line.startswith("step=lock still waiting for the publish lock after ") for line in listener.lines)


def test_what_the_body_raises_ends_the_wait() -> None:
    listener = Listener()
    with pytest.raises(ValueError, match="refused"), logged_if_slow(listener.say, "stage", "S3"):
        raise ValueError("refused")
    with logged_if_slow(listener.say, "stage", "S3"):
        assert module._IS_WAITING.get()
    assert not module._IS_WAITING.get()
