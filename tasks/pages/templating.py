"""Fills the templates of pages; text from outside is escaped. Knows no Prefect."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

Rows = Sequence[Mapping[str, Any]]
"""Rows of a table: all have the same columns, in order."""

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "moment": moment, "duration": duration, "percent": percent}
    environment.tests["number"] = is_number
    return environment


def fill_template(name: str, **values: Any) -> str:
    """Returns the template with its values. A name that a template lacks is an error."""
    return _environment().get_template(name).render(**values)


def is_number(value: object) -> bool:
    """Whether a cell is aligned and grouped as a number."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def cell(value: object) -> str:
    """A cell's text: numbers with thousands separators."""
    return f"{value:,}" if is_number(value) else "" if value is None else str(value)


def moment(value: datetime | None) -> str:
    """`2024-01-15 06:00:12 UTC`; `value` is aware."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else ""


def duration(value: timedelta) -> str:
    """`3.2 s`, `4 min 05 s`, `1 h 02 min`."""
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def percent(value: float) -> str:
    """A share as `12 %`, `0.3 %`, `below 0.1 %`."""
    number = 100 * value
    return "below 0.1 %" if 0 < number < 0.1 else f"{number:.1f} %" if number < 10 else f"{number:,.0f} %"
