"""The SQL that reads a region: what stops a region, with which message, and the COPY itself as a golden file."""

from datetime import date

import pytest

from expectations.columns import SOURCE_COLUMNS, Column
from tasks.batch import Window
from tasks.errors import RegionUnfitError
from tasks.source.statements import (
    FITTING_TYPES,
    NewColumn,
    bounds_statement,
    check_declared,
    copy_statement,
    in_window,
    quote_postgres,
    tally_statement,
    unreadable,
    width_statement,
)
from tests.unit.golden import assert_golden

WINDOW = Window.of_day(date(2024, 1, 15))
DECLARED = {
    "sale_id": "text",
    "sale_date": "timestamp with time zone",
    "store_id": "text",
    "customer_id": "text",
    "customer_email": "text",
    "product_id": "text",
    "product_category": "text",
    "quantity": "integer",
    "unit_price": "numeric(18,6)",
    "discount_amount": "numeric(12,2)",
    "tax_amount": "numeric",
    "total_amount": "numeric(12,2)",
    "currency": "text",
    "payment_method": "text",
    "region": "text",
    "updated_at": "timestamp with time zone",
}
BY_NAME: dict[str, Column] = {column.name: column for column in SOURCE_COLUMNS}


def test_the_contracts_own_table_has_nothing_new() -> None:
    assert check_declared(DECLARED, "sales_transactions") == ()


@pytest.mark.parametrize(
    ("column", "declared"),
    [
        pytest.param("sale_id", "bigint", id="key-as-number"),
        pytest.param("sale_id", "uuid", id="key-as-uuid"),
        pytest.param("store_id", "character varying(20)", id="bounded-text"),
        pytest.param("currency", "character(3)", id="padded-text"),
        pytest.param("payment_method", "enum", id="enum-as-text"),
        pytest.param("quantity", "smallint", id="small-quantity"),
        pytest.param("quantity", "numeric", id="quantity-as-numeric"),
        pytest.param("sale_date", "timestamp(3) with time zone", id="milliseconds"),
        pytest.param("total_amount", "bigint", id="money-as-whole-number"),
    ],
)
def test_types_that_can_be_read_exactly_fit(column: str, declared: str) -> None:
    assert check_declared({**DECLARED, column: declared}, "sales_transactions") == ()


@pytest.mark.parametrize(
    ("column", "declared"),
    [
        pytest.param("total_amount", "double precision", id="money-as-float"),
        pytest.param("unit_price", "real", id="price-as-float"),
        pytest.param("total_amount", "money", id="money-type-depends-on-locale"),
        pytest.param("total_amount", "text", id="money-as-text"),
        pytest.param("quantity", "double precision", id="quantity-as-float"),
        pytest.param("sale_date", "timestamp without time zone", id="time-without-zone"),
        pytest.param("sale_date", "date", id="date"),
        pytest.param("updated_at", "text", id="time-as-text"),
        pytest.param("sale_id", "bytea", id="bytes"),
        pytest.param("quantity", "enum", id="quantity-as-enum"),
        pytest.param("sale_id", "text[]", id="array"),
    ],
)
def test_a_type_that_does_not_fit_is_named_with_those_that_do(column: str, declared: str) -> None:
    with pytest.raises(RegionUnfitError) as caught:
        check_declared({**DECLARED, column: declared}, "sales_transactions")
    assert str(caught.value).startswith(
        f"column sales_transactions.{column} is {declared}, which does not fit: make it "
    )
    assert all(fitting in str(caught.value) for fitting in FITTING_TYPES[BY_NAME[column].kind])


@pytest.mark.parametrize("column", DECLARED)
def test_a_missing_column_is_named_nullable_or_not(column: str) -> None:
    declared = {name: kind for name, kind in DECLARED.items() if name != column}
    with pytest.raises(RegionUnfitError, match=f"^column sales_transactions.{column} is missing"):
        check_declared(declared, "sales_transactions")


def test_new_columns_are_reported_in_the_tables_order_whatever_their_type() -> None:
    declared = {"loyalty tier": "text", **DECLARED, 'a"b': "double precision", "Sale_ID": "text"}
    assert check_declared(declared, "sales_transactions") == (
        NewColumn("loyalty tier", "text"),
        NewColumn('a"b', "double precision"),
        NewColumn("Sale_ID", "text"),
    )


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        pytest.param("plain", '"plain"', id="plain"),
        pytest.param("Käse Preis", '"Käse Preis"', id="blank-and-umlaut"),
        pytest.param('a"b', '"a""b"', id="quote"),
        pytest.param('"; DROP TABLE x; --', '"""; DROP TABLE x; --"', id="attack"),
    ],
)
def test_identifiers_are_quoted(name: str, quoted: str) -> None:
    assert quote_postgres(name) == quoted


def test_the_copy_of_a_day_is_shown() -> None:
    assert_golden("copy_source.sql", copy_statement('"sales"."order"', WINDOW, DECLARED, ["loyalty tier", 'a"b']))


def test_the_copy_of_a_slice_is_that_of_the_day_with_one_more_condition() -> None:
    day, of_slice = (
        copy_statement('"sales"."order"', WINDOW, DECLARED, [], of_slice=part) for part in ("", "ctid < x")
    )
    before, window, after = day.partition(in_window(WINDOW))
    assert of_slice == f"{before}({window})\n  AND ctid < x{after}"


def test_bounds_of_slices_are_drawn_from_the_rows_of_the_window() -> None:
    assert bounds_statement('"sales"."order"', WINDOW, 4, 0.01) == (
        "SELECT unnest(percentile_disc(ARRAY[1.0 / 4, 2.0 / 4, 3.0 / 4]) WITHIN GROUP (ORDER BY ctid))::text\n"
        f'FROM "sales"."order"\nWHERE ({in_window(WINDOW)}) AND random() < 0.010000000'
    )


def test_the_databases_own_count_is_shown() -> None:
    assert_golden("tally_source.sql", tally_statement('"sales"."order"', WINDOW, DECLARED))


def test_the_width_of_rows_is_that_of_what_is_read() -> None:
    read = copy_statement('"sales"."order"', WINDOW, DECLARED, ["loyalty tier"])
    assert width_statement('"sales"."order"', WINDOW, DECLARED, ["loyalty tier"]) == (
        "SELECT coalesce(avg(octet_length(convert_to(sample::text, 'UTF8'))), 0)::float8\nFROM (\n"
        + read.removeprefix("COPY (\n").removesuffix("\n) TO STDOUT (FORMAT csv)")
        + "\nLIMIT 10000\n) AS sample"
    )


def test_the_window_is_half_open_for_sold_and_for_changed() -> None:
    start, end = "timestamptz '2024-01-15T00:00:00+00:00'", "timestamptz '2024-01-16T00:00:00+00:00'"
    sold, changed = (f"({name} >= {start} AND {name} < {end})" for name in ("sale_date", "updated_at"))
    assert in_window(WINDOW) == f"{sold} OR {changed}"


NUMBERS = [column for column in SOURCE_COLUMNS if column.kind in ("integer", "price", "money")]


@pytest.mark.parametrize("column", NUMBERS, ids=lambda column: column.name)
def test_the_smallest_bigint_does_not_stop_a_region(column: Column) -> None:
    """abs(-9223372036854775808) is an error in PostgreSQL ("out of range"): one such cell would lose the region."""
    condition = unreadable(column, "bigint")
    assert condition is not None
    assert f"abs({quote_postgres(column.name)}::numeric)" in condition


@pytest.mark.parametrize(
    ("column", "declared", "condition"),
    [
        pytest.param("sale_id", "text", None, id="text-holds-everything"),
        pytest.param("quantity", "integer", None, id="integer"),
        pytest.param("total_amount", "integer", None, id="integer-as-money"),
        pytest.param("total_amount", "numeric(12,2)", "coalesce(\"total_amount\" = 'NaN', false)", id="as-contract"),
        pytest.param("total_amount", "numeric(5,0)", "coalesce(\"total_amount\" = 'NaN', false)", id="narrower"),
    ],
)
def test_cells_are_not_checked_for_what_their_declared_type_rules_out(
    column: str, declared: str, condition: str | None
) -> None:
    assert unreadable(BY_NAME[column], declared) == condition


@pytest.mark.parametrize("declared", ["numeric", "numeric(13,2)", "numeric(12,3)", "numeric(9,-2)", "bigint"])
def test_cells_are_checked_for_what_their_declared_type_allows(declared: str) -> None:
    condition = unreadable(BY_NAME["total_amount"], declared)
    assert condition is not None
    assert ">= 1e10" in condition
