"""Generated rows: repeatable, clean where they should be, and dirty in exactly counted places. No database."""

import datetime
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from local import generator
from local.generator import Dirt, Generated, generate
from local.sample_data import COLUMN_NAMES, REGIONS

DATE = datetime.date(2024, 1, 15)
ROWS = 2_000
KINDS = [field.name for field in fields(Dirt)]
Row = dict[str, Any]


def as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def amounts_are_good(row: Row) -> bool:
    price, total, discount, tax = (
        Decimal(row[name]) for name in ("unit_price", "total_amount", "discount_amount", "tax_amount")
    )
    nominal = row["quantity"] * price
    return (
        row["quantity"] > 0
        and price > 0
        and total > 0
        and nominal / 2 <= total <= nominal * 2
        and 0 <= discount <= total
        and 0 <= tax <= total
    )


def is_blank(text: str | None) -> bool:
    return text is not None and not text.strip(" \t\n\v\f\r")


def is_code(currency: str | None) -> bool:
    return currency is not None and len(currency) == 3 and all("A" <= letter <= "Z" for letter in currency)


def amounts_are_readable(row: Row) -> bool:
    amounts = [row[name] for name in ("quantity", "unit_price", "discount_amount", "tax_amount", "total_amount")]
    return None not in amounts and "NaN" not in amounts


def is_rejected(row: Row) -> bool:
    """The pipeline's judgement of a single row, written a second time and independently."""
    if any(row[name] is None for name in generator.NOT_NULLABLE) or row["updated_at"] == "infinity":
        return True
    if is_blank(row["sale_id"]) or not is_code(row["currency"]):
        return True
    return not (amounts_are_readable(row) and amounts_are_good(row))


def on_the_date(text: str) -> bool:
    return text.startswith(DATE.isoformat()) and text.endswith("+00")


def versions(rows: list[Row]) -> list[list[Row]]:
    """The rows of each key that has more than one."""
    by_key: dict[str, list[Row]] = {}
    for row in rows:
        by_key.setdefault(row["sale_id"], []).append(row)
    return [group for group in by_key.values() if len(group) > 1]


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (generate("EUROPE", DATE, ROWS, 7, Dirt.of(0.2)) for _ in range(2))
    assert as_bytes(first.table) == as_bytes(second.table)
    assert first.expected == second.expected


def test_seed_region_and_date_each_give_other_rows_with_other_ids() -> None:
    given = [
        ("EUROPE", DATE, 0),
        ("EUROPE", DATE, 1),
        ("EUROPE", datetime.date(2024, 1, 16), 0),
        *((region.code, DATE, 0) for region in REGIONS if region.code != "EUROPE"),
    ]
    tables = [generate(code, date, 100, seed).table for code, date, seed in given]
    assert len({key for table in tables for key in table["sale_id"].to_pylist()}) == 100 * len(given)
    assert len({str(table["unit_price"].to_pylist()) for table in tables}) == len(given)


def test_batches_are_the_same_rows_as_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "BATCH_ROWS", 300)
    parts = list(generator.batches("EUROPE", DATE, 1_000, 1, Dirt.of(0.2)))
    whole = generate("EUROPE", DATE, 1_000, 1, Dirt.of(0.2))
    assert [part.table.num_rows for part in parts] == [300, 300, 300, 100]
    assert pa.concat_tables([part.table for part in parts]) == whole.table
    assert sum((Counter(part.expected) for part in parts), Counter()) == +Counter(whole.expected)


def test_no_rows_are_an_empty_table_with_all_columns() -> None:
    empty = generate("EUROPE", DATE, 0, dirt=Dirt.of(0.1))
    assert empty.table.num_rows == 0
    assert tuple(empty.table.column_names) == COLUMN_NAMES
    assert set(empty.expected.values()) == {0}


@pytest.mark.parametrize("code", [region.code for region in REGIONS])
def test_rows_without_dirt_break_no_rule_and_are_of_the_day(code: str) -> None:
    region = next(region for region in REGIONS if region.code == code)
    clean = generate(code, DATE, ROWS, 3)
    rows = clean.table.to_pylist()
    assert not any(is_rejected(row) for row in rows)
    assert all(on_the_date(row["sale_date"]) and row["updated_at"] == row["sale_date"] for row in rows)
    assert all(row["sale_id"].startswith(f"{code}-") for row in rows)
    assert {row["region"] for row in rows} == set(region.spellings)
    assert {row["currency"] for row in rows} == {region.currency}
    assert not versions(rows)
    assert clean.expected == {
        **dict.fromkeys([*KINDS, "duplicates_newer", "duplicates_equal", "rejected"], 0),
        "rows": ROWS,
        "published": ROWS,
    }


def count(kind: str, rows: list[Row]) -> int:
    """The number of rows with this kind of dirt, found from the rows only."""
    shows: dict[str, Callable[[Row], bool]] = {
        "nulls": lambda row: any(row[name] is None for name in generator.NOT_NULLABLE),
        "blanks": lambda row: is_blank(row["sale_id"]) or is_blank(row["currency"]),
        "bad_amounts": lambda row: (
            amounts_are_readable(row)
            and not amounts_are_good(row)
            and not amounts_are_good({**row, "tax_amount": Decimal(0)})
        ),
        "bad_currencies": lambda row: (
            row["currency"] is not None and not is_blank(row["currency"]) and not is_code(row["currency"])
        ),
        "high_taxes": lambda row: (
            amounts_are_readable(row)
            and row["tax_amount"] > row["total_amount"]
            and amounts_are_good({**row, "tax_amount": Decimal(0)})
        ),
        "nan": lambda row: row["unit_price"] == "NaN",
        "infinite": lambda row: row["updated_at"] == "infinity",
        "late": lambda row: row["sale_date"] is not None and not on_the_date(row["sale_date"]),
        "unicode": lambda row: row["store_id"] in generator.UNICODE_TEXTS,
        "empty_strings": lambda row: "" in {row[name] for name in generator.EMPTY_COLUMNS},
        "null_text": lambda row: "NULL" in {row[name] for name in generator.EMPTY_COLUMNS},
    }
    if kind == "duplicates":
        return sum(
            len(group) - 1
            for group in versions([row for row in rows if row["sale_id"] and not is_blank(row["sale_id"])])
        )
    return sum(shows[kind](row) for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_has_the_requested_and_the_counted_frequency(kind: str) -> None:
    made = generate("ASIA_PACIFIC", DATE, ROWS, 1, Dirt(**{kind: 0.1}))
    rows = made.table.to_pylist()
    assert made.expected[kind] == ROWS // 10
    assert {other: count(other, rows) for other in KINDS} == {**dict.fromkeys(KINDS, 0), kind: ROWS // 10}
    assert_fates(made)


def test_all_kinds_together_are_counted_exactly() -> None:
    made = generate("US_WEST", DATE, ROWS, 2, Dirt.of(0.05 * len(KINDS)))
    rows = made.table.to_pylist()
    assert {kind: made.expected[kind] for kind in KINDS} == dict.fromkeys(KINDS, ROWS // 20)
    assert {kind: count(kind, rows) for kind in KINDS} == dict.fromkeys(KINDS, ROWS // 20)
    assert_fates(made)


def assert_fates(made: Generated) -> None:
    rows = made.table.to_pylist()
    good = [row for row in rows if not is_rejected(row)]
    assert made.expected["rows"] == len(rows)
    assert made.expected["rejected"] == len(rows) - len(good)
    assert made.expected["published"] == len({row["sale_id"] for row in good})


def test_every_second_duplicate_is_an_exact_copy_and_the_others_are_newer_on_the_same_day() -> None:
    made = generate("EUROPE", DATE, ROWS, 1, Dirt(duplicates=0.1))
    pairs = versions(made.table.to_pylist())
    equal = [pair for pair in pairs if pair[0] == pair[1]]
    newer = [pair for pair in pairs if pair[0]["updated_at"] != pair[1]["updated_at"]]
    assert (len(equal), len(newer)) == (made.expected["duplicates_equal"], made.expected["duplicates_newer"])
    assert (len(equal), len(newer), len(pairs)) == (100, 100, 200)
    for pair in newer:
        older, later = sorted(pair, key=lambda row: row["updated_at"])
        assert later["quantity"] == older["quantity"] + 1
        assert on_the_date(later["updated_at"])


def test_nulls_reach_every_column_that_is_not_nullable() -> None:
    table = generate("EUROPE", DATE, ROWS, 1, Dirt(nulls=0.1)).table
    assert all(table[name].null_count >= ROWS // 10 // len(generator.NOT_NULLABLE) for name in generator.NOT_NULLABLE)


def test_bad_amounts_break_every_rule_on_amounts() -> None:
    rows = generate("EUROPE", DATE, ROWS, 1, Dirt(bad_amounts=0.1)).table.to_pylist()
    broken: Counter[str] = Counter()
    for row in rows:
        quantity, price, total = row["quantity"], Decimal(row["unit_price"]), row["total_amount"]
        positive = quantity > 0 and price > 0 and total > 0
        broken["quantity = 0"] += quantity == 0
        broken["quantity < 0"] += quantity < 0
        broken["price = 0"] += price == 0
        broken["price < 0"] += price < 0
        broken["total = 0"] += total == 0
        broken["total < 0"] += total < 0
        broken["total < 0.5x"] += positive and total < quantity * price / 2
        broken["total > 2x"] += positive and total > quantity * price * 2
    assert set(broken.values()) <= {25}
    assert len(broken) == 8
    assert sum(broken.values()) == ROWS // 10


@pytest.mark.parametrize("name", generator.NEVER_BLANK_COLUMNS)
def test_every_blank_text_occurs(name: str) -> None:
    table = generate("EUROPE", DATE, ROWS, 1, Dirt(blanks=0.1)).table
    assert set(filter(is_blank, table[name].to_pylist())) == set(generator.BLANKS)


def test_every_bad_currency_occurs() -> None:
    table = generate("EUROPE", DATE, ROWS, 1, Dirt(bad_currencies=0.1)).table
    assert set(table["currency"].to_pylist()) == {"EUR", *generator.BAD_CURRENCIES}


def test_every_difficult_text_occurs() -> None:
    table = generate("EUROPE", DATE, ROWS, 1, Dirt(unicode=0.1)).table
    for name in generator.UNICODE_COLUMNS:
        assert set(generator.UNICODE_TEXTS) <= set(table[name].to_pylist())


def test_late_sales_were_sold_before_and_changed_on_the_date() -> None:
    rows = generate("EUROPE", DATE, ROWS, 1, Dirt(late=0.1)).table.to_pylist()
    late = [row for row in rows if not on_the_date(row["sale_date"])]
    days = {(DATE - datetime.date.fromisoformat(row["sale_date"][:10])).days for row in late}
    assert days == set(range(1, generator.LATE_DAYS_MAX + 1))
    assert all(on_the_date(row["updated_at"]) for row in late)


def test_one_share_is_spread_evenly() -> None:
    shares = asdict(Dirt.of(0.25 * len(KINDS) / 4)).values()
    assert set(shares) == {0.0625}


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param({"nan": -0.1}, id="negative"),
        pytest.param({"nan": 0.6, "late": 0.5}, id="more-than-all"),
        pytest.param({"duplicates": 0.6}, id="duplicates-without-enough-originals"),
    ],
)
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must be"):
        Dirt(**shares)
