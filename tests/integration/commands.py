"""Commands of the command line in this process: the same programs, without the seconds that each takes to import."""

import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from prefect.cli import app
from typer.testing import CliRunner

from local.environment import CHECKOUT
from tests.integration.server import events_enabled

COMMAND_S_MAX = 300
_ONE_AT_A_TIME = threading.Lock()
"""Output and working directory belong to the process."""

Ended = subprocess.CompletedProcess[str]


def run_command(command: str, environment: Mapping[str, str], directory: Path = CHECKOUT) -> Ended:
    """Runs a line of the shell; what is neither `prefect` nor a module of Python, or needs a shell, gets one."""
    words = shlex.split(re.sub(r"\$(\w+)", lambda name: environment[name[1]], command))
    match words:
        case ["prefect", *arguments]:
            return run_prefect(arguments, environment, directory)
        case ["python", "-m", module, *arguments]:
            return run_module(module, arguments, environment)
        case _:
            return subprocess.run(
                ["bash", "-euc", command],
                cwd=directory,
                env=dict(environment),
                capture_output=True,
                text=True,
                timeout=COMMAND_S_MAX,
            )


def run_prefect(arguments: list[str], environment: Mapping[str, str], directory: Path = CHECKOUT) -> Ended:
    """Runs the `prefect` command against the server of the current settings; its output has no line breaks of its
    own."""
    with _ONE_AT_A_TIME, events_enabled(), pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, "COLUMNS": "500"}.items():
            patch.setenv(name, value)
        patch.chdir(directory)
        ended = CliRunner().invoke(app, ["--no-prompt", *arguments])
    return Ended(arguments, ended.exit_code, ended.output, str(ended.exception or ""))


def run_module(module: str, arguments: list[str], environment: Mapping[str, str]) -> Ended:
    """Runs `python -m <module>`."""
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with _ONE_AT_A_TIME, pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", [module, *arguments])
        # What the module is when it is imported stays as it is.
        patch.delitem(sys.modules, module, raising=False)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended([module, *arguments], code, output.getvalue(), errors.getvalue())


def here(**values: str) -> dict[str, str]:
    """The environment of a command: this process's, and some values."""
    return {**os.environ, **values}
