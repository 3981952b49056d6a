"""The history: a grid of dates and regions, trends, durations, failures and open rejected rows. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from statistics import median

from markupsafe import Markup

from expectations.regions import expected_on
from tasks.batch import DateRange
from tasks.lines import counted, public_line
from tasks.pages.charts import Point, trend
from tasks.pages.ledger_grid import LEGEND, cell
from tasks.pages.paths import path_of_run
from tasks.pages.run_page import DaySales, Tone
from tasks.pages.templating import Rows, duration, fill_template, percent
from tasks.warehouse.states import LedgerState, Status

DATES_SHOWN = 365
TREND_DAYS = 90
WEEKDAYS_JUDGED_BY = 4
"""Same weekdays before a day by whose median its band is drawn."""
CAUSE_LENGTH_MAX = 120
LATE = "published late"
GOOD_KINDS = ("published", "published-late", "empty")
"""Cells of regions that are in production and whole."""
MEANINGS = LEGEND | {LATE: "in production, but after its time"}
GAP_KINDS = ("missing", "failed", "died", "left-out", "not-over")
"""Cells that a backfill would load."""


@dataclass(frozen=True)
class EndedRun:
    """How a run at a date and region has ended, by the ledger. Times are aware UTC; the newest have the highest
    `run_number`."""

    date: date
    region: str
    run_number: int
    flow_run_id: str
    status: Status
    began_at: datetime | None
    ended_at: datetime
    extracted: int | None
    rejected: int | None
    cause: str | None


@dataclass(frozen=True)
class Due:
    """When a date's run starts (UTC, on the next day) and how long it may take to publish."""

    starts: time
    sla_minutes: int

    def deadline(self, day: date) -> datetime:
        """Aware UTC, like the times of the ledger."""
        start = datetime.combine(day + timedelta(days=1), self.starts, tzinfo=UTC)
        return start + timedelta(minutes=self.sla_minutes)

    def last_date(self, now: datetime) -> date:
        """The newest date whose time is over at `now` (aware)."""
        day = now.astimezone(UTC).date()
        while self.deadline(day) > now:
            day -= timedelta(days=1)
        return day


@dataclass(frozen=True)
class History:
    """What the page is made of. `whole` is the range from the first date that was loaded to the last of the ledger,
    `pages` are the paths of the runs' pages that exist, `usual` the least and the most share of the median that counts
    as usual, and `first_date` the first date that the warehouse has to hold, None for any."""

    whole: DateRange | None
    regions: tuple[str, ...]
    states: Sequence[LedgerState]
    ends: Sequence[EndedRun]
    sales: Sequence[DaySales]
    open_rejected: Rows
    pages: Collection[str]
    due: Due
    usual: tuple[float, float]
    title: str
    built_at: datetime
    first_date: date | None = None
    notes: Sequence[str] = ()
    data_docs: str = ""
    name_cause: Callable[[str], str] = str


@dataclass(frozen=True)
class GridCell:
    """A date and region: the word of the grid, what is known of it, and the path of its run's page, if there is one."""

    word: str
    about: str
    page: str

    @property
    def kind(self) -> str:
        """The word's class in the stylesheet: without marks and blanks."""
        return self.word.rstrip(" >!").replace(" ", "-")


@dataclass(frozen=True)
class Month:
    """A month of the grid; a day outside the grid has no cell."""

    name: str
    days: tuple[int, ...]
    rows: tuple[tuple[str, tuple[GridCell | None, ...]], ...]


@dataclass(frozen=True)
class WordUsed:
    """A word of the grid's legend: its class in the stylesheet, what it means, and how many cells have it."""

    kind: str
    word: str
    meaning: str
    count: int


@dataclass(frozen=True)
class TrendChart:
    """The last days of one region and currency."""

    region: str
    currency: str
    sales: Markup
    revenue: Markup


@dataclass(frozen=True)
class Newest:
    """The newest date of the ledger in words."""

    tone: Tone
    headline: str
    meaning: str


def shown_dates(whole: DateRange | None, last_due: date) -> DateRange | None:
    """The DATES_SHOWN dates up to the newest of the ledger, or the last that was due, unless that is as much later."""
    if whole is None:
        return None
    last = max(whole.last, last_due) if last_due - whole.last < timedelta(days=DATES_SHOWN) else whole.last
    return DateRange(last - timedelta(days=DATES_SHOWN - 1), last)


def trend_dates(whole: DateRange) -> DateRange:
    """The newest TREND_DAYS dates, and those before them that their bands need."""
    return DateRange(whole.last - timedelta(days=TREND_DAYS - 1, weeks=WEEKDAYS_JUDGED_BY), whole.last)


def render_history_page(history: History) -> str:
    """Returns the page as HTML that asks for nothing outside itself."""
    grid = to_cells(history)
    return fill_template(
        "history.html.jinja",
        history=history,
        newest=newest_date(grid, history),
        months=to_months(grid, history.regions),
        words=words_used(grid),
        trends=trend_charts(history),
        durations=duration_chart(history),
        success=success_rate(history),
        failures=failures_by_cause(history),
    )


def to_cells(history: History) -> dict[date, dict[str, GridCell]]:
    """The cells of each date of the grid, oldest first; before the first date that was loaded, of those tried.
    A region that is not expected on a date, and was not tried, has none."""
    whole, shown = history.whole, shown_dates(history.whole, history.due.last_date(history.built_at))
    if whole is None or shown is None:
        return {}
    tried = {state.date for state in history.states}
    states = {(state.date, state.region): state for state in history.states}
    ends: dict[tuple[date, str], list[EndedRun]] = {}
    for end in history.ends:
        ends.setdefault((end.date, end.region), []).append(end)
    began = min((end.began_at for end in history.ends if end.began_at), default=None)
    return {
        day: {
            region: _cell(day, region, states.get((day, region)), ends.get((day, region), ()), history, began)
            for region in history.regions
            if (day, region) in states or region in expected_on(day, history.regions)
        }
        for day in shown
        if day >= whole.first or day in tried
    }


def _cell(
    day: date,
    region: str,
    state: LedgerState | None,
    ends: Sequence[EndedRun],
    history: History,
    began: datetime | None,
) -> GridCell:
    word, about = cell(state), [f"{day} {region}"]
    published = [end for end in ends if end.status is Status.PUBLISHED]
    deadline = history.due.deadline(day)
    # What was due before the pipeline's first run was loaded later on purpose.
    if word == "published" and began and deadline > began and published and published[0].ended_at > deadline:
        word = LATE
    about.append(word.replace(" >", ", a run is under way").replace(" !", ", the newest run failed"))
    if published and state and state.in_production is Status.PUBLISHED:
        newest = published[-1]
        about.append(f"{counted(newest.extracted or 0, 'row')}, {newest.rejected or 0:,} rejected")
    if ends and ends[-1].cause:
        about.append(_name_cause(ends[-1], history))
    # A rollback, the newest end of a date, has no page.
    paths = [path_of_run(day, end.flow_run_id) for end in reversed(ends)]
    page = next((path for path in paths if path in history.pages), "")
    return GridCell(word, ": ".join([about[0], ", ".join(about[1:])]), page)


def _name_cause(end: EndedRun, history: History) -> str:
    """The kind of failure; of other ends, such as a rollback, the reason that was given."""
    cause = end.cause or ""
    return history.name_cause(cause) if end.status is Status.FAILED else public_line(cause, CAUSE_LENGTH_MAX)


def to_months(grid: Mapping[date, Mapping[str, GridCell]], regions: Sequence[str]) -> list[Month]:
    """The grid by month, the newest first."""
    months = []
    for (year, month), of_month in groupby(grid, key=lambda day: (day.year, day.month)):
        found = {day.day: grid[day] for day in of_month}
        days = tuple(range(1, _days_of(year, month) + 1))
        rows = tuple((region, tuple(found.get(d, {}).get(region) for d in days)) for region in regions)
        months.append(Month(f"{date(year, month, 1):%B %Y}", days, rows))
    return months[::-1]


def _days_of(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days


def words_used(grid: Mapping[date, Mapping[str, GridCell]]) -> list[WordUsed]:
    """Each kind of cell in the grid, the most frequent first."""
    counts = Counter(one.kind for cells in grid.values() for one in cells.values())
    words = [(kind, kind.replace("-", " "), count) for kind, count in counts.most_common()]
    return [WordUsed(kind, word, MEANINGS.get(word, ""), count) for kind, word, count in words]


def newest_date(grid: Mapping[date, Mapping[str, GridCell]], history: History) -> Newest:
    """Whether the newest date can be used, and how many of the dates shown are gaps."""
    if not grid:
        return Newest(Tone.WARN, "Nothing is loaded yet", "The ledger knows no date.")
    day = max(grid)
    cells = grid[day]
    bad = {region: one.word for region, one in cells.items() if one.kind not in GOOD_KINDS}
    wanted = [old for old in grid if history.first_date is None or old >= history.first_date]
    gaps = [old for old in wanted if any(one.kind in GAP_KINDS for one in grid[old].values())]
    lacking = f"1 date of {len(wanted)} lacks" if len(gaps) == 1 else f"{len(gaps):,} dates of {len(wanted)} lack"
    rest = f"{lacking} a region." if gaps else "No date lacks a region."
    if not bad and (last_due := history.due.last_date(history.built_at)) > day:
        return Newest(
            Tone.WARN, f"{day}: all regions are in production", f"Nothing newer is loaded; {last_due} was due. {rest}"
        )
    if not bad:
        return Newest(Tone.GOOD, f"{day}: all regions are in production", rest)
    what = ", ".join(f"{region} {word}" for region, word in bad.items())
    return Newest(Tone.BAD, f"{day}: {what}", rest)


def trend_charts(history: History) -> list[TrendChart]:
    """Sales and revenue of the last TREND_DAYS by region and currency. A day without sales is a gap in the line."""
    if history.whole is None:
        return []
    days, charts = _last_days(history.whole), list[TrendChart]()
    places = {region: place for place, region in enumerate(history.regions)}
    ordered = sorted(history.sales, key=lambda one: (places.get(one.region, len(places)), one.region, one.currency))
    for (region, currency), group in groupby(ordered, key=attrgetter("region", "currency")):
        found = {one.day: one for one in group}
        about = f"{region} from {days[0]} to {days[-1]}"
        rows = _points(days, {day: float(one.rows) for day, one in found.items()}, history.usual)
        revenue = _points(days, {day: float(one.revenue) for day, one in found.items()}, history.usual)
        charts.append(
            TrendChart(
                region,
                currency,
                trend(rows, _described(f"Sales in {about}", rows)),
                trend(revenue, _described(f"Revenue in {currency} in {about}", revenue)),
            )
        )
    return charts


def _last_days(whole: DateRange) -> list[date]:
    """The last TREND_DAYS, or those since the ledger began."""
    first = max(whole.first, whole.last - timedelta(days=TREND_DAYS - 1))
    return list(DateRange(first, whole.last))


def _points(days: Sequence[date], values: Mapping[date, float], usual: tuple[float, float]) -> list[Point]:
    points = []
    for day in days:
        before = [values.get(day - timedelta(weeks=week)) for week in range(1, WEEKDAYS_JUDGED_BY + 1)]
        known = [value for value in before if value is not None]
        middle = median(known) if len(known) == WEEKDAYS_JUDGED_BY else None
        low, high = (middle * usual[0], middle * usual[1]) if middle is not None else (None, None)
        points.append(Point(day, values.get(day), low, high))
    return points


def _described(what: str, points: Sequence[Point]) -> str:
    values = [point.value for point in points if point.value is not None]
    if not values:
        return f"{what}: none"
    return f"{what}: from {min(values):,.0f} to {max(values):,.0f}, last {values[-1]:,.0f}"


@dataclass(frozen=True)
class DurationChart:
    """Seconds from the start of each date's newest publish to its COMMIT, and what that is of the time allowed."""

    chart: Markup
    words: str


def duration_chart(history: History) -> DurationChart | None:
    """None when nothing was published in the last TREND_DAYS."""
    days, seconds = _last_days(history.whole) if history.whole else [], dict[date, float]()
    for end in history.ends:
        if end.status is Status.PUBLISHED and end.began_at and end.date in days:
            seconds[end.date] = (end.ended_at - end.began_at).total_seconds()
    if not seconds:
        return None
    points = [Point(day, seconds.get(day)) for day in days]
    longest, allowed = max(seconds.values()), history.due.sla_minutes * 60
    words = (
        f"The longest took {duration(timedelta(seconds=longest))}, {percent(longest / allowed)} of the "
        f"{history.due.sla_minutes} minutes allowed from when a run is due."
    )
    near = allowed if longest > allowed / 4 else None
    return DurationChart(trend(points, _described("Seconds from a run's start to its COMMIT", points), near), words)


def success_rate(history: History) -> str:
    """How many of the runs that loaded dates have succeeded, in words; empty without runs. Rollbacks and runs that
    were overtaken do not count."""
    by_run: dict[int, set[Status]] = {}
    for end in history.ends:
        if end.status not in (Status.ROLLED_BACK, Status.OVERTAKEN):
            by_run.setdefault(end.run_number, set()).add(end.status)
    if not by_run:
        return ""
    good = sum(Status.FAILED not in statuses for statuses in by_run.values())
    return f"{good:,} of {counted(len(by_run), 'run')} succeeded: {percent(good / len(by_run))}."


def failures_by_cause(history: History) -> Rows:
    """Runs that failed by cause, the most frequent first, with the newest date of each."""
    failed = {end.run_number: end for end in history.ends if end.status is Status.FAILED}
    causes: dict[str, list[EndedRun]] = {}
    for end in failed.values():
        causes.setdefault(history.name_cause(end.cause or ""), []).append(end)
    ordered = sorted(causes.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"cause": cause, "runs": len(ends), "last of date": max(_dates(ends))} for cause, ends in ordered]


def _dates(ends: Iterable[EndedRun]) -> list[date]:
    return [end.date for end in ends]
