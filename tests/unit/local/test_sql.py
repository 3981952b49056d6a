"""`make sql`: the printed table keeps its shape with any value."""

import json
from decimal import Decimal

import pytest
from rich.console import Console

from local.run import money_table
from local.sql import main, show
from tests.unit.tasks.test_lines import HOSTILE


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_value_is_one_line_of_the_printed_table(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    show([value, "rows"], [(value, 1), ("next", None)])
    *table, count = capsys.readouterr().out.splitlines()
    assert count == "2 rows"
    assert [line[0] for line in table] == ["┏", "┃", "┡", "│", "│", "└"]
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_currency_is_one_line_of_the_money_table(value: str) -> None:
    console = Console(width=140, markup=False, emoji=False, highlight=False)
    regions = [{"region": "EUROPE", "money": {value: {"total_amount": "1.00"}}}]
    with console.capture() as printed:
        console.print(money_table(regions))
    assert [line.split()[0] for line in printed.get().splitlines() if "EUROPE" in line or "1.00" in line] == ["EUROPE"]


def test_a_table_that_is_too_wide_has_a_line_for_each_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"COLUMN_{number}" for number in range(1, 12)]
    show(names, [tuple("x" * number for number in range(1, 12)), (*[None] * 10, "last")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "row 1"
    assert lines[1] == "  COLUMN_1   x"
    assert lines[11] == f"  COLUMN_11  {'x' * 11}"
    assert lines[12:14] == ["row 2", "  COLUMN_1   NULL"]
    assert lines[-1] == "2 rows"


def test_rows_for_programs_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    names, rows = ["ID", "TOTAL", "AT"], [("a,b", Decimal("1.50"), None)]
    show(names, rows, "csv")
    assert capsys.readouterr().out == 'ID,TOTAL,AT\n"a,b",1.50,\n'
    show(names, rows, "json")
    assert json.loads(capsys.readouterr().out) == [{"ID": "a,b", "TOTAL": "1.50", "AT": None}]


def test_another_format_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORMAT", "xml")
    monkeypatch.setattr("sys.argv", ["local.sql", "select 1"])
    assert main() == 1
    assert capsys.readouterr().err == "FORMAT is 'xml': choose csv, json or table\n"
