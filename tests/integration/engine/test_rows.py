"""Each rule, cell, order and total on the engine: the same as on the pandas path, for rows at every bound."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from expectations.rules import Origin, broken_rules
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA
from tasks.engine import fates
from tasks.engine.tallies import tallies_by
from tasks.tally import tally_of_table
from tests.unit.expectations.test_rules import CASES
from tests.unit.sales import (
    ORIGIN,
    REQUIRED_COLUMNS,
    TYPED_COLUMNS,
    Row,
    extracted_table,
    sale,
    transformed,
    unreadable,
)
from tests.unit.tasks.test_tied_versions import TEXTS
from tests.unit.tasks.test_transform import REJECTED_CELLS

pytestmark = pytest.mark.more

PREFIXED = replace(ORIGIN, region=replace(ORIGIN.region, prefix_keys=True))
YEARS = (1, 2, 99, 100, 999, 1000, 1582, 1583, 1600, 1699, 1899, 1900, 1969, 1970, 2023, 2024)

ROWS: dict[str, list[Row]] = {
    "rules": [
        {**sale(**cells), "sale_id": cells.get("sale_id", f"k{n}")} for n, (cells, _) in enumerate(CASES.values())
    ],
    "nulls": [dict.fromkeys(sale())],
    "missing": [sale(**{column: None}) for column in REQUIRED_COLUMNS],
    "unreadable": [sale(**unreadable(**{column: "NaN"})) for column in TYPED_COLUMNS],
    "unreadable-texts": [sale(**unreadable(updated_at=text)) for text in ('a "q" \\ \n', "ü🧀", "\u2028", "", " x ")],
    "rejected-cells": [sale(payment_method=None, **case.values[0]) for case in REJECTED_CELLS],
    "prefixed": [sale(sale_id="5"), sale(sale_id="6", quantity=0), sale(sale_id=None), sale(sale_id=" ")],
    "years": [
        sale(
            sale_id=str(year), payment_method="c" if year % 2 else None, sale_date=datetime(year, 2, 28, 1, tzinfo=UTC)
        )
        for year in YEARS
    ],
    "ties-of-texts": [
        sale(sale_id=f"{n}", store_id=text) for n, pair in enumerate(permutations(TEXTS, 2)) for text in pair
    ],
    "ties-of-nulls": [
        sale(sale_id=f"{n}", product_category=text)
        for n, pair in enumerate(permutations((None, "", " ", "None", "\x00"), 2))
        for text in pair
    ],
    "ties-of-numbers": [
        sale(sale_id=f"{n}", quantity=quantity, total_amount=total, unit_price="1.1")
        for n, pair in enumerate(permutations([(2, "2.00"), (2, "3.00"), (3, "2.00"), (10, "10.00")], 2))
        for quantity, total in pair
    ],
    "large-totals": [
        sale(sale_id=str(n), quantity=1, unit_price="9999999999.99", total_amount="9999999999.99") for n in range(2000)
    ],
}


def on_engine(spark: SparkSession, table: pa.Table, origin: Origin) -> Any:
    rows = spark.createDataFrame(table)
    return rows, fates.judged(rows, origin, fates.spellings_of(rows, "EUROPE"))


def in_order(rows: pa.Table) -> list[Row]:
    return sorted(rows.to_pylist(), key=lambda row: [(cell is not None, str(cell)) for cell in row.values()])


@pytest.mark.parametrize("name", ROWS)
def test_the_engine_gives_what_pandas_gives(name: str, engine: SparkSession) -> None:
    origin, table = PREFIXED if name == "prefixed" else ORIGIN, extracted_table(*ROWS[name])
    rows, judged = on_engine(engine, table, origin)
    broken = broken_rules(table, origin)
    ids = [" ".join(rule for rule in broken if broken.at[row, rule]) for row in range(len(broken))]
    assert sorted(judged.select("rules").toArrow()["rules"].to_pylist()) == sorted(ids)

    of_pandas = transformed(table, origin)
    clean = fates.clean(judged, origin).toArrow().cast(CLEAN_SCHEMA)
    rejected = fates.rejected(judged, origin).toArrow().cast(REJECTED_SCHEMA)
    assert in_order(clean) == in_order(of_pandas.clean)
    assert in_order(rejected) == in_order(of_pandas.rejected)
    assert tallies_by(rows)[()] == tally_of_table(table)


def test_an_unreadable_cell_needs_no_other_session_time_zone(engine: SparkSession) -> None:
    assert engine.conf.get("spark.sql.session.timeZone") == "UTC"


def spelled(count: int) -> Sequence[Row]:
    return [sale(sale_id=str(n), region=f"region {n}") for n in range(count)]


def test_more_spellings_than_pass_the_worker_stop_the_region(
    engine: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fates, "SPELLINGS_MAX", 5)
    rows = engine.createDataFrame(extracted_table(*spelled(6)))
    with pytest.raises(fates.RegionUnfitError, match="EUROPE: column region has more than 5 different values"):
        fates.spellings_of(rows, "EUROPE")
    assert len(fates.spellings_of(rows.filter(F.col("sale_id") != "0"), "EUROPE")) == 5
