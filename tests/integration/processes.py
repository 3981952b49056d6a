"""Processes of their own, for what runs beside others or is killed.

They are forked from one that has imported the flows, so that a program begins at once and not after its imports.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Ended

END_S_MAX = 600

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "flows.clean_staging",
        "flows.daily_sales",
        "flows.reconcile",
        "flows.replay_rejected",
        "flows.rollback",
        "flows.send_alert",
        "tests.integration.publish.harness",
        "tests.integration.publish.statements",
    ]
)


def start_process(do: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A process that calls a function of a module; its environment is that of the first one."""
    process = _PROCESSES.Process(target=do, args=arguments)
    process.start()
    return process


def end_of(process: ForkServerProcess) -> int:
    """Waits for its exit code; a signal that killed it is a negative one. One that does not end fails the test."""
    process.join(END_S_MAX)
    if process.exitcode is None:
        process.kill()
        pytest.fail(f"process {process.pid} did not end within {END_S_MAX} s")
    return process.exitcode


@dataclass(frozen=True)
class Program:
    """A program that runs; `log` takes what it prints."""

    arguments: tuple[str, ...]
    process: ForkServerProcess
    log: Path

    def ended(self) -> Ended:
        """How it ended; what it printed on either stream is `stdout`."""
        code, output = end_of(self.process), self.log.read_text()
        self.log.unlink()
        return Ended(self.arguments, code, output)


def start_python(*arguments: str) -> Program:
    """What `python -m <module> ...` or `python -c <code> ...` runs."""
    descriptor, log = tempfile.mkstemp(prefix="retail-sales-program-")
    os.close(descriptor)
    return Program(arguments, start_process(_run, log, *arguments), Path(log))


def _run(log: str, kind: str, program: str, *arguments: str) -> None:
    with open(log, "w") as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    sys.argv = [program if kind == "-m" else kind, *arguments]
    if kind == "-m":
        sys.modules.pop(program, None)
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})
