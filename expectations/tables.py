"""The shapes of the two outcomes of transform, as Arrow schemas; staging tables and Parquet files have the same."""

import pyarrow as pa

from expectations.columns import DERIVED_COLUMNS, SOURCE_COLUMNS, Column, Role

TABLES_VERSION = 5
"""Of the tables in the warehouse, as sql/setup/ makes them: raised with every change by which the code of before, or of
after, would write something wrong. Tables without a number are of the first version."""

EXTRA_ATTRIBUTES = Column(
    "extra_attributes",
    "text",
    Role.ATTRIBUTE,
    "Source columns beyond the contract that the variable `extra_columns` names, as JSON text.",
    nullable=True,
)

CLEAN_COLUMNS = (*SOURCE_COLUMNS, EXTRA_ATTRIBUTES, *DERIVED_COLUMNS)
"""Columns of a sale in the fact table, without the load's own columns."""

SOURCE_REGION = "source_region"

CLEAN_SCHEMA = pa.schema([*(column.arrow_field for column in CLEAN_COLUMNS), (SOURCE_REGION, pa.string())])
"""A clean row on its way: a sale, and `region` as its source had spelled it, for the case that the row is rejected in
the warehouse."""

REJECTED_SOURCE_COLUMNS = tuple(column.stored_name for column in (*SOURCE_COLUMNS, EXTRA_ATTRIBUTES))
"""Columns of a rejected row that hold the source's own text; personal data as tokens."""

REJECTED_SCHEMA = pa.schema(
    [
        ("region_code", pa.string()),
        ("sale_key", pa.string()),
        ("rules", pa.string()),
        ("version_at", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in REJECTED_SOURCE_COLUMNS),
    ]
)
"""A rejected row: its database's region code, its business key (`sale_id` as the fact table would have it), the ids
of all rules that it broke (blank-separated), its version (`updated_at`, NULL when missing or unreadable), and all
cells as text."""
