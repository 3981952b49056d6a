"""Counting rows, money and control totals exactly, so that two sides of a step can be compared. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.columns import SOURCE_COLUMNS, Column, Role
from expectations.rules import CURRENCY_CODE

MONEY_COLUMNS = tuple(column.name for column in SOURCE_COLUMNS if column.role is Role.MONEY)
"""The amounts whose totals are reported."""

TALLIED_COLUMNS = tuple(
    sorted(
        (
            c
            for c in SOURCE_COLUMNS
            if not c.personal and c.role not in (Role.KEY, Role.REGION) and c.name != "currency"
        ),
        key=lambda column: column.role is not Role.MONEY,
    )
)
"""The columns whose totals are compared from source to table, money first: those that no step changes. A text counts as
its number of characters, a time as its microseconds since 1970: control totals, which reveal a swapped column or a
shifted clock."""

NO_CURRENCY = "(none)"
"""The name of a NULL currency in totals."""

MALFORMED = "(malformed)"
"""The name of every text in totals that is no currency: it may be personal data, and each row may have another one."""


@dataclass(frozen=True)
class Amount:
    """The exact total of one column in one currency, and how many cells had no value (NULL or unreadable)."""

    total: Decimal = Decimal("0.00")
    absent: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.total + other.total, self.absent + other.absent)


@dataclass(frozen=True)
class Tally:
    """Rows, and the exact totals of TALLIED_COLUMNS per currency; totals are never added across currencies.

    `amounts` maps (currency, column) to its Amount. Two tallies are equal when every count and total is.
    """

    rows: int = 0
    amounts: Mapping[tuple[str, str], Amount] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        cells = self.amounts.keys() | other.amounts.keys()
        sums = {cell: self.amounts.get(cell, Amount()) + other.amounts.get(cell, Amount()) for cell in cells}
        return Tally(self.rows + other.rows, sums)

    def minus(self, other: "Tally") -> "Tally":
        """The tally without the rows that `other` counts."""
        return self + Tally(-other.rows, {c: Amount(-a.total, -a.absent) for c, a in other.amounts.items()})

    def money(self) -> "Tally":
        """The rows and the money, without the control totals."""
        return Tally(self.rows, {cell: amount for cell, amount in self.amounts.items() if cell[1] in MONEY_COLUMNS})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and (self.rows, self._nonzero()) == (other.rows, other._nonzero())

    def __hash__(self) -> int:
        return hash((self.rows, frozenset(self._nonzero().items())))

    def _nonzero(self) -> dict[tuple[str, str], Amount]:
        return {cell: amount for cell, amount in self.amounts.items() if amount.total or amount.absent}

    def to_json(self) -> dict[str, Any]:
        """Plain types for JSON; totals as text, so that no reader turns them into floats."""
        money: dict[str, dict[str, Any]] = {}
        controls: dict[str, dict[str, Any]] = {}
        for (currency, column), amount in sorted(self.amounts.items()):
            cell = {"total": str(amount.total)} | ({"absent": amount.absent} if amount.absent else {})
            (money if column in MONEY_COLUMNS else controls).setdefault(currency, {})[column] = cell
        return {"rows": self.rows, "money": money, "controls": controls}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tally":
        """The inverse of `to_json`."""
        amounts = {
            (currency, column): Amount(Decimal(cell["total"]), cell.get("absent", 0))
            for totals in (value["money"], value["controls"])
            for currency, columns in totals.items()
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
                lines.append(f"{column} {currency} without value {left.absent} against {right.absent}")
        return lines


Group = tuple[str | None, int, Sequence[tuple[Decimal | int | None, int]]]
"""Rows of a currency: (currency, rows, [(sum, number of values) per tallied column])."""


def add_up(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies; an empty tally for none."""
    return sum(tallies, Tally())


def tally_of_table(table: pa.Table | pa.RecordBatch) -> Tally:
    """Counts a table with the columns of EXTRACTED_SCHEMA or CLEAN_SCHEMA."""
    names = [column.name for column in TALLIED_COLUMNS]
    numbers = pa.table({"currency": table["currency"], **{c.name: _as_number(table[c.name]) for c in TALLIED_COLUMNS}})
    wanted: list[tuple[str, str]] = [(name, how) for name in names for how in ("sum", "count")]
    counted = numbers.group_by("currency").aggregate([*wanted, ([], "count_all")])
    # Grouped before it is named: a test of the text of each row would take as long as all the sums.
    sums = counted.set_column(counted.column_names.index("currency"), "currency", _currency_names(counted["currency"]))
    summed = sums.group_by("currency").aggregate([(n, "sum") for n in sums.column_names if n != "currency"])
    return tally_of_groups(
        (row["currency"], row["count_all_sum"], [(row[f"{n}_sum_sum"], row[f"{n}_count_sum"]) for n in names])
        for row in summed.to_pylist()
    )


def _currency_names(currencies: pa.ChunkedArray) -> pa.ChunkedArray:
    """The names of texts as `currency_name` gives them; NULL stays."""
    return pc.if_else(pc.match_substring_regex(currencies, CURRENCY_CODE), currencies, MALFORMED)


def _as_number(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The numbers that cells add to their column's total, as decimals, because sums of int64 wrap around."""
    if pa.types.is_decimal(cells.type):
        return cells
    whole = pc.utf8_length(cells) if pa.types.is_string(cells.type) else cells.cast(pa.int64())
    return whole.cast(pa.decimal128(19, 0)) if pa.types.is_int64(whole.type) else whole


def number_in_snowflake(column: Column, prefix: str = "") -> str:
    """The SQL of `_as_number` for a column of a warehouse table."""
    name = prefix + column.name.upper()
    match column.kind:
        case "text":
            return f"LENGTH({name})"
        case "timestamp":
            return f"DATE_PART(EPOCH_MICROSECOND, {name})"
        case _:
            return name


def tallies_of_rows(rows: Iterable[Sequence[Any]], keys: int) -> dict[tuple[str, ...], Tally]:
    """Tallies by the first `keys` values of rows (keys..., currency, rows, sum and number of values per column).

    The columns are TALLIED_COLUMNS, or the first of them.
    """
    groups: dict[tuple[str, ...], list[Group]] = {}
    for row in rows:
        key, (currency, count), cells = tuple(row[:keys]), row[keys : keys + 2], row[keys + 2 :]
        pairs = [(total, int(values)) for total, values in zip(cells[::2], cells[1::2], strict=True)]
        groups.setdefault(key, []).append((currency, int(count), pairs))
    return {key: tally_of_groups(of_key) for key, of_key in groups.items()}


def currency_name(currency: str | None) -> str:
    """A currency as totals name it: three capital letters, NO_CURRENCY for NULL, MALFORMED for every other text."""
    if currency is None:
        return NO_CURRENCY
    return currency if _is_code(currency) else MALFORMED


_is_code = re.compile("[A-Z]{3}").fullmatch


def tally_of_groups(groups: Iterable[Group]) -> Tally:
    """Tally of rows grouped by currency."""
    columns = [column.name for column in TALLIED_COLUMNS]
    counted, amounts = 0, defaultdict[tuple[str, str], Amount](Amount)
    for currency, rows, cells in groups:
        counted, name = counted + rows, currency_name(currency)
        for column, (total, values) in zip(columns, cells, strict=False):
            amounts[name, column] += Amount(Decimal(total or "0.00"), rows - values)
    return Tally(counted, dict(amounts))
