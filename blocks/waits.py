"""Log lines for a long wait. Knows no Prefect.

No wait for another machine is silent for more than LOG_FIRST_S; docs/waits.md lists the waits of a run, and what limits
each.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

LOG_FIRST_S = 10.0
"""Seconds of a wait before its first line; each further line comes when the wait has doubled."""
LOG_EVERY_S_MAX = 300.0
"""The most seconds between two lines of one wait."""

_IS_WAITING = ContextVar("is_waiting", default=False)


@contextmanager
def logged_if_slow(
    say: Callable[[str], None], step: str, what: str | Callable[[], str], limit_s: float | None = None
) -> Iterator[None]:
    """Logs, from a thread, that `step` still waits for `what`, as long as the body runs: first after LOG_FIRST_S, then
    ever less often. A body that ends sooner logs nothing.

    `what` is a function when it can change from line to line. `limit_s` is the limit of the wait, in seconds, for the
    lines alone: the caller enforces it. Within the body of another call nothing is logged: the outer one logs for both.
    """
    if _IS_WAITING.get():
        yield
        return
    done = threading.Event()
    limit = "" if limit_s is None else f" (limit {limit_s:,.0f} s)"

    def log_repeatedly() -> None:
        waited_s, next_s = 0.0, LOG_FIRST_S
        while not done.wait(next_s):
            waited_s += next_s
            still = what if isinstance(what, str) else what()
            say(f"step={step} still waiting for {still} after {waited_s:,.0f} s{limit}")
            next_s = min(waited_s, LOG_EVERY_S_MAX)

    with suppress(RuntimeError):  # no more threads: the work goes on without lines
        threading.Thread(target=log_repeatedly, name="logged-if-slow", daemon=True).start()
    before = _IS_WAITING.set(True)
    try:
        yield
    finally:
        done.set()
        with suppress(ValueError):  # a generator that is closed in another context
            _IS_WAITING.reset(before)
