"""Texts that a COPY could misread come out of the warehouse unchanged."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.integration.conftest import World
from tests.integration.publish.harness import fates, load

ODD = ("\\N", "\\\\N", "\\n", "NULL", "null", "NaN", "", " ", "''", "{}")
KEYS = tuple(text for text in ODD if text.strip())
"""A blank key is a missing one."""
COLUMNS = ("store_id", "customer_id", "product_id", "product_category", "payment_method")
EXTRA = "loyalty_tier"


@pytest.fixture
def odd_texts(world: World, day: date) -> date:
    """Good sales in EUROPE, rejected ones in US_WEST, each with one text in all its columns."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for region, quantity in (("EUROPE", 2), ("US_WEST", -1)):
        world.change(region, f"ALTER TABLE sales_transactions ADD {EXTRA} text")
        texts = {f"{day} {number}": text for number, text in enumerate(ODD)} | {text: text for text in KEYS}
        times = {"sale_date": noon, "updated_at": noon, "quantity": quantity}
        for key, text in texts.items():
            world.insert(region, {"sale_id": key, EXTRA: text, **dict.fromkeys(COLUMNS, text), **times})
    return day


@pytest.mark.account
def test_a_text_stays_as_it_is_in_sales_and_in_rejected_rows(world: World, odd_texts: date, tmp_path: Path) -> None:
    try:
        publication = load(world, odd_texts, tmp_path, "EUROPE", "US_WEST", extra_columns={EXTRA: "plain"})
    finally:
        for region in ("EUROPE", "US_WEST"):
            world.change(region, f"DELETE FROM sales_transactions WHERE sale_date::date = '{odd_texts}'")
            world.change(region, f"ALTER TABLE sales_transactions DROP COLUMN {EXTRA}")
    assert fates(publication) == {"EUROPE": {"inserted": len(ODD) + len(KEYS)}, "US_WEST": {}}
    names, batch = ", ".join(COLUMNS).upper(), f"{odd_texts:%Y%m%d}"
    numbered = {f"{odd_texts} {number}": text for number, text in enumerate(ODD)}
    expected = sorted((key, *[text] * len(COLUMNS)) for key, text in (numbered | {text: text for text in KEYS}).items())

    sales = world.sql(f"SELECT SALE_ID, {names}, EXTRA_ATTRIBUTES FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (batch,))
    assert sorted(row[:-1] for row in sales) == expected
    assert sorted((row[0], json.loads(str(row[-1]))[EXTRA]) for row in sales) == [row[:2] for row in expected]

    rejected = world.sql(f"SELECT SALE_ID, SALE_KEY, {names} FROM SALES_REJECTED WHERE ETL_BATCH_ID = ?", (batch,))
    assert sorted((row[0], *row[2:]) for row in rejected) == expected
    assert all(row[0] == row[1] for row in rejected)
    # They would be keys of two regions for other tests.
    world.sql("DELETE FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (batch,))
    world.sql("DELETE FROM SALES_REJECTIONS WHERE ETL_BATCH_ID = ?", (batch,))
