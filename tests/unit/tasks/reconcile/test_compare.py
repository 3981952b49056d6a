"""How many days are compared is counted while sales are compared."""

from datetime import date

from tasks.reconcile.compare import counting_days
from tasks.reconcile.discrepancies import Portion

MONDAY, TUESDAY, WEDNESDAY = (date(2024, 1, day) for day in (15, 16, 17))


def test_days_count_when_their_sums_agree_or_their_sales_are_compared() -> None:
    portions: list[Portion] = [(["00", "01"], [MONDAY, TUESDAY]), (["02"], [TUESDAY, WEDNESDAY]), (["03"], [MONDAY])]
    counted: list[int] = []
    assert list(counting_days(portions, 10, counted.append)) == portions
    assert counted == [7, 8, 9, 10]


def test_days_whose_sums_agree_count_at_once() -> None:
    counted: list[int] = []
    assert list(counting_days([], 10, counted.append)) == []
    assert counted == [10]
