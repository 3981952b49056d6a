"""The states of a batch and region in the ledger. Pure."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from tasks.batch import parse_business_date


class Status(StrEnum):
    """The status of a batch and region in the ledger."""

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
    """The state of one date and region. `in_production` is PUBLISHED, EMPTY, ROLLED_BACK or None.

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
