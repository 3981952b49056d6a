"""Which days of which regions are compared, by the ledger. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tasks.batch import DateRange
from tasks.warehouse.states import LedgerState, Status


@dataclass(frozen=True)
class DaysOfRegion:
    """The days of one region: `due` are PUBLISHED or EMPTY in the ledger, `held_back` are rolled back; all others are
    gaps, which backfill loads."""

    region: str
    due: tuple[date, ...]
    held_back: tuple[date, ...]


def last_days(yesterday: date, days: int) -> DateRange:
    """The last `days` days up to and including `yesterday`."""
    return DateRange(yesterday - timedelta(days=days - 1), yesterday)


def days_of_regions(known: Iterable[LedgerState], days: DateRange, regions: Sequence[str]) -> list[DaysOfRegion]:
    """Returns the days of each region that are compared or held back; regions without any are left out.

    `known` are the ledger's states of all dates up to the end of the range.
    """
    in_ledger = sorted((state.date, state.region, state.in_production) for state in known if state.in_production)
    of_regions = []
    for region in regions:
        of_region = [(day, status) for day, of, status in in_ledger if of == region and day in days]
        due = tuple(day for day, status in of_region if status is not Status.ROLLED_BACK)
        held_back = tuple(day for day, status in of_region if status is Status.ROLLED_BACK)
        of_regions.append(DaysOfRegion(region, due, held_back))
    return [of_region for of_region in of_regions if of_region.due or of_region.held_back]
