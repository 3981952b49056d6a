"""Keeps a worker alive: when one gives up because its server does not answer, the next one starts by itself.

    python -m deployments.worker [options of `prefect worker start`]

A loop in a shell cannot do it: what a shell starts in the background ignores SIGINT, by which Prefect ends a worker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prefect.settings import PREFECT_API_URL

from blocks import names
from blocks.project import HOME
from blocks.shell import as_given
from tasks.lines import hide_values
from tasks.watch.runs import server_answers

PREFECT = Path(sys.executable).with_name("prefect")
START = ("worker", "start", "--pool", names.POOL, "--limit", "10")
WAIT_S = 5


def keep_worker(prefect: Path, wait_s: float, options: Sequence[str], answers: Callable[[], bool]) -> None:
    """Starts workers one after the other, each when the server `answers`, until SIGTERM or SIGINT; ends the last one.

    Raises SystemExit with code 0.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker inherits an ignored signal, but no handler
    while True:
        _wait_for_server(wait_s, answers)
        with subprocess.Popen([prefect, *START, *options], env=as_given() | checkout_variables(os.environ)) as worker:
            try:
                worker.wait()
                print(f"the worker has ended: another one starts in {wait_s:g} s", file=sys.stderr)
                time.sleep(wait_s)
            except SystemExit:
                worker.terminate()
                raise
            except KeyboardInterrupt:  # the terminal has sent it to the worker, too
                worker.wait()
                sys.exit(0)


def checkout_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables by which the runs of a worker find this checkout and its interpreter."""
    return {
        "RETAIL_SALES_HOME": str(HOME),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", os.defpath))),
    }


def _wait_for_server(wait_s: float, answers: Callable[[], bool]) -> None:
    """A worker that is started without a server prints a stack trace every few seconds."""
    try:
        if not answers():
            url = PREFECT_API_URL.value()
            where = (
                f"at PREFECT_API_URL={hide_values(url)}"
                if url
                else "because PREFECT_API_URL is not set (the local stack: `make up`)"
            )
            print(f"no Prefect server answers {where}: the worker starts when one does", file=sys.stderr)
            while not answers():
                time.sleep(wait_s)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    program, wait_s = Path(os.environ.get("PREFECT", PREFECT)), float(os.environ.get("WORKER_WAIT_S", WAIT_S))
    keep_worker(program, wait_s, sys.argv[1:], server_answers)
