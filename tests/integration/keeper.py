"""Everything that a test run starts lives below one directory and ends with the process that uses it, in any case.

A keeper waits at a pipe for the end of its user, then kills what is left and removes the directory. What a keeper
leaves that was killed itself, the next run sweeps: nobody holds the lock of its directory any more.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from local.environment import CHECKOUT

PREFIX = "retail-sales-test-"
MARK = "RETAIL_SALES_TEST_DIRECTORY"
"""Carried in the environment by every process of a run."""
END_S_MAX = 30
POLL_S = 0.05


@contextmanager
def kept_directory() -> Iterator[Path]:
    """A directory for stacks, each in a directory of its own below; it ends with the body or with this process."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    # PostgreSQL refuses to run as root and runs as a user of its own, which has to reach its data.
    directory.chmod(0o711)
    with _lock_file(directory).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.keeper", str(directory)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            pass_fds=[lock.fileno()],  # the lock is held until both of us have ended
            start_new_session=True,
        )
        try:
            yield directory
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(2 * END_S_MAX)


def sweep() -> list[Path]:
    """Ends what earlier runs have left whose user and keeper were both killed; returns their directories."""
    return [directory for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _is_left(directory)]


def _is_left(directory: Path) -> bool:
    try:
        if directory.stat().st_uid != os.getuid():  # what another account writes there is not ours to follow
            return False
        lock: IO[str] = _lock_file(directory).open()
    except OSError:  # being made, or being removed
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        end(directory)
        return True


def _lock_file(directory: Path) -> Path:
    return directory / "lock"


def end(directory: Path) -> None:
    """Kills the processes of a directory and removes it."""
    ending = [*_servers_of(directory), *_marked_with(directory)]
    for process in ending:
        with suppress(psutil.NoSuchProcess):
            # On SIGQUIT, PostgreSQL ends its children and gives back its shared memory.
            process.send_signal(signal.SIGQUIT if process.name() == "postgres" else signal.SIGKILL)
    give_up = time.monotonic() + END_S_MAX
    while alive := [process for process in ending if _is_alive(process)]:
        if time.monotonic() > give_up:
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            break
        time.sleep(POLL_S)
    shutil.rmtree(directory, ignore_errors=True)


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended may still wait for its parent to notice."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _servers_of(directory: Path) -> Iterator[psutil.Process]:
    """The parts of stacks that are recorded as running: PostgreSQL overwrites its environment."""
    for file in directory.glob("*/run/*.pid"):
        with suppress(psutil.NoSuchProcess, ValueError):
            recorded = json.loads(file.read_text())
            process = psutil.Process(recorded["pid"])
            if abs(process.create_time() - recorded["started"]) < 1:
                yield process


def _marked_with(directory: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(directory):
                yield process


def main(directory: Path) -> None:
    """Waits for the end of the user."""
    sys.stdin.buffer.read()
    end(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
