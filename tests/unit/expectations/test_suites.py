"""The Great Expectations suites: the bounds of the NULL share, and a failure for each promise about clean rows."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations import suites
from expectations.thresholds import Thresholds
from tasks.files.arrow import to_frame
from tasks.quality import QualityCheck, run_suite
from tests.unit.sales import (
    REQUIRED_COLUMNS,
    SNAPSHOT,
    TYPED_COLUMNS,
    extracted_frame,
    extracted_table,
    sale,
    sales,
    transformed,
    unreadable,
)

Break = Callable[[pd.DataFrame], pd.DataFrame]
MARKER = "somebody@example.com"


@pytest.fixture(scope="module")
def context() -> Any:
    ephemeral = gx.get_context(mode="ephemeral")
    ephemeral.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return ephemeral


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    """Three clean rows."""
    return to_frame(transformed(extracted_table(*sales(3))).clean)


def only(suite: gx.ExpectationSuite, *columns: str) -> gx.ExpectationSuite:
    """The suite's expectations on these columns: a whole suite takes a quarter of a second."""
    return gx.ExpectationSuite(suite.name, expectations=[e for e in suite.expectations if column_of(e) in columns])


def column_of(expectation: Any) -> str:
    return str(expectation.column)


def output_checks(frame: pd.DataFrame, context: Any, *columns: str) -> list[QualityCheck]:
    suite = suites.output_suite("EUROPE", SNAPSHOT)
    return run_suite(only(suite, *columns) if columns else suite, [suites.output_frame(frame)], "EUROPE", context)


@pytest.mark.parametrize("percentage", ["0", "0.1", "5.0", "33.3", "50", "100"])
def test_the_null_share_fails_when_the_percentage_is_reached(percentage: str) -> None:
    limit = Fraction(percentage) / 100
    for rows in (*range(1, 201), 7_110, 1_469_307):
        mostly = suites.smallest_share_above(Decimal(percentage), rows)
        allowed = max(math.ceil(rows * limit) - 1, 0)
        assert Fraction(allowed, rows) < limit or allowed == 0
        assert (rows - allowed) / rows >= mostly, rows
        assert (rows - allowed - 1) / rows < mostly, rows


@pytest.mark.parametrize(
    ("rows", "nulls", "passed"),
    [
        pytest.param(1, 1, False, id="one-row-null"),
        pytest.param(20, 1, False, id="exactly-5-of-20"),
        pytest.param(21, 1, True, id="just-below-in-21"),
        pytest.param(100, 4, True, id="just-below-in-100"),
        pytest.param(100, 5, False, id="exactly-5-in-100"),
        pytest.param(1001, 50, True, id="4.995-percent"),
    ],
)
def test_great_expectations_agrees_about_the_null_share(rows: int, nulls: int, passed: bool, context: Any) -> None:
    frame = extracted_frame(*sales(nulls, store_id=None), *sales(rows - nulls))
    suite = only(suites.input_suite(rows, Thresholds()), "store_id")
    (check,) = run_suite(suite, [suites.input_frame(frame)], "EUROPE", context)
    assert check.passed is passed
    assert f"NULL share of store_id is {Decimal(100 * nulls) / rows:.2f} % ({nulls} of {rows} rows)" in check.message
    assert check.message.endswith("threshold 5.0 %")


def test_no_suite_has_the_same_expectation_of_a_column_twice() -> None:
    """The gate distinguishes results by expectation and column."""
    made = (suites.input_suite(9, Thresholds()), suites.output_suite("EUROPE", SNAPSHOT), suites.keys_suite())
    for suite in made:
        asked = [(type(expectation), column_of(expectation)) for expectation in suite.expectations]
        assert len(set(asked)) == len(asked) > 0


def test_exactly_the_columns_that_may_not_be_null_are_judged_as_read(context: Any) -> None:
    suite = suites.input_suite(2, Thresholds())
    assert sorted(map(column_of, suite.expectations)) == sorted(REQUIRED_COLUMNS)
    frame = suites.input_frame(extracted_frame(dict.fromkeys(sale()), sale()))
    assert {c.column: c.passed for c in run_suite(suite, [frame], "EUROPE", context)} == dict.fromkeys(
        REQUIRED_COLUMNS, False
    )


def test_empty_texts_and_texts_like_null_are_not_null(context: Any) -> None:
    frame = extracted_frame(*sales(1, store_id=""), *sales(1, store_id="NULL"), *sales(1, store_id="nan"))
    suite = only(suites.input_suite(3, Thresholds()), "store_id")
    assert [c.passed for c in run_suite(suite, [suites.input_frame(frame)], "EUROPE", context)] == [True]


def test_unreadable_cells_are_not_null(context: Any) -> None:
    frame = extracted_frame(sale(**unreadable(**dict.fromkeys(TYPED_COLUMNS, "NaN"))), *sales(3))
    checks = run_suite(suites.input_suite(4, Thresholds()), [suites.input_frame(frame)], "EUROPE", context)
    assert [check.message for check in checks if not check.passed] == []


def test_nulls_are_counted_beside_unreadable_cells(context: Any) -> None:
    rows = [sale(**unreadable(unit_price="NaN")), sale(unit_price=None), sale()]
    suite = only(suites.input_suite(3, Thresholds()), "unit_price")
    (check,) = run_suite(suite, [suites.input_frame(extracted_frame(*rows))], "EUROPE", context)
    assert "33.33 % (1 of 3 rows)" in check.message


def test_clean_rows_at_every_bound_keep_every_promise(context: Any) -> None:
    rows = [
        sale(sale_id="half", total_amount="1.00"),
        sale(sale_id="twice", total_amount="4.00"),
        sale(sale_id="free", discount_amount="2.00", tax_amount="0"),
        sale(sale_id="taxed", tax_amount="2.00"),
        sale(sale_id="fuel", quantity=89_638, unit_price="0.001919", total_amount="171.67"),
        sale(sale_id="rich", quantity=1, unit_price="9999999999.99", total_amount="9999999999.99"),
        sale(sale_id="many", quantity=10**16 + 1, unit_price="0.000001", total_amount="9999999999.99"),
        sale(sale_id="old", sale_date=datetime(1, 1, 1, tzinfo=UTC)),
        sale(sale_id="now", sale_date=SNAPSHOT + timedelta(minutes=5), updated_at=SNAPSHOT + timedelta(minutes=5)),
    ]
    outcome = transformed(extracted_table(*rows))
    assert outcome.clean.num_rows == len(rows)
    checks = output_checks(to_frame(outcome.clean), context)
    assert [check.message for check in checks if not check.passed] == []
    assert len(checks) == len(suites.output_suite("EUROPE", SNAPSHOT).expectations)


def put(column: str, value: Any) -> Break:
    """Replaces the last row's cell."""

    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        kind = frame[column].dtype.pyarrow_dtype
        cells = [*frame[column].tolist()[:-1], value]
        return frame.assign(**{column: pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(cells, kind)]))})

    return broken


LATE = SNAPSHOT + timedelta(minutes=5, microseconds=1)
IN_SET, BETWEEN = "expect_column_values_to_be_in_set", "expect_column_values_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"


@pytest.mark.parametrize(
    ("broken", "column", "name"),
    [
        pytest.param(put("region", "US_EAST"), "region", IN_SET, id="another-region"),
        pytest.param(put("region", "europe"), "region", IN_SET, id="spelling-instead-of-code"),
        pytest.param(put("quantity", 0), "quantity", BETWEEN, id="quantity-zero"),
        pytest.param(put("quantity", -1), "quantity", BETWEEN, id="quantity-negative"),
        pytest.param(put("unit_price", Decimal(0)), "unit_price", BETWEEN, id="price-zero"),
        pytest.param(put("total_amount", Decimal(0)), "total_amount", BETWEEN, id="total-zero"),
        pytest.param(put("discount_amount", Decimal("-0.01")), "discount_amount", BETWEEN, id="discount-negative"),
        pytest.param(put("tax_amount", Decimal("-0.01")), "tax_amount", BETWEEN, id="tax-negative"),
        pytest.param(put("discount_amount", Decimal("2.01")), "_discount_headroom", BETWEEN, id="discount-above-total"),
        pytest.param(put("tax_amount", Decimal("2.01")), "_tax_headroom", BETWEEN, id="tax-above-total"),
        pytest.param(put("currency", "eur"), "_currency_is_code", BETWEEN, id="currency-malformed"),
        pytest.param(put("currency", "EUR\n"), "_currency_is_code", BETWEEN, id="currency-with-a-line-break"),
        pytest.param(put("unit_price", Decimal("2.000001")), "_above_half_price", BETWEEN, id="below-half-price"),
        pytest.param(put("quantity", 2**62), "_above_half_price", BETWEEN, id="a-product-that-no-int64-holds"),
        pytest.param(put("quantity", 10**18 - 1), "_above_half_price", BETWEEN, id="the-largest-quantity"),
        pytest.param(put("unit_price", Decimal("0.499999")), "_below_twice_price", BETWEEN, id="above-twice-price"),
        pytest.param(put("net_amount", Decimal("1.91")), "_net_residual", BETWEEN, id="net-a-cent-too-much"),
        pytest.param(put("net_amount", Decimal("1.89")), "_net_residual", BETWEEN, id="net-a-cent-too-little"),
        pytest.param(put("gross_profit", Decimal("1.78")), "_profit_residual", BETWEEN, id="profit-a-cent-off"),
        pytest.param(put("sale_year", 2023), "_date_residual", BETWEEN, id="year-off"),
        pytest.param(put("sale_month", 2), "_date_residual", BETWEEN, id="month-off"),
        pytest.param(put("sale_day", 16), "_date_residual", BETWEEN, id="day-off"),
        pytest.param(put("sale_date", LATE), "sale_date", BETWEEN, id="sold-in-future"),
        pytest.param(put("updated_at", LATE), "updated_at", BETWEEN, id="changed-in-future"),
    ],
)
def test_a_broken_promise_fails_its_check(
    broken: Break, column: str, name: str, clean: pd.DataFrame, context: Any
) -> None:
    failed = [check for check in output_checks(broken(clean), context, column) if not check.passed]
    assert [(check.name, check.column) for check in failed] == [(name, column)]
    assert failed[0].message.startswith(f"EUROPE: {name} on {column} is broken by ")


@pytest.mark.parametrize(
    ("codes", "bad"),
    [
        pytest.param([0, 1, 2], 0, id="different-keys"),
        pytest.param([0, 1, 1], 2, id="a-key-twice"),
        pytest.param([-1, 0, -1], 0, id="no-key-is-no-key-twice"),
    ],
)
def test_a_repeated_key_fails(codes: list[int], bad: int, context: Any) -> None:
    (check,) = run_suite(suites.keys_suite(), [suites.keys_frame(np.array(codes))], "EUROPE", context)
    assert (check.passed, check.rows, check.bad) == (bad == 0, 3, bad)


def test_null_in_any_required_clean_column_fails(clean: pd.DataFrame, context: Any) -> None:
    columns = [*REQUIRED_COLUMNS, "net_amount", "gross_profit", "sale_year", "sale_month", "sale_day"]
    frame = clean
    for column in columns:
        frame = put(column, None)(frame)
    suite = suites.output_suite("EUROPE", SNAPSHOT)
    not_null = [e for e in suite.expectations if isinstance(e, gxe.ExpectColumnValuesToNotBeNull)]
    checks = run_suite(gx.ExpectationSuite("nulls", expectations=not_null), [frame], "EUROPE", context)
    assert {c.column: c.passed for c in checks} == dict.fromkeys(columns, False)


@pytest.mark.parametrize("column", ["sale_id", "currency"])
def test_a_blank_counts_as_null_in_clean_rows(column: str, clean: pd.DataFrame, context: Any) -> None:
    (check,) = [c for c in output_checks(put(column, " \n")(clean), context, column) if c.name == NOT_NULL]
    assert (check.passed, check.bad) == (False, 1)


def test_a_blank_counts_as_null_in_rows_as_read() -> None:
    frame = suites.input_frame(extracted_frame(sale(sale_id=" "), sale(currency="\t"), sale(store_id="")))
    assert frame.isna().sum()[["sale_id", "currency", "store_id"]].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(99, "record count 99 is below threshold 100", id="one-too-few"),
        pytest.param(100, "record count 100 is at least threshold 100", id="just-enough"),
    ],
)
def test_the_floor_names_count_and_threshold(rows: int, message: str, context: Any) -> None:
    frame = pd.DataFrame({"sale_id": range(rows)})
    (check,) = run_suite(suites.batch_suite(100), [frame], "batch", context)
    assert (check.passed, check.message) == (rows >= 100, message)


def test_no_value_of_any_row_appears_in_a_check(clean: pd.DataFrame, context: Any) -> None:
    frame = clean
    for column in ("sale_id", "region", "currency", "store_id", "customer_id"):
        frame = put(column, MARKER)(frame)
    frame = put("discount_amount", Decimal("-7654321.98"))(pd.concat([frame, frame], ignore_index=True))
    checks = output_checks(frame, context, "sale_id", "region", "discount_amount", "_net_residual")
    assert not any(check.passed for check in checks if check.name != NOT_NULL)
    assert not any(text in str(checks) for text in (MARKER, "7654321", "c-1", "a" * 64))


def test_a_clean_frame_without_rows_has_the_residual_columns(clean: pd.DataFrame) -> None:
    assert list(suites.output_frame(clean[:0])) == list(suites.output_frame(clean))


def test_the_day_of_a_sale_is_its_utc_day(context: Any) -> None:
    last = datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    outcome = transformed(extracted_table(sale(sale_date=last)))
    assert date(*outcome.clean.select(["sale_year", "sale_month", "sale_day"]).to_pylist()[0].values()) == last.date()
    assert all(c.passed for c in output_checks(to_frame(outcome.clean), context, "_date_residual"))
