"""Signals that a test sends to its own process, without a trace afterwards."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.prefect_server.stopping import STOP


@contextmanager
def signals_forgotten() -> Iterator[None]:
    """Restores the handler of SIGTERM after the body; a repeated signal would end the tests."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if timer := STOP._timer:
            timer.cancel()
        with STOP.flow():
            pass
