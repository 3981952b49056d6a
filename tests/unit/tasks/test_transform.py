"""Transform: nothing disappears, the newest valid version stays, and rejected rows keep the source's own text."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.rules import Origin
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA
from tasks.errors import NeedsPersonError
from tasks.tally import Tally, tally_of_table
from tasks.transform import (
    VERSION_COLUMNS,
    BrokenRule,
    Separated,
    read_rejected_keys,
    require_newest,
    transform_region,
)
from tests.unit.sales import (
    ORIGIN,
    SOLD_AT,
    Outcome,
    Row,
    extract_of,
    extracted_table,
    minutes,
    read_table,
    sale,
    sales,
    transformed,
    unreadable,
)

PREFIXED = replace(ORIGIN, region=replace(ORIGIN.region, prefix_keys=True))


def separated(*rows: Row) -> Outcome:
    return transformed(extracted_table(*rows))


def rejected_one(**cells: Any) -> Row:
    """The one rejected row of a sale that breaks a rule anyway."""
    (row,) = separated(sale(**{"payment_method": None, **cells})).rejected.to_pylist()
    return dict(row)


rows_with_dirt = st.lists(
    st.builds(
        sale,
        sale_id=st.sampled_from(["1", "2", "ü", "", None]),
        store_id=st.sampled_from(["7", "8"]),
        quantity=st.sampled_from([2, 2, 0, None]),
        total_amount=st.sampled_from(["2.00", "2.20", "4.01", None]),
        discount_amount=st.sampled_from(["0.10", "0", None]),
        currency=st.sampled_from(["EUR", "EUR", "USD", "", None]),
        updated_at=st.sampled_from([SOLD_AT, SOLD_AT + minutes(1), SOLD_AT + timedelta(microseconds=1)]),
        unreadable=st.sampled_from([None, None, None, '{"tax_amount":"NaN"}']),
    ),
    max_size=10,
)


@settings(max_examples=10)
@given(rows_with_dirt, st.randoms(use_true_random=False))
def test_every_row_has_one_fate_by_count_and_by_money_whatever_the_order(rows: list[Row], random: Any) -> None:
    table = extracted_table(*rows)
    outcome = transformed(table)
    counted = outcome.counted
    assert counted.clean == tally_of_table(outcome.clean)
    assert counted.clean + counted.rejected + counted.duplicates == tally_of_table(table)
    assert outcome.rejected.num_rows == counted.rejected.rows
    keys = outcome.clean["sale_id"].to_pylist()
    assert len(set(keys)) == len(keys)

    shuffled = random.sample(rows, len(rows))
    cuts = sorted(random.choices(range(len(rows) + 1), k=2))
    parts = (shuffled[: cuts[0]], shuffled[cuts[0] : cuts[1]], shuffled[cuts[1] :])
    again = transformed(pa.concat_tables([extracted_table(*part) for part in parts]))
    assert sorted(map(str, again.clean.to_pylist())) == sorted(map(str, outcome.clean.to_pylist()))
    assert sorted(map(str, again.rejected.to_pylist())) == sorted(map(str, outcome.rejected.to_pylist()))
    assert again.counted.duplicates == counted.duplicates
    assert [(b.rule, b.rows) for b in again.counted.broken] == [(b.rule, b.rows) for b in counted.broken]


def in_every_order(*versions: Row) -> list[Row]:
    """A sale per order of its versions: keys 0, 1, 2, ... A table costs as much as a row."""
    return [{**row, "sale_id": str(key)} for key, order in enumerate(permutations(versions)) for row in order]


def test_newer_row_wins_whatever_the_order() -> None:
    outcome = separated(*in_every_order(*(sale(store_id=str(n), updated_at=SOLD_AT + minutes(n)) for n in range(3))))
    assert outcome.clean["store_id"].to_pylist() == ["2"] * 6
    assert outcome.counted.duplicates.rows == 12


def test_a_microsecond_decides_which_version_is_newer() -> None:
    older, newer = sale(store_id="older"), sale(store_id="newer", updated_at=SOLD_AT + timedelta(microseconds=1))
    assert separated(*in_every_order(older, newer)).clean["store_id"].to_pylist() == ["newer"] * 2


def test_a_newer_version_that_breaks_a_rule_leaves_the_older_valid_one() -> None:
    outcome = separated(
        *in_every_order(
            sale(store_id="oldest"),
            sale(store_id="valid", updated_at=SOLD_AT + minutes(1)),
            sale(store_id="broken", updated_at=SOLD_AT + minutes(2), quantity=0),
        )
    )
    assert outcome.clean["store_id"].to_pylist() == ["valid"] * 6
    assert outcome.rejected["store_id"].to_pylist() == ["broken"] * 6
    assert outcome.counted.duplicates.rows == 6


def test_a_tie_is_decided_the_same_whatever_the_order() -> None:
    versions = [sale(store_id=str(store)) for store in range(3)]
    winners = {separated(*order).clean["store_id"].to_pylist()[0] for order in permutations(versions)}
    assert len(winners) == 1


def test_null_and_empty_text_differ_in_a_tie() -> None:
    versions = [sale(product_category=None), sale(product_category=""), sale(product_category="None")]
    winners = {str(separated(*order).clean["product_category"].to_pylist()) for order in (versions, versions[::-1])}
    assert len(winners) == 1


def test_exact_copies_leave_one_row() -> None:
    outcome = separated(sale(), sale(), sale())
    assert (outcome.clean.num_rows, outcome.counted.duplicates.rows, outcome.rejected.num_rows) == (1, 2, 0)


def test_rows_without_a_key_are_never_duplicates_of_each_other() -> None:
    outcome = separated(sale(sale_id=None), sale(sale_id=None), sale())
    assert (outcome.clean.num_rows, outcome.rejected.num_rows, outcome.counted.duplicates.rows) == (1, 2, 0)
    assert outcome.rejected["sale_key"].to_pylist() == [None, None]


@pytest.mark.parametrize("origin", [ORIGIN, PREFIXED], ids=["plain", "prefixed"])
def test_a_blank_key_is_no_key_and_keeps_its_text(origin: Origin) -> None:
    texts = ["", "", " ", "\n", " \t\r\n "]
    outcome = transformed(extracted_table(*(sale(sale_id=text) for text in texts), sale()), origin)
    assert (outcome.clean.num_rows, outcome.rejected.num_rows, outcome.counted.duplicates.rows) == (1, 5, 0)
    assert outcome.rejected["sale_id"].to_pylist() == texts
    assert outcome.rejected["sale_key"].to_pylist() == [None] * 5
    assert outcome.rejected["rules"].to_pylist() == ["missing_sale_id"] * 5


@pytest.mark.parametrize(
    "keys", [("1", "01"), ("1", " 1"), ("a", "A"), ("cr\u00e8me", "cre\u0300me"), ("1", "１")], ids=str
)
def test_keys_that_only_look_alike_are_two_sales(keys: tuple[str, str]) -> None:
    assert separated(*(sale(sale_id=key) for key in keys)).clean.num_rows == 2


def test_all_reasons_are_kept() -> None:
    row = rejected_one(quantity=0, currency=None, region="x", discount_amount="3.00")
    assert row["rules"].split(" ") == [
        "missing_currency",
        "missing_payment_method",
        "quantity_not_positive",
        "total_amount_outside_price_range",
        "discount_above_total",
        "region_unknown",
    ]


REJECTED_CELLS: list[Any] = [
    pytest.param(unreadable(unit_price="NaN"), "unit_price", "NaN", id="nan"),
    pytest.param(unreadable(updated_at="infinity"), "updated_at", "infinity", id="infinity"),
    pytest.param(unreadable(sale_date="-infinity"), "sale_date", "-infinity", id="minus-infinity"),
    pytest.param(
        unreadable(sale_date="0044-03-15 12:00:00+00 BC"),
        "sale_date",
        "0044-03-15 12:00:00+00 BC",
        id="before-christ",
    ),
    pytest.param(unreadable(total_amount="1.005"), "total_amount", "1.005", id="too-many-decimals"),
    pytest.param(unreadable(quantity="1" + "0" * 30), "quantity", "1" + "0" * 30, id="out-of-range"),
    pytest.param({"sale_date": SOLD_AT}, "sale_date", "2024-01-15 10:00:00+00", id="time-without-fraction"),
    pytest.param(
        {"sale_date": SOLD_AT + timedelta(milliseconds=500)},
        "sale_date",
        "2024-01-15 10:00:00.5+00",
        id="half-a-second",
    ),
    pytest.param(
        {"sale_date": SOLD_AT + timedelta(microseconds=100)},
        "sale_date",
        "2024-01-15 10:00:00.0001+00",
        id="fraction",
    ),
    pytest.param(
        {"sale_date": SOLD_AT + timedelta(seconds=10)}, "sale_date", "2024-01-15 10:00:10+00", id="seconds-end-in-0"
    ),
    pytest.param(
        {"sale_date": datetime(2024, 1, 10, tzinfo=UTC)}, "sale_date", "2024-01-10 00:00:00+00", id="midnight"
    ),
    pytest.param({"sale_date": datetime(1, 1, 1, tzinfo=UTC)}, "sale_date", "0001-01-01 00:00:00+00", id="year-1"),
    pytest.param({"unit_price": "0"}, "unit_price", "0.000000", id="price-zero"),
    pytest.param({"unit_price": "0.000001"}, "unit_price", "0.000001", id="price-a-millionth"),
    pytest.param({"total_amount": "-0.01"}, "total_amount", "-0.01", id="negative-money"),
    pytest.param({"total_amount": "9999999999.99"}, "total_amount", "9999999999.99", id="largest-money"),
    pytest.param({"quantity": 10**18 - 1}, "quantity", "999999999999999999", id="largest-quantity"),
    pytest.param({"quantity": None}, "quantity", None, id="null-stays-null"),
    pytest.param({"product_category": ""}, "product_category", "", id="empty-text-stays-empty"),
    pytest.param({"product_category": 'a\n"b",|ü🧀'}, "product_category", 'a\n"b",|ü🧀', id="difficult-text"),
    pytest.param({"region": " emea"}, "region", " emea", id="region-as-spelled"),
    pytest.param({}, "customer_email_token", "a" * 64, id="token"),
]


@pytest.fixture(scope="module")
def rejected_rows() -> list[Row]:
    """The rejected row of every case, of one table."""
    rows = [sale(payment_method=None, **cells) for cells, _, _ in (case.values for case in REJECTED_CELLS)]
    answered: list[Row] = separated(*rows).rejected.to_pylist()
    return answered


@pytest.mark.parametrize("number", range(len(REJECTED_CELLS)), ids=[str(case.id) for case in REJECTED_CELLS])
def test_a_rejected_cell_is_the_text_that_postgresql_wrote(number: int, rejected_rows: list[Row]) -> None:
    _, column, text = REJECTED_CELLS[number].values
    assert rejected_rows[number][column] == text


def test_a_rejected_row_knows_its_region_key_and_version() -> None:
    row = rejected_one(sale_id="77", region="us-east", updated_at=SOLD_AT + timedelta(microseconds=1))
    assert (row["region_code"], row["sale_key"]) == ("EUROPE", "77")
    assert row["version_at"] == SOLD_AT + timedelta(microseconds=1)
    assert rejected_one(**unreadable(updated_at="infinity"))["version_at"] is None


def test_derived_columns_are_exact() -> None:
    last = datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    row = separated(
        sale(sale_date=last, total_amount="2.20", discount_amount="0.10", tax_amount="0.15")
    ).clean.to_pylist()[0]
    derived = {
        name: row[name] for name in ("net_amount", "gross_profit", "sale_year", "sale_month", "sale_day", "region")
    }
    assert derived == {
        "net_amount": Decimal("2.10"),
        "gross_profit": Decimal("1.95"),
        "sale_year": 2023,
        "sale_month": 12,
        "sale_day": 31,
        "region": "EUROPE",
    }


def test_the_largest_amounts_do_not_overflow_the_derived_columns() -> None:
    largest = "9999999999.99"
    rich = {"quantity": 1, "unit_price": largest, "total_amount": largest}
    outcome = separated(
        sale(sale_id="1", **rich, discount_amount="0", tax_amount="0"),
        sale(sale_id="2", **rich, discount_amount=largest, tax_amount=largest),
    )
    derived = outcome.clean.select(["net_amount", "gross_profit"]).to_pylist()
    assert derived == [
        {"net_amount": Decimal(largest), "gross_profit": Decimal(largest)},
        {"net_amount": Decimal("0.00"), "gross_profit": Decimal("-" + largest)},
    ]


def test_a_prefixed_region_has_its_code_before_every_key() -> None:
    table = extracted_table(sale(sale_id="5"), sale(sale_id="6", quantity=0), sale(sale_id=None))
    outcome = transformed(table, PREFIXED)
    assert outcome.clean["sale_id"].to_pylist() == ["EUROPE:5"]
    assert outcome.rejected["sale_key"].to_pylist() == ["EUROPE:6", None]
    assert outcome.rejected["sale_id"].to_pylist() == ["6", None]


def test_an_empty_table_separates_into_empty_tables() -> None:
    outcome = separated()
    assert (outcome.clean.schema, outcome.rejected.schema) == (CLEAN_SCHEMA, REJECTED_SCHEMA)
    assert (outcome.clean.num_rows, outcome.rejected.num_rows) == (0, 0)
    assert outcome.counted == Separated(Tally(), Tally(), Tally(), ())


def test_a_table_of_bad_rows_only_is_rejected_whole() -> None:
    outcome = separated(*sales(3, quantity=0))
    assert (outcome.clean.num_rows, outcome.rejected.num_rows) == (0, 3)
    assert outcome.clean.schema == CLEAN_SCHEMA


def test_a_broken_rule_names_its_first_ten_keys() -> None:
    outcome = separated(*sales(12, quantity=0), sale(sale_id=None))
    by_rule = {broken.rule: broken for broken in outcome.counted.broken}
    assert by_rule["quantity_not_positive"] == BrokenRule("quantity_not_positive", 12, tuple(map(str, range(1, 11))))
    assert by_rule["missing_sale_id"] == BrokenRule("missing_sale_id", 1, ("(none)",))
    assert set(by_rule) == {"missing_sale_id", "quantity_not_positive", "total_amount_outside_price_range"}


def test_keys_are_counted_once_for_each_rule_they_broke(tmp_path: Path) -> None:
    rows = [
        sale(sale_id="1", quantity=0),
        sale(sale_id="1", quantity=-1),
        sale(sale_id="2", quantity=0),
        sale(sale_id=None),
    ]
    transformed = transform_region(extract_of(extracted_table(*rows), tmp_path), tmp_path)
    assert {rule.rule: rule.rows for rule in transformed.broken}["quantity_not_positive"] == 3
    assert transformed.broken_keys["quantity_not_positive"] == 2
    assert transformed.broken_keys["missing_sale_id"] == 0


def test_clean_rows_are_counted_by_the_day_of_their_sale_in_utc(tmp_path: Path) -> None:
    midnight = datetime(2024, 1, 15, tzinfo=UTC)
    moments = [midnight, midnight - timedelta(microseconds=1), midnight + timedelta(hours=23, minutes=59), midnight]
    rows = [sale(sale_id=str(n), sale_date=moment) for n, moment in enumerate(moments)]
    transformed = transform_region(
        extract_of(extracted_table(*rows, sale(sale_id="9", quantity=0)), tmp_path), tmp_path
    )
    assert transformed.sold_on == {date(2024, 1, 15): 3, date(2024, 1, 14): 1}


def test_a_blank_key_is_shown_as_no_key() -> None:
    broken = {rule.rule: rule.keys for rule in separated(sale(sale_id=" \t", quantity=0)).counted.broken}
    assert broken["missing_sale_id"] == broken["quantity_not_positive"] == ("(none)",)


def test_a_region_is_written_to_two_files_that_tally(tmp_path: Path) -> None:
    extract = extract_of(extracted_table(sale(), sale(), sale(sale_id="2", quantity=0)), tmp_path)
    answered = transform_region(extract, tmp_path)
    clean, rejected = read_table(answered.clean_file), read_table(answered.rejected_file)
    assert (clean.schema, rejected.schema) == (CLEAN_SCHEMA, REJECTED_SCHEMA)
    assert (clean.num_rows, rejected.num_rows, answered.duplicates.rows) == (1, 1, 1)
    assert answered.clean == tally_of_table(clean)


def test_rows_that_are_not_those_that_were_read_stop_the_region(tmp_path: Path) -> None:
    extract = extract_of(extracted_table(sale()), tmp_path)
    other = tally_of_table(extracted_table(sale(total_amount="2.01")))
    with pytest.raises(
        NeedsPersonError, match="EUROPE: extracted rows are not clean .*total_amount EUR 2.01 against 2.00"
    ):
        transform_region(replace(extract, read=other), tmp_path)


OLD, NEW = sale(updated_at=SOLD_AT), sale(updated_at=SOLD_AT + minutes(1))
OTHER = sale(sale_id="2")


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        pytest.param([NEW, OTHER], None, id="the-newest"),
        pytest.param([OLD, OTHER], "2 rows are kept for 2 repeated keys, 1 lost their newest version", id="the-oldest"),
        pytest.param([OLD, NEW, OTHER], "3 rows are kept for 2 repeated keys, 0 lost", id="every-version"),
        pytest.param([OTHER], "1 rows are kept for 2 repeated keys, 1 lost", id="no-version"),
        pytest.param([], "0 rows are kept for 2 repeated keys, 2 lost", id="nothing"),
    ],
)
def test_of_each_sale_the_newest_version_is_kept_or_the_region_stops(kept: list[Row], message: str | None) -> None:
    valid, left = (extracted_table(*rows).select(VERSION_COLUMNS) for rows in ((OLD, NEW, OTHER), kept))
    if message is None:
        require_newest(valid, left, "EUROPE")
        return
    with pytest.raises(NeedsPersonError, match=f"^EUROPE: {message}"):
        require_newest(valid, left, "EUROPE")


def test_keys_of_rejected_rows_keep_no_other_cells_in_memory(tmp_path: Path) -> None:
    """Most rows of all regions may be rejected, and the worker has to live to say so."""
    wide = [sale(sale_id=str(number), quantity=0, product_category="x" * 1000) for number in range(1000)]
    path = transform_region(extract_of(extracted_table(*wide), tmp_path), tmp_path).rejected_file
    before = pa.total_allocated_bytes()
    keys = read_rejected_keys(path)
    assert keys.num_rows == 1000
    assert pa.total_allocated_bytes() - before < 2 * keys.nbytes
