"""Which days of which regions are compared, by what the ledger says of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tasks.gaps import ROLLED_BACK, DateRange, LedgerState


@dataclass(frozen=True)
class DaysOfRegion:
    """The days of one region: `due` are those that the ledger calls PUBLISHED or EMPTY, `held_back` those that were
    rolled back. All others are gaps, and the work of backfill."""

    region: str
    due: tuple[date, ...]
    held_back: tuple[date, ...]


def last_days(yesterday: date, days: int) -> DateRange:
    """So many days up to `yesterday`, included."""
    return DateRange(yesterday - timedelta(days=days - 1), yesterday)


def days_of_regions(known: Iterable[LedgerState], regions: Sequence[str]) -> list[DaysOfRegion]:
    """The days of each region that are compared or held back; regions without any are left out."""
    shown = {(state.region, state.date): state.in_production for state in known if state.in_production}
    days = [
        DaysOfRegion(
            region,
            tuple(sorted(day for (of, day), status in shown.items() if of == region and status != ROLLED_BACK)),
            tuple(sorted(day for (of, day), status in shown.items() if of == region and status == ROLLED_BACK)),
        )
        for region in regions
    ]
    return [of_region for of_region in days if of_region.due or of_region.held_back]
