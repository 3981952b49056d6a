"""Hooks of every test run."""

from collections.abc import Iterator

import pytest

from tests.reporting import failure_lines, forget_logs, lines_of_difference


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        forget_logs()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    return lines_of_difference(left, right) if op == "==" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    failed = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
    for report in failed:
        for line in failure_lines(report):
            terminalreporter.write_line(line)
