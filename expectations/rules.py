"""The row rules: what makes a single row unfit for the fact table. Pure functions over a pandas frame.

A rule judges a row by itself, without other rows; a missing cell breaks no value rule (it has `missing_*`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.columns import BLANKS, DIGITS, SOURCE_COLUMNS, Column
from expectations.regions import Region, code_of_spelling
from expectations.tables import EXTRA_ATTRIBUTES

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a source's clock may run ahead of its database server's before a time counts as being in the future."""

CROSS_REGION_RULE = "cross_region_sale_id"
"""Broken when another region owns the key; found in SQL after the lock, as only the fact table knows the owner."""

_PRODUCT = pd.ArrowDtype(pa.decimal128(37, 6))
"""Holds quantity x unit_price, and twice as much, to the last digit."""

_QUANTITY = pd.ArrowDtype(pa.decimal128(*DIGITS["integer"]))
_ANY_INT64 = pd.ArrowDtype(pa.decimal128(19, 0))
"""The type that Arrow casts an int64 to. It has too many digits for a product, so a cast to _QUANTITY follows."""


@dataclass(frozen=True)
class Origin:
    """Where a frame was read: its region and the time of the snapshot (aware, UTC)."""

    region: Region
    snapshot_at: datetime


@dataclass(frozen=True)
class Rule:
    """A named condition. `broken` returns one bool per row of the frame, never NULL."""

    id: str
    description: str
    broken: Callable[[pd.DataFrame, Origin], pd.Series]


def gross_by_price(frame: pd.DataFrame) -> pd.Series:
    """quantity x unit_price, exact: decimal128(37, 6)."""
    return (frame["quantity"].astype(_ANY_INT64).astype(_QUANTITY) * frame["unit_price"]).astype(_PRODUCT)


def _true(condition: pd.Series) -> pd.Series:
    return condition.fillna(False).astype(bool)


def _not_positive(column: str) -> Callable[[pd.DataFrame, Origin], pd.Series]:
    return lambda frame, origin: _true(frame[column] <= 0)


def _negative(column: str) -> Callable[[pd.DataFrame, Origin], pd.Series]:
    return lambda frame, origin: _true(frame[column] < 0)


def _in_future(column: str) -> Callable[[pd.DataFrame, Origin], pd.Series]:
    return lambda frame, origin: _true(frame[column] > pd.Timestamp(origin.snapshot_at + CLOCK_TOLERANCE))


def _outside_price_range(frame: pd.DataFrame, origin: Origin) -> pd.Series:
    gross, total = gross_by_price(frame), frame["total_amount"].astype(_PRODUCT)
    return _true((total + total < gross) | (total > gross + gross))


def _above_total(column: str) -> Callable[[pd.DataFrame, Origin], pd.Series]:
    return lambda frame, origin: _true(frame[column] > frame["total_amount"])


def as_one_array(column: pd.Series) -> pa.Array:
    """The column as one Arrow array, its chunks combined."""
    cells = pa.array(column)
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def blank(texts: pa.Array) -> pa.Array:
    """One bool per text: whether it is empty or only BLANKS; NULL for NULL."""
    return pc.equal(pc.ascii_trim(texts, BLANKS), "")


def present(frame: pd.DataFrame, column: Column) -> pd.Series:
    """One bool per row: whether the cell is not missing. A cell that its type cannot hold is present."""
    cells = frame[column.stored_name]
    if column.blank_is_missing:
        filled = pc.fill_null(pc.invert(blank(as_one_array(cells))), False)
        filled_cells = pd.Series(filled.to_numpy(zero_copy_only=False), index=frame.index)
        return filled_cells | is_unreadable(frame, column.stored_name)
    return cells.notna() | is_unreadable(frame, column.stored_name)


def _currency_malformed(frame: pd.DataFrame, origin: Origin) -> pd.Series:
    codes = as_one_array(frame["currency"]).dictionary_encode()
    malformed = pc.and_(
        pc.invert(pc.match_substring_regex(codes.dictionary, r"\A[A-Z]{3}\z")), pc.invert(blank(codes.dictionary))
    )
    return _true(pd.Series(pd.arrays.ArrowExtensionArray(malformed.take(codes.indices)), index=frame.index))


def region_codes(frame: pd.DataFrame) -> pd.Series:
    """The region code of each row's spelling, NULL where the spelling is NULL or unknown."""
    spellings = as_one_array(frame["region"]).dictionary_encode()
    codes = pa.array(map(code_of_spelling, spellings.dictionary.to_pylist()), pa.string())
    return pd.Series(pd.arrays.ArrowExtensionArray(codes.take(spellings.indices)), index=frame.index)


def _region_unknown(frame: pd.DataFrame, origin: Origin) -> pd.Series:
    return _true(frame["region"].notna() & region_codes(frame).isna())


def _region_of_another_database(frame: pd.DataFrame, origin: Origin) -> pd.Series:
    return _true(region_codes(frame) != origin.region.code)


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


def is_unreadable(frame: pd.DataFrame, column: str) -> pd.Series:
    """One bool per row: whether the cell could not be read or held; it is NULL in the frame but not at the source.

    `column` is a stored name. Clean rows have neither such cells nor the column `unreadable`.
    """
    if "unreadable" not in frame or not frame["unreadable"].notna().any():
        return pd.Series(False, index=frame.index)
    return _true(frame["unreadable"].str.contains(f'"{column}"', regex=False))


_CANNOT_BE = {
    "text": "read (bytes without an equivalent in UTF-8, far too long, or not computable by a view)",
    "number": "held in its type (NaN, infinity, out of range, too many decimals), or computed by a view",
}


def _unreadable(column: Column) -> Rule:
    return Rule(
        unreadable_rule_id(column.name),
        f"{column.name} cannot be {_CANNOT_BE['text' if column.kind == 'text' else 'number']}",
        lambda frame, origin: is_unreadable(frame, column.stored_name),
    )


def _missing(column: Column) -> Rule:
    return Rule(
        f"missing_{column.name}",
        f"{column.name} is NULL{', empty or only white space' if column.blank_is_missing else ''}",
        lambda frame, origin: ~present(frame, column),
    )


UNREADABLE_RULES = tuple(_unreadable(c) for c in (*SOURCE_COLUMNS, EXTRA_ATTRIBUTES))
MISSING_RULES = tuple(_missing(c) for c in SOURCE_COLUMNS if not c.nullable)

RULES = (*MISSING_RULES, *UNREADABLE_RULES, *VALUE_RULES)
"""All row rules in the order in which a rejected row lists them."""


def broken_rules(frame: pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """Returns the rules that each row breaks: one bool column per rule id, with the index of `frame`.

    `frame` has the contract's stored columns (Arrow dtypes) and `unreadable`, a JSON text of the cells that
    their type cannot hold, NULL for a good row.
    """
    return pd.DataFrame({rule.id: rule.broken(frame, origin).to_numpy() for rule in RULES}, index=frame.index)
