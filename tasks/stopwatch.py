"""How long a step took, and the type of what takes log lines. Knows no Prefect."""

import time
from collections.abc import Callable

Say = Callable[[str], None]


def say_nothing(line: str) -> None: ...


class Stopwatch:
    """Counts seconds since its creation by a monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 3)
