"""Rules and derived columns are expressions: they give the same on an Arrow table and on a pandas frame."""

from typing import Any

import narwhals as nw
import pytest

from expectations.derived import clean_columns, source_key
from expectations.rules import broken_rules
from tests.unit.expectations.test_rules import CASES
from tests.unit.sales import ORIGIN, extracted_frame, extracted_table, sale

ROWS = [*(sale(**cells) for cells, _ in CASES.values()), dict.fromkeys(sale())]
NATIVE = {"arrow": extracted_table(*ROWS), "pandas": extracted_frame(*ROWS)}


def test_every_rule_gives_the_same() -> None:
    arrow, pandas = (broken_rules(rows, ORIGIN) for rows in NATIVE.values())
    assert arrow.any().any()
    assert arrow.to_dict() == pandas.to_dict()


@pytest.mark.parametrize("name", [*clean_columns(ORIGIN.region), "source_key"])
def test_every_derived_column_gives_the_same(name: str) -> None:
    expression = {**clean_columns(ORIGIN.region), "source_key": source_key()}[name]
    arrow, pandas = (_values(rows, expression) for rows in NATIVE.values())
    assert arrow
    assert arrow == pandas


def _values(rows: Any, expression: nw.Expr) -> list[Any]:
    valid = nw.from_native(rows, eager_only=True).filter(nw.col("total_amount") == 2)
    cells = valid.with_columns(cell=expression)["cell"]
    return [None if value != value else value for value in cells.to_arrow().to_pylist()]
