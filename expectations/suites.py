"""The two Great Expectations suites, built from the column contract and the thresholds.

`input_suite` judges the rows as read, `output_suite` the clean rows of a region, `batch_suite` the clean rows of
all regions together. Exact money totals are not theirs: Great Expectations adds decimals up as floats.
"""

import math
import os
from datetime import datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa

# Set before the import below, which reads it: nothing about the company's data goes to a third party.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.columns import SOURCE_COLUMNS, Role
from expectations.rules import CLOCK_TOLERANCE, gross_by_price
from expectations.tables import CLEAN_COLUMNS
from expectations.thresholds import Thresholds

_UNREADABLE_TEXT = "unreadable"


def smallest_share_above(percentage: Decimal, rows: int) -> float:
    """The smallest share of rows (0 to 1) that leaves strictly less than `percentage` of `rows` unexpected.

    Great Expectations passes a share that equals `mostly`, but exactly `max_null_percentage` has to fail.
    """
    allowed = max(math.ceil(rows * percentage / 100) - 1, 0)
    return (rows - allowed) / rows if rows else 1.0


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
            )
            for column in SOURCE_COLUMNS
            if not column.nullable
        ],
    )


def output_suite(region: str, snapshot_at: datetime) -> gx.ExpectationSuite:
    """What every clean row of a region is: complete, unique, positive, consistent. Frames come from `output_frame`."""
    measures = [column.name for column in SOURCE_COLUMNS if column.role is Role.MEASURE]
    positive = [*measures, "total_amount"]
    not_negative = ["discount_amount", "tax_amount", "_discount_headroom", "_above_half_price", "_below_twice_price"]
    identities = ["_net_residual", "_profit_residual", "_date_residual"]
    return gx.ExpectationSuite(
        name="clean-rows",
        expectations=[
            *(gxe.ExpectColumnValuesToNotBeNull(column=c.stored_name) for c in CLEAN_COLUMNS if not c.nullable),
            gxe.ExpectColumnValuesToBeUnique(column="sale_id"),
            gxe.ExpectColumnValuesToBeInSet(column="region", value_set=[region]),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, strict_min=True) for c in positive),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0) for c in not_negative),
            *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, max_value=0) for c in identities),
            *(
                gxe.ExpectColumnValuesToBeBetween(column=c, max_value=pd.Timestamp(snapshot_at + CLOCK_TOLERANCE))
                for c in ("sale_date", "updated_at")
            ),
        ],
    )


def batch_suite(min_record_count: int) -> gx.ExpectationSuite:
    """The floor of the whole batch: enough clean rows."""
    return gx.ExpectationSuite(
        name="clean-batch",
        expectations=[gxe.ExpectTableRowCountToBeBetween(min_value=min_record_count)],
    )


def input_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as read with unreadable cells filled: they are values, though their type cannot hold them, not NULLs."""
    contract = frame[[column.stored_name for column in SOURCE_COLUMNS]]
    if frame["unreadable"].isna().all():
        return contract
    filled = contract.copy()
    for column in (c for c in SOURCE_COLUMNS if c.kind != "text"):
        marked = frame["unreadable"].str.contains(f'"{column.name}"', regex=False).fillna(False)
        filled[column.name] = frame[column.name].astype(object).mask(marked.astype(bool), _UNREADABLE_TEXT)
    return filled


def output_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The clean rows with the identities of the derived columns as residuals, exact, so that a suite can judge them."""
    # A clean row's quantity x price is below 4 x 10^10, so sums of it cannot overflow here.
    exact = pd.ArrowDtype(pa.decimal128(28, 6))
    gross, total = gross_by_price(frame).astype(exact), frame["total_amount"].astype(exact)
    day = frame["sale_date"].dt
    return frame.assign(
        _discount_headroom=frame["total_amount"] - frame["discount_amount"],
        _above_half_price=total + total - gross,
        _below_twice_price=gross + gross - total,
        _net_residual=frame["total_amount"] - frame["discount_amount"] - frame["net_amount"],
        _profit_residual=frame["net_amount"] - frame["tax_amount"] - frame["gross_profit"],
        _date_residual=(day.year - frame["sale_year"]).abs()
        + (day.month - frame["sale_month"]).abs()
        + (day.day - frame["sale_day"]).abs(),
    )
