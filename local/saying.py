"""What the local stack prints: whole lines, whichever thread prints them, and a sign of life while work goes on."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SILENT_S_MAX = 4
"""Whoever waits for longer without a line wonders."""

Say = Callable[[str], None]


def say_line(line: str) -> None:
    """Prints a line at once and whole: `print` writes the line break by itself, and another thread comes between."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Speaker:
    """Says lines, and remembers when the last one was printed, by it or by others that it has `heard`."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, time.monotonic()

    def say(self, line: str) -> None:
        self.heard()
        self._say(line)

    def heard(self) -> None:
        self._last = time.monotonic()

    def silent_s(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self._last


@contextmanager
def going_on(say: Say, what: Callable[[], str], silent_s_max: float = SILENT_S_MAX) -> Iterator[Speaker]:
    """Says `what` goes on and for how long, from a thread, whenever nothing was said for `silent_s_max` seconds."""
    speaker, begun, done = Speaker(say), time.monotonic(), threading.Event()

    def watch() -> None:
        while not done.wait(max(silent_s_max - speaker.silent_s(), 0)):
            if speaker.silent_s() >= silent_s_max:
                speaker.say(f"still {what()} ({time.monotonic() - begun:.0f} s)")

    thread = threading.Thread(target=watch, name="going-on", daemon=True)
    thread.start()
    try:
        yield speaker
    finally:
        done.set()
        thread.join()


class _Heard(logging.Handler):
    def __init__(self, speaker: Speaker) -> None:
        super().__init__(logging.INFO)
        self._speaker = speaker

    def emit(self, record: logging.LogRecord) -> None:
        del record  # that it came is what counts
        self._speaker.heard()


@contextmanager
def hearing(logger: str, speaker: Speaker) -> Iterator[None]:
    """What a logger and those below it log counts as a line."""
    handler = _Heard(speaker)
    logging.getLogger(logger).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(logger).removeHandler(handler)
