"""The shapes of the two outcomes of transform, as Arrow schemas; staging tables and Parquet files have the same."""

import pyarrow as pa

from expectations.columns import DERIVED_COLUMNS, SOURCE_COLUMNS, Column, Role

TABLES_VERSION = 5
"""Version of the tables that sql/setup/ creates: raised with every change after which older code, or newer code on
older tables, would write wrong rows. Tables without a number are of version 1."""

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
"""A clean row between the steps: a sale, and `region` as its source spelled it, in case the warehouse rejects it."""

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
"""A rejected row: its database's region code, its business key (`sale_id` in the fact table's form), the ids of
all rules that it broke (blank-separated), its version (`updated_at`, NULL when missing or unreadable), and all
cells as text."""
