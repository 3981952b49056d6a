"""What the ledger says about a date that an alert is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.warehouse import Session


@dataclass(frozen=True)
class KnownDate:
    """What the ledger says of a date: when regions were published last (aware UTC), whatever came later, and which
    regions are `late`: production does not show them, and no run has left them out with a word."""

    published: Mapping[str, datetime]
    late: tuple[str, ...]


def published_at(session: Session, batch_id: str, regions: Sequence[str]) -> dict[str, datetime]:
    """Per region when the batch was published last, or found to be empty (aware UTC); without those never published."""
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


def is_mended(published: Mapping[str, datetime], regions: Sequence[str], since: datetime) -> bool:
    """Whether every region was published after `since`."""
    return all(region in published and published[region] > since for region in regions)
