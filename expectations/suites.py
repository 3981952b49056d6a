"""The Great Expectations suites, built from the column contract and the thresholds.

`input_suite` judges the rows as read, `output_suite` the clean rows of a region, `keys_suite` their keys,
`batch_suite` the clean rows of all regions together. None checks money totals: Great Expectations adds decimals up as
floats.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.columns import SOURCE_COLUMNS, Role
from expectations.gx import gx, gxe
from expectations.rules import CLOCK_TOLERANCE, absent, missing, readable_named
from expectations.tables import CLEAN_COLUMNS
from expectations.thresholds import Thresholds

READ_AS: Mapping[str, str] = {
    "_discount_headroom": "total_amount - discount_amount",
    "_tax_headroom": "total_amount - tax_amount",
    "_above_half_price": "2 x total_amount - quantity x unit_price",
    "_below_twice_price": "2 x quantity x unit_price - total_amount",
    "_net_residual": "total_amount - discount_amount - net_amount",
    "_profit_residual": "net_amount - tax_amount - gross_profit",
    "_date_residual": "sale_date - (sale_year, sale_month, sale_day)",
    "_currency_is_code": "currency has three capital letters (1: yes, 0: no)",
}
"""What the columns hold that `output_frame` adds."""

_LARGEST = 4 * 10**18
"""Twice this fits into an int64."""


def most_below(percentage: Decimal, rows: int) -> int:
    """The most rows that are strictly less than `percentage` of `rows`; 0 if there are none."""
    return max(math.ceil(rows * percentage / 100) - 1, 0)


def smallest_share_above(percentage: Decimal, rows: int) -> float:
    """The smallest share of rows (0 to 1) that leaves strictly less than `percentage` of `rows` unexpected.

    Great Expectations passes a share that equals `mostly`, but exactly `max_null_percentage` has to fail.
    """
    return (rows - most_below(percentage, rows)) / rows if rows else 1.0


def fewer_nulls(thresholds: Thresholds) -> str:
    """What is expected of a column's NULLs, for readers."""
    return f"fewer than {thresholds.max_null_percentage} % of the values may be NULL."


def input_suite(rows: int, thresholds: Thresholds) -> gx.ExpectationSuite:
    """NULLs below `max_null_percentage` in every column that is not declared nullable, for a frame of `rows` rows."""
    mostly = smallest_share_above(thresholds.max_null_percentage, rows)
    return gx.ExpectationSuite(
        name="rows-as-read",
        expectations=[
            gxe.ExpectColumnValuesToNotBeNull(
                column=column.stored_name,
                mostly=mostly,
                meta={"threshold": f"{thresholds.max_null_percentage} %"},
                description=fewer_nulls(thresholds),
            )
            for column in SOURCE_COLUMNS
            if not column.nullable
        ],
    )


def output_suite(region: str, snapshot_at: datetime) -> gx.ExpectationSuite:
    """Every clean row of a region is complete, positive and consistent. Judges frames from `output_frame`."""
    measures = [column.name for column in SOURCE_COLUMNS if column.role is Role.MEASURE]
    positive = [*measures, "total_amount"]
    headrooms = ["_discount_headroom", "_tax_headroom", "_above_half_price", "_below_twice_price"]
    not_negative = ["discount_amount", "tax_amount", *headrooms]
    identities = ["_net_residual", "_profit_residual", "_date_residual"]
    latest, minutes = pd.Timestamp(snapshot_at + CLOCK_TOLERANCE), CLOCK_TOLERANCE.seconds // 60
    not_later = f"values must be at most {minutes} minutes later than the source's clock when it was read."
    return gx.ExpectationSuite(
        name="clean-rows",
        expectations=[
            *(gxe.ExpectColumnValuesToNotBeNull(column=c.stored_name) for c in CLEAN_COLUMNS if not c.nullable),
            gxe.ExpectColumnValuesToBeInSet(column="region", value_set=[region]),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, strict_min=True) for c in positive),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0) for c in not_negative),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, max_value=0) for c in identities),
            gxe.ExpectColumnValuesToBeBetween(column="_currency_is_code", min_value=1),
            *(
                gxe.ExpectColumnValuesToBeBetween(column=c, max_value=latest, description=not_later)
                for c in ("sale_date", "updated_at")
            ),
        ],
    )


def keys_suite() -> gx.ExpectationSuite:
    """No two clean rows of a region have the same key. Judges frames from `keys_frame`."""
    return gx.ExpectationSuite(name="clean-keys", expectations=[gxe.ExpectColumnValuesToBeUnique(column="sale_id")])


def batch_suite(min_record_count: int) -> gx.ExpectationSuite:
    """The batch as a whole has enough clean rows."""
    return gx.ExpectationSuite(
        name="clean-batch",
        expectations=[gxe.ExpectTableRowCountToBeBetween(min_value=min_record_count)],
    )


def input_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as read, each cell replaced by 1.0, or by NaN if it is missing.

    An unreadable cell is not missing. Presence is all that `input_suite` checks, and Great Expectations hashes every
    value of its frames, which takes minutes for decimals.
    """
    rows = nw.from_native(frame).with_columns(readable_named())
    return pd.DataFrame(_presence(rows, {c.stored_name: missing(c) for c in SOURCE_COLUMNS}), copy=False)


def _presence(rows: nw.DataFrame[Any], lacking: Mapping[str, nw.Expr]) -> dict[str, np.ndarray]:
    """By column, 1.0 for a cell, NaN where its expression says that it lacks."""
    found = rows.select(**lacking).to_native()
    return {name: np.where(cells.to_numpy(bool), np.float32(np.nan), np.float32(1)) for name, cells in found.items()}


def output_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The clean rows as numpy columns, with the identities of the derived columns as residuals.

    The residuals are computed exactly; as floats they keep what the suite checks: sign, zero, and NaN for NULL.
    Texts become 1.0 or NaN, which Great Expectations judges vectorized; Arrow columns take it value by value.
    """
    columns: dict[str, Any] = {name: _as_numpy(frame[name]) for name in frame.columns}
    blanks = {c.stored_name: absent(c) for c in SOURCE_COLUMNS if c.blank_is_missing}
    columns |= _presence(nw.from_native(frame), blanks)
    columns["region"] = pd.Categorical(frame["region"])
    columns["_currency_is_code"] = frame["currency"].str.fullmatch("[A-Z]{3}").to_numpy(np.float32, na_value=np.nan)
    columns |= {name: np.ma.filled(cells.astype(np.float64), np.nan) for name, cells in _residuals(frame).items()}
    return pd.DataFrame(columns, copy=False)


def _residuals(frame: pd.DataFrame) -> dict[str, np.ma.MaskedArray]:
    names = ("total_amount", "discount_amount", "tax_amount", "net_amount", "gross_profit", "unit_price")
    total, discount, tax, net, profit, price = (_unscaled(frame[name]) for name in names)
    gross, total_in_millionths = _product(_integers(frame["quantity"]), price), total * 10_000
    day = frame["sale_date"].dt
    date_parts = ((day.year, "sale_year"), (day.month, "sale_month"), (day.day, "sale_day"))
    return {
        "_discount_headroom": total - discount,
        "_tax_headroom": total - tax,
        "_above_half_price": 2 * total_in_millionths - gross,
        "_below_twice_price": 2 * gross - total_in_millionths,
        "_net_residual": total - discount - net,
        "_profit_residual": net - tax - profit,
        "_date_residual": sum(abs(_integers(part) - _integers(frame[name])) for part, name in date_parts),
    }


def _as_one_array(column: pd.Series) -> pa.Array:
    """The column as one Arrow array, its chunks combined."""
    cells = pa.array(column)
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def _unscaled(amounts: pd.Series) -> np.ma.MaskedArray:
    """Decimals of at most 18 digits as int64: cents, or millionths for a price. NULL is masked."""
    cells = _as_one_array(amounts)
    words = np.frombuffer(cells.buffers()[1], np.int64, 2 * len(cells), 16 * cells.offset)
    return np.ma.MaskedArray(words[::2], cells.is_null().to_numpy(zero_copy_only=False))


def _integers(numbers: pd.Series) -> np.ma.MaskedArray:
    return np.ma.MaskedArray(numbers.to_numpy(np.int64, na_value=0), numbers.isna())


def _product(left: np.ma.MaskedArray, right: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """left x right in int64, exact below 4 x 10^18 and clipped there: 200 times more than any total needs."""
    rough = left.astype(np.float64) * right
    return np.ma.where(abs(rough) < _LARGEST, left * right, np.sign(rough).astype(np.int64) * _LARGEST)


def _as_numpy(column: pd.Series) -> np.ndarray | pd.Series:
    values = pa.array(column)
    if pa.types.is_timestamp(values.type):
        return values.to_pandas()
    if pa.types.is_string(values.type):
        return np.where(column.notna(), np.float32(1), np.float32(np.nan))
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # a rounded number keeps its sign


def keys_frame(codes: np.ndarray) -> pd.DataFrame:
    """The frame for `keys_suite`. `codes` has a number per row: equal for equal keys, -1 for NULL."""
    return pd.DataFrame({"sale_id": np.where(codes < 0, np.nan, codes)})
