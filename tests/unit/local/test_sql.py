"""`make sql`: whatever a value holds, the printed table keeps its shape."""

import pytest
from rich.console import Console

from local.run import money_table
from local.sql import show
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
