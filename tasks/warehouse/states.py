"""What the ledger says of a batch and region. Pure."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from tasks.batch import parse_business_date


class Status(StrEnum):
    """What the ledger says of a batch and region."""

    STARTED = "STARTED"
    RENEWED = "RENEWED"
    PUBLISHED = "PUBLISHED"
    MISSING = "MISSING"
    EMPTY = "EMPTY"
    FAILED = "FAILED"
    OVERTAKEN = "OVERTAKEN"
    ROLLED_BACK = "ROLLED_BACK"


@dataclass(frozen=True)
class LedgerState:
    """What the ledger says of one date and region. `in_production`: PUBLISHED, EMPTY or ROLLED_BACK, or nothing.

    `under_way` when the newest run has neither ended nor outlived its lease.
    """

    date: date
    region: str
    status: Status
    in_production: Status | None
    under_way: bool

    @classmethod
    def of_row(
        cls, batch_id: str, region: str, status: str, in_production: str | None, under_way: bool
    ) -> "LedgerState":
        shown = Status(in_production) if in_production else None
        return cls(parse_business_date(batch_id), region, Status(status), shown, under_way)
