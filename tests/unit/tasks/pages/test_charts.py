"""Charts are SVG without colours, scripts or ids of their own, and are named for those who cannot see them."""

from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from tasks.pages.charts import Point, bars, short, trend

DAY = date(2024, 1, 15)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def bar_heights(svg: str) -> list[float]:
    return [
        round(float(bar.get("height", 0)), 1) for bar in drawn(svg).iter(f"{SVG}rect") if "rect" in bar.get("class", "")
    ]


def lines(svg: str) -> list[str]:
    return [
        path.get("d", "")
        for path in drawn(svg).iter(f"{SVG}path")
        if "line" in path.get("class", "").split() and path.get("d", "").count(" ") > 2
    ]


def test_bars_are_as_high_as_their_values() -> None:
    heights = [height for height in bar_heights(bars([("8 Jan", 50), ("15 Jan", Decimal("100.00"))], "x")) if height]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.02)


def test_a_chart_has_a_name_and_nothing_that_a_page_would_load() -> None:
    svg = bars([("8 Jan", 50), ("15 Jan", 100)], 'EUROPE, "Mondays" <b>')
    assert drawn(svg).get("role") == "img"
    assert drawn(svg).get("aria-label") == 'EUROPE, "Mondays" <b>'
    assert "id" not in drawn(svg).attrib
    for word in ("<script", "<style", "http://www.pygal", "xlink:href", "<desc", "<title"):
        assert word not in svg


def test_the_same_values_give_the_same_chart() -> None:
    values = [("8 Jan", 50), ("15 Jan", 100)]
    assert bars(values, "x") == bars(values, "x")


def test_a_trend_has_a_band_a_line_and_a_limit() -> None:
    points = [Point(DAY + timedelta(days=n), 10 + n, 5, 30) for n in range(9)]
    series = [
        group.get("class")
        for group in drawn(trend(points, "x", limit=40)).iter(f"{SVG}g")
        if "series" in group.get("class", "")
    ]
    assert [name for name in ("color-0", "color-1", "color-2") if any(name in (s or "") for s in series)] == [
        "color-0",
        "color-1",
        "color-2",
    ]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no-day"),
        pytest.param([None, None], id="days-without-values"),
        pytest.param([0, 0, 0], id="zeros"),
        pytest.param([5], id="one-day"),
        pytest.param([1, None, 3], id="a-gap"),
        pytest.param([Decimal("99999999999999.99"), 0], id="wide"),
        pytest.param([-5, 5], id="negative"),
    ],
)
def test_a_trend_of_any_values_is_drawn(values: list[float | None]) -> None:
    points = [Point(DAY + timedelta(days=n), value) for n, value in enumerate(values)]
    assert drawn(trend(points, "x")).tag == f"{SVG}svg"


@pytest.mark.parametrize("value", [0, 1, 10**15, Decimal("0.01")])
def test_bars_of_any_value_are_drawn(value: int | Decimal) -> None:
    assert drawn(bars([("1 Jan", 0), ("8 Jan", value)], "x")).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (1200, "1.2k"), (3_000_000, "3M"), (2.5e9, "2.5G"), (0.5, "0.5")]
)
def test_an_axis_has_short_numbers(value: float, text: str) -> None:
    assert short(value) == text
