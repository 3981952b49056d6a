"""What a test run prints beside pytest's own lines: of each failure, in its last lines, what was expected and where the
logs lie."""

import os
import shutil
from pathlib import Path

import pytest

from local.environment import CHECKOUT

LOGS = CHECKOUT / ".test-logs"
"""Logs of the stacks on which a test has failed, a directory per worker; those of the run before are removed."""
ALONE = "main"
"""The name of the only process, where there are no workers."""
LINES_MAX = 12
"""Of each failure."""


def keep_logs(stack: Path) -> None:
    """Keeps the logs of a stack that is about to be removed."""
    if (stack / "logs").exists():
        shutil.copytree(stack / "logs", LOGS / os.environ.get("PYTEST_XDIST_WORKER", ALONE), dirs_exist_ok=True)


def forget_logs() -> None:
    """Removes what the run before has kept."""
    shutil.rmtree(LOGS, ignore_errors=True)


def failure_lines(report: pytest.TestReport | pytest.CollectReport) -> list[str]:
    """A failed test's name, what was expected and where, and the logs of its stack."""
    lines = [f"FAILED {report.nodeid}"]
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        message = crash.message.splitlines()
        lines += [f"    {line}" for line in message[:LINES_MAX]]
        lines += [f"    at {crash.path}:{crash.lineno}"]
    worker = getattr(report, "node", None)
    logs = LOGS / (worker.gateway.id if worker else ALONE)
    return [*lines, *([f"    logs: {logs}"] if logs.exists() else [])]
