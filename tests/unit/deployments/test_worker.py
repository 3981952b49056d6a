"""`make worker` keeps a worker alive: another one starts when one has given up on its server."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Answering(BaseHTTPRequestHandler):
    """Says hello, as a Prefect server does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"hello"')

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def wait_until(happened: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + WAIT_S_MAX
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


def test_a_worker_that_gave_up_is_followed_by_another_and_the_last_one_ends_when_asked_to(tmp_path: Path) -> None:
    prefect, starts, said = tmp_path / "prefect", tmp_path / "starts", tmp_path / "said"
    prefect.write_text(GIVES_UP)
    prefect.chmod(0o755)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering, bind_and_activate=False) as server, said.open("w") as log:
        server.server_bind()
        url = f"http://127.0.0.1:{server.server_port}/api"
        keeper = subprocess.Popen(
            [sys.executable, "-m", "deployments.worker", "--work-queue", "load"],
            cwd=CHECKOUT,
            env=os.environ | {"PREFECT": str(prefect), "WORKER_WAIT_S": "0.1", "PREFECT_API_URL": url},
            stderr=log,
        )
        waits = f"no Prefect server answers at PREFECT_API_URL={url}: the worker starts when one does\n"
        wait_until(lambda: said.read_text() == waits, "it did not say that it waits for its server")
        assert not starts.exists()
        server.server_activate()
        with answering(server):
            wait_until(lambda: starts.exists() and len(starts.read_text().splitlines()) == 2, "no second worker")
            keeper.send_signal(signal.SIGTERM)
            assert keeper.wait(WAIT_S_MAX) == 0
    arguments = "started with worker start --pool retail-sales --limit 10 --work-queue load"
    assert starts.read_text().splitlines() == [arguments] * 2
