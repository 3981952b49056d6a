"""Every row rule at its bound, just inside and just outside. A row breaks exactly the named rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from expectations.regions import REGIONS
from expectations.rules import CROSS_REGION_RULE, RULES, VALUE_RULES, Origin, broken_rules
from tests.unit.golden import assert_golden
from tests.unit.sales import ORIGIN, REQUIRED_COLUMNS, SNAPSHOT, TYPED_COLUMNS, Row, extracted_frame, sale, unreadable

LARGEST_PRICE = "999999999999.999999"
LARGEST_MONEY = "9999999999.99"
MICROSECOND = timedelta(microseconds=1)
OUTSIDE = "total_amount_outside_price_range"


def broken(*rows: Row, origin: Origin = ORIGIN) -> list[set[str]]:
    found = broken_rules(extracted_frame(*rows), origin)
    return [{str(rule) for rule in found if row[rule]} for _, row in found.iterrows()]


def case(name: str, *rules: str, **cells: Any) -> Any:
    return pytest.param(cells, set(rules), id=name)


QUANTITY_CASES = [
    case("one", quantity=1),
    case("zero", "quantity_not_positive", OUTSIDE, quantity=0),
    case("minus-one", "quantity_not_positive", OUTSIDE, quantity=-1),
    case("fuel-89638-ml-below-a-cent", quantity=89_638, unit_price="0.001919", total_amount="171.67"),
    case("largest", OUTSIDE, quantity=10**18 - 1),
    case("smallest", "quantity_not_positive", OUTSIDE, quantity=-(10**18) + 1),
]
PRICE_CASES = [
    case("a-millionth", quantity=2_000_000, unit_price="0.000001"),
    case("below-a-cent", quantity=400, unit_price="0.005"),
    case("zero", "unit_price_not_positive", OUTSIDE, unit_price="0"),
    case("minus-a-millionth", "unit_price_not_positive", OUTSIDE, unit_price="-0.000001"),
    case(
        "two-negatives-make-no-sale", "quantity_not_positive", "unit_price_not_positive", quantity=-2, unit_price="-1"
    ),
    case("largest", OUTSIDE, unit_price=LARGEST_PRICE),
    case("largest-times-largest", OUTSIDE, unit_price=LARGEST_PRICE, quantity=10**18 - 1),
]
TOTAL_CASES = [
    case("a-cent", total_amount="0.01", quantity=1, unit_price="0.01", discount_amount="0", tax_amount="0"),
    case("zero", "total_amount_not_positive", OUTSIDE, total_amount="0", discount_amount="0", tax_amount="0"),
    case(
        "minus-a-cent",
        "total_amount_not_positive",
        OUTSIDE,
        "discount_above_total",
        "tax_above_total",
        total_amount="-0.01",
    ),
    case("largest", total_amount=LARGEST_MONEY, quantity=1, unit_price=LARGEST_MONEY),
]
PRICE_RANGE_CASES = [
    case("exactly-half", total_amount="1.00"),
    case("a-cent-below-half", OUTSIDE, total_amount="0.99"),
    case("exactly-twice", total_amount="4.00"),
    case("a-cent-above-twice", OUTSIDE, total_amount="4.01"),
    case("a-millionth-below-half", OUTSIDE, total_amount="1.00", quantity=1, unit_price="2.000001"),
    case("half-to-the-millionth", total_amount="1.00", quantity=1, unit_price="2.000000"),
    case("a-millionth-above-twice", OUTSIDE, total_amount="2.00", quantity=1, unit_price="0.999999"),
    case("twice-to-the-millionth", total_amount="2.00", quantity=1, unit_price="1.000000"),
]
DISCOUNT_AND_TAX_CASES = [
    case("no-discount", discount_amount="0"),
    case("negative-discount", "discount_amount_negative", discount_amount="-0.01"),
    case("discount-is-the-total", discount_amount="2.00"),
    case("discount-a-cent-above-the-total", "discount_above_total", discount_amount="2.01"),
    case("no-tax", tax_amount="0"),
    case("negative-tax", "tax_amount_negative", tax_amount="-0.01"),
    case("tax-above-what-was-paid-is-no-rule", tax_amount="1.95"),
    case("tax-is-the-total", tax_amount="2.00"),
    case("tax-a-cent-above-the-total", "tax_above_total", tax_amount="2.01"),
    case("tax-without-a-total", "missing_total_amount", tax_amount="2.01", total_amount=None),
    case("largest-tax", "tax_above_total", tax_amount=LARGEST_MONEY),
]
REGION_CASES = [
    case("code", region="EUROPE"),
    case("any-case-and-blanks", region="\t eMeA "),
    case("unknown", "region_unknown", region="Atlantis"),
    case("empty", "region_unknown", region=""),
    case("text-null", "region_unknown", region="NULL"),
    case("of-another-database", "region_of_another_database", region="us-east"),
]
TIME_CASES = [
    case("sold-at-tolerance", sale_date=SNAPSHOT + timedelta(minutes=5)),
    case("sold-after-tolerance", "sale_date_in_future", sale_date=SNAPSHOT + timedelta(minutes=5) + MICROSECOND),
    case("changed-at-tolerance", updated_at=SNAPSHOT + timedelta(minutes=5)),
    case("changed-after-tolerance", "updated_at_in_future", updated_at=SNAPSHOT + timedelta(minutes=5) + MICROSECOND),
    case("sold-in-year-1", sale_date=datetime(1, 1, 1, tzinfo=UTC)),
    case("sold-beyond-nanoseconds", "sale_date_in_future", sale_date=datetime(9999, 12, 31, tzinfo=UTC)),
    case("sold-before-nanoseconds", sale_date=datetime(1677, 1, 1, tzinfo=UTC)),
]
TEXT_CASES = [
    case("empty-texts-are-values", store_id="", customer_id="", product_id="", payment_method=""),
    case("white-space-is-a-value", store_id=" ", customer_id="\t", product_id="\n", payment_method=" \r\n"),
    case("texts-like-null", sale_id="NULL", store_id="NA", customer_id="nan", product_id="None"),
    case("optional-columns-missing", customer_email_token=None, product_category=None, extra_attributes=None),
]


GOOD_CODES = ["USD", "EUR", "AAA", "ZZZ", "XXX"]
BAD_CODES = [
    *("usd", "Usd", "US", "USDX", "US1", "U D", "U\nD", "840", "null", "$", "€"),
    *(" USD", "USD ", "USD\n", "USD\r\n", "\tUSD", "\u00a0", "USD\u200b", "\ufeffUSD", "\u2003"),
    *("ÜSD", "ＵＳＤ", "USＤ", "АВС", "U\u0301SD"),
]
CURRENCY_CASES = [
    *(case(ascii(code), currency=code) for code in GOOD_CODES),
    *(case(ascii(code), "currency_malformed", currency=code) for code in BAD_CODES),
]
BLANKS = ["", " ", "\t", "\n", "\v", "\f", "\r", "  \t", " \r\n", " \t\n\v\f\r "]
BLANK_CASES = [
    case(f"{column}-{blank!a}", f"missing_{column}", **{column: blank})
    for column in ("sale_id", "currency")
    for blank in BLANKS
]
KEY_CASES = [
    case(ascii(key), sale_id=key)
    for key in (" 1", "1\n", "\t0", "\u00a0", "\u200b", "\u2003", "\x1c", "\x85", "\ufeff", '""', "\\t")
]


CASES = {
    f"{group}-{param.id}": param.values
    for group, params in {
        "quantity": QUANTITY_CASES,
        "price": PRICE_CASES,
        "total": TOTAL_CASES,
        "range": PRICE_RANGE_CASES,
        "discount-and-tax": DISCOUNT_AND_TAX_CASES,
        "region": REGION_CASES,
        "time": TIME_CASES,
        "text": TEXT_CASES,
        "currency": CURRENCY_CASES,
        "blank": BLANK_CASES,
        "key": KEY_CASES,
    }.items()
    for param in params
}


@pytest.fixture(scope="module")
def judged() -> dict[str, set[str]]:
    """The rules that each case breaks; in one frame, which takes no longer than one row."""
    return dict(zip(CASES, broken(*(sale(**cells) for cells, _ in CASES.values())), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_row_breaks_exactly_these_rules(name: str, judged: dict[str, set[str]]) -> None:
    assert judged[name] == CASES[name][1]


def test_null_breaks_its_missing_rule_and_no_other() -> None:
    rows = [sale(**{column: None}) for column in REQUIRED_COLUMNS]
    assert broken(*rows) == [{f"missing_{column}"} for column in REQUIRED_COLUMNS]


def test_an_unreadable_cell_breaks_its_own_rule_and_is_not_missing_too() -> None:
    rows = [sale(**unreadable(**{column: "NaN"})) for column in TYPED_COLUMNS]
    assert broken(*rows) == [{f"unreadable_{column}"} for column in TYPED_COLUMNS]


def test_every_value_rule_is_broken_by_a_case() -> None:
    assert set().union(*(rules for _, rules in CASES.values())) >= {rule.id for rule in VALUE_RULES}


def test_a_row_of_nulls_breaks_every_missing_rule_and_no_other() -> None:
    assert broken(dict.fromkeys(sale())) == [{f"missing_{column}" for column in REQUIRED_COLUMNS}]


def test_a_row_can_have_unreadable_and_missing_cells() -> None:
    row = sale(**unreadable(unit_price="NaN", updated_at="infinity"), currency=None)
    assert broken(row) == [{"unreadable_unit_price", "unreadable_updated_at", "missing_currency"}]


def test_rows_are_judged_one_by_one_in_one_frame() -> None:
    rows = [sale(quantity=0), sale(), sale(quantity=None), sale(region=None), sale(region="x"), sale()]
    assert broken(*rows) == [
        {"quantity_not_positive", OUTSIDE},
        set(),
        {"missing_quantity"},
        {"missing_region"},
        {"region_unknown"},
        set(),
    ]


def test_results_are_plain_booleans_on_the_frames_own_index() -> None:
    frame = extracted_frame(sale(), dict.fromkeys(sale()), sale(sale_id="3"))[1:]
    found = broken_rules(frame, ORIGIN)
    assert found.index.tolist() == [1, 2]
    assert {str(kind) for kind in found.dtypes} == {"bool"}


def test_no_rows_break_nothing() -> None:
    assert broken_rules(extracted_frame(), ORIGIN).shape == (0, len(RULES))


def test_a_row_must_be_of_its_databases_region() -> None:
    origin = replace(ORIGIN, region=REGIONS["US_EAST"])
    assert broken(sale(region="us east"), sale(region="EU"), origin=origin) == [set(), {"region_of_another_database"}]


def test_gross_is_exact_where_floats_are_not() -> None:
    """0.1 x 3 = 0.30000000000000004 in floats, so a total at the bound would be refused."""
    bounds = [sale(quantity=3, unit_price="0.1", total_amount=total) for total in ("0.15", "0.60")]
    assert broken(*bounds) == [set(), set()]


def test_rule_ids_are_pinned_because_dashboards_name_them() -> None:
    assert_golden("rule_ids.txt", "\n".join([*(rule.id for rule in RULES), CROSS_REGION_RULE]))


def test_rule_ids_are_unique_and_can_be_listed_with_blanks_between() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert not any(" " in rule_id for rule_id in ids)
