"""Charts of the pages, as SVG that takes its colours from the page's stylesheet. Pure.

By pygal: plain SVG in some ten milliseconds a chart, without JavaScript, fonts or a browser engine to start.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pygal
from markupsafe import Markup
from pygal.config import Config

WIDTH, HEIGHT = 300, 150
"""Of a chart, in units of its own; the page scales it to the room that it has."""
DOT = 1.2
LABELS_MAX = 6
"""Labels of an axis of dates."""
FIRST_DATE = date(1970, 1, 1)

UNUSED_TAGS, UNUSED_LAYERS = ("defs", "desc", "title"), ("text-overlay", "tooltip-overlay")
"""Parts of pygal's SVG that its script would use."""

Number = int | float | Decimal


@dataclass(frozen=True)
class Point:
    """A figure of one date; `low` and `high` are the band in which it is usual, None without one."""

    day: date
    value: Number | None
    low: Number | None = None
    high: Number | None = None


def bars(values: Sequence[tuple[str, Number]], about: str) -> Markup:
    """A bar per label; the last one is the page's own and stands out. `about` is the text alternative."""
    chart = pygal.StackedBar(_config(len(values)))
    chart.x_labels = [label for label, _ in values]
    *before, last = (float(value) for _, value in values)
    # Two series on top of each other, so that the last bar has a colour of its own.
    chart.add("before", [*before, 0])
    chart.add("this day", [*(0 for _ in before), last])
    return _svg(chart, about)


def trend(points: Sequence[Point], about: str, limit: Number | None = None) -> Markup:
    """A line over dates with its band behind it, and a straight line at `limit`. A date without a value is a gap."""
    chart = pygal.XY(_config(LABELS_MAX))
    chart.x_labels = [{"label": f"{day:%d %b}", "value": _x(day)} for day in _labelled([point.day for point in points])]
    band = [point for point in points if point.low is not None and point.high is not None]
    upper = [(_x(point.day), float(point.high or 0)) for point in band]
    lower = [(_x(point.day), float(point.low or 0)) for point in reversed(band)]
    chart.add("band", [*upper, *lower, *upper[:1]], fill=True)
    values = [(_x(point.day), None if point.value is None else float(point.value)) for point in points]
    # Dots, because a line needs two neighbours.
    chart.add("value", values, show_dots=True, dots_size=DOT)
    if limit is not None and points:
        chart.add("limit", [(_x(points[0].day), float(limit)), (_x(points[-1].day), float(limit))])
    return _svg(chart, about)


def short(value: float) -> str:
    """A number for an axis: 950, 1.2k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _x(day: date) -> int:
    return (day - FIRST_DATE).days


def _labelled(days: Sequence[date]) -> list[date]:
    if not days:
        return []
    first, span = days[0], (days[-1] - days[0]).days
    step = max(1, -(-span // (LABELS_MAX - 1)))
    return [first + timedelta(days=n) for n in range(0, span + 1, step)]


def _config(labels: int, **options: Any) -> Config:
    return Config(
        width=WIDTH,
        height=HEIGHT,
        css=[],
        js=[],
        show_legend=False,
        show_dots=False,
        show_x_guides=False,
        print_values=False,
        truncate_label=-1,
        margin=4,
        max_scale=4,
        min_scale=2,
        x_labels_major_count=labels,
        show_minor_x_labels=True,
        range=None,
        include_x_axis=True,
        allow_interruptions=True,
        formatter=lambda *_: "",  # of values, which are not printed
        value_formatter=short,
        y_label_rotation=0,
        **options,
    )


def _svg(chart: Any, about: str) -> Markup:
    """The chart without pygal's own colours, scripts and random id, named for those who cannot see it."""
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag in UNUSED_TAGS or _is_unused(child.get("class", "")):
                parent.remove(child)
    root.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-label", about)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (ElementTree has escaped its texts)


def _is_unused(classes: str) -> bool:
    return any(layer in classes.split() for layer in UNUSED_LAYERS)
