"""Stopping: a run that was cancelled publishes nothing; one that has published takes the second look before it ends.

Prefect ends a cancelled run by SIGTERM and, 30 seconds later, by SIGKILL
(https://docs-2.prefect.io/latest/concepts/flows/#cancel-a-flow-run). Tasks run in threads, which no signal reaches: a
publish goes on behind the back of a flow that has ended. So it asks here, under the lock and just before COMMIT.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL

from tasks.alerts.run_facts import read_ancestors
from tasks.errors import NeedsPersonError, one_line
from tasks.warehouse import Say

ANSWER_S_MAX = 5.0
"""So long the Prefect server may take to say that a run was cancelled; a load does not fail because it is away."""
SECOND_LOOK_S_MAX = 20.0
"""So long a process that was told to end goes on with what it has published; SIGKILL follows after 30 seconds."""
CANCELLED_IN_PREFECT = "the run was cancelled in Prefect"
SIGNALS = {
    signal.SIGTERM: "its process was told to end (SIGTERM), as a worker does that is stopped",
    signal.SIGINT: "it was interrupted (Ctrl-C)",
}


class StoppedError(NeedsPersonError):
    """Raised just before COMMIT when the run was cancelled or its process was told to end."""


class ToldToEnd(BaseException):
    """Raised in the main thread by a signal: the run crashes with words that say by what, and what became of its batch.

    Prefect's own exception has one text for all of that.
    """


class Stop:
    """Whether this process was told to end, and which attempts of it are between their COMMIT and the second look."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._asked: signal.Signals | None = None
        self._published: set[int] = set()
        self._has_looked = self._waited = False
        self._flows = 0

    def ask(self, number: signal.Signals) -> bool:
        """A signal has come; whether the process may end at once. It always may at the second signal."""
        with self._guard:
            may_end = self._asked is not None or not self._published
            self._asked = number
            self._waited = self._waited or not may_end
            return may_end

    def in_words(self) -> str:
        """Why the process ends, and what became of its batches."""
        with self._guard:
            assert self._asked is not None
            if self._published:
                became = "its batch is published, without the second look"
            elif self._waited:
                became = "what it had published stays, the second look found it as it should be"
            else:
                became = f"nothing{' more' if self._has_looked else ''} was published"
            return f"{SIGNALS[self._asked]}: {became}"

    def enter_commit(self, run_number: int | None) -> None:
        """From here on a signal waits for the second look at the attempt, where there is one to come. Raises
        StoppedError when a signal has come before."""
        with self._guard:
            if self._asked is not None:
                raise StoppedError(SIGNALS[self._asked])
            if run_number is not None:
                self._published.add(run_number)

    def leave(self, run_number: int) -> signal.Signals | None:
        """The attempt has nothing more to do; the signal that has waited for it, if it was the last."""
        with self._guard:
            was_published = run_number in self._published
            self._published.discard(run_number)
            self._has_looked = self._has_looked or was_published
            return self._asked if was_published and not self._published else None

    @contextmanager
    def flow(self) -> Iterator[None]:
        """A flow runs in the body. The outermost one begins anew: what an earlier one in this process was told is not
        meant for it. Nothing is forgotten at the end, as a publish in another thread may still be on its way."""
        with self._guard:
            if not self._flows:
                self._asked, self._has_looked, self._waited = None, False, False
                self._published.clear()
            self._flows += 1
        try:
            yield
        finally:
            with self._guard:
                self._flows -= 1


STOP = Stop()


@contextmanager
def signals_in_order() -> Iterator[None]:
    """Within the body, SIGTERM and Ctrl-C raise ToldToEnd; at once while nothing is published, later after the second
    look, SECOND_LOOK_S_MAX at most. Does nothing outside the main thread, which alone receives signals.

    After the body SIGTERM leaves as much time to the run's hooks, which tell the ledger; Prefect puts its own handler
    back behind them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with STOP.flow():
        before = {number: signal.signal(number, _stop) for number in SIGNALS}
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
            signal.signal(signal.SIGTERM, _end_later)


def _stop(number: int, _: FrameType | None) -> None:
    if STOP.ask(signal.Signals(number)):
        raise ToldToEnd(STOP.in_words())
    _send_again(number)


def _end_later(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    STOP.ask(signal.Signals(number))
    _send_again(number)


def _send_again(number: int) -> None:
    timer = threading.Timer(SECOND_LOOK_S_MAX, os.kill, [os.getpid(), number])
    timer.daemon = True
    timer.start()


@contextmanager
def second_look_first(run_number: int) -> Iterator[None]:
    """Publish and verify stand in the body: a signal that came between them takes effect at its end."""
    try:
        yield
    except BaseException:
        STOP.leave(run_number)
        raise
    if number := STOP.leave(run_number):
        os.kill(os.getpid(), number)


def refuse_stopped(flow_run_id: str, say: Say, run_number: int | None = None) -> None:
    """Raises StoppedError when the flow run, or one that it is part of, was cancelled, or its process was told to end.
    To be asked under the lock, just before COMMIT; with the `run_number` of an attempt when a second look follows. A
    Prefect server that does not answer in time stops no load."""
    if is_cancelled(flow_run_id, say):
        raise StoppedError(CANCELLED_IN_PREFECT)
    STOP.enter_commit(run_number)


def is_cancelled(flow_run_id: str, say: Say) -> bool:
    """Whether the flow run, or one that it is part of, is Cancelling or Cancelled. False without a server to ask."""
    if not PREFECT_API_URL.value():
        return False
    try:
        return asyncio.run(asyncio.wait_for(_is_cancelled(flow_run_id), ANSWER_S_MAX))
    except Exception as error:  # noqa: BLE001 (whatever it is, the load goes on)
        say(f"step=commit the Prefect server did not say whether the run was cancelled, it goes on: {one_line(error)}")
        return False


async def _is_cancelled(flow_run_id: str) -> bool:
    async with get_client() as client:
        runs = await read_ancestors(client, await client.read_flow_run(flow_run_id))
    return any(run.state_type in (StateType.CANCELLING, StateType.CANCELLED) for run in runs)
