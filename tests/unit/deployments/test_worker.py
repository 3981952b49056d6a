"""`make worker` keeps a worker alive: another one starts when one has given up on its server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from local.environment import CHECKOUT

GIVES_UP = f"""#!{sys.executable}
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # as Prefect's worker does
starts = Path(__file__).with_name("starts")
with starts.open("a") as lines:
    print("started with", *sys.argv[1:], file=lines)
if len(starts.read_text().splitlines()) > 1:
    time.sleep(600)
"""
WAIT_S_MAX = 60


def test_a_worker_that_gave_up_is_followed_by_another_and_the_last_one_ends_when_asked_to(tmp_path: Path) -> None:
    prefect, starts = tmp_path / "prefect", tmp_path / "starts"
    prefect.write_text(GIVES_UP)
    prefect.chmod(0o755)
    keeper = subprocess.Popen(
        [sys.executable, "-m", "deployments.worker", "--work-queue", "load"],
        cwd=CHECKOUT,
        env=os.environ | {"PREFECT": str(prefect), "WORKER_WAIT_S": "0"},
    )
    give_up = time.monotonic() + WAIT_S_MAX
    while not starts.exists() or len(starts.read_text().splitlines()) < 2:
        assert time.monotonic() < give_up, "no second worker was started"
        time.sleep(0.1)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(WAIT_S_MAX) == 0
    arguments = "started with worker start --pool retail-sales --type process --limit 10 --work-queue load"
    assert starts.read_text().splitlines() == [arguments] * 2
