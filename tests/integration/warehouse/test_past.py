"""The fact table right after a publish can be queried for as long as the undo log is kept."""

import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from local import sql
from tasks.errors import NeedsPersonError
from tasks.retention.staged import old_rows
from tasks.rollback.roll_back import roll_back
from tasks.warehouse.past import publish_number, sales_as_of
from tests.integration.conftest import World
from tests.integration.shop import Shop

UNDO_DAYS = 35
SALE = "sale"
"""The name of the day's only sale."""


@pytest.fixture
def shop(world: World, day: date) -> Shop:
    return Shop(world, day, "past")


@pytest.fixture
def corrected(shop: Shop, tmp_path: Path) -> Callable[[str], int]:
    """Gives the day's sale another amount and loads the day; returns the number of that publish."""
    shop.sell(SALE)

    def correct(amount: str) -> int:
        shop.change(SALE, f"total_amount = {amount}")
        shop.load(tmp_path)
        return newest(shop.world)

    return correct


def newest(world: World) -> int:
    ((number,),) = world.sql("SELECT ORDINAL FROM ETL_LOCK")
    return int(number)


def amounts(shop: Shop, number: int) -> list[Decimal]:
    """The amounts of the day's sale right after a publish."""
    query = f"SELECT TOTAL_AMOUNT FROM ({sales_as_of(number)}) AS PAST WHERE SALE_ID = ?"
    return [amount for (amount,) in shop.world.sql(query, (shop.key(SALE),))]


@pytest.mark.account
def test_each_version_stands_from_its_publish_to_the_next(
    world: World, day: date, shop: Shop, corrected: Callable[[str], int]
) -> None:
    before = newest(world)
    first, second = corrected("3.10"), corrected("3.20")
    unchanged = corrected("3.20")
    with world.session() as session:
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
    gone = newest(world)
    again = corrected("3.30")
    shown = {number: amounts(shop, number) for number in (before, first, second, unchanged, gone, again)}
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
    world: World, day: date, shop: Shop, corrected: Callable[[str], int], tmp_path: Path
) -> None:
    first = corrected("3.10")
    next_day = day + timedelta(days=1)
    shop.change(SALE, f"total_amount = 3.20, updated_at = '{shop.noon(1)}'")
    shop.on(next_day).load(tmp_path)
    second = newest(world)
    with world.session() as session:
        roll_back(session, f"{next_day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
        returned = newest(world)
        assert [amounts(shop, n) for n in (first, second, returned)] == [
            [Decimal("3.10")],
            [Decimal("3.20")],
            [Decimal("3.10")],
        ]
        # The change by the rolled back run is no obstacle.
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, UNDO_DAYS, "by hand")
    assert amounts(shop, newest(world)) == []
    assert amounts(shop, returned) == [Decimal("3.10")]


@pytest.mark.account
def test_a_past_is_named_by_a_batch_or_a_number(world: World, day: date, corrected: Callable[[str], int]) -> None:
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


def test_what_retention_removes_is_no_past_any_more(world: World, shop: Shop, corrected: Callable[[str], int]) -> None:
    first, second = corrected("3.10"), corrected("3.20")
    ((since,),) = world.sql("SELECT PAST_SINCE FROM ETL_LOCK")
    world.sql(
        "UPDATE SALES_FACT_UNDO SET UNDO_RECORDED_AT = DATEADD('day', -40, UNDO_RECORDED_AT) WHERE SALE_ID = ?",
        (shop.key(SALE),),
    )
    try:
        with world.session() as session:
            old_rows(session, UNDO_DAYS, dry_run=True)
            assert publish_number(session, str(first)) == first
            old_rows(session, UNDO_DAYS, dry_run=False)
            with pytest.raises(NeedsPersonError, match=f"the undo log goes back to {second}"):
                publish_number(session, str(first))
            assert publish_number(session, str(second)) == second
        assert (amounts(shop, first), amounts(shop, second)) == ([], [Decimal("3.20")])
    finally:
        world.sql("UPDATE ETL_LOCK SET PAST_SINCE = ?", (since,))


def test_make_sql_asks_the_past(
    day: date,
    shop: Shop,
    corrected: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    number = corrected("3.10")
    corrected("3.20")

    def ask(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sql", *arguments])
        code = sql.main()
        told = capsys.readouterr()
        return code, told.out + told.err

    query = f"SELECT TOTAL_AMOUNT FROM sales_as_of WHERE SALE_ID = '{shop.key(SALE)}'"
    code, told = ask(query, str(number))
    assert (code, "3.10" in told, f"right after publish {number}" in told) == (0, True, True), told
    code, told = ask("", f"{day:%Y%m%d}")
    assert code == 0
    assert "TOTAL" in told
    assert ask(query) == (1, f'sales_as_of needs a batch or a publish: make sql Q="{query}" AS_OF=20240115\n')
    code, told = ask("", "20010101")
    assert (code, "no publish of batch 20010101 is known" in told) == (1, True), told
