"""The bars of this process, one below the other, at the end of the terminal that the log goes to. Knows no Prefect.

Rich keeps bars and log lines apart only where both are written through one console. Prefect's handler of log lines has
its own, so the bars take that one. Nothing that goes wrong here fails the work: then it has no bar.
"""

import atexit
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from tasks.progress.pace import Pace

SHOWN_AFTER_S = 1.0
"""Shorter work has no bar."""
REFRESH_S = 0.25
BAR_WIDTH, BAR_WIDTH_MIN = 30, 8
TEXT_WIDTH = 69
"""What the longest texts beside a bar take of the terminal's width."""

# Styles, not their names: the theme of Prefect's console defines none of Rich's.
_BACK, _DONE = Style(color="bright_black"), Style(color="cyan")


class HasPace(Protocol):
    """What a bar stands for."""

    @property
    def step(self) -> str: ...

    def pace(self) -> Pace: ...


@cache
def _own_console() -> Console:
    return Console(stderr=True)


def log_console() -> Console | None:
    """The console through which log lines are written, or one of our own while there are none. None when log lines go
    to a terminal without a console."""
    for handler in logging.getLogger().handlers:
        if isinstance(console := getattr(handler, "console", None), Console):
            return console
        if isinstance(handler, logging.StreamHandler) and handler.stream.isatty():
            return None
    return _own_console()


@contextmanager
def _no_log_line_between() -> Iterator[None]:
    """Log lines wait for the body: Rich computes what it erases before it writes."""
    handlers = [handler for handler in logging.getLogger().handlers if hasattr(handler, "console")]
    for handler in handlers:
        handler.acquire()
    try:
        yield
    finally:
        for handler in handlers:
            handler.release()


class Bars:
    """Draws a bar for all work that goes on for SHOWN_AFTER_S, from a thread that lives as long as there is any."""

    def __init__(self) -> None:
        self._works: tuple[HasPace, ...] = ()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._ended = threading.Event()

    def can_be_seen(self) -> bool:
        """Whether the log goes to a terminal that can move its cursor. FORCE_COLOR makes no terminal of a file."""
        with suppress(Exception):
            if console := log_console():
                return console.is_interactive and not console.is_dumb_terminal and console.file.isatty()
        return False

    def are_drawn(self) -> bool:
        """Whether there is a bar now."""
        return self._live is not None

    def begin(self, work: HasPace) -> None:
        """Draws a bar for this work as soon as it is long."""
        with self._lock:
            self._works += (work,)
            if len(self._works) == 1:
                self._ended = threading.Event()
                thread = threading.Thread(target=self._draw, args=(self._ended,), name="bars", daemon=True)
                with suppress(RuntimeError):  # the system has no more threads
                    thread.start()

    def end(self, work: HasPace) -> None:
        """Removes the bar, and the whole display with the last one."""
        with self._lock:
            self._works = tuple(other for other in self._works if other is not work)
            if not self._works:
                self._ended.set()
                self._stop()

    def stop_at_exit(self) -> None:
        """Removes the display of work that the end of the process interrupts."""
        self._ended.set()
        self._stop()

    def _draw(self, ended: threading.Event) -> None:
        while not ended.wait(REFRESH_S):
            with self._lock, suppress(Exception):
                if not ended.is_set() and (self._live or self._shown()):
                    self._refresh()

    def _refresh(self) -> None:
        console = log_console()
        if self._live and self._live.console is not console:
            # Prefect was imported meanwhile and has set its handler.
            self._stop()
        if console:
            with _no_log_line_between():
                self._live = self._live or self._start(console)
                self._live.refresh()

    def _start(self, console: Console) -> Live:
        live = Live(
            console=console,
            get_renderable=lambda: self._renderable(console.width),
            auto_refresh=False,
            transient=True,
            # Else a result that goes to a file would go to the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        live.start()
        # A process that is killed would leave its terminal without a cursor.
        console.show_cursor(True)
        return live

    def _stop(self) -> None:
        live, self._live = self._live, None
        with suppress(Exception), _no_log_line_between():
            if live:
                live.stop()

    def _shown(self) -> list[tuple[str, Pace]]:
        paces = ((work.step, work.pace()) for work in self._works)
        return [(step, pace) for step, pace in paces if pace.seconds >= SHOWN_AFTER_S]

    def _renderable(self, width: int) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        for _ in range(4):
            grid.add_column(no_wrap=True)
        bar_width = max(min(BAR_WIDTH, width - TEXT_WIDTH), BAR_WIDTH_MIN)
        for step, pace in self._shown():
            bar = ProgressBar(1.0, pace.share, bar_width, style=_BACK, complete_style=_DONE, finished_style=_DONE)
            grid.add_row(Text(label_of(step)), bar, Text(pace.in_words()), Text(pace.left_in_words()))
        return grid


def label_of(step: str) -> str:
    """A step of log lines without the names of its fields: `extract EUROPE`."""
    return re.sub(r"\b\w+=", "", step)


BARS = Bars()
"""A terminal has one end, so a process has one display."""

atexit.register(BARS.stop_at_exit)
