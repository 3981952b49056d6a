"""The work of a run: the business date, its window, the batch, and the attempt at it. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

REPLAY, HEAL = "R", "H"
"""The first letters of the batch ids of named keys."""
ADOPTION = "A"
"""The first letter of the batch id of a fact table that another tool had loaded."""

YESTERDAY = "yesterday"
"""The date of a daily run without a given one: the day before its scheduled start."""

STAGING_KINDS = ("CLEAN", "REJECTED", "STANDING", "FATES")
"""Prefixes of an attempt's table names: its clean and rejected rows, the sales that stood before it, and the fate of
each clean row."""

DAYS_MAX = 3_660
"""Ten years: a longer range is a typo in a year."""

KEYS_MAX = 50_000
"""Sales of one region that a replay reads again, or a reconcile names and loads; the rest is counted and reported."""

DATE_FORMS = re.compile(r"(\d{4})-(\d{2})-(\d{2})|(\d{4})(\d{2})(\d{2})")


@dataclass(frozen=True)
class Window:
    """A half-open interval of time, aware UTC: rows sold or changed in it belong to the batch."""

    start: datetime
    end: datetime

    @classmethod
    def of_day(cls, day: date) -> "Window":
        """The UTC day `[day 00:00Z, day + 1 00:00Z)`."""
        start = datetime.combine(day, time.min, tzinfo=UTC)
        return cls(start, start + timedelta(days=1))


@dataclass(frozen=True)
class DateRange:
    """Business dates, both ends included; none when `first` is later than `last`."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True)
class RolledBack:
    """What was rolled back of a region and is held back: `batches` of dates and of heals, and the keys, as the fact
    table has them, that these heals had changed or rejected."""

    batches: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()

    @property
    def days(self) -> frozenset[date]:
        return frozenset(parse_business_date(batch_id) for batch_id in self.batches if batch_id.isdigit())


@dataclass(frozen=True)
class Keys:
    """Rows by their `sale_id`, as the source writes it, except those that are held back because of what was
    `rolled_back`."""

    sale_ids: tuple[str, ...]
    rolled_back: RolledBack = field(default_factory=RolledBack)

    def without(self, sale_ids: Collection[str]) -> "Keys":
        """The keys except the given ones."""
        return Keys(tuple(sale_id for sale_id in self.sale_ids if sale_id not in sale_ids), self.rolled_back)


@dataclass(frozen=True)
class Batch:
    """The work for one business date and the regions asked for."""

    date: date
    regions: tuple[str, ...]

    @property
    def batch_id(self) -> str:
        """The date as `20240115`."""
        return self.date.isoformat().replace("-", "")

    @property
    def window(self) -> Window:
        return Window.of_day(self.date)

    @property
    def wanted(self) -> list[Window]:
        """The rows to read, by region."""
        return [self.window] * len(self.regions)


@dataclass(frozen=True)
class NamedKeys:
    """A batch of sales that are read again by their keys, per region: a replay of rejected rows, or a heal.

    `batch_id` is `R` or `H` and the UTC second in which it began: R20240116T091500Z.
    """

    batch_id: str
    keys: Mapping[str, Keys]

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self.keys)

    @property
    def wanted(self) -> list[Keys]:
        """The rows to read, by region."""
        return list(self.keys.values())

    def with_rolled_back(self, rolled_back: Mapping[str, RolledBack]) -> "NamedKeys":
        """The batch with what was rolled back of each region; extract finds in the source which keys it holds back."""
        keys = {region: Keys(of_region.sale_ids, rolled_back[region]) for region, of_region in self.keys.items()}
        return NamedKeys(self.batch_id, keys)


@dataclass(frozen=True)
class StagingTables:
    """The transient tables of one attempt; no other attempt has these names."""

    clean_table: str
    rejected_table: str
    standing_table: str
    fates_table: str

    @classmethod
    def of_run(cls, run_number: int) -> "StagingTables":
        return cls(*(f"STAGING.{kind}_{run_number:06d}" for kind in STAGING_KINDS))


@dataclass(frozen=True)
class Attempt:
    """One run at a batch. `run_number` comes from one counter; everything that the attempt makes is named by it."""

    run_number: int
    flow_run_id: str
    batch_id: str
    regions: tuple[str, ...]

    @property
    def staging_prefix(self) -> str:
        """The folder in the staging bucket that belongs to this attempt alone."""
        return f"sales/batch={self.batch_id}/run={self.run_number:06d}"

    @property
    def is_replay(self) -> bool:
        """Whether rejected rows are read again."""
        return self.batch_id.startswith(REPLAY)

    @property
    def is_of_keys(self) -> bool:
        """Whether sales are loaded by their keys, regardless of their date: a replay or a heal."""
        return self.batch_id.startswith((REPLAY, HEAL))

    @property
    def staging_tables(self) -> StagingTables:
        return StagingTables.of_run(self.run_number)


def name_batch_of_keys(letter: str, now: datetime) -> str:
    """The batch id of a replay (REPLAY), a heal (HEAL) or an adoption (ADOPTION) that begins `now` (aware)."""
    return f"{letter}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def parse_business_date(value: str | int | date) -> date:
    """The date of `2024-01-15`, `20240115` or the integer 20240115.

    Raises ValueError, naming both forms, for every other form, booleans and impossible days included.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    match = DATE_FORMS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None or not str(value).isascii():
        raise ValueError(f"date {value!r} is not understood: write it as 2024-01-15 or 20240115")
    year, month, day = (int(part) for part in match.groups() if part is not None)
    try:
        return date(year, month, day)
    except ValueError as error:
        raise ValueError(f"date {value!r} is no day of the calendar ({error}): write 2024-01-15 or 20240115") from None


def date_asked(asked: str | int | date | None, due: datetime) -> date:
    """The date asked for; without one, or for the word `yesterday`, the day before `due` (aware).

    Raises ValueError as `parse_business_date` does.
    """
    return day_before(due) if asked is None or asked == YESTERDAY else parse_business_date(asked)


def refuse_future(day: date, now: datetime) -> date:
    """`day`, or ValueError when it has not begun at `now` (aware UTC)."""
    today = now.astimezone(UTC).date()
    if day > today:
        raise ValueError(f"date {day} is in the future (today is {today} UTC): choose {today} or an earlier day")
    return day


def check_range(start: date | None, end: date | None, yesterday: date) -> DateRange | None:
    """The range asked for, None when no date is given. Raises ValueError for an impossible range."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        given, lacking = ("start_date", "end_date") if end is None else ("end_date", "start_date")
        raise ValueError(f"{given} is given without {lacking}: give both, or neither")
    if start > end:
        raise ValueError(f"start_date {start} is later than end_date {end}: give the earlier one first")
    if end > yesterday:
        raise ValueError(f"end_date {end} was not over when the run was due: choose {yesterday} or an earlier day")
    if (days := (end - start).days + 1) > DAYS_MAX:
        raise ValueError(f"{start} to {end} are {days} days, {DAYS_MAX} is the most: take it in parts")
    return DateRange(start, end)


def day_before(moment: datetime) -> date:
    """The UTC day before `moment` (aware): what a run scheduled for that moment loads."""
    return moment.astimezone(UTC).date() - timedelta(days=1)


def choose_regions(asked: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The region codes to load in the order of `known`; None means all.

    Raises ValueError for an unknown code, naming it and the known ones, and for an empty list.
    """
    if asked is None:
        return known
    unknown = [code for code in asked if code not in known]
    if unknown or not asked:
        wrong = f"region {unknown[0]!r} is unknown" if unknown else "regions is empty"
        raise ValueError(f"{wrong}: choose from {', '.join(known)}, or leave regions out for all")
    return tuple(code for code in known if code in asked)
