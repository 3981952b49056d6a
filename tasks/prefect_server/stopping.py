"""Stopping: a cancelled run commits nothing; one that has committed finishes its second look before it ends.

Prefect ends a cancelled run by SIGTERM and, 30 seconds later, by SIGKILL
(https://docs-2.prefect.io/latest/concepts/flows/#cancel-a-flow-run). Tasks run in threads, which no signal reaches: a
publish outlives a flow that has ended. It therefore asks here, under the lock and just before COMMIT.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType

from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL

from tasks.errors import NeedsPersonError, one_line
from tasks.prefect_server.kin import read_ancestors
from tasks.stopwatch import Say

ANSWER_S_MAX = 5.0
"""Time for the Prefect server to say whether a run was cancelled. A load does not fail when the server is away."""
SECOND_LOOK_S_MAX = 20.0
"""Time for a process to finish what it has committed after a signal; SIGKILL follows after 30 seconds."""
CANCELLED_IN_PREFECT = "the run was cancelled in Prefect"
SIGNALS = {
    signal.SIGTERM: "a signal ended its process (SIGTERM), for example because its worker was stopped",
    signal.SIGINT: "Ctrl-C ended its process",
}


class StoppedError(NeedsPersonError):
    """Raised just before COMMIT when the run was cancelled or its process has received a signal to end."""


class EndedBySignal(BaseException):
    """Raised in the main thread by a signal: the run crashes with a message that names the signal and what was changed.

    Prefect's own exception has one text for all cases.
    """


class Stop:
    """The signal that this process has received, and its unfinished commits, whose second look is due."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._asked: signal.Signals | None = None
        self._unfinished: set[int | str] = set()
        self._has_finished = self._has_waited = False
        self._flows = 0
        self._timer: threading.Timer | None = None

    def send_again(self, number: signal.Signals) -> None:
        """Repeats the signal after SECOND_LOOK_S_MAX, unless it has taken effect before."""
        with self._guard:
            if self._timer is None:
                self._timer = threading.Timer(SECOND_LOOK_S_MAX, os.kill, [os.getpid(), number])
                self._timer.daemon = True
                self._timer.start()

    def take_effect(self) -> str:
        """Returns why the process ends and what it has changed; the signal is not repeated any more."""
        with self._guard:
            if self._timer:
                self._timer.cancel()
            self._timer = None
            return self._in_words()

    def ask(self, number: signal.Signals) -> bool:
        """Records a signal; returns whether the process may end at once, as it always may at the second signal."""
        with self._guard:
            may_end = self._asked is not None or not self._unfinished
            self._asked = number
            self._has_waited = self._has_waited or not may_end
            return may_end

    def _in_words(self) -> str:
        assert self._asked is not None
        if self._unfinished:
            changed = "whether its batch was published stands in the ledger"
        elif self._has_waited:
            changed = "what it had changed stays"
        elif self._has_finished:
            changed = "what was changed before stays, nothing more was changed"
        else:
            changed = "nothing was changed"
        return f"{SIGNALS[self._asked]}: {changed}"

    def enter(self, commit: int | str) -> None:
        """Lets signals wait until the commit is finished. Raises StoppedError when one has come already."""
        with self._guard:
            if self._asked is not None:
                raise StoppedError(SIGNALS[self._asked])
            self._unfinished.add(commit)

    def leave(self, commit: int | str, is_finished: bool) -> signal.Signals | None:
        """Returns the signal that has waited for the commit, unless another commit is unfinished."""
        with self._guard:
            was_entered = commit in self._unfinished
            self._unfinished.discard(commit)
            self._has_finished = self._has_finished or (was_entered and is_finished)
            return self._asked if was_entered and not self._unfinished else None

    @contextmanager
    def flow(self) -> Iterator[None]:
        """A flow runs in the body. The outermost one forgets the signals of earlier flows in this process. Nothing is
        forgotten at the end, as a publish may still run in another thread."""
        with self._guard:
            if not self._flows:
                self._asked, self._has_finished, self._has_waited = None, False, False
                self._unfinished.clear()
                self._timer = None
            self._flows += 1
        try:
            yield
        finally:
            with self._guard:
                self._flows -= 1


STOP = Stop()


@contextmanager
def signals_in_order() -> Iterator[None]:
    """Within the body, SIGTERM and Ctrl-C raise EndedBySignal: at once, or when what was committed is finished, after
    SECOND_LOOK_S_MAX at the latest. Does nothing outside the main thread, the only one that receives signals.

    After the body, SIGTERM leaves the same time to the run's hooks, which write to the ledger; Prefect restores its own
    handler after them.
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
    signum = signal.Signals(number)
    if STOP.ask(signum):
        raise EndedBySignal(STOP.take_effect())
    STOP.send_again(signum)


def _end_later(number: int, _: FrameType | None) -> None:
    signum = signal.Signals(number)
    signal.signal(signum, signal.SIG_DFL)
    STOP.ask(signum)
    STOP.send_again(signum)


@contextmanager
def finished_first(commit: int | str) -> Iterator[None]:
    """A signal that comes in the body after its commit takes effect at the end of the body: publish and verify."""
    try:
        yield
    except BaseException:
        STOP.leave(commit, is_finished=False)
        raise
    if number := STOP.leave(commit, is_finished=True):
        os.kill(os.getpid(), number)


def refuse_stopped(flow_run_id: str, commit: int | str, say: Say) -> None:
    """Raises StoppedError when the flow run or an ancestor was cancelled, or the process has received a signal to end.

    Call it under the lock, just before COMMIT, within `finished_first` of the same commit. A Prefect server that does
    not answer in time stops no load.
    """
    if is_cancelled(flow_run_id, say):
        raise StoppedError(CANCELLED_IN_PREFECT)
    STOP.enter(commit)


def is_cancelled(flow_run_id: str, say: Say) -> bool:
    """Whether the flow run or an ancestor is Cancelling or Cancelled. False without a server, and when it has not
    answered after ANSWER_S_MAX."""
    if not PREFECT_API_URL.value():
        return False
    answers: list[bool | Exception] = []

    def ask() -> None:
        try:
            answers.append(asyncio.run(_is_cancelled(flow_run_id)))
        except Exception as error:  # noqa: BLE001 (whatever it is, the load goes on)
            answers.append(error)

    # In a thread, because nothing else bounds the look-up of a host name.
    thread = threading.Thread(target=copy_context().run, args=(ask,), name="is-cancelled", daemon=True)
    thread.start()
    thread.join(ANSWER_S_MAX)
    answer = answers[0] if answers else TimeoutError(f"no answer within {ANSWER_S_MAX:g} s")
    if isinstance(answer, Exception):
        say(f"step=commit the Prefect server did not say whether the run was cancelled, it goes on: {one_line(answer)}")
        return False
    return answer


async def _is_cancelled(flow_run_id: str) -> bool:
    async with get_client() as client:
        runs = await read_ancestors(client, await client.read_flow_run(flow_run_id))
    return any(run.state_type in (StateType.CANCELLING, StateType.CANCELLED) for run in runs)
