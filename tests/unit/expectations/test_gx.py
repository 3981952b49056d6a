"""What Great Expectations imports and the suites do not use is not loaded, and is there when somebody uses it."""

import importlib
import inspect
import sys

import pytest

from expectations import gx


def test_a_module_is_loaded_when_it_is_used_and_not_when_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    gx._load_when_used("colorsys")
    import colorsys

    inspect.getmodule(test_a_module_is_loaded_when_it_is_used_and_not_when_it_is_looked_at)
    assert isinstance(sys.modules["colorsys"], gx.LoadedWhenUsed)
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert sys.modules["colorsys"] is importlib.import_module("colorsys")
    assert not isinstance(sys.modules["colorsys"], gx.LoadedWhenUsed)


def test_a_module_that_is_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = importlib.import_module("inspect")
    gx._load_when_used("inspect")
    assert sys.modules["inspect"] is loaded
