"""Great Expectations as this project imports it: silent, and without what the suites do not use."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

# Read at import: nothing about the company's data goes to a third party.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


class LoadedWhenUsed(ModuleType):
    """Stands in for a module until one of its names is used. `importlib.util.LazyLoader` would load it as soon as a
    program looks through all modules for their files, as `inspect` does."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _load_when_used(name: str) -> None:
    if name in sys.modules:
        return
    sys.modules[name] = module = LoadedWhenUsed(name)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(importlib.import_module(parent), child, module)


def _as_a_program() -> None:
    """Great Expectations imports pyspark where it is installed. Its client takes a program without a file (`python -c`,
    a worker of tests) for its own doctests, and ends the process when it finds no Spark."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__file__") and importlib.util.find_spec("pyspark"):
        main.__file__ = __file__
        try:
            importlib.import_module("pyspark.sql.connect")
        except ImportError:
            pass
        finally:
            del main.__file__


_as_a_program()

# Needed for checks and plots that this project does not use: two fifths of the import.
for _name in ("scipy.stats", "altair"):
    _load_when_used(_name)

import great_expectations as gx  # noqa: E402 (after the lazy modules)
import great_expectations.core.expectation_validation_result as gx_result  # noqa: E402
import great_expectations.expectations as gxe  # noqa: E402
import great_expectations.expectations.expectation as gx_expectation  # noqa: E402
import great_expectations.render as gx_render  # noqa: E402
import great_expectations.render.renderer as gx_renderer  # noqa: E402
import great_expectations.render.view as gx_view  # noqa: E402

_KEPT: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("configurations_kept", default=None)
_build_configuration = vars(gx_expectation.Expectation)["configuration"].fget


@contextmanager
def configurations_kept() -> Iterator[None]:
    """Within it, an expectation's configuration is built once. Great Expectations asks for it ninety times a check, and
    builds it each time: a quarter of a small gate. No expectation may change meanwhile."""
    before = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(before)


def _configuration(expectation: Any) -> Any:
    """What the property `configuration` returns: an object of its own, which the caller may change."""
    kept = _KEPT.get()
    if kept is None:
        return _build_configuration(expectation)
    if id(expectation) not in kept:
        kept[id(expectation)] = expectation, _build_configuration(expectation)
    _, built = kept[id(expectation)]
    parts = ("meta", "notes", "description", "severity", "id", "rendered_content")
    return type(built)(built.type, dict(built.kwargs), **{part: getattr(built, part) for part in parts})


type.__setattr__(gx_expectation.Expectation, "configuration", property(_configuration))

__all__ = ["configurations_kept", "gx", "gx_expectation", "gx_render", "gx_renderer", "gx_result", "gx_view", "gxe"]
