"""The page of one run: what happened, whether its figures can be trusted, and where the time went. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from markupsafe import Markup

from tasks.pages.charts import bars
from tasks.pages.templating import Rows, fill_template

WEEKS_BEFORE = 4
"""Same weekdays before the run's date that its charts show."""


class Tone(StrEnum):
    """The tone of a verdict."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a word or two, what that means for the figures, and the message of its final state."""

    tone: Tone
    headline: str
    meaning: str
    message: str = ""


@dataclass(frozen=True)
class DaySales:
    """Sales of one region, day and currency in the fact table. `revenue` is the exact sum of `total_amount`."""

    region: str
    day: date
    currency: str
    rows: int
    revenue: Decimal


@dataclass(frozen=True)
class Step:
    """A task of the run. Times are aware UTC; `ended_at` is None for one that has not ended."""

    name: str
    state: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class RunTimes:
    """When the run was due, began and ended (aware UTC), and the minutes that it has to publish (`sla_minutes`)."""

    due_at: datetime
    began_at: datetime
    ended_at: datetime
    sla_minutes: int

    @property
    def took(self) -> timedelta:
        """The time from when the run was due, which is what is limited."""
        return self.ended_at - min(self.due_at, self.began_at)

    @property
    def share_of_sla(self) -> float:
        """The share of the minutes that the run took: 1.0 is all of them."""
        return self.took / timedelta(minutes=self.sla_minutes)


@dataclass(frozen=True)
class RunTables:
    """The figures of a run as rows of tables. None of them holds personal data."""

    conservation: Rows = ()
    money: Rows = ()
    rejected: Rows = ()
    failed_checks: Rows = ()
    closest_checks: Rows = ()
    schema_changes: Rows = ()
    late_arrivals: Rows = ()


@dataclass(frozen=True)
class RunPage:
    """Everything that the page says. `was_read`: the regions were read, `was_checked`: the quality gate was reached.
    `notes` are things to know about the page itself, such as figures that could not
    be read; `sales` are those of the date and of the same weekdays before it."""

    date: date
    outcome: Outcome
    facts: Mapping[str, str]
    times: RunTimes
    was_read: bool = False
    was_checked: bool = False
    tables: RunTables = field(default_factory=RunTables)
    anomalies: Sequence[str] = ()
    sales: Sequence[DaySales] = ()
    steps: Sequence[Step] = ()
    notes: Sequence[str] = ()
    history: str = ""


@dataclass(frozen=True)
class WeekdayChart:
    """The charts of one region and currency, and the figures in them."""

    region: str
    currency: str
    sales: Markup
    revenue: Markup
    rows: Rows


@dataclass(frozen=True)
class Bar:
    """A step on the timeline: where it begins and how long it is, in per cent of the whole."""

    step: Step
    seconds: float
    left: float
    width: float


def render_run_page(page: RunPage) -> str:
    """Returns the page as HTML that asks for nothing outside itself."""
    return fill_template(
        "run.html.jinja",
        page=page,
        charts=weekday_charts(page.sales, page.date),
        bars=timeline(page.steps, page.times.ended_at),
    )


def weekdays_before(day: date) -> list[date]:
    """The same weekdays before, oldest first, and the day itself."""
    return [day - timedelta(weeks=weeks) for weeks in range(WEEKS_BEFORE, -1, -1)]


def weekday_charts(sales: Sequence[DaySales], day: date) -> list[WeekdayChart]:
    """The charts of each region and currency that has sales on one of the days, in the order in which they are given.
    A day without sales counts as 0."""
    found: dict[tuple[str, str], dict[date, DaySales]] = {}
    for one in sales:
        found.setdefault((one.region, one.currency), {})[one.day] = one
    return [_weekday_chart(region, currency, of_days, day) for (region, currency), of_days in found.items()]


def _weekday_chart(region: str, currency: str, found: Mapping[date, DaySales], day: date) -> WeekdayChart:
    days = [found.get(one, DaySales(region, one, currency, 0, Decimal())) for one in weekdays_before(day)]
    labels = [f"{one.day:%-d %b}" for one in days]
    about = f"{region}, {currency}, {day:%A}s: "
    return WeekdayChart(
        region,
        currency,
        bars(
            [(label, one.rows) for label, one in zip(labels, days, strict=True)],
            about + ", ".join(f"{one.day} {one.rows:,} sales" for one in days),
        ),
        bars(
            [(label, one.revenue) for label, one in zip(labels, days, strict=True)],
            about + ", ".join(f"{one.day} {one.revenue:,} {currency}" for one in days),
        ),
        [{"date": one.day, "sales": one.rows, f"revenue, {currency}": one.revenue} for one in days],
    )


def timeline(steps: Sequence[Step], ended_at: datetime) -> list[Bar]:
    """The steps in the order in which they began, on one scale. A step without an end lasts to the run's."""
    ordered = sorted(steps, key=lambda step: step.began_at)
    if not ordered:
        return []
    first = ordered[0].began_at
    ends = [step.ended_at or max(ended_at, step.began_at) for step in ordered]
    whole = max((max(ends) - first).total_seconds(), 0.001)
    return [
        Bar(
            step,
            seconds=round((end - step.began_at).total_seconds(), 1),
            left=round(100 * (step.began_at - first).total_seconds() / whole, 2),
            width=round(100 * (end - step.began_at).total_seconds() / whole, 2),
        )
        for step, end in zip(ordered, ends, strict=True)
    ]


def with_total(rows: Rows, name: str) -> list[dict[str, Any]]:
    """The rows, and below them the sums of their columns of counts; `name` is the column that says `all`."""
    if len(rows) < 2:
        return [dict(row) for row in rows]
    sums = {
        column: sum(row[column] for row in rows) if all(isinstance(row[column], int) for row in rows) else ""
        for column in rows[0]
    }
    return [*(dict(row) for row in rows), sums | {name: "all"}]
