"""Describes what the runs of a date are doing now, for the mail about a late date. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from blocks import names


class Doing(StrEnum):
    """What a run does, by its state; in the order of preference for a mail."""

    RUNS = "runs"
    HANDED_OVER = "handed over"
    WAITS = "waits"
    PAUSED = "paused"
    CANCELLING = "is being cancelled"
    ENDED = "ended"


@dataclass(frozen=True)
class RunNow:
    """A flow run. `since`: when it entered its state; `due`: its scheduled start (aware UTC); `steps` that run."""

    name: str
    doing: Doing
    state: str
    since: datetime
    due: datetime
    link: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """What decides whether a run starts: paused pool and queue (in words), the run `ahead` that holds the queue's slot,
    and workers online. A paused schedule adds no runs."""

    paused: tuple[str, ...] = ()
    is_schedule_paused: bool = False
    ahead: RunNow | None = None
    workers: int = 0


def choose_run(runs: Sequence[RunNow]) -> RunNow | None:
    """Returns the run of a date to report: one that goes on, else one that waits, else the last that ended."""
    order = list(Doing)
    last_first = sorted(runs, key=lambda run: run.since, reverse=True)
    return min(last_first, key=lambda run: order.index(run.doing), default=None)


def in_words(day: date, runs: Sequence[RunNow], around: Around, now: datetime) -> str:
    """Returns lines that begin with `Now: `: the run's activity, a link to it, and whether the schedule is paused."""
    run = choose_run(runs)
    if run is None:
        lines = [f"Now: no run of {day} exists"]
    elif run.doing is Doing.ENDED:
        lines = [f"Now: no run of {day} runs or waits; {run.name} ended as {run.state} at {_at(run.since)}", run.link]
    else:
        lines = [f"Now: {_live(run, around, now)}", run.link]
        if run.doing is Doing.WAITS and run.due <= now and around.ahead and not around.paused:
            lines.append(f"ahead of it: {around.ahead.link}")
    if around.is_schedule_paused and (run is None or run.doing is Doing.ENDED):
        lines.append(f"The schedule of {names.deployment('daily-sales')} is paused: it starts no run.")
    return "\n".join(lines)


def _live(run: RunNow, around: Around, now: datetime) -> str:
    if run.doing is Doing.RUNS:
        steps = f", step {', '.join(run.steps)}" if run.steps else ""
        return f"{run.name} runs since {_at(run.since)}{steps}"
    if run.doing is Doing.WAITS:
        return f"its run waits {_for_what(run, around, now)}"
    if run.doing is Doing.HANDED_OVER:
        return f"its run was handed to a worker at {_at(run.since)} and has not begun"
    verb = "is paused" if run.doing is Doing.PAUSED else str(run.doing)
    return f"{run.name} {verb} since {_at(run.since)}"


def _for_what(run: RunNow, around: Around, now: datetime) -> str:
    if run.due > now:
        return f"for its time, {_at(run.due)}"
    if around.paused:
        return f"since {_at(run.due)}: {' and '.join(around.paused)} paused"
    if ahead := around.ahead:
        return f"behind {ahead.name} ({ahead.state} since {_at(ahead.since)})"
    if not around.workers:
        return "for a worker: none is online"
    return f"for a worker to take it: {around.workers} online"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
