"""Counting rows and money exactly, so that two sides of a step can be compared. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from expectations.columns import SOURCE_COLUMNS, Role

MONEY_COLUMNS = tuple(column.name for column in SOURCE_COLUMNS if column.role is Role.MONEY)
"""The amounts whose totals are carried from source to table."""

NO_CURRENCY = "(none)"
"""Names a NULL currency in totals."""


@dataclass(frozen=True)
class Amount:
    """The exact total of one money column in one currency, and how many cells had no amount (NULL or unreadable)."""

    total: Decimal = Decimal("0.00")
    absent: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.total + other.total, self.absent + other.absent)


@dataclass(frozen=True)
class Tally:
    """Rows, and the exact totals of the money columns per currency; totals are never added across currencies.

    `amounts` maps (currency, column) to its Amount. Two tallies are equal when every count and total is.
    """

    rows: int = 0
    amounts: Mapping[tuple[str, str], Amount] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        cells = self.amounts.keys() | other.amounts.keys()
        sums = {cell: self.amounts.get(cell, Amount()) + other.amounts.get(cell, Amount()) for cell in cells}
        return Tally(self.rows + other.rows, sums)

    def minus(self, other: "Tally") -> "Tally":
        """What remains when the rows counted by `other` are taken away."""
        return self + Tally(-other.rows, {c: Amount(-a.total, -a.absent) for c, a in other.amounts.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and (self.rows, self._nonzero()) == (other.rows, other._nonzero())

    def __hash__(self) -> int:
        return hash((self.rows, frozenset(self._nonzero().items())))

    def _nonzero(self) -> dict[tuple[str, str], Amount]:
        return {cell: amount for cell, amount in self.amounts.items() if amount.total or amount.absent}

    def to_json(self) -> dict[str, Any]:
        """Plain types for JSON; totals as text, so that no reader turns them into floats."""
        money: dict[str, dict[str, Any]] = {}
        for (currency, column), amount in sorted(self.amounts.items()):
            cell: dict[str, Any] = {"total": str(amount.total)}
            money.setdefault(currency, {})[column] = cell | ({"absent": amount.absent} if amount.absent else {})
        return {"rows": self.rows, "money": money}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tally":
        """The inverse of `to_json`."""
        amounts = {
            (currency, column): Amount(Decimal(cell["total"]), cell.get("absent", 0))
            for currency, columns in value["money"].items()
            for column, cell in columns.items()
        }
        return cls(value["rows"], amounts)

    def differences(self, other: "Tally") -> list[str]:
        """Where `self` and `other` differ, one readable line each; empty when they are equal."""
        lines = [] if self.rows == other.rows else [f"rows {self.rows} against {other.rows}"]
        for currency, column in sorted(self.amounts.keys() | other.amounts.keys()):
            left = self.amounts.get((currency, column), Amount())
            right = other.amounts.get((currency, column), Amount())
            if left.total != right.total:
                lines.append(f"{column} {currency} {left.total} against {right.total}")
            if left.absent != right.absent:
                lines.append(f"{column} {currency} without amount {left.absent} against {right.absent}")
        return lines


def add_up(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies; an empty one for none."""
    return sum(tallies, Tally())


def tally_of_table(table: pa.Table | pa.RecordBatch) -> Tally:
    """Counts a table with the money columns (decimal128) and `currency` (text)."""
    table = pa.table({name: table[name] for name in ("currency", *MONEY_COLUMNS)})
    wanted: list[tuple[str, str]] = [(column, how) for column in MONEY_COLUMNS for how in ("sum", "count")]
    counted = table.group_by("currency").aggregate([*wanted, ([], "count_all")])
    return tally_of_groups(
        (row["currency"], row["count_all"], [(row[f"{c}_sum"], row[f"{c}_count"]) for c in MONEY_COLUMNS])
        for row in counted.to_pylist()
    )


def cells_of(row: Sequence[Any]) -> list[tuple[Decimal | None, int]]:
    """The (sum, number of amounts) pairs of a query's row, one per money column."""
    return [(row[2 * i], int(row[2 * i + 1])) for i in range(len(MONEY_COLUMNS))]


def tallies_of_rows(rows: Iterable[Sequence[Any]], keys: int) -> dict[tuple[str, ...], Tally]:
    """Tallies by the first `keys` values of rows (keys..., currency, rows, sum and count per money column)."""
    tallies: dict[tuple[str, ...], Tally] = {}
    for row in rows:
        key, (currency, count), cells = tuple(row[:keys]), row[keys : keys + 2], row[keys + 2 :]
        tallies[key] = tallies.get(key, Tally()) + tally_of_groups([(currency, int(count), cells_of(cells))])
    return tallies


def currency_name(currency: str | None) -> str:
    """A currency as totals name it: the source's text, in quotes when it could be taken for NO_CURRENCY."""
    if currency is None:
        return NO_CURRENCY
    return f'"{currency}"' if currency.strip('"') == NO_CURRENCY else currency


def tally_of_groups(groups: Iterable[tuple[str | None, int, list[tuple[Decimal | None, int]]]]) -> Tally:
    """Tally of rows grouped by currency: (currency, rows, [(sum, number of amounts) per money column])."""
    return add_up(
        Tally(
            rows,
            {
                (currency_name(currency), column): Amount(total or Decimal("0.00"), rows - amounts)
                for column, (total, amounts) in zip(MONEY_COLUMNS, cells, strict=True)
            },
        )
        for currency, rows, cells in groups
    )
