"""Keeps a worker alive: one gives up when its server does not answer for a while, and the next one starts by itself.

    python -m deployments.worker [options of `prefect worker start`]

A loop in a shell cannot do it: what a shell starts in the background ignores SIGINT, by which Prefect ends a worker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PREFECT = Path(sys.executable).with_name("prefect")
START = ("worker", "start", "--pool", "retail-sales", "--type", "process", "--limit", "10")
WAIT_S = 5


def keep_worker(prefect: Path, wait_s: float, options: Sequence[str]) -> None:
    """Starts workers one after the other until SIGTERM or SIGINT arrives; the last one has ended then.

    Raises SystemExit with code 0.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker inherits that it is ignored, but no handler
    while True:
        with subprocess.Popen([prefect, *START, *options]) as worker:
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


if __name__ == "__main__":
    keep_worker(Path(os.environ.get("PREFECT", PREFECT)), float(os.environ.get("WORKER_WAIT_S", WAIT_S)), sys.argv[1:])
