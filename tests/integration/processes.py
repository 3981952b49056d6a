"""Processes of their own, for what runs beside others or is killed.

They are forked from one that has imported the flows, so that a program begins at once and not after its imports.
"""

import faulthandler
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import prefect.context
import pytest
from prefect.logging.configuration import setup_logging

from local.environment import CHECKOUT
from tests.integration.commands import Ended

END_S_MAX = 600
DUMP_BEFORE_S = 30

_PROCESSES = multiprocessing.get_context("forkserver")
# The modules of the functions that are called, too: a child that has to import one takes fifty times as long.
_PROCESSES.set_forkserver_preload(
    [
        "deployments.apply",
        "flows.alert_drill",
        "flows.backfill",
        "flows.check_setup",
        "flows.clean_staging",
        "flows.daily_sales",
        "flows.list_rejected",
        "flows.reconcile",
        "flows.replay_rejected",
        "flows.rollback",
        "flows.send_alert",
        "flows.watchdog",
        "local.stack",
        "local.run",
        "local.sql",
        "prefect.engine",
        "tests.integration.histories.test_histories",
        "tests.integration.processes",
        "tests.integration.publish.test_crashes",
        "tests.integration.local.test_keeper",
    ]
)


def start_process(do: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A process that calls a function of a module; its environment is that of the first one."""
    process = _PROCESSES.Process(target=_run_watched, args=(do, *arguments))
    process.start()
    return process


def _run_watched(do: Callable[..., None], *arguments: Any) -> None:
    """Prints where each thread stands when the process is about to be given up by `end_of`."""
    faulthandler.dump_traceback_later(END_S_MAX - DUMP_BEFORE_S, file=2)
    do(*arguments)


def end_of(process: ForkServerProcess) -> int:
    """Waits for its exit code; a signal that killed it is a negative one. One that does not end fails the test."""
    process.join(END_S_MAX)
    if process.exitcode is None:
        process.kill()
        pytest.fail(f"process {process.pid} did not end within {END_S_MAX} s")
    return process.exitcode


@dataclass(frozen=True)
class Program:
    """A program that runs; the logs take what it prints."""

    arguments: tuple[str, ...]
    process: ForkServerProcess
    logs: Path

    def ended(self) -> Ended:
        """How it ended."""
        code = end_of(self.process)
        output, errors = ((self.logs / name).read_text() for name in ("stdout", "stderr"))
        shutil.rmtree(self.logs)
        return Ended(self.arguments, code, output, errors)


def start_python(*arguments: str, environment: Mapping[str, str] | None = None, directory: Path = CHECKOUT) -> Program:
    """What `python -m <module> ...` or `python -c <code> ...` runs, in this environment or another one."""
    logs = Path(tempfile.mkdtemp(prefix="retail-sales-program-"))
    given = dict(os.environ if environment is None else environment)
    return Program(arguments, start_process(_run, logs, given, directory, *arguments), logs)


def run_python(*arguments: str, environment: Mapping[str, str] | None = None, directory: Path = CHECKOUT) -> Ended:
    """Starts it and waits for its end."""
    return start_python(*arguments, environment=environment, directory=directory).ended()


def _run(logs: Path, environment: dict[str, str], directory: Path, kind: str, program: str, *arguments: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        with (logs / ("stdout" if stream is sys.stdout else "stderr")).open("w") as log:
            os.dup2(log.fileno(), stream.fileno())
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    # Prefect has read its settings and the levels of its logs when it was imported; it adds to the settings there are.
    prefect.context.GLOBAL_SETTINGS_CONTEXT = None
    prefect.context.GLOBAL_SETTINGS_CONTEXT = prefect.context.root_settings_context()
    setup_logging(incremental=False)
    sys.argv = [program if kind == "-m" else kind, *arguments]
    if kind == "-m":
        sys.modules.pop(program, None)
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})
