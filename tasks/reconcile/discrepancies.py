"""How a sale differs between source and table, and for which sums single sales are compared. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from tasks.reconcile.sides import CellSums, SourceRow, Sums, TableRow

Portion = tuple[list[str], list[date]]
"""Buckets, and the days on which their sums differ."""

ROWS_AT_ONCE = 200_000
"""Sales of each side that are held at once, roughly."""


class Discrepancy(StrEnum):
    """How a sale differs."""

    MISSING = "missing"
    """Not in the table."""
    DIFFERS = "differs"
    """The source has a newer version, or other content under the same `updated_at`."""
    GONE = "gone"
    """In the table, and no longer at the source."""
    OLDER = "older"
    """The source has gone back to an older version than the table's, which stays."""


@dataclass(frozen=True)
class DifferingSale:
    """A sale that differs. `sale_id` is its key as the source writes it; `key` as the fact table does."""

    kind: Discrepancy
    day: date
    sale_id: str
    key: str


def differing(at_source: CellSums, in_table: CellSums) -> Iterator[Portion]:
    """Yields buckets and the days on which their sums differ, in portions of about ROWS_AT_ONCE sales."""
    days, rows = dict[str, set[date]](), Counter[str]()
    for cell in at_source.keys() | in_table.keys():
        left, right = at_source.get(cell, Sums()), in_table.get(cell, Sums())
        rows[cell.bucket] += max(left.rows, right.rows)
        if left != right:
            days.setdefault(cell.bucket, set()).add(cell.day)
    portion, held = list[str](), 0
    for bucket in sorted(days):
        if portion and held + rows[bucket] > ROWS_AT_ONCE:
            yield portion, sorted(set[date]().union(*(days[b] for b in portion)))
            portion, held = [], 0
        portion.append(bucket)
        held += rows[bucket]
    if portion:
        yield portion, sorted(set[date]().union(*(days[b] for b in portion)))


def judge(
    versions: Iterable[SourceRow], stored: TableRow | None, due: Sequence[date], snapshot_at: datetime
) -> tuple[Discrepancy, date] | None:
    """Returns how a sale differs, and the day that it is counted on; None for a sale that does not differ.

    A version counts when its day was read, by the ledger. Later versions are left to the next load, and rejected ones
    are known already. A row that was read after `snapshot_at` is newer than this comparison.
    """
    if stored is not None and stored.read_at > snapshot_at:
        return None
    versions = list(versions)
    if not versions:
        return None if stored is None or stored.is_deleted else (Discrepancy.GONE, stored.day)
    counting = [row for row in versions if not row.is_accounted and is_due(row, due)]
    if not counting:
        return None
    newest = max(counting, key=_version)
    if stored is None or stored.is_deleted:
        return Discrepancy.MISSING, newest.day
    if _version(newest) == stored.version:
        same_version = (row.fingerprint for row in counting if row.version == newest.version)
        return None if stored.fingerprint in same_version else (Discrepancy.DIFFERS, newest.day)
    if _version(newest) > stored.version:
        return Discrepancy.DIFFERS, newest.day
    # A replay or a heal may have loaded a version before the daily run of its day.
    is_known = any(row.version == stored.version for row in versions)
    return None if is_known or stored.day not in due else (Discrepancy.OLDER, stored.day)


def is_due(row: SourceRow, due: Sequence[date]) -> bool:
    """Whether the table should know a version: its day was read, or lies before all days that are compared."""
    return row.day in due or row.day < min(due)


def _version(row: SourceRow) -> int:
    """A version without a time is older than every other."""
    return -(2**63) if row.version is None else row.version
