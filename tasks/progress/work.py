"""Long work that says how far it is: by a bar on a terminal, by log lines elsewhere. Knows no Prefect."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.progress.bars import BARS
from tasks.progress.pace import Pace
from tasks.stopwatch import Say

LOG_EVERY_S = 10.0
"""The least seconds from the beginning to the first line, and from one line to the next."""


class Work:
    """Counts the units that are done; any thread may count."""

    def __init__(
        self, say: Say, step: str, unit: str, total: int, usual_s: float | None, steady_from: int | None, logs: bool
    ) -> None:
        self.step = step
        self._say, self._unit, self._total, self._logs = say, unit, total, logs
        self._usual_s, self._steady_from = usual_s, steady_from
        self._begun = self._last_line = time.monotonic()
        self._done, self._failed, self._last_s = 0, 0, 0.0
        self._lock = threading.Lock()

    def pace(self) -> Pace:
        """How far it is now."""
        seconds = time.monotonic() - self._begun
        counts = (self._unit, self._done, self._total, seconds, self._last_s, self._failed)
        return Pace(*counts, self._usual_s, self._steady_from)

    def reached(self, done: int) -> None:
        """So many units are done in all."""
        with self._lock:
            self._done = done
        self._has_counted()

    def add(self, units: int = 1, *, failed: bool = False) -> None:
        """So many more units are done."""
        with self._lock:
            self._done += units
            self._failed += failed
        self._has_counted()

    def _has_counted(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._last_s = now - self._begun
            if not self._logs or now - self._last_line < LOG_EVERY_S:
                return
            self._last_line = now
        self.log()

    def log(self) -> None:
        """Logs how far it is."""
        self._say(f"step={self.step} {self.pace().in_line()}")


@contextmanager
def progressing(
    say: Say, step: str, unit: str, total: int, usual_s: float | None = None, steady_from: int | None = 1
) -> Iterator[Work]:
    """The body does `total` units of work and counts them. `usual_s` and `steady_from` are those of `Pace`.

    On a terminal, `step` has a bar until the body ends; elsewhere its lines go to `say`, at most one in LOG_EVERY_S.
    Work that usually takes longer begins with a line; the line of the end is the step's own.
    """
    has_bar = BARS.can_be_seen()
    work = Work(say, step, unit, total, usual_s, steady_from, logs=not has_bar)
    if not has_bar:
        if usual_s and usual_s > LOG_EVERY_S:
            work.log()
        yield work
        return
    BARS.begin(work)
    try:
        yield work
    finally:
        BARS.end(work)
