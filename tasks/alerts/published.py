"""Reads from the ledger what is published of the dates that alerts are about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from expectations.regions import REGIONS, expected_on
from tasks.batch import Batch, parse_business_date
from tasks.warehouse.ledger import known_states
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, text_literal
from tasks.warehouse.states import LedgerState

SHOWN = ("PUBLISHED", "EMPTY")


@dataclass(frozen=True)
class KnownDate:
    """A date in the ledger: when each region was last published (aware UTC), whatever followed, and the `late` regions,
    neither in production nor recorded as left out."""

    published: Mapping[str, datetime]
    late: tuple[str, ...]


def published_at(session: Session, batch_id: str, regions: Sequence[str]) -> dict[str, datetime]:
    """Returns by region when the batch was last published, or found empty (aware UTC); others are left out."""
    places = ", ".join(["?"] * len(regions))
    rows = session.query(
        "SELECT REGION, MAX(RECORDED_AT) FROM ANALYTICS.ETL_BATCHES "
        f"WHERE BATCH_ID = ? AND STATUS IN ('PUBLISHED', 'EMPTY') AND REGION IN ({places}) GROUP BY REGION",
        [batch_id, *regions],
    )
    return {region: _aware(moment) for region, moment in rows}


def _aware(moment: Any) -> datetime:
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware


def read_unpublished(session: Session, dates: Sequence[date]) -> dict[date, list[str]]:
    """Returns the regions of each of `dates` that are not in production; complete dates are left out."""
    expected = [
        f"SELECT {text_literal(Batch(day, ()).batch_id)} AS BATCH_ID, {text_literal(region)} AS REGION"
        for day in dates
        for region in expected_on(day, REGIONS)
    ]
    if not expected:
        return {}
    found: dict[date, list[str]] = {}
    statement = render("ledger/unpublished_regions", expected=" UNION ALL ".join(expected))
    for batch_id, region in session.query(statement):
        found.setdefault(parse_business_date(batch_id), []).append(region)
    return found


def read_known_date(session: Session, day: date, regions: Sequence[str]) -> KnownDate:
    """Reads the publications and the late ones of some regions of a date."""
    late = read_unpublished(session, [day]).get(day, [])
    published = published_at(session, Batch(day, ()).batch_id, regions)
    return KnownDate(published, tuple(region for region in late if region in regions))


def is_mended(published: Mapping[str, datetime], regions: Sequence[str], since: datetime) -> bool:
    """Whether every region was published after `since`."""
    return all(region in published and published[region] > since for region in regions)


def read_production(session: Session, dates: Sequence[date], regions: Sequence[str]) -> str:
    """Returns a line for each date: whether production shows it now, whichever run has loaded it."""
    return describe_production(dates, regions, known_states(session, min(dates), max(dates))) if dates else ""


def describe_production(dates: Sequence[date], regions: Sequence[str], states: Iterable[LedgerState]) -> str:
    """Returns these lines by the states in the ledger. Of regions that are not expected on a date, it says nothing
    unless they are all that was asked for."""
    shown = {(state.date, state.region) for state in states if state.in_production in SHOWN}
    asked = {day: expected_on(day, regions) or regions for day in dates}
    missing = {day: [code for code in codes if (day, code) not in shown] for day, codes in asked.items()}
    return "\n".join(_describe_date(day, codes, asked[day]) for day, codes in missing.items())


def _describe_date(day: date, missing: Sequence[str], regions: Sequence[str]) -> str:
    if not missing:
        return f"{day} is in production now."
    if len(missing) == len(regions):
        return f"{day} is not in production now."
    return f"{day} is in production now but for {', '.join(missing)}."
