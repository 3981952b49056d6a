"""How one sale is judged, and for which sums single sales are compared."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tasks.reconcile import discrepancies
from tasks.reconcile.discrepancies import Discrepancy, differing, judge
from tasks.reconcile.sides import Cell, SourceRow, Sums, TableRow

DUE = (date(2024, 1, 10), date(2024, 1, 11))
FIRST, SECOND = DUE
LATER, EARLIER = date(2024, 1, 12), date(2023, 12, 1)
READ_AT = datetime(2024, 1, 12, 6, tzinfo=UTC)
SNAPSHOT = READ_AT + timedelta(hours=2)


def version(version: int | None = 1, day: date = FIRST, fingerprint: int = 7, accounted: bool = False) -> SourceRow:
    return SourceRow("k", day, version, fingerprint, accounted)


def stored(version: int = 1, day: date = FIRST, **cells: Any) -> TableRow:
    return TableRow("k", day, version, **{"fingerprint": 7, "is_deleted": False, "read_at": READ_AT, **cells})


@pytest.mark.parametrize(
    ("versions", "in_table", "verdict"),
    [
        pytest.param([version()], stored(), None, id="the-same"),
        pytest.param([version()], None, (Discrepancy.MISSING, FIRST), id="missing"),
        pytest.param([version()], stored(is_deleted=True), (Discrepancy.MISSING, FIRST), id="back-at-the-source"),
        pytest.param(
            [version()], stored(2, is_deleted=True), (Discrepancy.MISSING, FIRST), id="back-in-an-older-version"
        ),
        pytest.param([version(fingerprint=8)], stored(), (Discrepancy.DIFFERS, FIRST), id="other-content"),
        pytest.param([version(2, SECOND)], stored(), (Discrepancy.DIFFERS, SECOND), id="newer-version-of-a-day-read"),
        pytest.param([version(2, LATER)], stored(), None, id="newer-version-is-the-next-loads-work"),
        pytest.param([version(2, LATER)], None, None, id="new-sale-is-the-next-loads-work"),
        pytest.param([], stored(), (Discrepancy.GONE, FIRST), id="gone"),
        pytest.param([], stored(is_deleted=True), None, id="gone-and-marked"),
        pytest.param([version(accounted=True)], None, None, id="rejected"),
        pytest.param([version(2, SECOND, accounted=True)], stored(), None, id="bad-correction-keeps-the-older-version"),
        pytest.param(
            [version(1), version(2, accounted=True)], None, (Discrepancy.MISSING, FIRST), id="good-one-beside-bad"
        ),
        pytest.param([version(1), version(2, SECOND)], stored(2, SECOND), None, id="duplicate-is-older"),
        pytest.param([version(fingerprint=8), version()], stored(), None, id="two-with-one-time-either-may-stand"),
        pytest.param([version(1)], stored(2, SECOND), (Discrepancy.OLDER, SECOND), id="source-went-back"),
        pytest.param(
            [version(1, EARLIER)], stored(2), (Discrepancy.OLDER, FIRST), id="source-went-back-before-the-range"
        ),
        pytest.param([version(1), version(3, LATER)], stored(3, LATER), None, id="loaded-before-its-day"),
        pytest.param([version(1)], stored(3, LATER), None, id="stored-version-is-not-of-these-days"),
        pytest.param([version(None)], None, (Discrepancy.MISSING, FIRST), id="without-a-time"),
        pytest.param([version(None), version(1)], stored(), None, id="without-a-time-is-oldest"),
        pytest.param([], stored(read_at=SNAPSHOT + timedelta(seconds=1)), None, id="read-after-the-comparison"),
        pytest.param([], None, None, id="nowhere"),
    ],
)
def test_a_sale_is_judged(
    versions: Sequence[SourceRow], in_table: TableRow | None, verdict: tuple[Discrepancy, date] | None
) -> None:
    assert judge(versions, in_table, DUE, SNAPSHOT) == verdict


def sums(rows: int = 1, fingerprints: int = 7, amount: str = "3.00") -> Sums:
    return Sums.of_row(rows, fingerprints, Decimal(amount))


def test_sums_that_agree_are_believed() -> None:
    sides = {Cell(FIRST, "00", "EUR"): sums(), Cell(SECOND, "ff", "USD"): sums(2)}
    assert list(differing(sides, dict(sides))) == []
    assert Sums.of_row(1, -1, "3.00") == Sums.of_row(1, 2**64 - 1, Decimal("3.00")), "signed and unsigned are one"


@pytest.mark.parametrize("other", [sums(2), sums(fingerprints=8), sums(amount="3.01")], ids=["rows", "keys", "money"])
def test_each_sum_counts(other: Sums) -> None:
    cell = Cell(FIRST, "00", "EUR")
    assert list(differing({cell: sums()}, {cell: other})) == [(["00"], [FIRST])]
    assert list(differing({cell: sums()}, {})) == [(["00"], [FIRST])]
    assert list(differing({}, {cell: sums()})) == [(["00"], [FIRST])]


def test_many_sales_are_compared_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrepancies, "ROWS_AT_ONCE", 5)
    at_source = {
        Cell(FIRST, "00", "EUR"): sums(3),
        Cell(SECOND, "00", "EUR"): sums(1),
        Cell(SECOND, "01", "EUR"): sums(4),
        Cell(FIRST, "02", "EUR"): sums(1),
        Cell(FIRST, "03", "EUR"): sums(9),
    }
    in_table = {Cell(SECOND, "00", "EUR"): sums(1)}
    assert list(differing(at_source, in_table)) == [
        (["00"], [FIRST]),
        (["01", "02"], [FIRST, SECOND]),
        (["03"], [FIRST]),
    ]
