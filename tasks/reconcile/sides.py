"""The records of both sides of a comparison: sums by day and bucket of keys, and single versions of sales. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tasks.reconcile.fingerprint import MODULUS


class Cell(NamedTuple):
    """What one sum covers. `day` is the UTC day on which versions arrived: the later of sold and changed. `bucket` is
    the first two hex digits of the key's MD5."""

    day: date
    bucket: str
    currency: str | None


@dataclass(frozen=True)
class Sums:
    """Number of sales, sum of their fingerprints modulo 2**64, and exact totals of the money columns."""

    rows: int = 0
    fingerprints: int = 0
    amounts: tuple[Decimal, ...] = ()

    @classmethod
    def of_row(cls, rows: Any, fingerprints: Any, *amounts: Any) -> "Sums":
        return cls(int(rows), int(fingerprints) % MODULUS, tuple(Decimal(amount or 0) for amount in amounts))


CellSums = Mapping[Cell, Sums]


class SourceRow(NamedTuple):
    """A version of a sale at the source.

    `day` is the later of the days on which it was sold and changed, 9999-12-31 for a time in no calendar. `version` is
    `updated_at` in microseconds since 1970, None without one. `is_accounted`: key and version are among the open
    rejected rows.
    """

    key: str
    day: date
    version: int | None
    fingerprint: int
    is_accounted: bool


class TableRow(NamedTuple):
    """A sale in the fact table. `read_at` is the time of its source's snapshot (aware, UTC, by the source's clock)."""

    key: str
    day: date
    version: int
    fingerprint: int
    is_deleted: bool
    read_at: datetime


class OpenRejected(NamedTuple):
    """The open rejected rows of a region: keys as the source writes them, and versions (aware, UTC), None for none."""

    sale_ids: Sequence[str]
    versions: Sequence[datetime | None]
