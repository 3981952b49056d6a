"""The row rules: what makes a single row unfit for the fact table, as expressions that every engine computes. Pure.

A rule judges a row by itself, without other rows; a missing cell breaks no value rule (it has `missing_*`).
Expressions of Narwhals give the same booleans on a pandas frame and on the frame of an engine. They divide
nothing and have no decimal of more than 37 digits, 6 of them decimals, because engines differ there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import narwhals as nw
import pandas as pd
import pyarrow as pa

from expectations.columns import BLANKS, DIGITS, SOURCE_COLUMNS, Column
from expectations.regions import Region, code_of_spelling
from expectations.tables import EXTRA_ATTRIBUTES

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a source's clock may run ahead of its database server's before a time counts as being in the future."""

CROSS_REGION_RULE = "cross_region_sale_id"
"""Broken when another region owns the key; found in SQL after the lock, as only the fact table knows the owner."""

UNREADABLE = "unreadable"
"""Column of the rows as read: a JSON text of the cells that their type cannot hold, NULL for a good row."""

PRODUCT = nw.Decimal(37, 6)
"""Holds quantity x unit_price, and twice as much, to the last digit."""

_QUANTITY = nw.Decimal(*DIGITS["integer"])
_ANY_INT64 = nw.Decimal(19, 0)
"""The type that Arrow casts an int64 to. It has too many digits for a product, so a cast to _QUANTITY follows."""

CURRENCY_CODE = r"\A[A-Z]{3}\z"

Spellings = Mapping[str, str | None]
"""The region code of each spelling, None for an unknown one."""


@dataclass(frozen=True)
class Origin:
    """Where rows were read: their region and the time of the snapshot (aware, UTC)."""

    region: Region
    snapshot_at: datetime


@dataclass(frozen=True)
class Rule:
    """A named condition. `broken` is an expression over rows as read; NULL means not broken.

    Rules on regions need the spellings of the rows: only Python folds the case of every script alike.
    """

    id: str
    description: str
    broken: Callable[[Origin, Spellings], nw.Expr]


def gross_by_price() -> nw.Expr:
    """quantity x unit_price, exact: decimal(37, 6)."""
    return (nw.col("quantity").cast(_ANY_INT64).cast(_QUANTITY) * nw.col("unit_price")).cast(PRODUCT)


def _not_positive(column: str) -> Callable[[Origin, Spellings], nw.Expr]:
    return lambda origin, spellings: nw.col(column) <= 0


def _negative(column: str) -> Callable[[Origin, Spellings], nw.Expr]:
    return lambda origin, spellings: nw.col(column) < 0


def _in_future(column: str) -> Callable[[Origin, Spellings], nw.Expr]:
    return lambda origin, spellings: nw.col(column) > origin.snapshot_at + CLOCK_TOLERANCE


def _outside_price_range(origin: Origin, spellings: Spellings) -> nw.Expr:
    gross, total = gross_by_price(), nw.col("total_amount").cast(PRODUCT)
    return (total + total < gross) | (total > gross + gross)


def _above_total(column: str) -> Callable[[Origin, Spellings], nw.Expr]:
    return lambda origin, spellings: nw.col(column) > nw.col("total_amount")


def blank(column: str) -> nw.Expr:
    """Whether a text is empty or only BLANKS; NULL for NULL."""
    return nw.col(column).str.strip_chars(BLANKS) == ""


def absent(column: Column) -> nw.Expr:
    """Whether the cell is NULL, or blank where that counts as NULL; never NULL itself."""
    is_null = nw.col(column.stored_name).is_null()
    return is_null | blank(column.stored_name) if column.blank_is_missing else is_null


def missing(column: Column) -> nw.Expr:
    """Whether the cell is absent at its source. A cell that its type cannot hold is there. Needs `readable_named`."""
    return absent(column) & ~is_unreadable(column.stored_name)


def _currency_malformed(origin: Origin, spellings: Spellings) -> nw.Expr:
    return ~nw.col("currency").str.contains(CURRENCY_CODE) & ~blank("currency")


def codes_of(spellings: Iterable[str]) -> Spellings:
    """The spellings that rows have, with their codes."""
    return {spelling: code_of_spelling(spelling) for spelling in spellings}


def _region_is_one_of(spellings: Sequence[str]) -> nw.Expr:
    # Arrow refuses a list without a type.
    return nw.col("region").is_in(spellings) if spellings else nw.lit(False)


def _region_unknown(origin: Origin, spellings: Spellings) -> nw.Expr:
    known = [spelling for spelling, code in spellings.items() if code]
    return ~_region_is_one_of(known) & ~nw.col("region").is_null()


def _region_of_another_database(origin: Origin, spellings: Spellings) -> nw.Expr:
    return _region_is_one_of([s for s, code in spellings.items() if code not in (None, origin.region.code)])


VALUE_RULES = (
    Rule("quantity_not_positive", "quantity is 0 or less", _not_positive("quantity")),
    Rule("unit_price_not_positive", "unit_price is 0 or less", _not_positive("unit_price")),
    Rule("total_amount_not_positive", "total_amount is 0 or less", _not_positive("total_amount")),
    Rule(
        "total_amount_outside_price_range",
        "total_amount is below 0.5 x or above 2 x quantity x unit_price",
        _outside_price_range,
    ),
    Rule("discount_amount_negative", "discount_amount is below 0", _negative("discount_amount")),
    Rule("tax_amount_negative", "tax_amount is below 0", _negative("tax_amount")),
    Rule("discount_above_total", "discount_amount is above total_amount", _above_total("discount_amount")),
    Rule("tax_above_total", "tax_amount is above total_amount", _above_total("tax_amount")),
    Rule("currency_malformed", "currency is not three capital letters A to Z, as in ISO 4217", _currency_malformed),
    Rule("region_unknown", "region is not a known spelling", _region_unknown),
    Rule("region_of_another_database", "region is that of another database", _region_of_another_database),
    Rule("sale_date_in_future", "sale_date is over 5 minutes after the snapshot", _in_future("sale_date")),
    Rule("updated_at_in_future", "updated_at is over 5 minutes after the snapshot", _in_future("updated_at")),
)


def unreadable_rule_id(column: str) -> str:
    """The id of the rule for cells that cannot be read or held in their type (NaN, too many decimals)."""
    return f"unreadable_{column}"


def is_unreadable(column: str) -> nw.Expr:
    """Whether the cell could not be read or held; it is NULL in the rows but not at the source.

    `column` is a stored name. Needs `readable_named`.
    """
    return nw.col(UNREADABLE).str.contains(f'"{column}"', literal=True)


def readable_named() -> nw.Expr:
    """The column `unreadable` without NULLs: one test of a text then serves all rows."""
    return nw.col(UNREADABLE).fill_null("")


_CANNOT_BE = {
    "text": "read (bytes without an equivalent in UTF-8, far too long, or not computable by a view)",
    "number": "held in its type (NaN, infinity, out of range, too many decimals), or computed by a view",
}


def _unreadable(column: Column) -> Rule:
    return Rule(
        unreadable_rule_id(column.name),
        f"{column.name} cannot be {_CANNOT_BE['text' if column.kind == 'text' else 'number']}",
        lambda origin, spellings: is_unreadable(column.stored_name),
    )


def _missing(column: Column) -> Rule:
    return Rule(
        f"missing_{column.name}",
        f"{column.name} is NULL{', empty or only white space' if column.blank_is_missing else ''}",
        lambda origin, spellings: missing(column),
    )


UNREADABLE_RULES = tuple(_unreadable(c) for c in (*SOURCE_COLUMNS, EXTRA_ATTRIBUTES))
MISSING_RULES = tuple(_missing(c) for c in SOURCE_COLUMNS if not c.nullable)

RULES = (*MISSING_RULES, *UNREADABLE_RULES, *VALUE_RULES)
"""All row rules in the order in which a rejected row lists them."""


def rule_columns(origin: Origin, spellings: Spellings) -> dict[str, nw.Expr]:
    """An expression by rule id, in the order of RULES, over rows as read with `readable_named`."""
    return {rule.id: rule.broken(origin, spellings) for rule in RULES}


def broken_rules(rows: pa.RecordBatch | pa.Table | pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """Returns the rules that each row breaks: one bool column per rule id, with the index of `rows` if it has one.

    `rows` have the contract's stored columns (Arrow types) and `unreadable`.
    """
    frame = nw.from_native(pa.table(rows) if isinstance(rows, pa.RecordBatch) else rows, eager_only=True)
    spellings = codes_of(frame["region"].drop_nulls().unique().to_list())
    found = frame.with_columns(readable_named()).select(**rule_columns(origin, spellings))
    cells = {rule: found[rule].fill_null(False).to_numpy().astype(bool) for rule in found.columns}
    return pd.DataFrame(cells, rows.index if isinstance(rows, pd.DataFrame) else None)
