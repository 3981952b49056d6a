"""The suites judge wrong rows alike on both engines: each expectation with the same counts, message and verdict."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from expectations import suites
from expectations.tables import CLEAN_COLUMNS, CLEAN_SCHEMA
from expectations.thresholds import Thresholds
from tasks.engine.quality import input_frame, output_frame
from tasks.files.arrow import to_frame
from tasks.quality import QualityCheck, run_suite
from tasks.quality import _context as new_context
from tests.unit.sales import (
    ORIGIN,
    REQUIRED_COLUMNS,
    SNAPSHOT,
    TYPED_COLUMNS,
    Row,
    extracted_table,
    sale,
    sales,
    transformed,
    unreadable,
)

pytestmark = pytest.mark.more

LATE = SNAPSHOT + timedelta(minutes=5, microseconds=1)
WRONG: list[Row] = [
    *({column.stored_name: None} for column in CLEAN_COLUMNS),
    *({"currency": code} for code in ("", " \t", "usd", "US", "USD\n", "ÜSD")),
    *({"sale_id": key} for key in ("", " ", "\n")),
    *({"quantity": count} for count in (0, -1, 10**18 - 1)),
    *({"unit_price": Decimal(price)} for price in ("0", "-0.000001", "999999999999.999999")),
    *({"total_amount": Decimal(total)} for total in ("0", "-0.01", "0.99", "4.01", "9999999999.99")),
    *({name: Decimal("-0.01")} for name in ("discount_amount", "tax_amount")),
    *({name: Decimal("2.01")} for name in ("discount_amount", "tax_amount")),
    *({name: Decimal("0.01")} for name in ("net_amount", "gross_profit")),
    *({name: 1} for name in ("sale_year", "sale_month", "sale_day")),
    {"region": "US_EAST"},
    *({name: LATE} for name in ("sale_date", "updated_at")),
    *({name: LATE - timedelta(microseconds=1)} for name in ("sale_date", "updated_at")),
]


@pytest.fixture(scope="module")
def context() -> Any:
    return new_context()


def told(checks: list[QualityCheck]) -> list[tuple[Any, ...]]:
    return [(c.suite, c.scope, c.name, c.column, c.passed, c.message, c.rows, c.bad) for c in checks]


def test_wrong_clean_rows_fail_the_same_checks(engine: SparkSession, context: Any) -> None:
    good = transformed(extracted_table(*sales(len(WRONG)))).clean.to_pylist()
    rows = pa.Table.from_pylist([row | wrong for row, wrong in zip(good, WRONG, strict=True)], schema=CLEAN_SCHEMA)
    suite = suites.output_suite("EUROPE", SNAPSHOT)
    of_pandas = run_suite(suite, [suites.output_frame(to_frame(rows))], "EUROPE", context)
    of_engine = run_suite(suite, [output_frame(engine.createDataFrame(rows))], "EUROPE", context)
    assert told(of_engine) == told(of_pandas)
    assert [check.column for check in of_pandas if check.passed] == []


@pytest.mark.parametrize("nulls", [1, 4, 5, 6])
def test_nulls_as_read_are_judged_alike_below_at_and_above_the_limit(
    engine: SparkSession, context: Any, nulls: int
) -> None:
    lacking = [{column: None} for column in REQUIRED_COLUMNS]
    unread = [unreadable(**{column: "NaN"}) for column in TYPED_COLUMNS]
    blanks: list[Row] = [{"sale_id": " "}, {"currency": "\t"}, {"store_id": ""}]
    bad = [sale(**cells) for cells in (*lacking * nulls, *unread, *blanks)]
    rows = extracted_table(*bad, *sales(100 - len(bad) if len(bad) < 100 else 0))
    suite = suites.input_suite(rows.num_rows, Thresholds())
    of_pandas = run_suite(suite, [suites.input_frame(to_frame(rows))], ORIGIN.region.code, context)
    of_engine = run_suite(suite, [input_frame(engine.createDataFrame(rows))], ORIGIN.region.code, context)
    assert told(of_engine) == told(of_pandas)
    assert len(of_pandas) == len(REQUIRED_COLUMNS)


@pytest.mark.parametrize("keys", [["1", "2", "3"], ["1", "2", "1", None, None], ["a", "A", "é", "e\u0301"]], ids=str)
def test_repeated_keys_are_counted_alike(engine: SparkSession, context: Any, keys: list[str | None]) -> None:
    numbers: dict[str | None, int] = {}
    codes = [-1 if key is None else numbers.setdefault(key, len(numbers)) for key in keys]
    frame = suites.keys_frame(suites.np.array(codes))
    of_pandas = run_suite(suites.keys_suite(), [frame], "EUROPE", context)
    rows = engine.createDataFrame(pa.table({"sale_id": pa.array(keys, pa.string())}))
    assert told(run_suite(suites.keys_suite(), [rows], "EUROPE", context)) == told(of_pandas)
