"""Seconds: how long a step took, and a log line for each wait that lasts. Knows no Prefect.

Nothing that another machine keeps waiting is silent for more than SAID_FIRST_S; docs/waits.md lists the waits of a run,
and what limits each.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SAID_FIRST_S = 10.0
"""Seconds of a wait before its first line; each further line comes after twice the time of the one before."""
SAID_EVERY_S_MAX = 300.0
"""The most seconds between two lines of one wait."""

Say = Callable[[str], None]

_IS_WAITING = ContextVar("is_waiting", default=False)


def say_nothing(line: str) -> None: ...


@contextmanager
def waiting(say: Say, step: str, what: str | Callable[[], str], limit_s: float | None = None) -> Iterator[None]:
    """Logs, from a thread, that `step` still waits for `what`, for as long as the body runs. `limit_s` is what limits
    the wait, in seconds; keeping it is up to the caller. `what` is asked at each line when it can change.

    A wait within another is silent: the outer one says what all of it is for.
    """
    if _IS_WAITING.get():
        yield
        return
    done = threading.Event()
    limit = "" if limit_s is None else f" (limit {limit_s:,.0f} s)"

    def say_so() -> None:
        waited_s, next_s = 0.0, SAID_FIRST_S
        while not done.wait(next_s):
            waited_s += next_s
            still = what if isinstance(what, str) else what()
            say(f"step={step} still waiting for {still} after {waited_s:,.0f} s{limit}")
            next_s = min(waited_s, SAID_EVERY_S_MAX)

    threading.Thread(target=say_so, name="waiting", daemon=True).start()
    before = _IS_WAITING.set(True)
    try:
        yield
    finally:
        _IS_WAITING.reset(before)
        done.set()


class Stopwatch:
    """Counts wall-clock seconds from its making; monotonic."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 3)
