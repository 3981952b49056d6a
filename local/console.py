"""The local stack's output: whole lines from any thread, and a sign of life during long work."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.progress.bars import BARS
from tasks.stopwatch import Say

SILENT_S_MAX = 4
"""The longest time without a line while work goes on."""


def print_line(line: str) -> None:
    """Prints a line at once and whole: `print` writes the line break separately, so that threads may mix lines."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Output:
    """Prints lines, and records the time of the last one, its own or noted."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, time.monotonic()

    def say(self, line: str) -> None:
        self.note_line()
        self._say(line)

    def note_line(self) -> None:
        """Counts a line that something else has printed."""
        self._last = time.monotonic()

    def silent_s(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self._last


@contextmanager
def sign_of_life(say: Say, what: Callable[[], str], silent_s_max: float = SILENT_S_MAX) -> Iterator[Output]:
    """Prints that `what` still goes on, and for how long, after each `silent_s_max` seconds without a line or bar."""
    output, begun, done = Output(say), time.monotonic(), threading.Event()

    def watch() -> None:
        while not done.wait(max(silent_s_max - output.silent_s(), 0)):
            if BARS.are_drawn():
                output.note_line()
            elif output.silent_s() >= silent_s_max:
                output.say(f"still {what()} ({time.monotonic() - begun:.0f} s)")

    thread = threading.Thread(target=watch, name="sign-of-life", daemon=True)
    thread.start()
    try:
        yield output
    finally:
        done.set()
        thread.join()


class _LineNoter(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, _record: logging.LogRecord) -> None:
        self._output.note_line()


@contextmanager
def log_lines_noted(logger: str, output: Output) -> Iterator[None]:
    """Notes the lines of a logger and its children as output."""
    handler = _LineNoter(output)
    logging.getLogger(logger).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(logger).removeHandler(handler)
