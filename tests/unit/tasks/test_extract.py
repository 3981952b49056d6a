"""The pure parts of extract: the bytes of COPY become exact cells, and personal data never reaches the disk."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks import extract
from tasks.errors import RegionUnfitError
from tasks.extract import EXTRACTED_SCHEMA, RowBlocks, copy_rows, csv_columns, parse_csv, without_personal_data
from tasks.plan import REGION_ERRORS
from tasks.source.tokens import token_of, tokenizer
from tasks.tally import Tally, tally_of_table
from tests.unit.sales import read_table

KEY = b"a key of tests, long enough for all"
ADDRESS = "Ann.Lee@Example.com"

CELLS = {
    "sale_id": "1",
    "sale_date": "2024-01-15 10:00:00+00",
    "store_id": "7",
    "customer_id": "c-1",
    "customer_email": ADDRESS,
    "product_id": "p-1",
    "product_category": "TEA",
    "quantity": "2",
    "unit_price": "1.000000",
    "discount_amount": "0.10",
    "tax_amount": "0.13",
    "total_amount": "2.00",
    "currency": "EUR",
    "payment_method": "cash",
    "region": "Europe",
    "updated_at": "2024-01-15 10:00:00.5+00",
    "unreadable": "",
}


def line(extra: Mapping[str, str] | None = None, **cells: str) -> bytes:
    """A row as COPY writes it; the cells are CSV, quotes included."""
    given = {**CELLS, **cells}
    last = given.pop("unreadable")
    return ",".join([*given.values(), *(extra or {}).values(), last]).encode() + b"\n"


def parse(csv: bytes, extra: Mapping[str, str] | None = None) -> pa.Table:
    return pa.Table.from_batches([parse_csv(bytearray(csv), csv_columns(extra or {}))])


def parse_one(**cells: str) -> dict[str, Any]:
    (row,) = parse(line(None, **cells)).to_pylist()
    return dict(row)


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        pytest.param("", None, id="nothing-is-null"),
        pytest.param('""', "", id="quoted-nothing-is-empty-text"),
        pytest.param("NULL", "NULL", id="text-null"),
        pytest.param('"NULL"', "NULL", id="quoted-text-null"),
        pytest.param("NA", "NA", id="text-na"),
        pytest.param("nan", "nan", id="text-nan"),
        pytest.param("#N/A", "#N/A", id="text-excel-na"),
        pytest.param("None", "None", id="text-none"),
        pytest.param("\\N", "\\N", id="backslash-n"),
        pytest.param('"\\."', "\\.", id="end-of-copy-mark"),
        pytest.param("  x ", "  x ", id="blanks-around"),
        pytest.param('" "', " ", id="a-blank"),
        pytest.param('"a,b"', "a,b", id="comma"),
        pytest.param('"a""b"', 'a"b', id="quote"),
        pytest.param('"two\nlines"', "two\nlines", id="newline"),
        pytest.param('"a\r\nb"', "a\r\nb", id="carriage-return-and-newline"),
        pytest.param('"\r"', "\r", id="carriage-return-alone"),
        pytest.param('"\n\n\n"', "\n\n\n", id="newlines-alone"),
        pytest.param("0012", "0012", id="leading-zeros"),
        pytest.param("true", "true", id="text-true"),
        pytest.param("Käse 🧀", "Käse 🧀", id="unicode"),
        pytest.param("cre\u0300me", "cre\u0300me", id="decomposed-unicode-stays-so"),
        pytest.param("a\u2028b", "a\u2028b", id="unicode-line-separator"),
        pytest.param("\ufeffx", "\ufeffx", id="byte-order-mark"),
        pytest.param("\ufeff", "\ufeff", id="byte-order-mark-alone"),
    ],
)
def test_texts_arrive_unchanged(written: str, cell: str | None) -> None:
    """Also in the first cell of a block."""
    row = parse_one(sale_id=written, product_category=written, payment_method=written)
    assert (row["sale_id"], row["product_category"], row["payment_method"]) == (cell, cell, cell)


@pytest.mark.parametrize(
    ("column", "written", "cell"),
    [
        pytest.param("quantity", "999999999999999999", 999_999_999_999_999_999, id="largest-quantity"),
        pytest.param("quantity", "-5", -5, id="negative-quantity"),
        pytest.param("unit_price", "0.000001", Decimal("0.000001"), id="a-millionth"),
        pytest.param("unit_price", "999999999999.999999", Decimal("999999999999.999999"), id="largest-price"),
        pytest.param("total_amount", "9999999999.99", Decimal("9999999999.99"), id="largest-money"),
        pytest.param("total_amount", "-0.01", Decimal("-0.01"), id="negative-money"),
        pytest.param("total_amount", "", None, id="null-money"),
        pytest.param("sale_date", "", None, id="null-time"),
        pytest.param(
            "sale_date", "2024-01-15 23:59:59.999999+00", datetime(2024, 1, 15, 23, 59, 59, 999999, UTC), id="us"
        ),
        pytest.param("sale_date", "2024-01-15 00:00:00+00", datetime(2024, 1, 15, tzinfo=UTC), id="midnight"),
        pytest.param("sale_date", "0001-01-01 00:00:00+00", datetime(1, 1, 1, tzinfo=UTC), id="year-1"),
        pytest.param(
            "sale_date",
            "9999-12-31 23:59:59.999998+00",
            datetime(9999, 12, 31, 23, 59, 59, 999998, UTC),
            id="year-9999",
        ),
    ],
)
def test_numbers_and_times_arrive_exactly(column: str, written: str, cell: Any) -> None:
    assert parse_one(**{column: written})[column] == cell


@pytest.mark.parametrize(
    ("column", "written"),
    [
        pytest.param("total_amount", "1.005", id="money-below-a-cent"),
        pytest.param("total_amount", "10000000000.00", id="money-too-large"),
        pytest.param("total_amount", "NaN", id="nan"),
        pytest.param("quantity", "1.5", id="part-of-a-unit"),
        pytest.param("sale_date", "infinity", id="infinity"),
    ],
)
def test_what_a_type_cannot_hold_is_never_cast_with_loss(column: str, written: str) -> None:
    """The SELECT marks such cells as unreadable; one that comes through nevertheless must not be rounded."""
    with pytest.raises(RegionUnfitError, match="rows cannot be parsed"):
        parse_one(**{column: written})


class FakeCursor:
    """Writes rows as psycopg2 does: one call for each."""

    def __init__(self, *rows: bytes) -> None:
        self.rows = rows

    def copy_expert(self, statement: str, file: Any) -> None:
        for row in self.rows:
            file.write(row)


def copied(
    directory: Path,
    *rows: bytes,
    extra: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> tuple[pa.Table, Tally]:
    """The rows in the file, and what was counted."""
    path = directory / "x.arrow"
    read = copy_rows(FakeCursor(*rows), "COPY", path, KEY, extra or {}, progress)
    return read_table(path), read


def test_quoted_newlines_do_not_split_rows_where_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 400)
    rows = [line(sale_id=str(n), product_category='"a\nb,""\r\n"' if n % 2 else '""') for n in range(50)]
    table, read = copied(tmp_path, *rows)
    assert table["sale_id"].to_pylist() == [str(n) for n in range(50)]
    assert set(table["product_category"].to_pylist()) == {'a\nb,"\r\n', ""}
    assert table["sale_date"].num_chunks > 1
    assert read == tally_of_table(table)


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        pytest.param([], [], id="none"),
        pytest.param([4], [4], id="one"),
        pytest.param([10], [10], id="one-that-fills-it"),
        pytest.param([4, 6], [10], id="two-that-fill-it"),
        pytest.param([4, 7], [4, 7], id="two-that-do-not-fit"),
        pytest.param([4, 10, 1], [4, 10, 1], id="a-large-one-between"),
    ],
)
def test_rows_are_gathered_in_whole_blocks(
    sizes: list[int], blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 10)
    taken: list[bytearray] = []
    rows = RowBlocks(taken.append)
    for size in sizes:
        rows.write(b"x" * size)
    rows.flush()
    assert list(map(len, taken)) == blocks


def test_addresses_become_tokens_and_the_rest_stays(tmp_path: Path) -> None:
    table, read = copied(tmp_path, line(), line(sale_id="2", customer_email=""))
    assert table.schema == EXTRACTED_SCHEMA
    assert table["customer_email_token"].to_pylist() == [token_of(ADDRESS, KEY), None]
    assert table["sale_id"].to_pylist() == ["1", "2"]
    assert read == tally_of_table(table)
    assert read.rows == 2


def test_no_personal_text_is_anywhere_in_the_file(tmp_path: Path) -> None:
    extra = {"phone": "personal", "tier": "plain"}
    copied(
        tmp_path,
        *(line({"phone": "+49-555-0100", "tier": "gold"}, sale_id=str(n)) for n in range(20)),
        extra=extra,
    )
    content = (tmp_path / "x.arrow").read_bytes().lower()
    assert b"gold" in content
    assert not any(text in content for text in (b"ann.lee", b"@example", b"555-0100"))


def test_extra_columns_are_one_json_text_with_personal_ones_as_tokens() -> None:
    extra = {"tier": "plain", "phone": "personal", "note": "plain"}
    row = line({"tier": "gold", "phone": "555", "note": '""'}) + line({"tier": "", "phone": "", "note": "ü"})
    (batch,) = parse(row, extra).to_batches()
    first, second = without_personal_data(batch, extra, tokenizer(KEY))["extra_attributes"].to_pylist()
    assert json.loads(first) == {"tier": "gold", "phone": token_of("555", KEY), "note": ""}
    assert json.loads(second) == {"tier": None, "phone": None, "note": "ü"}
    assert first.startswith('{"note"'), "keys are sorted, so that equal rows have equal texts"


def test_without_extra_columns_there_are_no_extra_attributes() -> None:
    (batch,) = parse(line()).to_batches()
    assert without_personal_data(batch, {}, tokenizer(KEY))["extra_attributes"].to_pylist() == [None]


def test_no_rows_make_a_readable_file(tmp_path: Path) -> None:
    table, read = copied(tmp_path)
    assert read == Tally()
    assert (table.num_rows, table.schema) == (0, EXTRACTED_SCHEMA)


def test_progress_is_logged_as_rows_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[int] = []
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 3 * len(line()))
    copied(tmp_path, *[line()] * 5, progress=logged.append)
    assert logged == [3, 2]


def test_an_error_of_the_copy_reaches_the_reader(tmp_path: Path) -> None:
    class Broken(FakeCursor):
        def copy_expert(self, statement: str, file: Any) -> None:
            super().copy_expert(statement, file)
            raise ConnectionResetError("server went away")

    with pytest.raises(ConnectionResetError, match="server went away"):
        copy_rows(Broken(line()), "COPY", tmp_path / "x.arrow", KEY, {}, lambda rows: None)


def test_an_error_of_the_parser_shows_no_personal_text(tmp_path: Path) -> None:
    """Its text quotes the row, and a region's error goes into the ledger, the state's message and the alert."""
    with pytest.raises(REGION_ERRORS) as caught:
        copied(tmp_path, line(), line().replace(b"\n", b",one-cell-too-many\n"))
    assert "ann.lee" not in str(caught.value).lower()


def test_a_row_larger_than_a_block_is_the_regions_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of 16 MiB in one region must not take the memory of the run of all four."""
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 1_000)
    with pytest.raises(REGION_ERRORS):
        copied(tmp_path, line(), line(product_category="x" * 3_000), line())
