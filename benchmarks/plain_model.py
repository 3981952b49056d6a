"""The contents that the fact table should have, by a plain model: one pass over all rows of the sources, cell by cell.

It shares the column contract and the spellings of regions with the pipeline, and no other line: no window, no file, no
frame, no statement. Times have no future here, and no row has a newer version, as in the sample data.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2

from benchmarks.warehouse import opened
from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS

HASH_MODULUS = 2**256
ROWS_AT_ONCE = 50_000
_NAMES = [column.name for column in SOURCE_COLUMNS]
_DECIMALS = [column.decimals for column in CLEAN_COLUMNS]

Cells = Mapping[str, Any]


@dataclass
class Content:
    """The content of a table, whatever the order of its rows: how many, revenue by currency, and the sum of the
    SHA-256 of all rows (every column) modulo 2^256."""

    rows: int = 0
    revenue: Counter[str] = field(default_factory=Counter)
    hash: int = 0

    def add(self, row: Cells) -> None:
        """Adds one row; its cells by stored name."""
        cells = [_text(row[c.stored_name], decimals) for c, decimals in zip(CLEAN_COLUMNS, _DECIMALS, strict=True)]
        digest = hashlib.sha256("\x1f".join(cells).encode()).digest()
        self.rows += 1
        self.revenue[row["currency"]] += row["total_amount"]
        self.hash = (self.hash + int.from_bytes(digest)) % HASH_MODULUS

    def __str__(self) -> str:
        revenue = ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(self.revenue.items()))
        return f"{self.rows:,} rows, {revenue}, hash {self.hash:064x}"


def _text(cell: Any, decimals: int) -> str:
    """A cell as text: one text for equal values, whatever type holds them."""
    if cell is None:
        return "\x00"
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(cell, int | Decimal):
        return f"{Decimal(cell):.{decimals}f}"
    return str(cell)


def content_of_sources(environment: Mapping[str, str], first: date, last: date) -> Content:
    """What the dates' valid sales are, straight from the four databases."""
    content = Content()
    for code in REGIONS:
        for row in _rows_of_source(environment[f"PG_{code}_OWNER_URL"]):
            if first <= row["sale_date"].astimezone(UTC).date() <= last and is_valid(row, code):
                content.add(stored(row, code, environment["PII_TOKEN_KEY"].encode()))
    return content


def _rows_of_source(url: str) -> Iterator[Cells]:
    connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor("all")
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(f"SELECT {', '.join(_NAMES)} FROM public.sales_transactions")
        for cells in cursor:
            yield dict(zip(_NAMES, cells, strict=True))
    finally:
        connection.close()


def is_valid(row: Cells, code: str) -> bool:
    """Whether a row breaks no rule of docs/rules.md that sample data could break."""
    if any(row[column.name] is None or row[column.name] == "" for column in SOURCE_COLUMNS if not column.nullable):
        return False
    total, gross = row["total_amount"], row["quantity"] * row["unit_price"]
    return (
        min(row["quantity"], row["unit_price"], total) > 0
        and gross <= 2 * total <= 4 * gross
        and 0 <= row["discount_amount"] <= total
        and 0 <= row["tax_amount"] <= total
        and re.fullmatch("[A-Z]{3}", row["currency"]) is not None
        and row["region"].strip().lower() in REGIONS[code].spellings
    )


def stored(row: Cells, code: str, key: bytes) -> Cells:
    """The row as the fact table should show it."""
    email, day = row["customer_email"], row["sale_date"].astimezone(UTC)
    net = row["total_amount"] - row["discount_amount"]
    return {
        **row,
        "region": code,
        "customer_email_token": email and hmac.new(key, email.strip().lower().encode(), "sha256").hexdigest(),
        "extra_attributes": None,
        "net_amount": net,
        "gross_profit": net - row["tax_amount"],
        "sale_year": day.year,
        "sale_month": day.month,
        "sale_day": day.day,
    }


def content_of_table(environment: Mapping[str, str]) -> Content:
    """What the fact table has."""
    content = Content()
    with opened(environment) as cursor:
        for row in _rows_of_table(cursor):
            content.add(row)
    return content


def _rows_of_table(cursor: Any) -> Iterable[Cells]:
    names = [column.stored_name for column in CLEAN_COLUMNS]
    cursor.execute("SELECT DISTINCT SALE_YEAR, SALE_MONTH FROM ANALYTICS.SALES_FACT")
    for year, month in cursor.fetchall():
        cursor.execute(
            f"SELECT {', '.join(names)} FROM ANALYTICS.SALES_FACT WHERE SALE_YEAR = {year} AND SALE_MONTH = {month}"
        )
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            for cells in rows:
                yield dict(zip(names, cells, strict=True))
