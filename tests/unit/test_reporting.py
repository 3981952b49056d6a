"""The last lines of a run with failures."""

from pathlib import Path

import pytest

from tests import reporting


def a_failure() -> pytest.TestReport:
    with pytest.raises(AssertionError) as caught:
        raise AssertionError("one row was expected\nand none is there")
    where = ("tests/test_rows.py", 1, "test_one_row")
    return pytest.TestReport("tests/test_rows.py::test_one_row", where, {}, "failed", caught.getrepr(), "call")


def test_a_failure_is_printed_with_its_expectation_and_its_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LOGS", tmp_path / "kept")
    lines = reporting.failure_lines(a_failure())
    assert lines[:3] == [
        "FAILED tests/test_rows.py::test_one_row",
        "    AssertionError: one row was expected",
        "    and none is there",
    ]
    assert lines[3].startswith(f"    at {__file__}:")
    assert len(lines) == 4, "no stack, no logs"


def test_logs_of_a_stack_are_kept_until_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "LOGS", tmp_path / "kept")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    (tmp_path / "stack" / "logs").mkdir(parents=True)
    (tmp_path / "stack" / "logs" / "prefect.log").write_text("it failed\n")
    reporting.keep_logs(tmp_path / "stack")
    assert (tmp_path / "kept" / "main" / "prefect.log").read_text() == "it failed\n"
    assert reporting.failure_lines(a_failure())[-1] == f"    logs: {tmp_path / 'kept' / 'main'}"
    reporting.forget_logs()
    assert not (tmp_path / "kept").exists()


def test_long_tables_are_compared_by_the_rows_that_differ() -> None:
    rows = [(number, "sale") for number in range(300)]
    assert reporting.lines_of_difference((rows, [1]), ([*rows[1:], (7, "other")], [1])) == [
        "300 rows == 300 rows",
        "only left (1): (0, 'sale')",
        "only right (1): (7, 'other')",
    ]
    assert reporting.lines_of_difference(rows, rows[::-1]) == ["300 rows == 300 rows", "the same rows in another order"]
    assert reporting.lines_of_difference(rows[:3], rows[1:3]) is None, "pytest compares short tables"
