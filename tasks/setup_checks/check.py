"""Checks of the setup, and running many of them side by side, each within its time limit. Knows no Prefect."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from blocks.waits import logged_if_slow
from tasks.errors import NeedsPersonError, SalesEtlError, one_line
from tasks.lines import public_line, quoting
from tasks.stopwatch import Say, say_nothing

TIME_LIMIT_S = 45
CLOCK_DIFFERENCE_MAX = timedelta(seconds=60)
"""Well below the 5 minutes that a row may lie in the future before it is rejected."""
MESSAGE_LENGTH_MAX = 600


class SetupFaultError(NeedsPersonError):
    """Raised by a check: says what is wrong and how to mend it."""


class Outcome(StrEnum):
    """How a check ended: the first word of its line."""

    OK = "ok"
    BAD = "BAD"
    NOT_TRIED = "--"


@dataclass(frozen=True)
class Finding:
    """The result of a check, as one line."""

    name: str
    outcome: Outcome
    message: str

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    def __str__(self) -> str:
        return f"{self.outcome:<4}{self.name}: {self.message}"


@dataclass(frozen=True)
class Check:
    """One thing to check.

    `look` returns what it found, or raises: an error of this project explains itself, any other is reported with
    `mend`. A check is not tried when one that it `needs` is not ok.
    """

    name: str
    look: Callable[[], str]
    mend: str = "mend it, then check again"
    needs: tuple[str, ...] = ()
    time_limit_s: float = TIME_LIMIT_S


@dataclass
class _Look:
    """A check in its own thread, abandoned after its time limit."""

    check: Check
    findings: list[Finding] = field(default_factory=list)

    def start(self) -> threading.Thread:
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(self._run,), name=self.check.name, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        self.findings.append(_finding_of(self.check))


def run_checks(checks: Sequence[Check], say: Say = say_nothing) -> list[Finding]:
    """Returns the findings in the order of `checks`; independent checks run side by side. Slow ones are logged by
    `say`."""
    findings: dict[str, Finding] = {}
    for ready in _in_turn(checks):
        findings |= {check.name: finding for check in ready if (finding := _not_tried(check, findings))}
        findings |= {f.name: f for f in _look_at([check for check in ready if check.name not in findings], say)}
    return [findings[check.name] for check in checks]


def limit_s(checks: Sequence[Check]) -> float:
    """The seconds after which `run_checks` has ended, whatever answers."""
    return sum(max(check.time_limit_s for check in ready) for ready in _in_turn(checks))


def _in_turn(checks: Sequence[Check]) -> list[list[Check]]:
    """The checks that run side by side, one list after the other: each needs only those of earlier lists."""
    turns, waiting = list[list[Check]](), list(checks)
    while waiting:
        done = {check.name for ready in turns for check in ready}
        ready = [check for check in waiting if done.issuperset(check.needs)]
        if not ready:
            raise ValueError(f"check {waiting[0].name} needs {waiting[0].needs}, which is no other check")
        turns.append(ready)
        waiting = [check for check in waiting if check not in ready]
    return turns


def _not_tried(check: Check, findings: Mapping[str, Finding]) -> Finding | None:
    missing = [name for name in check.needs if not findings[name].ok]
    return Finding(check.name, Outcome.NOT_TRIED, f"not tried, see {missing[0]}") if missing else None


def _look_at(checks: Sequence[Check], say: Say) -> list[Finding]:
    looks = [_Look(check) for check in checks]
    limit_s = max((check.time_limit_s for check in checks), default=0.0)
    with logged_if_slow(
        say, "check-setup", lambda: ", ".join(look.check.name for look in looks if not look.findings), limit_s
    ):
        started = [(look, look.start(), datetime.now()) for look in looks]
        for look, thread, since in started:
            spent = (datetime.now() - since).total_seconds()
            thread.join(max(0.0, look.check.time_limit_s - spent))
    return [look.findings[0] if look.findings else _too_slow(look.check) for look in looks]


def _too_slow(check: Check) -> Finding:
    return Finding(check.name, Outcome.BAD, f"no answer within {check.time_limit_s:g} s: {check.mend}")


def _finding_of(check: Check) -> Finding:
    try:
        outcome, message = Outcome.OK, check.look()
    except SalesEtlError as error:
        outcome, message = Outcome.BAD, one_line(error, MESSAGE_LENGTH_MAX)
    except Exception as error:  # noqa: BLE001 (any error is the finding)
        outcome, message = Outcome.BAD, quoting(check.mend, f"{type(error).__name__}: {one_line(error)}")
    return Finding(check.name, outcome, public_line(message, MESSAGE_LENGTH_MAX))


def compare_clocks(asked_at: datetime, theirs: datetime, answered_at: datetime, whose: str) -> str:
    """Returns the difference between our clock and that of `whose`, allowing for the time of the round trip.

    Raises SetupFaultError above CLOCK_DIFFERENCE_MAX. All times are aware.
    """
    way = (answered_at - asked_at) / 2
    difference = theirs - (asked_at + way)
    seconds = difference.total_seconds()
    if abs(difference) > CLOCK_DIFFERENCE_MAX + way:
        word = "ahead of" if seconds > 0 else "behind"
        raise SetupFaultError(
            f"the clock of {whose} is {abs(seconds):.0f} s {word} this machine's (at most "
            f"{CLOCK_DIFFERENCE_MAX.total_seconds():.0f} s): let both be set by NTP"
        )
    return f"differs by {abs(seconds):.1f} s"
