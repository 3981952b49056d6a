"""docs/waits.md lists the limit of each wait; its figures are those of the code."""

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES

from blocks.variables import DEFINITIONS
from tasks.publish import PUBLISH_RETRY_S_MAX, PUBLISH_TRIES_MAX
from tasks.retries import RETRIES
from tasks.warehouse.session import RESEND_DELAYS_S

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "waits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| (\d+) s \| ([^|]+) \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
NAMED = [(wait, int(limit), *re.findall(r"`([^`]+)`", place)[:2]) for wait, limit, place in ROWS if ".py" in place]

OF_PREFECT = [(int(limit), place) for _, limit, place in ROWS if place.startswith("Prefect's ")]


@pytest.mark.parametrize(("wait", "limit", "file", "name"), NAMED, ids=[row[0] for row in NAMED])
def test_a_limit_is_that_of_the_code(wait: str, limit: int, file: str, name: str) -> None:
    module = import_module(file.removesuffix(".py").replace("/", "."))
    assert attrgetter(name)(module) == limit, wait


def test_limits_that_are_variables_have_their_defaults() -> None:
    defaults = {definition.name: definition.default for definition in DEFINITIONS}
    of_variables = [(int(limit), name) for _, limit, place in ROWS for name in re.findall(r"variable `(\w+)`", place)]
    assert of_variables == [(60 * int(defaults[name]), name) for _, name in of_variables]
    assert len(of_variables) == 3


def test_limits_of_prefects_client_are_its_defaults() -> None:
    timeout, retries = PREFECT_API_REQUEST_TIMEOUT.field.default, PREFECT_CLIENT_MAX_RETRIES.field.default
    ((limit, place),) = OF_PREFECT
    assert (limit, place) == (timeout, "Prefect's `PREFECT_API_REQUEST_TIMEOUT`")
    assert f"({retries + 1} tries of {timeout:g} s)" in PAGE
    assert f"`PREFECT_API_REQUEST_TIMEOUT`, {timeout:g} s" in PAGE
    assert f"`PREFECT_CLIENT_MAX_RETRIES`, {retries}, with" in PAGE


def test_every_row_is_compared() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(table) == len(ROWS) == len(NAMED) + 1 + len(OF_PREFECT)


def test_the_figures_of_tries_are_those_of_the_code() -> None:
    assert RETRIES["retries"] == 3
    assert (PUBLISH_TRIES_MAX, PUBLISH_RETRY_S_MAX) == (3, 30 * 60)
    assert (len(RESEND_DELAYS_S), sum(RESEND_DELAYS_S)) == (8, 79)
