"""What a test run has started ends with it, also when it is killed, and with its keeper at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import stack
from tests.integration import keeper
from tests.integration.conftest import wait_for
from tests.integration.keeper import MARK, kept_directory
from tests.integration.processes import end_of, start_process

SERVERS = ("PG_EUROPE", "SMTP")
"""One that ends by itself and one that does not, of a stack."""


def use_servers(started: Path) -> None:
    """Starts servers and a process that nothing records, writes their process ids, and goes on for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
    with kept_directory() as directory:
        for name in [name for name in os.environ if name.endswith("_PORT")]:
            del os.environ[name]  # of the stack that other tests use
        os.environ |= {MARK: str(directory), "RETAIL_SALES_LOCAL_DIR": str(directory / "stack")}
        os.environ["RETAIL_SALES_SAMPLE_DATA"] = "none"
        (directory / "stack").mkdir(mode=0o711)
        plan = stack.Plan(stack._choose_ports({}), stack._keep_secrets())
        parts = [part for part in stack.PARTS if part.name in SERVERS]
        stack._start(parts, plan, print, [*parts])
        unrecorded = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        recorded = [json.loads(file.read_text())["pid"] for file in (directory / "stack" / "run").iterdir()]
        keepers = [child.pid for child in psutil.Process().children() if str(directory) in child.cmdline()]
        new = started.with_suffix(".new")
        new.write_text(json.dumps([str(directory), *keepers, unrecorded.pid, *recorded]))
        new.rename(started)
        time.sleep(1000)


class User:
    """A process that has started servers."""

    def __init__(self, started: Path) -> None:
        self.process = start_process(use_servers, started)
        wait_for(lambda: started.exists() or not self.process.is_alive(), "the servers' start")
        directory, keeper_id, *server_ids = json.loads(started.read_text())
        self.directory = Path(directory)
        self.keeper = psutil.Process(keeper_id)
        self.servers = [psutil.Process(server_id) for server_id in server_ids]

    def kill(self) -> None:
        self.process.kill()
        end_of(self.process)

    def is_gone(self) -> bool:
        """Whether nothing of it runs and nothing lies about."""
        return not any(keeper._is_alive(server) for server in self.servers) and not self.directory.exists()


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    user = User(tmp_path / "started")
    assert len(user.servers) == len(SERVERS) + 1
    yield user
    keeper.end(user.directory)


def test_servers_end_with_a_user_that_is_killed(user: User) -> None:
    user.kill()
    wait_for(user.is_gone, "the end of the servers")
    user.keeper.wait()


def test_an_interrupted_user_waits_until_they_have_ended(user: User) -> None:
    assert user.process.pid is not None
    os.kill(user.process.pid, signal.SIGINT)
    end_of(user.process)
    assert user.is_gone()


def test_what_is_left_by_a_killed_user_and_keeper_is_swept(user: User) -> None:
    assert user.directory not in keeper.sweep(), "somebody uses it"
    user.keeper.kill()
    assert user.directory not in keeper.sweep(), "its user lives"
    user.kill()
    keeper.sweep()  # another test's sweep may have come first
    assert user.is_gone()
