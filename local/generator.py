"""Any number of made-up sales of one region and day, clean or with known dirt, the same for the same seed.

For tests and benchmarks, which need more rows than the sample data has, and dirt that can be counted exactly. Use the
functions, or:

    python -m local.generator --region EUROPE --date 2024-01-15 --rows 10000 --seed 1 --dirt 0.02 --url postgresql://...
"""

import argparse
import datetime
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.columns import SOURCE_COLUMNS
from local.console import print_line
from local.sample_data import (
    PAYMENT_METHODS,
    REGIONS,
    IntArray,
    SampleRegion,
    adding_rows,
    choose,
    copy_rows,
    divide_half_even,
    money,
    price,
    spell,
    text,
)
from tasks.progress.work import Work, progressing

BATCH_ROWS = 250_000
"""Rows made at a time, which bounds the memory at about 300 MB."""

DAY_US = 24 * 60 * 60 * 1_000_000
LATE_DAYS_MAX = 30
STORES, CUSTOMERS, PRODUCTS = 400, 50_000, 20_000
CATEGORIES = ("BEEF", "CHEESE", "COFFEE", "EGGS", "FRUIT", "MILK", "PASTA", "SNACKS", "TEA", "WINE")
FUEL_EVERY = 10
"""Every tenth row is like fuel: thousands of units at a price below a cent."""

UNICODE_TEXTS = (
    "Käse 🧀 & 🍷",
    "👩‍👩‍👧‍👦 family pack",
    "cre\u0300me bru\u0302le\u0301e",
    "crème brûlée",
    "חלב טרי",
    "\u202bقهوة عربية\u202c",
    "緑茶",
    "zero\u200bwidth\u00a0blank",
    '"quoted", with a comma',
    "it's; -- no comment",
    "two\nlines",
    "carriage\r\nreturn\tand tab",
    r"back\slash \N \. \x",
)
"""Texts that a CSV reader, an encoding or a quoting function may trip over. All are valid."""

NOT_NULLABLE = tuple(column.name for column in SOURCE_COLUMNS if not column.nullable)
UNICODE_COLUMNS = ("store_id", "customer_id", "product_id", "product_category", "payment_method")
EMPTY_COLUMNS = ("product_category", "payment_method")
BLANKS = ("", " ", "\t", "\n", "\v", "\f", "\r", " \r\n\t ")
NEVER_BLANK_COLUMNS = ("sale_id", "currency")
BAD_CURRENCIES = ("usd", "US", "USDX", "US1", " USD", "USD\n", "ÜSD", "U|D", "null", "840")
REJECTED_KINDS = ("nulls", "blanks", "bad_amounts", "bad_currencies", "high_taxes", "nan", "infinite")

_REGIONS = {region.code: region for region in REGIONS}


@dataclass(frozen=True)
class Dirt:
    """Shares of the rows that are of each kind, 0 to 1. A row is of one kind at most, so the kinds can be counted.

    The pipeline rejects REJECTED_KINDS, drops one version of each of `duplicates`, and has to keep the others
    unchanged.
    """

    duplicates: float = 0.0
    """A second version of a clean row's key: in turn a newer one with another quantity, and an exact copy."""
    nulls: float = 0.0
    """NULL in one of the columns that are not nullable, in turn."""
    blanks: float = 0.0
    """An empty string or white space in sale_id and currency, in turn."""
    bad_amounts: float = 0.0
    """Quantity, price or total zero or negative, total below 0.5x or above 2x quantity x price, in turn."""
    bad_currencies: float = 0.0
    """BAD_CURRENCIES, in turn."""
    high_taxes: float = 0.0
    """tax_amount a cent above total_amount."""
    nan: float = 0.0
    """NaN in unit_price."""
    infinite: float = 0.0
    """infinity in updated_at; the numeric columns cannot hold one."""
    late: float = 0.0
    """sale_date 1 to 30 days earlier, updated_at on the date."""
    unicode: float = 0.0
    """UNICODE_TEXTS in text columns."""
    empty_strings: float = 0.0
    """An empty string in product_category and payment_method, in turn."""
    null_text: float = 0.0
    """The text NULL in product_category and payment_method, in turn."""

    def __post_init__(self) -> None:
        shares = asdict(self)
        if min(shares.values()) < 0 or sum(shares.values()) + self.duplicates > 1 + 1e-9:
            raise ValueError(f"shares must be 0 or more, and 1 at most in all (duplicates count twice): {shares}")

    @classmethod
    def of(cls, share: float) -> "Dirt":
        """One share of the rows, spread evenly over all kinds."""
        kinds = [field.name for field in fields(cls)]
        return cls(**dict.fromkeys(kinds, share / len(kinds)))


CLEAN = Dirt()


@dataclass(frozen=True)
class Generated:
    """Rows, and the counts that a pipeline has to find in them.

    `table` has the source columns in exact Arrow types, except that unit_price, sale_date and updated_at are text as
    PostgreSQL reads it (NaN and infinity exist only there). `expected` counts the rows of each kind of `Dirt`, and
    `rows`, `duplicates_newer`, `duplicates_equal`, `rejected` and `published` (rows = published + rejected +
    duplicates).
    """

    table: pa.Table
    expected: dict[str, int]


def generate(region_code: str, date: datetime.date, rows: int, seed: int = 0, dirt: Dirt = CLEAN) -> Generated:
    """Returns sales of a UTC day in one table. For millions of rows, `batches` needs less memory."""
    parts = list(batches(region_code, date, rows, seed, dirt))
    expected: Counter[str] = Counter()
    for part in parts:
        expected.update(part.expected)
    return Generated(pa.concat_tables([part.table for part in parts]), dict(expected))


def batches(region_code: str, date: datetime.date, rows: int, seed: int = 0, dirt: Dirt = CLEAN) -> Iterator[Generated]:
    """Yields the rows of `generate`, at most BATCH_ROWS at a time; for no rows, one empty table."""
    for first in range(0, max(rows, 1), BATCH_ROWS):
        numbers = range(first, min(first + BATCH_ROWS, rows))
        yield _batch(_REGIONS[region_code], date, numbers, seed, dirt)


def load(owner_url: str, tables: Iterable[pa.Table]) -> int:
    """Adds generated rows to `sales_transactions` in one transaction; returns their number."""
    loaded = 0
    with adding_rows(owner_url) as cursor:
        for table in tables:
            copy_rows(cursor, table)
            loaded += table.num_rows
    return loaded


def _batch(region: SampleRegion, date: datetime.date, numbers: range, seed: int, dirt: Dirt) -> Generated:
    rng = np.random.default_rng([seed, zlib.crc32(region.code.encode()), date.toordinal(), numbers.start])
    places = _deal(len(numbers), dirt, rng)
    draws = _disturb(_draw(numbers, rng), places)
    table = _columns(region, date, f"{region.code}-{date:%Y%m%d}-{seed}", draws)
    return Generated(_soil(table, places), _count(len(numbers), places))


def _deal(rows: int, dirt: Dirt, rng: np.random.Generator) -> dict[str, IntArray]:
    """Draws disjoint row numbers for each kind of dirt; `originals` are the clean rows that are duplicated."""
    shares = {**asdict(dirt), "originals": dirt.duplicates}
    # A hair more, as 0.29 * 100 is 28.999...
    cuts = np.cumsum([int(share * rows + 1e-6) for share in shares.values()])
    return dict(zip(shares, np.split(rng.permutation(rows), cuts), strict=False))


def _count(rows: int, places: dict[str, IntArray]) -> dict[str, int]:
    counts = {kind: len(at) for kind, at in places.items() if kind != "originals"}
    rejected = sum(counts[kind] for kind in REJECTED_KINDS)
    return {
        "rows": rows,
        **counts,
        "duplicates_newer": len(places["duplicates"][0::2]),
        "duplicates_equal": len(places["duplicates"][1::2]),
        "rejected": rejected,
        "published": rows - rejected - counts["duplicates"],
    }


def _draw(numbers: range, rng: np.random.Generator) -> dict[str, IntArray]:
    """The numbers from which clean rows are made. Money in cents, prices in millionths, times in microseconds."""
    rows = len(numbers)
    number = np.arange(numbers.start, numbers.stop)
    fuel = number % FUEL_EVERY == 0
    quantity = np.where(fuel, rng.integers(5_000, 80_000, rows), rng.integers(1, 10, rows))
    micros = np.where(fuel, rng.integers(1_900, 9_000, rows), rng.integers(19, 5_000, rows) * 10_000)
    sold_us = rng.integers(0, DAY_US - 1, rows)
    return {
        "number": number,
        "sold_us": sold_us,
        "updated_us": sold_us.copy(),
        "store": rng.integers(0, STORES, rows),
        "customer": rng.integers(0, CUSTOMERS, rows),
        "product": rng.integers(0, PRODUCTS, rows),
        "quantity": quantity,
        "micros": micros,
        "total": divide_half_even(quantity * micros, 10_000),
        "discount_percent": np.where(rng.random(rows) < 0.3, rng.integers(1, 101, rows), 0),
        "payment": rng.integers(0, len(PAYMENT_METHODS), rows),
        "is_high_tax": np.zeros(rows, dtype=np.int64),
    }


def _disturb(draws: dict[str, IntArray], places: dict[str, IntArray]) -> dict[str, IntArray]:
    """Puts the dirt that numbers can hold into the draws: second versions, late sales, bad amounts, high taxes."""
    copies, originals = places["duplicates"], places["originals"]
    for values in draws.values():
        values[copies] = values[originals]
    newer = copies[0::2]
    updated_us, quantity, micros, total = (draws[name] for name in ("updated_us", "quantity", "micros", "total"))
    # Half of what is left of the day, so that the newer version is of the same day.
    updated_us[newer] += (DAY_US - updated_us[newer]) // 2
    quantity[newer] += 1
    total[newer] = divide_half_even(quantity[newer] * micros[newer], 10_000)

    late = places["late"]
    draws["sold_us"][late] -= DAY_US * (1 + late % LATE_DAYS_MAX)

    draws["is_high_tax"][places["high_taxes"]] = 1

    bad = places["bad_amounts"]
    draws["discount_percent"][bad] = 0  # so that the discount does not exceed the total too
    quantity[bad[0::8]] = 0
    quantity[bad[1::8]] *= -1
    micros[bad[2::8]] = 0
    micros[bad[3::8]] *= -1
    total[bad[4::8]] = 0
    total[bad[5::8]] *= -1
    # The total was rounded to cents: one cent more is surely outside the bounds.
    total[bad[6::8]] = total[bad[6::8]] // 2 - 1
    total[bad[7::8]] = total[bad[7::8]] * 2 + 2
    return draws


def _columns(region: SampleRegion, date: datetime.date, key_prefix: str, draws: dict[str, IntArray]) -> pa.Table:
    customer = text(draws["customer"])
    category = choose(CATEGORIES, draws["product"] % len(CATEGORIES))
    email = pc.binary_join_element_wise("customer", customer, "@example.com", "")
    total = draws["total"]
    gross = np.maximum(total, 0)  # a negative total is dirt enough: no negative discount and tax with it
    discount = gross * draws["discount_percent"] // 100
    tax = divide_half_even((gross - discount) * region.tax_percent, 100 + region.tax_percent)
    tax = np.where(draws["is_high_tax"] == 1, gross + 1, tax)
    one_region = np.zeros(len(total), dtype=np.int64)
    columns = {
        "sale_id": pc.binary_join_element_wise(key_prefix, text(draws["number"]), "-"),
        "sale_date": _times(date, draws["sold_us"]),
        "store_id": text(draws["store"]),
        "customer_id": customer,
        "customer_email": pc.if_else(pa.array(draws["customer"] % 3 == 0), None, email),
        "product_id": text(draws["product"]),
        "product_category": pc.if_else(pa.array(draws["product"] % 200 == 0), None, category),
        "quantity": pa.array(draws["quantity"]),
        "unit_price": price(draws["micros"]).cast(pa.string()),
        "discount_amount": money(discount),
        "tax_amount": money(tax),
        "total_amount": money(total),
        "currency": choose([region.currency], one_region),
        "payment_method": choose(PAYMENT_METHODS, draws["payment"]),
        "region": spell(draws["store"], one_region + REGIONS.index(region)),
        "updated_at": _times(date, draws["updated_us"]),
    }
    return pa.table(columns)


def _times(date: datetime.date, offset_us: IntArray) -> pa.Array:
    """Microseconds since midnight UTC as times in PostgreSQL's text form."""
    midnight = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
    times = pa.array(offset_us + int(midnight.timestamp()) * 1_000_000).cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(times.cast(pa.string()), "+00", "")


def _soil(table: pa.Table, places: dict[str, IntArray]) -> pa.Table:
    """Puts the dirt that only NULL or text can hold into the columns."""
    table = _put(table, "unit_price", places["nan"], ["NaN"])
    table = _put(table, "updated_at", places["infinite"], ["infinity"])
    for name in UNICODE_COLUMNS:
        table = _put(table, name, places["unicode"], UNICODE_TEXTS)
    table = _put(table, "currency", places["bad_currencies"], BAD_CURRENCIES)
    for turn, name in enumerate(NEVER_BLANK_COLUMNS):
        table = _put(table, name, places["blanks"][turn :: len(NEVER_BLANK_COLUMNS)], BLANKS)
    for kind, empty in (("empty_strings", ""), ("null_text", "NULL")):
        for turn, name in enumerate(EMPTY_COLUMNS):
            table = _put(table, name, places[kind][turn :: len(EMPTY_COLUMNS)], [empty])
    for turn, name in enumerate(NOT_NULLABLE):
        table = _put(table, name, places["nulls"][turn :: len(NOT_NULLABLE)], [None])
    return table


def _put(table: pa.Table, name: str, at: IntArray, values: Iterable[str | None]) -> pa.Table:
    """Replaces a column's values in the rows `at`, in ascending order, with `values` in turn."""
    if len(at) == 0:
        return table
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[at] = True
    column = table[name].combine_chunks()
    choices = pa.array(values, column.type)
    replacements = choices.take(pa.array(np.arange(len(at)) % len(choices)))
    replaced = pc.replace_with_mask(column, pa.array(mask), replacements)
    return table.set_column(table.schema.get_field_index(name), name, replaced)


def main(arguments: list[str] | None = None) -> None:
    """Generates rows into a database and prints their counts."""
    parser = argparse.ArgumentParser(prog="python -m local.generator", description=main.__doc__)
    parser.add_argument("--region", required=True, choices=_REGIONS)
    parser.add_argument("--date", required=True, type=datetime.date.fromisoformat, help="the UTC day, 2024-01-15")
    parser.add_argument("--rows", required=True, type=int)
    parser.add_argument("--seed", default=0, type=int, help="part of every sale_id; default 0")
    parser.add_argument("--dirt", default=0.0, type=float, help="share of dirty rows, spread over all kinds; default 0")
    parser.add_argument("--url", required=True, help="owner's URL of the region's database")
    given = parser.parse_args(arguments)

    expected: Counter[str] = Counter()

    def tables(work: Work) -> Iterator[pa.Table]:
        for batch in batches(given.region, given.date, given.rows, given.seed, Dirt.of(given.dirt)):
            expected.update(batch.expected)
            yield batch.table
            work.reached(expected["rows"])

    with progressing(print_line, f"generate region={given.region}", "rows", given.rows) as work:
        load(given.url, tables(work))
    print(f"region={given.region} date={given.date} " + " ".join(f"{kind}={n}" for kind, n in expected.items()))


if __name__ == "__main__":
    main()
