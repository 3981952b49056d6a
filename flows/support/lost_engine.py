"""Ends the process of a flow that Prefect's engine has abandoned.

When the server does not answer while a task run is created, the engine crashes the flow run in its own thread, and the
flow waits for that task for ever, with a live lease, in the only slot of queue `load`.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.context import FlowRunContext

POLL_S = 1.0
GRACE_S = 10.0
"""Time for a flow to notice by itself, and for the process to end after SIGTERM."""


@contextmanager
def ended_with_its_engine() -> Iterator[None]:
    """Sends this process SIGTERM, then SIGKILL, when the engine is lost within the body.

    The run leaves behind what any killed run does: its lease runs out, and the next run sweeps.
    """
    engine, logger = FlowRunContext.get().background_tasks.cancel_scope, get_run_logger()
    done = threading.Event()

    def watch() -> None:
        while not engine.cancel_called:
            if done.wait(POLL_S):
                return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if done.wait(GRACE_S):
                return
            logger.error("step=end Prefect has given this run up, its process ends by %s", number.name)
            os.kill(os.getpid(), number)

    threading.Thread(target=watch, name="engine", daemon=True).start()
    try:
        yield
    finally:
        done.set()
