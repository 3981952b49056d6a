"""The fact table right after a publish can be queried for as long as the undo log is kept."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from local import sql
from tasks.errors import NeedsPersonError
from tasks.retention.staged import old_rows
from tasks.rollback.roll_back import roll_back
from tasks.warehouse.past import publish_number, sales_as_of
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import load

UNDO_DAYS = 35


def sell(world: World, day: date, amount: str) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    cells = {"sale_id": f"past-{day}", "sale_date": noon, "updated_at": noon, "total_amount": amount}
    world.insert("EUROPE", good_sale("EUROPE") | cells)


@pytest.fixture
def corrected(world: World, day: date, tmp_path: Path) -> Callable[[str], int]:
    """Gives the day's sale another amount and loads the day; returns the number of that publish."""

    def correct(amount: str) -> int:
        statement = "UPDATE sales_transactions SET total_amount = %s WHERE sale_id = %s"
        world.change("EUROPE", statement, (amount, f"past-{day}"))
        load(world, day, tmp_path, "EUROPE")
        return newest(world)

    return correct


def newest(world: World) -> int:
    ((number,),) = world.sql("SELECT ORDINAL FROM ETL_LOCK")
    return int(number)


def amounts(world: World, day: date, number: int) -> list[Decimal]:
    query = f"SELECT TOTAL_AMOUNT FROM ({sales_as_of(number)}) AS PAST WHERE SALE_ID = ?"
    return [amount for (amount,) in world.sql(query, (f"past-{day}",))]


@pytest.mark.account
def test_each_version_stands_from_its_publish_to_the_next(
    world: World, day: date, corrected: Callable[[str], int]
) -> None:
    before = newest(world)
    sell(world, day, "3.00")
    first, second = corrected("3.10"), corrected("3.20")
    unchanged = corrected("3.20")
    with world.session() as session:
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
    gone = newest(world)
    again = corrected("3.30")
    shown = {number: amounts(world, day, number) for number in (before, first, second, unchanged, gone, again)}
    assert shown == {
        before: [],
        first: [Decimal("3.10")],
        second: [Decimal("3.20")],
        unchanged: [Decimal("3.20")],
        gone: [],
        again: [Decimal("3.30")],
    }


@pytest.mark.account
def test_a_version_that_returned_stands_twice_and_is_rolled_back_once(
    world: World, day: date, corrected: Callable[[str], int], tmp_path: Path
) -> None:
    sell(world, day, "3.00")
    first = corrected("3.10")
    next_day = date.fromordinal(day.toordinal() + 1)
    noon = datetime(next_day.year, next_day.month, next_day.day, 12, tzinfo=UTC)
    statement = "UPDATE sales_transactions SET total_amount = 3.20, updated_at = %s WHERE sale_id = %s"
    world.change("EUROPE", statement, (noon, f"past-{day}"))
    load(world, next_day, tmp_path, "EUROPE")
    second = newest(world)
    with world.session() as session:
        roll_back(session, f"{next_day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
        returned = newest(world)
        assert [amounts(world, day, n) for n in (first, second, returned)] == [
            [Decimal("3.10")],
            [Decimal("3.20")],
            [Decimal("3.10")],
        ]
        # The change by the rolled back run is no obstacle.
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
    assert amounts(world, day, newest(world)) == []
    assert amounts(world, day, returned) == [Decimal("3.10")]


@pytest.mark.account
def test_a_past_is_named_by_a_batch_or_a_number(world: World, day: date, corrected: Callable[[str], int]) -> None:
    sell(world, day, "3.00")
    number = corrected("3.10")
    with world.session() as session:
        assert publish_number(session, f"{day:%Y%m%d}") == number
        assert publish_number(session, str(number)) == number
        with pytest.raises(NeedsPersonError, match="no publish of batch 19700101 is known"):
            publish_number(session, "19700101")
        with pytest.raises(NeedsPersonError, match="no publish of batch yesterday is known"):
            publish_number(session, "yesterday")
        with pytest.raises(NeedsPersonError, match=rf"after publish {number + 1} is not known: .* newest is {number}"):
            publish_number(session, str(number + 1))


def test_what_retention_removes_is_no_past_any_more(
    world: World, day: date, corrected: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(world, day, "3.00")
    first, second = corrected("3.10"), corrected("3.20")
    ((since,),) = world.sql("SELECT PAST_SINCE FROM ETL_LOCK")
    world.sql(
        "UPDATE SALES_FACT_UNDO SET UNDO_RECORDED_AT = DATEADD('day', -40, UNDO_RECORDED_AT) WHERE SALE_ID = ?",
        (f"past-{day}",),
    )
    try:
        with world.session() as session:
            old_rows(session, UNDO_DAYS, dry_run=True)
            assert publish_number(session, str(first)) == first
            old_rows(session, UNDO_DAYS, dry_run=False)
            with pytest.raises(NeedsPersonError, match=f"the undo log goes back to {second}"):
                publish_number(session, str(first))
            assert publish_number(session, str(second)) == second
        assert (amounts(world, day, first), amounts(world, day, second)) == ([], [Decimal("3.20")])
    finally:
        world.sql("UPDATE ETL_LOCK SET PAST_SINCE = ?", (since,))


def test_make_sql_asks_the_past(
    world: World,
    day: date,
    corrected: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sell(world, day, "3.00")
    number = corrected("3.10")
    corrected("3.20")

    def ask(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sql", *arguments])
        code = sql.main()
        told = capsys.readouterr()
        return code, told.out + told.err

    query = f"SELECT TOTAL_AMOUNT FROM sales_as_of WHERE SALE_ID = 'past-{day}'"
    code, told = ask(query, str(number))
    assert (code, "3.10" in told, f"right after publish {number}" in told) == (0, True, True), told
    code, told = ask("", f"{day:%Y%m%d}")
    assert code == 0
    assert "TOTAL" in told
    assert ask(query) == (1, f'sales_as_of needs a batch or a publish: make sql Q="{query}" AS_OF=20240115\n')
    code, told = ask("", "20010101")
    assert (code, "no publish of batch 20010101 is known" in told) == (1, True), told
