"""Versions of a sale with equal times: which one stays is the same for every order of arrival and on every engine."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.derived import VERSION_ORDER
from expectations.tables import CLEAN_COLUMNS, SOURCE_REGION
from tests.unit.sales import SALE, SOLD_AT, Row, extracted_table, minutes, sale, transformed

OPTIONAL = ("customer_email_token", "product_category", "extra_attributes")
TEXTS = ("", " ", "1", "10", "2", "A", "Z", "a", "z", "zz", "\x7f", "é", "e\u0301", "ß", "日本", "\uff5e", "😀")


def greatest(versions: Sequence[Row]) -> Row:
    """The plain model of VERSION_ORDER, in Python's own order of values."""
    return max(versions, key=lambda row: [_comparable(row[name]) for name in VERSION_ORDER])


def _comparable(cell: Any) -> tuple[bool, Any]:
    return cell is not None, cell.encode() if isinstance(cell, str) else cell or 0


def stays(*versions: Row) -> list[Row]:
    """The clean rows of all orders of arrival, with the names of the columns as read."""
    rows = [{**row, "sale_id": str(n)} for n, order in enumerate(permutations(versions)) for row in order]
    clean = transformed(extracted_table(*rows)).clean
    as_read = clean.drop_columns("region").rename_columns({SOURCE_REGION: "region"}).select([*SALE][:-1])
    return [{**row, "sale_id": SALE["sale_id"], "unreadable": None} for row in as_read.to_pylist()]


def test_the_order_has_every_column_once_after_the_time() -> None:
    names = [column.stored_name for column in CLEAN_COLUMNS]
    contract = [name for name in names if name in SALE and name != "updated_at"]
    assert ("updated_at", *contract) == VERSION_ORDER
    assert {*VERSION_ORDER, "unreadable"} == set(SALE)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([{"product_category": None}, {"product_category": ""}], id="null-before-empty"),
        pytest.param([{"customer_email_token": None}, {"customer_email_token": "a"}], id="null-before-a-token"),
        pytest.param([{"extra_attributes": None}, {"extra_attributes": "{}"}], id="null-before-attributes"),
        pytest.param([{"store_id": "10"}, {"store_id": "9"}], id="texts-by-bytes-not-by-number"),
        pytest.param([{"store_id": "Z"}, {"store_id": "a"}], id="capitals-first"),
        pytest.param([{"store_id": "z"}, {"store_id": "é"}], id="ascii-before-accents"),
        pytest.param([{"store_id": "e\u0301"}, {"store_id": "é"}], id="not-normalized"),
        pytest.param([{"store_id": "\uff5e"}, {"store_id": "😀"}], id="not-by-utf-16"),
        pytest.param([{"store_id": "a"}, {"store_id": "a "}], id="a-prefix-before-the-longer"),
        pytest.param([{"total_amount": "2.00"}, {"total_amount": "3.50"}], id="money"),
        pytest.param(
            [{"unit_price": "0.9", "quantity": 2}, {"unit_price": "1.1", "quantity": 2}], id="prices-by-value"
        ),
        pytest.param([{"quantity": 2}, {"quantity": 3}], id="quantity"),
        pytest.param(
            [{"sale_date": SOLD_AT}, {"sale_date": datetime(2024, 1, 15, 23, tzinfo=UTC)}], id="times-by-value"
        ),
        pytest.param([{"region": "EU"}, {"region": "europe"}], id="region-as-spelled"),
        pytest.param(
            [{"store_id": "1", "payment_method": "z"}, {"store_id": "2", "payment_method": "a"}],
            id="the-first-column-that-differs-decides",
        ),
        pytest.param(
            [{"store_id": "z", "updated_at": SOLD_AT}, {"store_id": "a", "updated_at": SOLD_AT + minutes(1)}],
            id="the-time-comes-before-all",
        ),
        pytest.param([{"store_id": "1"}, {"store_id": "2"}, {"store_id": "3"}], id="three"),
    ],
)
def test_the_last_of_these_stays_whatever_the_order(cells: list[Row]) -> None:
    versions = [sale(**row) for row in cells]
    assert greatest(versions) == versions[-1]
    found = stays(*versions)
    assert found == [versions[-1]] * len(found)
    assert found


versions = st.lists(
    st.builds(
        sale,
        store_id=st.sampled_from(TEXTS),
        product_category=st.sampled_from([None, *TEXTS]),
        customer_email_token=st.sampled_from([None, "a", "b"]),
        quantity=st.sampled_from([2, 3]),
        total_amount=st.sampled_from(["2.00", "2.20", "3.00"]),
        discount_amount=st.sampled_from(["0", "0.10", "1.00"]),
        sale_date=st.sampled_from([SOLD_AT, SOLD_AT + minutes(1)]),
        updated_at=st.sampled_from([SOLD_AT, SOLD_AT, SOLD_AT + minutes(1)]),
        extra_attributes=st.sampled_from([None, '{"a":1}', '{"a":2}']),
    ),
    min_size=2,
    max_size=3,
)


@settings(max_examples=30, deadline=None)
@given(versions)
def test_the_one_that_stays_is_that_of_a_plain_model(versions: list[Row]) -> None:
    found = stays(*versions)
    assert found == [greatest(versions)] * len(found)
