"""Great Expectations as this project imports it: what is loaded when it is used, and what is built once."""

import importlib
import inspect
import sys
from contextlib import nullcontext
from typing import Any

import pandas as pd
import pytest

from expectations import gx
from tasks.quality import _context as new_context


def test_a_module_is_loaded_by_its_first_use_and_not_by_inspection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    gx._load_when_used("colorsys")
    import colorsys

    inspect.getmodule(test_a_module_is_loaded_by_its_first_use_and_not_by_inspection)
    assert isinstance(sys.modules["colorsys"], gx.LoadedWhenUsed)
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert sys.modules["colorsys"] is importlib.import_module("colorsys")
    assert not isinstance(sys.modules["colorsys"], gx.LoadedWhenUsed)


def test_a_loaded_module_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = importlib.import_module("inspect")
    gx._load_when_used("inspect")
    assert sys.modules["inspect"] is loaded


SUITE = gx.gx.ExpectationSuite(
    name="dirty",
    expectations=[
        gx.gxe.ExpectColumnValuesToNotBeNull(column="a", mostly=0.5, meta={"threshold": "50 %"}, description="half"),
        gx.gxe.ExpectColumnValuesToBeBetween(column="a", min_value=0, strict_min=True),
        gx.gxe.ExpectColumnValuesToBeInSet(column="b", value_set=["x"]),
        gx.gxe.ExpectColumnValuesToBeUnique(column="b"),
        gx.gxe.ExpectTableRowCountToBeBetween(min_value=9),
        gx.gxe.ExpectColumnValuesToNotBeNull(column="missing"),
    ],
)


def results(kept: bool) -> list[dict[str, Any]]:
    """What Great Expectations returns for the suite on a frame of bad values."""
    context = new_context()
    rows = context.data_sources.add_pandas("memory").add_dataframe_asset("rows")
    frame = pd.DataFrame({"a": [1.0, -1.0, None], "b": ["x", "x", "y"]})
    batch = rows.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    with gx.configurations_kept() if kept else nullcontext():
        found = batch.validate(SUITE, result_format={"result_format": "BASIC"})
    return [
        {**result.to_json_dict(), "meta": None, "exception_info": str(result.exception_info)[:300]}
        for result in found.results
    ]


def test_results_are_the_same_when_configurations_are_kept() -> None:
    assert sorted(result["success"] for result in results(kept=True)) == [False] * 5 + [True]
    assert results(kept=True) == results(kept=False)


def test_a_kept_configuration_is_built_once_and_cannot_be_changed_by_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built, build = [], gx._build_configuration

    def build_counted(expectation: Any) -> Any:
        built.append(expectation)
        return build(expectation)

    monkeypatch.setattr(gx, "_build_configuration", build_counted)
    expectation = gx.gxe.ExpectColumnValuesToNotBeNull(column="a")
    with gx.configurations_kept():
        expectation.configuration.kwargs["column"] = "b"
        assert expectation.configuration.kwargs == {"column": "a"}
    assert len(built) == 1
    expectation.column = "c"
    assert expectation.configuration.kwargs == {"column": "c"}
