"""The list of `make runs`: what runs, what waits and why, what has ended. Pure."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from blocks import names

POLLED_LATELY = timedelta(seconds=60)
"""A worker polls about every ten seconds; Prefect calls a queue ready for as long as this."""
WAITING, ACTIVE = ("SCHEDULED", "PAUSED"), ("PENDING", "RUNNING", "CANCELLING")
HOLD_SLOTS = ("PENDING", "RUNNING")
"""The kinds of state that count against the limit of a queue or pool."""
AWAITING_RETRY = "AwaitingRetry"
LATE_SHOWN = 3
"""A night without a worker leaves a hundred passes of the watchdog."""
_COMMAND = re.compile("`[^`]*`")
_UNBROKEN = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Run:
    """A flow run. `kind` is the type of its state, as RUNNING. `at`: when it is due, began or ended (aware UTC).

    `queue` is that of its work pool, None for a run that was started without one. `by_schedule`: created by a schedule.
    """

    id: str
    flow: str
    name: str
    state: str
    kind: str
    at: datetime
    message: str = ""
    queue: str | None = None
    by_schedule: bool = False


@dataclass(frozen=True)
class QueueNow:
    """A queue of the pool; `limit` None: none. `polled_at`: when a worker last asked for its runs (aware UTC)."""

    name: str
    limit: int | None = None
    is_paused: bool = False
    polled_at: datetime | None = None


@dataclass(frozen=True)
class Pool:
    """The work pool with its queues by name."""

    name: str
    queues: Mapping[str, QueueNow]
    limit: int | None = None
    is_paused: bool = False


@dataclass(frozen=True)
class ServerRuns:
    """The runs on a server. `active` and `waiting` are complete, `ended` the newest first. `paused_schedules`: what
    resumes them, commands in backticks, by `<flow>/<deployment>`. `pool` is None where nothing was deployed."""

    pool: Pool | None
    active: Sequence[Run]
    waiting: Sequence[Run]
    ended: Sequence[Run]
    paused_schedules: Mapping[str, str]


def why_it_waits(run: Run, server: ServerRuns, now: datetime) -> str:
    """Returns why a run has not begun, and what to do where a person has to act."""
    if run.kind == "PAUSED":
        return "it is paused: resume it in the dashboard"
    if run.state == AWAITING_RETRY:
        return "it tries again by itself"
    if run.at > now:
        return "it is not yet due"
    pool, queue = server.pool, server.pool.queues.get(run.queue or "") if server.pool else None
    if pool is None or queue is None:
        return f"it is in no queue of this project: `{names.HERE}make deploy`, then start it again"
    if pool.is_paused:
        return f"work pool {pool.name} is paused: `prefect work-pool resume {pool.name}`"
    if queue.is_paused:
        return f"queue {queue.name} is paused: `prefect work-queue resume {queue.name} --pool {pool.name}`"
    if queue.polled_at is None or now - queue.polled_at > POLLED_LATELY:
        since = f"since {_moment(queue.polled_at)}" if queue.polled_at else "yet"
        return f"no worker has polled queue {queue.name} {since}: start one with `{names.HERE}make worker`"
    return _why_no_slot(run, pool, queue, server) or "a worker starts it within seconds"


def _why_no_slot(run: Run, pool: Pool, queue: QueueNow, server: ServerRuns) -> str:
    holders = [other for other in server.active if other.kind in HOLD_SLOTS and other.queue in pool.queues]
    own = [other for other in holders if other.queue == queue.name]
    for what, limit, held in ((f"queue {queue.name}", queue.limit, own), (f"pool {pool.name}", pool.limit, holders)):
        if limit is not None and len(held) >= limit:
            by = f", taken by {', '.join(f'{other.flow} {other.id}' for other in held)}" if held else ""
            return f"the limit of {what} is {limit}{by}"
    earlier = [other for other in server.waiting if other.queue == queue.name and other.at < run.at]
    if queue.limit is not None and earlier:
        first = min(earlier, key=lambda other: other.at)
        return f"{first.flow} {first.id} is due earlier, and queue {queue.name} runs {queue.limit} at a time"
    return ""


def shorten_waiting(waiting: Sequence[Run], now: datetime) -> list[tuple[Run, int]]:
    """Returns the waiting runs in the order in which they are due, each with the number of earlier ones that it stands
    for: of each flow's scheduled runs, the next one and the last LATE_SHOWN of those overdue."""
    by_hand = [(run, 0) for run in waiting if not run.by_schedule]
    shown = list(by_hand)
    for flow in dict.fromkeys(run.flow for run in waiting if run.by_schedule):
        runs = sorted((run for run in waiting if run.by_schedule and run.flow == flow), key=lambda run: run.at)
        late, ahead = [run for run in runs if run.at <= now], [run for run in runs if run.at > now]
        hidden = max(len(late) - LATE_SHOWN, 0)
        shown += [(run, 0 if number else hidden) for number, run in enumerate(late[hidden:])]
        shown += [(run, 0) for run in ahead[:1]]
    return sorted(shown, key=lambda one: one[0].at)


def to_lines(server: ServerRuns, now: datetime, width: int) -> Iterator[str]:
    """Yields the list in lines of about `width` characters; ids, messages and commands are never cut."""
    waiting = shorten_waiting(server.waiting, now)
    yield f"Running: {len(server.active) or 'none'}"
    for run in server.active:
        yield from _run(run, f"{run.state} since {_moment(run.at)} ({_span(now - run.at)})", run.message, width)
    yield f"Waiting: {len(waiting) or 'none'}"
    for run, hidden in waiting:
        if hidden:
            yield f"  {hidden:,} earlier {run.flow} {'run' if hidden == 1 else 'runs'}, waiting for the same"
        when = f"in {_span(run.at - now)}" if run.at > now else f"{_span(now - run.at)} ago"
        yield from _run(run, f"{run.state}, due {_moment(run.at)} ({when})", why_it_waits(run, server, now), width)
    for name, steps in server.paused_schedules.items():
        yield from _wrap(f"the schedule of {name} is paused: {steps}", width, indent=2)
    yield f"Ended: {f'the newest {len(server.ended)}' if server.ended else 'none'}"
    for run in server.ended:
        yield from _run(run, f"{run.state} at {_moment(run.at)}", run.message, width)


def _run(run: Run, state: str, more: str, width: int) -> Iterator[str]:
    yield from _wrap(f"{run.id}  {run.flow}  {run.name}", width, indent=2)
    yield from _wrap(f"{state}: {more}" if more else state, width, indent=4)


def _wrap(text: str, width: int, indent: int) -> list[str]:
    """A command stays on one line, even when that is longer."""
    pad, whole = " " * indent, _COMMAND.sub(lambda command: command[0].replace(" ", _UNBROKEN), text)
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=pad,
        subsequent_indent=f"{pad}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    for unit, length, below, smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} {seconds % length // smaller} {below}"
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"
