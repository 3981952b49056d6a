"""The regions of the company: read from `regions.toml`, so that a fifth region is an entry and no code."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

REGIONS_FILE = Path(__file__).with_name("regions.toml")


@dataclass(frozen=True)
class Region:
    """One regional database.

    `spellings` are the ways its source writes its own region, without regard to case and surrounding blanks.
    `block` names the SqlAlchemyConnector block that reaches the database, `schema` and `table` the table or view to
    read; without a schema the reader's search path decides. `source_is_whole`: a view has all sales, by the time a day
    is loaded. `time_zone` (IANA) is the clock of its stores, for analysts; the pipeline works in UTC. `first_date` is
    the first UTC day on which its sales are expected, None for any.
    """

    code: str
    name: str
    spellings: frozenset[str]
    time_zone: str
    prefix_keys: bool
    block: str
    schema: str | None = None
    table: str = "sales_transactions"
    source_is_whole: bool = False
    first_date: date | None = None

    @property
    def all_spellings(self) -> frozenset[str]:
        """The spellings, the code and the name, normalized for comparison."""
        return frozenset(_normalized(spelling) for spelling in (*self.spellings, self.code, self.name))

    def key_of(self, sale_id: str) -> str:
        """The business key of a `sale_id` of this region's source."""
        return f"{self.code}:{sale_id}" if self.prefix_keys else sale_id

    def sale_id_of(self, key: str) -> str:
        """The `sale_id` of a business key, as the source writes it."""
        return key.removeprefix(f"{self.code}:") if self.prefix_keys else key


def _normalized(spelling: str) -> str:
    return spelling.strip().casefold()


def read_regions(path: Path = REGIONS_FILE) -> dict[str, Region]:
    """Returns the regions of `path` by code, in the file's order.

    Raises ValueError for a repeated code or spelling, for a time zone or a first date that is none, and for a time zone
    whose days do not fit UTC days.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["region"]
    regions = [Region(**{**entry, "spellings": frozenset(entry["spellings"])}) for entry in entries]
    _refuse_repeats(path, "code", (region.code for region in regions))
    _refuse_repeats(path, "spelling", (spelling for region in regions for spelling in region.all_spellings))
    for region in regions:
        _refuse_other_than_date(path, region)
        # A machine without a database of zones cannot judge.
        if not _is_time_zone(region.time_zone) and _is_time_zone("Etc/UTC"):
            raise ValueError(
                f"{path.name}: time_zone {region.time_zone!r} of {region.code} is no IANA time zone: take one like "
                "'Europe/Berlin'"
            )
        if _is_time_zone(region.time_zone) and not _has_each_day_once(region.time_zone, datetime.now(UTC).year):
            raise ValueError(
                f"{path.name}: time_zone {region.time_zone!r} of {region.code} is behind UTC for a part of the year "
                "only, so that its days do not fit UTC days one to one: take one on one side, like 'Etc/GMT+1'"
            )
    return {region.code: region for region in regions}


def _refuse_other_than_date(path: Path, region: Region) -> None:
    day: object = region.first_date
    if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
        raise ValueError(
            f"{path.name}: first_date {str(day)!r} of {region.code} is no date: write it without quotes, like "
            "2024-01-15"
        )


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _has_each_day_once(name: str, year: int) -> bool:
    """Whether, from the year before to the year after, one day by the clock of the zone ends within each UTC day."""
    zone, first = ZoneInfo(name), datetime(year - 1, 1, 1, tzinfo=UTC)
    days = [(first + timedelta(days=number)).astimezone(zone).date() for number in range(3 * 366)]
    return all(later - day == timedelta(days=1) for day, later in pairwise(days))


def _refuse_repeats(path: Path, kind: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{path.name}: {kind} {value!r} is given twice: remove one of them")
        seen.add(value)


REGIONS = read_regions()


def code_of_spelling(spelling: str) -> str | None:
    """Returns the region code of a spelling, or None for an unknown one: ' us east' -> 'US_EAST'."""
    return _CODE_OF_SPELLING.get(_normalized(spelling))


def expected_on(day: date, codes: Iterable[str]) -> tuple[str, ...]:
    """Those of the region codes of which sales are expected on the UTC day: configured, and not before `first_date`."""
    known = (REGIONS[code] for code in codes if code in REGIONS)
    return tuple(region.code for region in known if region.first_date is None or region.first_date <= day)


_CODE_OF_SPELLING = {spelling: region.code for region in REGIONS.values() for spelling in region.all_spellings}
