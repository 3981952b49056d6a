"""Seconds that a step took. Pure."""

import time


class Stopwatch:
    """Counts wall-clock seconds from its making; monotonic."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 3)
