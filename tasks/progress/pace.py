"""How far long work is, and an estimate of the rest, in the words of a log line and of a bar. Pure."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Pace:
    """`done` of `total` units after `seconds`, of which `failed` went wrong; the last was done after `last_s` seconds.

    `usual_s` are the seconds that all of it usually takes. The estimate uses them until `steady_from` units are done,
    whose pace tells the rest; to the end when it is None, as units take different times.
    """

    unit: str
    done: int
    total: int
    seconds: float
    last_s: float = 0.0
    failed: int = 0
    usual_s: float | None = None
    steady_from: int | None = 1

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None while nothing is known."""
        if self.steady_from is not None and self.done >= self.steady_from:
            return max(self.last_s / self.done * self.total - self.seconds, 0.0)
        return None if self.usual_s is None else max(self.usual_s - self.seconds, 0.0)

    @property
    def share(self) -> float:
        """What is done of all, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 1.0

    def in_line(self) -> str:
        """`rows=250000 of=500000 seconds=12.0 seconds_left=12`, without what is not known."""
        failed = f" failed={self.failed}" if self.failed else ""
        left = "" if self.seconds_left is None else f" seconds_left={self.seconds_left:.0f}"
        return f"{self.unit}={self.done} of={self.total}{failed} seconds={self.seconds:.1f}{left}"

    def in_words(self) -> str:
        """`250,000 of 500,000 rows`, and how many failed."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} of {self.total:,} {self.unit}{failed}"

    def left_in_words(self) -> str:
        """`about 0:00:12 left`; empty while nothing is known."""
        left = self.seconds_left
        return "" if left is None else f"about {timedelta(seconds=round(left))} left"
