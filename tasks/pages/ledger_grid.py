"""The ledger as a grid: the newest dates x regions, including dates without entries. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from expectations.regions import expected_on
from tasks.batch import DateRange
from tasks.lines import counted, markdown_table
from tasks.warehouse.states import LedgerState, Status

DATES_SHOWN = 35
"""As far as the undo log reaches back by default."""
IN_PRODUCTION = {Status.PUBLISHED: "published", Status.EMPTY: "empty", Status.ROLLED_BACK: "rolled back"}
UNFINISHED = (Status.STARTED, Status.RENEWED)
RUNNING_MARK, FAILED_MARK = " >", " !"
MISSING = "missing"
LEGEND = {
    "empty": "a closed day without sales",
    "rolled back": "taken out again; stays out until the date is named",
    "left out": "the region could not be read, the others were published",
    "failed": "the run failed, nothing is published",
    "died": "a run began and neither ended nor renewed its lease",
    "not over": "loaded before the day was over; the rest is lacking",
    "running": "a run is under way, nothing is published yet",
    MISSING: "the ledger knows nothing of it",
    RUNNING_MARK.strip(): "a run over it is under way",
    FAILED_MARK.strip(): "the newest run over it failed; what was published stays",
}
"""Meanings of the words and marks of cells, besides `published`."""


@dataclass(frozen=True)
class Grid:
    """`cells` maps each date on the grid, newest first, to a word per region. `whole` is the range from the first date
    that was loaded to the last of the ledger."""

    regions: tuple[str, ...]
    cells: dict[date, tuple[str, ...]]
    whole: DateRange | None

    def rows(self) -> list[dict[str, str]]:
        """A row per date."""
        return [{"date": str(day), **dict(zip(self.regions, words, strict=True))} for day, words in self.cells.items()]

    def legend(self) -> list[str]:
        """The meanings of the words and marks that occur."""
        found = {mark for words in self.cells.values() for word in words for mark in _marks_of(word)}
        return [f"{mark}: {meaning}" for mark, meaning in LEGEND.items() if mark in found]

    def headline(self) -> str:
        """Which dates the grid lists."""
        if self.whole is None:
            return "The ledger knows no date yet"
        known = (self.whole.last - self.whole.first).days + 1
        if known <= len(self.cells):
            return f"{counted(len(self.cells), 'date')}, {min(self.cells)} to {self.whole.last}"
        return f"The newest {len(self.cells)} of {known:,} dates, {self.whole}"

    def markdown(self) -> str:
        """The grid as a page, which depends on the ledger alone and not on the time."""
        legend = "\n".join(f"- `{line.partition(':')[0]}`{line[line.index(':') :]}" for line in self.legend())
        return "\n\n".join(part for part in (f"## {self.headline()}", markdown_table(self.rows()), legend) if part)


def shown_range(whole: DateRange | None) -> DateRange | None:
    """The DATES_SHOWN dates up to the newest of the range."""
    return whole and DateRange(whole.last - timedelta(days=DATES_SHOWN - 1), whole.last)


def to_grid(whole: DateRange | None, known: Iterable[LedgerState], regions: Sequence[str]) -> Grid:
    """Returns the grid of the dates of `shown_range`; before the first that was loaded, of those that were tried.
    `regions` come first, then others that are in the ledger."""
    shown = shown_range(whole)
    states = {(state.date, state.region): state for state in known if shown and state.date in shown}
    columns = (*regions, *sorted({region for _, region in states} - {*regions}))
    tried = {day for day, _ in states}
    days = [day for day in reversed(list(shown)) if day >= whole.first or day in tried] if whole and shown else ()
    return Grid(columns, {day: tuple(_word(states, day, region) for region in columns) for day in days}, whole)


def _word(states: Mapping[tuple[date, str], LedgerState], day: date, region: str) -> str:
    """The word of a date and region; none where the region is not expected and was not tried."""
    state = states.get((day, region))
    return cell(state) if state or expected_on(day, [region]) else ""


def cell(state: LedgerState | None) -> str:
    """The word of a date and region: what is in production, and how the newest run over it fares."""
    if state is None:
        return MISSING
    if state.in_production:
        held = IN_PRODUCTION[state.in_production]
        mark = RUNNING_MARK if state.under_way else FAILED_MARK if _has_failed(state) else ""
        return held + mark
    if state.under_way:
        return "running"
    if state.status is Status.MISSING:
        return "left out"
    if state.status in UNFINISHED:
        return "died"
    return "failed" if state.status is Status.FAILED else "not over"


def _has_failed(state: LedgerState) -> bool:
    return state.status in (*UNFINISHED, Status.FAILED, Status.MISSING)


def _marks_of(word: str) -> tuple[str, ...]:
    for mark in (RUNNING_MARK, FAILED_MARK):
        if word.endswith(mark):
            return word.removesuffix(mark), mark.strip()
    return (word,)
