"""Sales made by hand: one good row of a European store, and tables of rows that differ from it in named cells."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.rules import Origin
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA
from tasks.extract import EXTRACTED_SCHEMA, Extracted
from tasks.files.arrow import open_writer, to_frame
from tasks.tally import tally_of_table
from tasks.transform import Separated, separate

Row = dict[str, Any]

SNAPSHOT = datetime(2024, 1, 16, 6, tzinfo=UTC)
ORIGIN = Origin(REGIONS["EUROPE"], SNAPSHOT)
SOLD_AT = datetime(2024, 1, 15, 10, tzinfo=UTC)

SALE: Row = {
    "sale_id": "1",
    "sale_date": SOLD_AT,
    "store_id": "7",
    "customer_id": "c-1",
    "customer_email_token": "a" * 64,
    "product_id": "p-1",
    "product_category": "TEA",
    "quantity": 2,
    "unit_price": Decimal("1.000000"),
    "discount_amount": Decimal("0.10"),
    "tax_amount": Decimal("0.13"),
    "total_amount": Decimal("2.00"),
    "currency": "EUR",
    "payment_method": "cash",
    "region": "Europe",
    "updated_at": SOLD_AT,
    "extra_attributes": None,
    "unreadable": None,
}
"""Breaks no rule. Its total is exactly quantity x price."""

REQUIRED_COLUMNS = [column.stored_name for column in SOURCE_COLUMNS if not column.nullable]
TYPED_COLUMNS = [column.stored_name for column in SOURCE_COLUMNS if column.kind != "text"]


def sale(**cells: Any) -> Row:
    """The good row with some cells replaced; decimals may be given as text."""
    row = {**SALE, **cells}
    for name in ("unit_price", "discount_amount", "tax_amount", "total_amount"):
        row[name] = Decimal(row[name]) if isinstance(row[name], str) else row[name]
    return row


def sales(count: int, **cells: Any) -> list[Row]:
    """Good rows with the keys 1, 2, 3, ..."""
    return [sale(sale_id=str(number + 1), **cells) for number in range(count)]


def unreadable(**texts: str) -> Row:
    """Cells as extract returns them when their type cannot hold them: NULL, with PostgreSQL's text in `unreadable`."""
    return {**dict.fromkeys(texts), "unreadable": json.dumps(texts, separators=(",", ":"))}


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def extracted_table(*rows: Row) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EXTRACTED_SCHEMA)


def extracted_frame(*rows: Row) -> pd.DataFrame:
    return to_frame(extracted_table(*rows))


def read_table(*paths: Path) -> pa.Table:
    """The rows of Arrow IPC files, one file after the other."""
    tables = []
    for path in paths:
        with pa.OSFile(str(path)) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    return pa.concat_tables(tables)


@dataclass(frozen=True)
class Outcome:
    """The outcome of transform for a table, with the rows that it writes."""

    clean: pa.Table
    rejected: pa.Table
    counted: Separated


def transformed(table: pa.Table, origin: Origin = ORIGIN) -> Outcome:
    """The table's rows by fate; its chunks are the batches."""
    clean = [CLEAN_SCHEMA.empty_table()]
    rejected = [REJECTED_SCHEMA.empty_table()]
    counted = separate(table.to_batches, origin, clean.append, rejected.append)
    return Outcome(pa.concat_tables(clean), pa.concat_tables(rejected), counted)


def extract_of(table: pa.Table, directory: Path, region: str = "EUROPE") -> Extracted:
    """What extract returns for these rows, with its Arrow file."""
    path = directory / f"{region}.extracted.arrow"
    with open_writer(path, table.schema) as writer:
        writer.write_table(table)
    tally = tally_of_table(table)
    return Extracted(region, (path,), SNAPSHOT, source=tally, read=tally, new_columns=(), seconds=0.1)
