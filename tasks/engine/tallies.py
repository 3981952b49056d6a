"""Counting an engine's rows: exact totals by currency, as `tasks/tally.py` counts tables. Knows no Prefect."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that PySpark's own documentation uses)

from expectations import columns
from expectations.rules import CURRENCY_CODE
from tasks.tally import MALFORMED, TALLIED_COLUMNS, Tally, tallies_of_rows

_ANY_INT64 = "decimal(19,0)"
"""Sums of int64 wrap around; a sum of these has 29 digits."""


def tallies_by(rows: DataFrame, *keys: str) -> dict[tuple[str, ...], Tally]:
    """Tallies of rows in EXTRACTED_SCHEMA or CLEAN_SCHEMA by the values of `keys`, in one job."""
    numbers = {c.name: _as_number(c) for c in TALLIED_COLUMNS}
    cells = [
        how(numbers[c.name]).alias(f"{c.name}_{how.__name__}") for c in TALLIED_COLUMNS for how in (F.sum, F.count)
    ]
    counted = rows.groupBy(*keys, _currency_name()).agg(F.count(F.lit(1)).alias("rows_counted"), *cells)
    return tallies_of_rows(map(tuple, counted.collect()), len(keys))


def _currency_name() -> Column:
    """The name of a row's currency in totals, NULL for none."""
    currency = F.col("currency")
    return F.when(currency.rlike(CURRENCY_CODE), currency).when(currency.isNotNull(), F.lit(MALFORMED))


def _as_number(column: columns.Column) -> Column:
    """The number that a cell adds to its column's total."""
    cell = F.col(column.stored_name)
    match column.kind:
        case "text":
            return F.char_length(cell).cast(_ANY_INT64)
        case "timestamp":
            return F.unix_micros(cell).cast(_ANY_INT64)
        case "integer" | "year":
            return cell.cast(_ANY_INT64)
        case _:
            return cell
