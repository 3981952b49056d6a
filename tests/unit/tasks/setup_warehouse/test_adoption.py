"""Which tables of another tool can be adopted, by their columns."""

import pytest

from expectations.tables import CLEAN_COLUMNS
from tasks.setup_warehouse.adoption import FoundColumn, find_misfits
from tasks.warehouse.statements import LOAD_TYPES

THEIRS = {column.stored_name.upper(): FoundColumn(column.snowflake_type, True) for column in CLEAN_COLUMNS}
OURS = {name: FoundColumn(kind, True) for name, kind in LOAD_TYPES.items()}


def of(kind: str) -> FoundColumn:
    return FoundColumn(kind, nullable=True)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"TOTAL_AMOUNT": of("NUMBER(38,2)"), "SALE_DATE": of("TIMESTAMP_TZ(9)"), "STORE_ID": of("VARCHAR(16777216)")},
        OURS,
    ],
    ids=["as-ours", "larger", "adopted-in-part"],
)
def test_columns_that_hold_the_same_are_taken(columns: dict[str, FoundColumn]) -> None:
    assert find_misfits(THEIRS | columns) == []


def test_the_attributes_may_be_lacking() -> None:
    assert find_misfits({name: found for name, found in THEIRS.items() if name != "EXTRA_ATTRIBUTES"}) == []


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        pytest.param({"QUANTITY": of("NUMBER(10,0)")}, "QUANTITY is NUMBER(10,0), not NUMBER(18,0)", id="fewer-digits"),
        pytest.param(
            {"TOTAL_AMOUNT": of("NUMBER(38,4)")}, "TOTAL_AMOUNT is NUMBER(38,4), not NUMBER(12,2)", id="other-scale"
        ),
        pytest.param({"TOTAL_AMOUNT": of("FLOAT")}, "TOTAL_AMOUNT is FLOAT, not NUMBER(12,2)", id="float"),
        pytest.param(
            {"SALE_DATE": of("TIMESTAMP_NTZ(9)")},
            "SALE_DATE is TIMESTAMP_NTZ(9), not TIMESTAMP_TZ(6)",
            id="without-an-offset",
        ),
        pytest.param(
            {"UPDATED_AT": of("TIMESTAMP_TZ(3)")},
            "UPDATED_AT is TIMESTAMP_TZ(3), not TIMESTAMP_TZ(6)",
            id="milliseconds",
        ),
        pytest.param(
            {"UPDATED_AT": of("TIMESTAMP_TZ")},
            "UPDATED_AT is TIMESTAMP_TZ, not TIMESTAMP_TZ(6)",
            id="fewer-places-by-default",
        ),
        pytest.param({"STORE_ID": of("VARCHAR(20)")}, "STORE_ID is VARCHAR(20), not VARCHAR", id="short-text"),
        pytest.param(
            {"ETL_BATCH_ID": of("VARCHAR")},
            "ETL_BATCH_ID would be overwritten: rename it",
            id="a-load-column-of-theirs",
        ),
        pytest.param(
            {**OURS, "ETL_BATCH_ID": of("DATE")},
            "ETL_BATCH_ID is DATE, not VARCHAR",
            id="a-load-column-of-another-type",
        ),
        pytest.param(
            {"CUSTOMER_EMAIL": of("VARCHAR")},
            "CUSTOMER_EMAIL is not of the contract: keep it in a table of its own",
            id="not-of-the-contract",
        ),
    ],
)
def test_each_misfit_is_named(columns: dict[str, FoundColumn], says: str) -> None:
    assert find_misfits(THEIRS | columns) == [says]
