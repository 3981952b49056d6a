"""Imports of Great Expectations that the suites do not use are loaded when they are used."""

import importlib
import inspect
import sys

import pytest

from expectations import gx


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
