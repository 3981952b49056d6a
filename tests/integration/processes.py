"""Processes of their own, for what runs beside others or is killed.

They are forked from one that has imported the flows, so that a program begins at once and not after its imports.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

END_S_MAX = 600
_IMPORTED = (
    "flows.clean_staging",
    "flows.daily_sales",
    "flows.reconcile",
    "flows.replay_rejected",
    "flows.rollback",
    "flows.send_alert",
    "tests.integration.publish.harness",
    "tests.integration.publish.statements",
)


def forked_from_imported() -> ForkServerContext:
    """Its processes begin with everything imported, and with the environment of the first one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


@dataclass(frozen=True)
class Ended:
    """How a program ended; a signal that killed it is a negative code."""

    code: int
    output: str


@dataclass(frozen=True)
class Program:
    """A program that runs; `log` takes what it prints."""

    process: ForkServerProcess
    log: Path

    def ended(self) -> Ended:
        """Waits for its end; one that does not end is killed."""
        self.process.join(END_S_MAX)
        self.process.kill()
        self.process.join()
        output = self.log.read_text()
        self.log.unlink()
        assert self.process.exitcode is not None
        return Ended(self.process.exitcode, output)


def start_python(*arguments: str) -> Program:
    """What `python -m <module> ...` or `python -c <code> ...` runs."""
    descriptor, log = tempfile.mkstemp(prefix="retail-sales-program-")
    os.close(descriptor)
    process = forked_from_imported().Process(target=_run, args=(log, *arguments))
    process.start()
    return Program(process, Path(log))


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
