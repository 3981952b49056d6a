"""Exact counting: money to the cent, per currency, NULL apart from empty text."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tally import (
    MALFORMED,
    NO_CURRENCY,
    TALLIED_COLUMNS,
    Amount,
    Tally,
    add_up,
    currency_name,
    tallies_of_rows,
    tally_of_groups,
    tally_of_table,
)
from tests.unit.expectations.test_rules import BAD_CODES, BLANKS, GOOD_CODES
from tests.unit.sales import extracted_table, sale, sales

TOTAL = ("EUR", "total_amount")
LARGEST = Decimal("9999999999.99")


def euros(total: str, rows: int = 1, absent: int = 0) -> Tally:
    return Tally(rows, {TOTAL: Amount(Decimal(total), absent)})


amounts = st.builds(
    Amount, st.decimals(min_value=-LARGEST, max_value=LARGEST, places=2), st.integers(min_value=-5, max_value=5)
)
tallies = st.builds(
    Tally,
    st.integers(min_value=0, max_value=100),
    st.dictionaries(
        st.tuples(
            st.sampled_from(["EUR", "USD", MALFORMED, NO_CURRENCY]),
            st.sampled_from([column.name for column in TALLIED_COLUMNS]),
        ),
        amounts,
    ),
)


def test_a_thousand_sales_of_2_20_are_2200_to_the_cent() -> None:
    tally = tally_of_table(extracted_table(*sales(1000, total_amount="2.20")))
    assert tally.rows == 1000
    assert tally.amounts[TOTAL] == Amount(Decimal("2200.00"))


def test_sums_larger_than_the_columns_own_type_do_not_overflow() -> None:
    tally = tally_of_table(extracted_table(*sales(50, total_amount=LARGEST)))
    assert tally.amounts[TOTAL].total == 50 * LARGEST


def test_null_and_each_currency_are_counted_apart_and_every_other_text_as_one() -> None:
    currencies = [None, "", "EUR", "EUR", "eur", "a@b.com"]
    tally = tally_of_table(extracted_table(*(sale(currency=currency, total_amount="2.20") for currency in currencies)))
    totals = {currency: a.total for (currency, column), a in tally.amounts.items() if column == "total_amount"}
    assert totals == {NO_CURRENCY: Decimal("2.20"), MALFORMED: Decimal("6.60"), "EUR": Decimal("4.40")}


@pytest.mark.parametrize("text", [*BAD_CODES, *BLANKS, NO_CURRENCY, MALFORMED, "ABCD", '"EUR"', "a@b.com"], ids=ascii)
def test_a_text_that_is_no_currency_is_in_no_total(text: str) -> None:
    assert currency_name(text) == MALFORMED
    tally = tally_of_table(extracted_table(sale(currency=text)))
    assert {currency for currency, _ in tally.amounts} == {MALFORMED}
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally


def test_a_table_of_other_texts_is_counted_as_one() -> None:
    tally = tally_of_table(extracted_table(*(sale(currency=f"customer-{number}") for number in range(20_000))))
    assert {currency for currency, _ in tally.amounts} == {MALFORMED}
    assert tally.amounts[MALFORMED, "total_amount"] == Amount(Decimal(40_000))


@pytest.mark.parametrize("code", GOOD_CODES)
def test_three_capital_letters_are_a_currency(code: str) -> None:
    assert currency_name(code) == code
    assert {currency for currency, _ in tally_of_table(extracted_table(sale(currency=code))).amounts} == {code}


def test_a_column_of_other_texts_is_counted_in_linear_time() -> None:
    """If each group copied the totals of those before it, this would take minutes."""
    of_one = [(1, 1)] * len(TALLIED_COLUMNS)
    texts = [f"customer-{number}" for number in range(20_000)]
    tally = tally_of_groups([("EUR", 1, of_one), *((text, 1, of_one) for text in texts)])
    assert tally.rows == 20_001
    assert {currency for currency, _ in tally.amounts} == {"EUR", MALFORMED}
    assert tally.amounts[MALFORMED, "total_amount"] == Amount(Decimal(20_000))
    of_rows = tallies_of_rows(([text, 1, *[1, 1] * len(TALLIED_COLUMNS)] for text in texts), keys=0)
    assert of_rows[()].amounts[MALFORMED, "total_amount"] == Amount(Decimal(20_000))


def test_a_null_amount_is_counted_as_absent_and_not_as_zero() -> None:
    tally = tally_of_table(extracted_table(sale(total_amount=None), sale(total_amount="0"), sale()))
    assert tally.amounts[TOTAL] == Amount(Decimal("2.00"), absent=1)
    assert tally != tally_of_table(extracted_table(sale(total_amount="0"), sale(total_amount="0"), sale()))


def test_an_empty_table_is_an_empty_tally() -> None:
    assert tally_of_table(extracted_table()) == Tally()


def test_chunks_and_batches_count_like_one_table() -> None:
    table = extracted_table(*sales(5))
    chunked = pa.concat_tables([table[:2], table[2:]])
    assert tally_of_table(chunked) == tally_of_table(table)
    assert add_up(tally_of_table(batch) for batch in table.to_batches(max_chunksize=2)) == tally_of_table(table)


@given(tallies, tallies, tallies)
def test_addition_is_commutative_associative_and_undone_by_minus(left: Tally, middle: Tally, right: Tally) -> None:
    assert left + right == right + left
    assert (left + middle) + right == left + (middle + right)
    assert (left + right).minus(right) == left
    assert left + Tally() == left
    assert add_up([left, middle, right]) == left + middle + right


@given(tallies)
def test_json_gives_back_the_same_tally(tally: Tally) -> None:
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally


@given(tallies, tallies)
def test_there_are_differences_exactly_when_tallies_differ(left: Tally, right: Tally) -> None:
    assert bool(left.differences(right)) == (left != right)
    assert left.differences(left) == []
    assert left != right or hash(left) == hash(right)


def test_json_holds_money_as_text_with_its_cents() -> None:
    assert euros("2200.00", rows=1000).to_json() == {
        "rows": 1000,
        "money": {"EUR": {"total_amount": {"total": "2200.00"}}},
        "controls": {},
    }
    assert euros("0.00", absent=2).to_json()["money"]["EUR"]["total_amount"] == {"total": "0.00", "absent": 2}


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        pytest.param(euros("2.00"), [], id="equal"),
        pytest.param(euros("2.00", rows=2), ["rows 1 against 2"], id="rows"),
        pytest.param(euros("2.01"), ["total_amount EUR 2.00 against 2.01"], id="a-cent"),
        pytest.param(euros("2.00", absent=1), ["total_amount EUR without value 0 against 1"], id="absent"),
        pytest.param(
            Tally(1, {("USD", "total_amount"): Amount(Decimal("2.00"))}),
            ["total_amount EUR 2.00 against 0.00", "total_amount USD 0.00 against 2.00"],
            id="another-currency",
        ),
    ],
)
def test_differences_name_column_currency_and_both_sides(other: Tally, lines: list[str]) -> None:
    assert euros("2.00").differences(other) == lines


def test_cells_of_zero_make_no_difference() -> None:
    with_zero = Tally(1, {TOTAL: Amount(Decimal("2.00")), ("USD", "tax_amount"): Amount()})
    assert with_zero == euros("2.00")
    assert hash(with_zero) == hash(euros("2.00"))
    assert with_zero.differences(euros("2.00")) == []


def test_a_tally_is_equal_to_nothing_else() -> None:
    assert Tally() != 0
    assert Tally() != {}


Cell = tuple[Decimal | int | None, int]


def counted(row: Mapping[str, Any]) -> list[Cell]:
    """What a database returns for one row: sum and number of values of each tallied column."""
    return [(_number(row[column.name]), int(row[column.name] is not None)) for column in TALLIED_COLUMNS]


def _number(cell: Any) -> Decimal | int | None:
    match cell:
        case datetime():
            return (cell - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        case str():
            return len(cell)
        case _:
            return cell


def test_groups_counted_by_a_database_are_the_same_as_the_table() -> None:
    table = extracted_table(
        sale(currency=None, total_amount=None, product_category=None), sale(store_id="Zürich 🛒"), sale(currency="USD")
    )
    groups = [(row["currency"], 1, counted(row)) for row in table.to_pylist()]
    for order in permutations(groups):
        assert tally_of_groups(order) == tally_of_table(table)


def test_rows_of_a_query_are_tallied_by_their_first_keys() -> None:
    cells = [Decimal("0.10"), 1, Decimal("0.13"), 1]
    others = [1, 1] * (len(TALLIED_COLUMNS) - 3)
    rows = [
        ("EUROPE", "inserted", "EUR", 1, *cells, Decimal("2.00"), 1, *others),
        ("EUROPE", "inserted", "USD", 1, *cells, Decimal("3.00"), 1, *others),
        ("EUROPE", "updated", None, 2, *[None, 0] * len(TALLIED_COLUMNS)),
    ]
    tallied = tallies_of_rows(rows, keys=2)
    assert tallied.keys() == {("EUROPE", "inserted"), ("EUROPE", "updated")}
    assert tallied["EUROPE", "inserted"].rows == 2
    assert tallied["EUROPE", "inserted"].amounts["USD", "total_amount"] == Amount(Decimal("3.00"))
    assert tallied["EUROPE", "updated"].amounts[NO_CURRENCY, "tax_amount"] == Amount(absent=2)
    assert tallies_of_rows([], keys=2) == {}


NOON = datetime(2024, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        pytest.param({"sale_date": NOON + timedelta(hours=1)}, "sale_date", id="a-shifted-clock"),
        pytest.param({"updated_at": NOON + timedelta(microseconds=1)}, "updated_at", id="a-microsecond"),
        pytest.param({"store_id": "4242", "customer_id": "7"}, "store_id", id="swapped-columns"),
        pytest.param({"quantity": 3}, "quantity", id="a-quantity"),
        pytest.param({"unit_price": "1.500001"}, "unit_price", id="a-float-price"),
        pytest.param({"product_category": ""}, "product_category", id="empty-for-null"),
    ],
)
def test_control_totals_show_what_money_does_not(changes: dict[str, Any], column: str) -> None:
    plain = {"sale_date": NOON, "updated_at": NOON, "store_id": "7", "customer_id": "4242", "product_category": None}
    right, wrong = (tally_of_table(extracted_table(sale(**(plain | more)))) for more in ({}, changes))
    assert any(line.startswith(column) for line in right.differences(wrong))


def test_sums_of_whole_numbers_do_not_wrap_around() -> None:
    tally = tally_of_table(extracted_table(*sales(20, quantity=10**18 - 1)))
    assert tally.amounts["EUR", "quantity"].total == 20 * (10**18 - 1)
