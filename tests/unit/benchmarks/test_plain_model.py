"""The plain model of the year: what it takes for valid, and that its hash depends on each cell and on no order."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.plain_model import Cells, Content, is_valid, stored
from expectations.tables import CLEAN_COLUMNS

KEY = b"a key of tests"
COLUMNS = [column.stored_name for column in CLEAN_COLUMNS]
ROW: dict[str, Any] = {
    "sale_id": "7-1",
    "sale_date": datetime(2017, 3, 4, 23, 30, tzinfo=UTC),
    "store_id": "4",
    "customer_id": "9",
    "customer_email": "Household9@example.com ",
    "product_id": "11",
    "product_category": None,
    "quantity": 2,
    "unit_price": Decimal("1.250000"),
    "discount_amount": Decimal("0.50"),
    "tax_amount": Decimal("0.20"),
    "total_amount": Decimal("2.50"),
    "currency": "EUR",
    "payment_method": "cash",
    "region": " EUROPE",
    "updated_at": datetime(2017, 3, 4, 23, 30, tzinfo=UTC),
}


def content_of(*rows: Cells) -> Content:
    content = Content()
    for row in rows:
        content.add(row)
    return content


@pytest.mark.parametrize(
    ("cells", "valid"),
    [
        pytest.param({}, True, id="good"),
        pytest.param({"sale_id": ""}, False, id="blank-key"),
        pytest.param({"store_id": None}, False, id="null"),
        pytest.param({"customer_email": None}, True, id="nullable"),
        pytest.param({"quantity": 0}, False, id="nothing-sold"),
        pytest.param({"total_amount": Decimal("1.25")}, True, id="half-the-price"),
        pytest.param({"total_amount": Decimal("1.24")}, False, id="below-half-the-price"),
        pytest.param({"total_amount": Decimal("5.01")}, False, id="above-twice-the-price"),
        pytest.param({"discount_amount": Decimal("2.51")}, False, id="discount-above-total"),
        pytest.param({"currency": "eur"}, False, id="small-letters"),
        pytest.param({"region": "APAC"}, False, id="another-region"),
    ],
)
def test_a_row_is_valid_by_the_rules(cells: Cells, valid: bool) -> None:
    assert is_valid({**ROW, **cells}, "EUROPE") is valid


def test_a_stored_row_has_code_token_and_derived_columns() -> None:
    row = stored(ROW, "EUROPE", KEY)
    assert (row["region"], row["net_amount"], row["gross_profit"]) == ("EUROPE", Decimal("2.00"), Decimal("1.80"))
    assert (row["sale_year"], row["sale_month"], row["sale_day"]) == (2017, 3, 4)
    assert (
        row["customer_email_token"]
        == stored({**ROW, "customer_email": "household9@example.com"}, "EUROPE", KEY)["customer_email_token"]
    )
    assert stored({**ROW, "customer_email": None}, "EUROPE", KEY)["customer_email_token"] is None


def test_the_hash_depends_on_each_cell_and_on_no_order() -> None:
    one, other = stored(ROW, "EUROPE", KEY), stored({**ROW, "sale_id": "7-2"}, "EUROPE", KEY)
    assert content_of(one, other) == content_of(other, one)
    assert content_of(one, other).revenue == {"EUR": Decimal("5.00")}
    changed = {**dict.fromkeys(COLUMNS, "changed"), "total_amount": Decimal("9.99")}
    hashes = {content_of({**one, name: changed[name]}).hash for name in COLUMNS}
    assert len(hashes - {content_of(one).hash}) == len(COLUMNS)
    assert content_of(one, one) != content_of(one)


def test_equal_values_have_one_hash_whatever_holds_them() -> None:
    row = stored(ROW, "EUROPE", KEY)
    berlin = timezone(timedelta(hours=1))
    same = {**row, "sale_date": row["sale_date"].astimezone(berlin), "quantity": Decimal(2), "sale_year": Decimal(2017)}
    assert content_of(same) == content_of({**row, "unit_price": Decimal("1.25")})
