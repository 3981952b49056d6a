"""The views for analysts have the contract's columns, in its order, and the words of the ledger's grid."""

from expectations.analysts import DATA_STATUS, IN_THE_VIEW, SALES, VIEWS
from expectations.columns import SOURCE_COLUMNS
from expectations.tables import CLEAN_COLUMNS
from tasks.pages.ledger_grid import FAILED_MARK, IN_PRODUCTION, LEGEND, RUNNING_MARK
from tasks.warehouse.statements import render


def test_sales_begin_with_all_columns_of_the_contract_in_its_order() -> None:
    shown = SALES.columns[: len(CLEAN_COLUMNS)]
    assert [(c.name, c.snowflake_type, c.required) for c in shown] == [
        (c.stored_name.upper(), c.snowflake_type, not c.nullable) for c in CLEAN_COLUMNS
    ]
    other = {column.name for column in CLEAN_COLUMNS if column.description not in {c.description for c in shown}}
    assert other == set(IN_THE_VIEW)


def test_personal_data_is_in_no_view_but_as_tokens() -> None:
    personal = {column.name.upper() for column in SOURCE_COLUMNS if column.personal}
    assert personal
    assert personal.isdisjoint(column.name for view in VIEWS for column in view.columns)


def test_the_words_of_the_status_are_those_of_the_grid() -> None:
    words = {*IN_PRODUCTION.values(), *LEGEND} - {RUNNING_MARK.strip(), FAILED_MARK.strip()}
    (state,) = [column for column in DATA_STATUS.columns if column.name == "STATE"]
    listed = state.description.partition(": ")[2].removesuffix(".").split(", ")
    assert len(listed) == len(words)
    assert set(listed) == words
    assert all(f"'{word}'" in render("setup/06_analysts") for word in words)
