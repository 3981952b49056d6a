"""Seconds that a step took, and a word when one takes long. Pure."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts wall-clock seconds from its making; monotonic."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 3)


@contextmanager
def said_when_slow(say: Callable[[str], None], line: str, after_s: float) -> Iterator[None]:
    """Says `line` once, from a thread, when the body is not done after `after_s` seconds."""
    timer = threading.Timer(after_s, say, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
