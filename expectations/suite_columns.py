"""What the suites judge, as expressions for an engine; for pandas, `suites.py` computes the same faster. Pure.

An engine checks decimals, times and texts as they are, so only what the suites call READ_AS is computed here.
"""

from collections.abc import Mapping

import narwhals as nw

from expectations.columns import SOURCE_COLUMNS, Column
from expectations.rules import CURRENCY_CODE, PRODUCT, absent, gross_by_price, missing


def _present(column: Column, lacks: nw.Expr) -> nw.Expr:
    return nw.when(~lacks).then(nw.lit(1)).alias(column.stored_name)


def input_columns() -> list[nw.Expr]:
    """For `input_suite`: 1 for each cell of a row as read, NULL for a missing one. Needs `readable_named`."""
    return [_present(column, missing(column)) for column in SOURCE_COLUMNS]


def output_columns() -> Mapping[str, nw.Expr]:
    """For `output_suite`: what it judges besides the columns of a clean row, blank cells as NULL."""
    total, discount, tax, net, profit = (
        nw.col(name) for name in ("total_amount", "discount_amount", "tax_amount", "net_amount", "gross_profit")
    )
    gross, exact_total = gross_by_price(), total.cast(PRODUCT)
    sold = nw.col("sale_date").dt
    return {
        **{
            c.stored_name: nw.when(~absent(c)).then(nw.col(c.stored_name)) for c in SOURCE_COLUMNS if c.blank_is_missing
        },
        "_discount_headroom": total - discount,
        "_tax_headroom": total - tax,
        "_above_half_price": exact_total + exact_total - gross,
        "_below_twice_price": gross + gross - exact_total,
        "_net_residual": total - discount - net,
        "_profit_residual": net - tax - profit,
        "_date_residual": (sold.year() - nw.col("sale_year")).abs()
        + (sold.month() - nw.col("sale_month")).abs()
        + (sold.day() - nw.col("sale_day")).abs(),
        "_currency_is_code": nw.col("currency").str.contains(CURRENCY_CODE).cast(nw.Int32),
    }
