"""The last lines of a test run, after pytest's own: for each failure what was expected, and where the logs are."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from local.environment import CHECKOUT

LOGS = CHECKOUT / ".test-logs"
"""Logs of the stacks on which a test has failed, a directory per worker; those of the previous run are removed."""
ALONE = "main"
"""The name of the only process of a run without workers."""
ROWS_COMPARED_MAX, ROWS_SHOWN_MAX = 200, 5
LINES_MAX = 12
"""Lines printed of each failure."""


def keep_logs(stack: Path) -> None:
    """Keeps the logs of a stack that is about to be removed."""
    if (stack / "logs").exists():
        shutil.copytree(stack / "logs", LOGS / os.environ.get("PYTEST_XDIST_WORKER", ALONE), dirs_exist_ok=True)


def forget_logs() -> None:
    """Removes the logs that the previous run has kept."""
    shutil.rmtree(LOGS, ignore_errors=True)


def lines_of_difference(left: object, right: object) -> list[str] | None:
    """Returns the differences of two long tables, or tuples of tables, as pytest prints a comparison; None for short
    ones. Pytest's own comparison of some thousand rows takes minutes."""
    if isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
        parts = [lines_of_difference(*pair) for pair in zip(left, right, strict=True)]
        return [line for part in parts for line in part or ()] or None
    if not (isinstance(left, list) and isinstance(right, list) and max(len(left), len(right)) > ROWS_COMPARED_MAX):
        return None
    of_left, of_right = (Counter(map(repr, rows)) for rows in (left, right))
    lines = [f"{len(left)} rows == {len(right)} rows"]
    for name, rows in (("only left", of_left - of_right), ("only right", of_right - of_left)):
        lines += [f"{name} ({rows.total()}): {row}" for row in list(rows)[:ROWS_SHOWN_MAX]]
    return lines if len(lines) > 1 or left == right else [*lines, "the same rows in another order"]


def failure_lines(report: pytest.TestReport | pytest.CollectReport) -> list[str]:
    """Returns a failed test's name, what was expected and where, and the logs of its stack."""
    lines = [f"FAILED {report.nodeid}"]
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        message = crash.message.splitlines()
        lines += [f"    {line}" for line in message[:LINES_MAX]]
        lines += [f"    at {crash.path}:{crash.lineno}"]
    worker = getattr(report, "node", None)
    logs = LOGS / (worker.gateway.id if worker else ALONE)
    return [*lines, *([f"    logs: {logs}"] if logs.exists() else [])]
