"""What transform makes of a valid row, as expressions that every engine computes: the business key, the derived
columns, and the order of versions. Pure."""

from collections.abc import Mapping

import narwhals as nw
from narwhals.dtypes import DType

from expectations.columns import DERIVED_COLUMNS, DIGITS, SOURCE_COLUMNS, Kind
from expectations.regions import Region
from expectations.rules import blank
from expectations.tables import EXTRA_ATTRIBUTES, SOURCE_REGION

_TYPES: Mapping[Kind, DType] = {"money": nw.Decimal(*DIGITS["money"]), "year": nw.Int32()}

_FROM_SOURCE: Mapping[str, nw.Expr] = {
    "net_amount": nw.col("total_amount") - nw.col("discount_amount"),
    "gross_profit": nw.col("total_amount") - nw.col("discount_amount") - nw.col("tax_amount"),
    "sale_year": nw.col("sale_date").dt.year(),
    "sale_month": nw.col("sale_date").dt.month(),
    "sale_day": nw.col("sale_date").dt.day(),
}

DERIVED: Mapping[str, nw.Expr] = {
    column.name: _FROM_SOURCE[column.name].cast(_TYPES[column.kind]) for column in DERIVED_COLUMNS
}
"""The derived columns of a valid row, in the types of the contract. Times must be in UTC."""

VERSION_ORDER = (
    "updated_at",
    *(column.stored_name for column in (*SOURCE_COLUMNS, EXTRA_ATTRIBUTES) if column.name != "updated_at"),
)
"""The order of versions of a sale, oldest first: by `updated_at`; equal times by all columns in contract order, NULL
first, numbers and times by value, texts by their bytes in UTF-8."""


def source_key() -> nw.Expr:
    """The `sale_id` of a row as read; NULL for a blank one: such a row has no key."""
    return nw.when(~blank("sale_id")).then(nw.col("sale_id"))


def business_key(region: Region) -> nw.Expr:
    """The key of the fact table, with the region's prefix if it has one; NULL for a row without a key."""
    return nw.concat_str(nw.lit(f"{region.code}:"), source_key()) if region.prefix_keys else source_key()


def clean_columns(region: Region) -> dict[str, nw.Expr]:
    """What a clean row of `region` has besides the columns that were read."""
    return {
        "sale_id": business_key(region),
        SOURCE_REGION: nw.col("region"),
        "region": nw.lit(region.code),
        **DERIVED,
    }
