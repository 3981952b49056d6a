"""The views for analysts are known by their columns: ours, older ones, and what other tools have made."""

import pytest

from expectations.analysts import DATA_STATUS, SALES, VIEWS, View
from tasks.setup_warehouse.views import names_not_ready, names_of_others

OURS = {view.name: frozenset(column.name for column in view.columns) for view in VIEWS}


@pytest.mark.parametrize(
    ("found", "of_others", "not_ready"),
    [
        pytest.param({}, [], ["SALES", "DATA_STATUS"], id="none"),
        pytest.param(OURS, [], [], id="ours"),
        pytest.param(OURS | {"SALES": OURS["SALES"] - {"STORE_ID"}}, [], ["SALES"], id="older"),
        pytest.param(OURS | {"SALES": OURS["SALES"] | {"NEWER"}}, [], ["SALES"], id="newer"),
        pytest.param({"SALES": frozenset({"ID", "AMOUNT"})}, ["SALES"], ["SALES", "DATA_STATUS"], id="of-others"),
        pytest.param({"DATA_STATUS": frozenset({"REGION"})}, ["DATA_STATUS"], ["SALES", "DATA_STATUS"], id="status"),
    ],
)
def test_a_view_is_known_by_its_columns(
    found: dict[str, frozenset[str]], of_others: list[str], not_ready: list[str]
) -> None:
    assert (names_of_others(found), names_not_ready(found)) == (of_others, not_ready)


@pytest.mark.parametrize("view", [SALES, DATA_STATUS], ids=lambda view: view.name)
def test_keys_and_marks_are_columns_and_no_name_stands_twice(view: View) -> None:
    names = [column.name for column in view.columns]
    assert len(set(names)) == len(names)
    assert set(view.key) | set(view.own) <= set(names)
    assert all(column.required for column in view.columns if column.name in view.key)
