"""The mapping of the real data, on all of it and on a few baskets made by hand. No database."""

import tomllib
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.columns import SOURCE_COLUMNS
from local import sample_data

REGIONS_TOML = Path(__file__).parents[3] / "expectations" / "regions.toml"
CODES = [region.code for region in sample_data.REGIONS]
by_region = pytest.mark.parametrize("code", CODES)


@pytest.fixture(scope="module", autouse=True)
def _tables_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_data, "completejourney", cache(sample_data.completejourney))
        yield


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    """The quantity of the original transactions and, in cents, what was paid and `gross`: with all discounts."""
    transactions = sample_data.completejourney("transactions")
    region = np.array(CODES)[transactions["store_id"] % 4]
    paid, loyalty, match = (
        sample_data.cents(transactions[name]) for name in ("sales_value", "retail_disc", "coupon_match_disc")
    )
    quantity = transactions["quantity"]
    return pd.DataFrame({"code": region, "quantity": quantity, "paid": paid, "gross": paid + loyalty + match})


def units(decimals: pd.Series, scale: int) -> npt.NDArray[np.int64]:
    """Decimals as whole units of their last place; exact, as all are far below 2**53."""
    return np.asarray(np.rint(pa.array(decimals).cast(pa.float64()).to_numpy() * 10**scale), dtype=np.int64)


def test_every_transaction_becomes_one_sale_with_its_own_id() -> None:
    sale_ids = pa.chunked_array([pa.array(sample_data.year(code)["sale_id"]) for code in CODES])
    assert len(sale_ids) == 1_469_307
    assert pc.count_distinct(sale_ids).as_py() == len(sale_ids)


def test_columns_and_types_are_those_of_the_contract() -> None:
    frame = sample_data.year("EUROPE")
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    assert {f.name: f.type for f in rows.schema} == {c.name: c.arrow_field.type for c in SOURCE_COLUMNS}
    assert tuple(rows.column_names) == sample_data.COLUMN_NAMES


def test_the_busiest_day_is_split_by_store() -> None:
    day = pd.Timestamp("2017-12-23").date()
    counts = [int((sample_data.year(code)["sale_date"].dt.date == day).sum()) for code in CODES]
    assert counts == [2140, 1247, 1933, 1790]
    assert sum(counts) == 7110


def test_only_christmas_has_no_sales() -> None:
    days = {day for code in CODES for day in sample_data.year(code)["sale_date"].dt.date.unique()}
    calendar = set(pd.date_range("2017-01-01", "2018-01-01").date)
    assert calendar - days == {pd.Timestamp("2017-12-25").date()}


@by_region
def test_a_row_breaks_a_rule_only_when_its_original_is_without_quantity_or_amount(
    code: str, original: pd.DataFrame
) -> None:
    frame = sample_data.year(code)
    source = original[original["code"] == code]
    quantity = frame["quantity"].to_numpy(dtype=np.int64)
    price, total = units(frame["unit_price"], 6), units(frame["total_amount"], 2)
    discount, tax = units(frame["discount_amount"], 2), units(frame["tax_amount"], 2)
    nominal = quantity * price
    good = (quantity > 0) & (price > 0) & (total > 0)
    good &= (2 * total * 10_000 >= nominal) & (total * 10_000 <= 2 * nominal)
    good &= (discount >= 0) & (discount <= total) & (tax >= 0) & (tax <= total - discount)
    original_good = (source["quantity"] > 0) & (source["gross"] > 0)
    assert np.array_equal(good, original_good.to_numpy())


def test_rows_without_quantity_or_amount_are_few_and_real(original: pd.DataFrame) -> None:
    assert int((original["quantity"] <= 0).sum()) == 8_869
    assert int((original["gross"] <= 0).sum()) == 9_100
    assert int(((original["quantity"] <= 0) | (original["gross"] <= 0)).sum()) == 9_132


@by_region
def test_net_amounts_add_up_to_what_the_store_received(code: str, original: pd.DataFrame) -> None:
    rows = pa.Table.from_pandas(sample_data.year(code), preserve_index=False)
    net = pc.sum(rows["total_amount"]).as_py() - pc.sum(rows["discount_amount"]).as_py()
    assert net == Decimal(int(original.loc[original["code"] == code, "paid"].sum())) / 100


@by_region
def test_only_email_and_category_have_nulls_and_nothing_is_an_empty_string(code: str) -> None:
    frame = sample_data.year(code)
    assert {name for name in frame if frame[name].isna().any()} == {"customer_email", "product_category"}
    assert not any((frame[name] == "").any() for name in frame if frame[name].dtype == "string[pyarrow]")
    assert frame["product_category"].isna().mean() < 0.006


@by_region
def test_a_store_spells_its_region_in_one_known_way_and_the_region_in_several(code: str) -> None:
    frame = sample_data.year(code)
    known = {entry["code"]: entry["spellings"] for entry in tomllib.loads(REGIONS_TOML.read_text())["region"]}
    assert frame.groupby("store_id")["region"].nunique().max() == 1
    assert frame["region"].nunique() == 4
    assert {spelling.strip().lower() for spelling in frame["region"].unique()} <= set(known[code])


@by_region
def test_currency_and_tax_are_the_regions(code: str) -> None:
    frame = sample_data.year(code)
    region = next(region for region in sample_data.REGIONS if region.code == code)
    paid = units(frame["total_amount"], 2) - units(frame["discount_amount"], 2)
    rate = units(frame["tax_amount"], 2).sum() / paid.sum()
    assert frame["currency"].unique().tolist() == [region.currency]
    assert rate == pytest.approx(region.tax_percent / (100 + region.tax_percent), abs=0.0005)


def test_a_basket_has_one_payment_method() -> None:
    frame = sample_data.year("US_WEST")
    basket = frame["sale_id"].str.replace(r"-\d+$", "", regex=True)
    assert frame.groupby(basket)["payment_method"].nunique().max() == 1
    assert set(frame["payment_method"]) == set(sample_data.PAYMENT_METHODS)


def baskets(**columns: object) -> pd.DataFrame:
    """Two lines of basket 70 of household 1 in store 2 (Europe), with some columns replaced."""
    lines = {
        "household_id": [1, 1],
        "store_id": [2, 2],
        "basket_id": [70, 70],
        "product_id": [10, 11],
        "quantity": [3, 1],
        "sales_value": [2.00, 1.07],
        "retail_disc": [0.30, 0.0],
        "coupon_disc": [0.0, 0.0],
        "coupon_match_disc": [0.05, 0.0],
        "transaction_timestamp": pd.to_datetime(["2017-03-05 23:59:59", "2017-03-05 23:59:59"]),
    }
    return pd.DataFrame({**lines, **columns})


PRODUCTS = pd.DataFrame({"product_id": [10, 11], "product_category": ["TEA", None]})
DEMOGRAPHICS = pd.DataFrame({"household_id": [1]})


def test_a_sale_by_hand() -> None:
    frame = sample_data.sales(baskets(), PRODUCTS, DEMOGRAPHICS)
    sold_at = pd.Timestamp("2017-03-05 23:59:59", tz="UTC")
    assert frame.iloc[0].to_dict() == {
        "sale_id": "70-1",
        "sale_date": sold_at,
        "store_id": "2",
        "customer_id": "1",
        "customer_email": "household1@example.com",
        "product_id": "10",
        "product_category": "TEA",
        "quantity": 3,
        "unit_price": Decimal("0.783333"),
        "discount_amount": Decimal("0.35"),
        "tax_amount": Decimal("0.13"),
        "total_amount": Decimal("2.35"),
        "currency": "EUR",
        "payment_method": "debit_card",
        "region": "Europe",
        "updated_at": sold_at,
    }
    assert frame["sale_id"].tolist() == ["70-1", "70-2"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param({"quantity": [0, 0]}, {"unit_price": Decimal("2.350000")}, id="quantity-0-has-the-total-as-price"),
        pytest.param({"coupon_disc": [1.0, 1.0]}, {"total_amount": Decimal("2.35")}, id="makers-coupon-is-no-discount"),
        pytest.param({"household_id": [2, 2]}, {"customer_email": pd.NA}, id="unknown-household-has-no-email"),
        pytest.param({"product_id": [11, 10]}, {"product_category": pd.NA}, id="product-without-category"),
        pytest.param({"product_id": [99, 10]}, {"product_category": pd.NA}, id="unknown-product"),
        pytest.param({"sales_value": [0.0, 0.0]}, {"tax_amount": Decimal("0.00")}, id="nothing-paid-no-tax"),
        pytest.param(
            {"quantity": [89_638, 1], "sales_value": [171.67, 1.0]}, {"unit_price": Decimal("0.001919")}, id="fuel"
        ),
    ],
)
def test_special_cases(columns: dict[str, object], expected: dict[str, object]) -> None:
    frame = sample_data.sales(baskets(**columns), PRODUCTS, DEMOGRAPHICS)
    row = frame.iloc[0]
    for name, value in expected.items():
        assert row[name] is value if value is pd.NA else row[name] == value


def test_division_rounds_a_tie_to_the_even_neighbour_and_below_zero_too() -> None:
    dividends, divisors = np.arange(-200, 201), np.array([1, 2, 3, 4, 7, 100, 107])
    dividend, divisor = (grid.ravel() for grid in np.meshgrid(dividends, divisors))
    expected = [
        int((Decimal(int(a)) / Decimal(int(b))).quantize(Decimal(1), ROUND_HALF_EVEN))
        for a, b in zip(dividend, divisor, strict=True)
    ]
    assert sample_data.divide_half_even(dividend, divisor).tolist() == expected


def test_cents_become_exact_decimals_below_zero_too() -> None:
    cents = np.array([-1, 0, 1, -12_345, 999_999_999_999], dtype=np.int64)
    assert sample_data.money(cents).to_pylist() == [Decimal(int(c)).scaleb(-2) for c in cents]


def test_the_documentation_names_every_column_in_order() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sample-data.md").read_text(encoding="utf-8")
    table = page.partition("## What is real and what is derived")[2].partition("`coupon_disc` is left out")[0]
    documented = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert documented == list(sample_data.COLUMN_NAMES)
