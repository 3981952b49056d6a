"""Compares source and table of one region: by sums per day first, and sale by sale where these differ."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from prefect import get_run_logger, task
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.snowflake import SnowflakeHostConnector
from expectations.regions import REGIONS, Region
from tasks.extract import open_snapshot, source_errors_told_apart
from tasks.reconcile.days import DaysOfRegion
from tasks.reconcile.sides import CellSums, SourceRow, Sums, TableRow
from tasks.reconcile.source_side import SourceSide, sale_id_of
from tasks.reconcile.table_side import TableSide
from tasks.retries import RETRIES
from tasks.source import DECLARED_COLUMNS, SOURCE_TABLE, check_declared
from tasks.tally import MONEY_COLUMNS, currency_name
from tasks.warehouse import Session, open_session

KEYS_MAX = 50_000
"""Sales of one region and kind that are named; all are counted."""
ROWS_AT_ONCE = 200_000
"""About so many sales are held at once of each side."""
TOTAL = MONEY_COLUMNS.index("total_amount")


class Kind(StrEnum):
    """How a sale differs."""

    MISSING = "missing"
    """Not in the table."""
    DIFFERS = "differs"
    """The source has a newer version, or other content under the same `updated_at`."""
    GONE = "gone"
    """In the table, and no longer at the source."""
    OLDER = "older"
    """The source has gone back to an older version than the table's: the newer one stays."""


@dataclass(frozen=True)
class Finding:
    """A sale that differs. `sale_id` is its key as the source writes it; `key` as the fact table does."""

    kind: Kind
    day: date
    sale_id: str
    key: str


@dataclass(frozen=True)
class DayCompared:
    """One day of a region. `total_at_source` and `total_in_table` are the exact gross amounts by currency.

    `accounted` rows of the source stand among the open rejected rows.
    """

    day: date
    at_source: int
    accounted: int
    in_table: int
    total_at_source: Mapping[str, Decimal]
    total_in_table: Mapping[str, Decimal]
    found: Mapping[Kind, int]


@dataclass(frozen=True)
class RegionCompared:
    """What a comparison found. `findings` are up to KEYS_MAX of each kind; `held_back` counts the sales at the source
    of days that were rolled back. `snapshot_at` is when the source was read (aware, UTC, by its clock)."""

    region: str
    snapshot_at: datetime
    days: tuple[DayCompared, ...]
    held_back: Mapping[date, int]
    findings: tuple[Finding, ...]

    def of(self, *kinds: Kind) -> tuple[Finding, ...]:
        """The findings of some kinds."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)

    def count(self, kind: Kind) -> int:
        """How many sales differ in this way."""
        return sum(day.found.get(kind, 0) for day in self.days)


def compare_sides(source: SourceSide, table: TableSide, days: DaysOfRegion, snapshot_at: datetime) -> RegionCompared:
    """Compares the days that are due. Sums that agree are believed; where they do not, every sale is looked at."""
    at_source, accounted = source.sums(days.due) if days.due else ({}, {})
    in_table = table.sums(days.due) if days.due else {}
    found, findings = Counter[tuple[date, Kind]](), list[Finding]()
    named = Counter[Kind]()
    for buckets, days_of_buckets in differing(at_source, in_table):
        for finding in _look_at(source, table, days_of_buckets, buckets, days, snapshot_at):
            found[finding.day, finding.kind] += 1
            if named[finding.kind] < KEYS_MAX:
                named[finding.kind] += 1
                findings.append(finding)
    held_back, _ = source.sums(days.held_back) if days.held_back else ({}, {})
    return RegionCompared(
        days.region,
        snapshot_at,
        tuple(
            DayCompared(
                day,
                _rows(at_source, day),
                _rows(accounted, day),
                _rows(in_table, day),
                _totals(at_source, day),
                _totals(in_table, day),
                {kind: found[day, kind] for kind in Kind if found[day, kind]},
            )
            for day in sorted({*days.due, *(day for day, _ in found)})
        ),
        {day: _rows(held_back, day) for day in days.held_back},
        tuple(findings),
    )


def differing(at_source: CellSums, in_table: CellSums) -> Iterator[tuple[list[str], list[date]]]:
    """Buckets with the days on which a sum differs, in portions of about ROWS_AT_ONCE sales."""
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


def _look_at(
    source: SourceSide,
    table: TableSide,
    days: Sequence[date],
    buckets: Sequence[str],
    all_days: DaysOfRegion,
    snapshot_at: datetime,
) -> list[Finding]:
    """The findings among the sales of some buckets."""
    stored = {row.key: row for row in table.rows(days, buckets)}
    versions = dict[str, list[SourceRow]]()
    for row in source.rows(days, buckets):
        versions.setdefault(row.key, []).append(row)
    # What one side alone has of these days may have arrived on another day at the other one.
    stored |= {row.key: row for row in table.rows_of_keys(sorted(versions.keys() - stored.keys()))}
    if unmatched := sorted(stored.keys() - versions.keys()):
        for row in source.rows_of_keys(unmatched):
            versions.setdefault(row.key, []).append(row)
    region = REGIONS[all_days.region]
    judged = (
        (key, judge(versions.get(key, ()), stored.get(key), all_days.due, snapshot_at))
        for key in sorted(versions.keys() | stored.keys())
    )
    findings = [Finding(*verdict, sale_id_of(key, region), key) for key, verdict in judged if verdict]
    return _without_held_back(source, findings, all_days.held_back)


def _without_held_back(source: SourceSide, findings: list[Finding], held_back: Sequence[date]) -> list[Finding]:
    """Leaves out sales with a version of a day that was rolled back: to read them again would bring it back."""
    if not held_back or not findings:
        return findings
    versions = source.rows_of_keys([finding.key for finding in findings])
    held = {row.key for row in versions if row.day in held_back and not row.is_accounted}
    return [finding for finding in findings if finding.key not in held]


def judge(
    versions: Iterable[SourceRow], stored: TableRow | None, due: Sequence[date], snapshot_at: datetime
) -> tuple[Kind, date] | None:
    """How a sale differs, and the day that it is a matter of; None when it is as it should be.

    A version counts when the ledger says that its day was read. One that came later is the next load's work, and one
    that is rejected is somebody's already. What the table has read after `snapshot_at` is newer than this comparison.
    """
    if stored is not None and stored.read_at > snapshot_at:
        return None
    versions = list(versions)
    if not versions:
        return None if stored is None or stored.is_deleted else (Kind.GONE, stored.day)
    counting = [row for row in versions if not row.is_accounted and is_due(row, due)]
    if not counting:
        return None
    newest = max(counting, key=_version)
    if stored is None or stored.is_deleted:
        return Kind.MISSING, newest.day
    if _version(newest) == stored.version:
        same_version = (row.fingerprint for row in counting if row.version == newest.version)
        return None if stored.fingerprint in same_version else (Kind.DIFFERS, newest.day)
    if _version(newest) > stored.version:
        return Kind.DIFFERS, newest.day
    # The table may hold a version that no daily run has read yet: a replay or a heal was earlier.
    is_known = any(row.version == stored.version for row in versions)
    return None if is_known or stored.day not in due else (Kind.OLDER, stored.day)


def is_due(row: SourceRow, due: Sequence[date]) -> bool:
    """Whether the table has to know of a version: its day was read, or lies before all days that are looked at."""
    return row.day in due or row.day < min(due)


def _version(row: SourceRow) -> int:
    """Without a time it is older than every other."""
    return -(2**63) if row.version is None else row.version


def _rows(sums: CellSums, day: date) -> int:
    return sum(of.rows for cell, of in sums.items() if cell.day == day)


def _totals(sums: CellSums, day: date) -> dict[str, Decimal]:
    totals = dict[str, Decimal]()
    for cell, of in sums.items():
        if cell.day == day:
            currency = currency_name(cell.currency)
            totals[currency] = totals.get(currency, Decimal(0)) + of.amounts[TOTAL]
    return dict(sorted(totals.items()))


def compare_region(engine: Any, session: Session, days: DaysOfRegion) -> RegionCompared:
    """Compares one region, its source in one snapshot. Raises RegionUnfitError as extract does."""
    region: Region = REGIONS[days.region]
    table = TableSide(session, region.code)
    rejected = table.open_rejected()
    with source_errors_told_apart(), open_snapshot(engine) as cursor:
        cursor.execute("SELECT now()")
        (snapshot_at,) = cursor.fetchone()
        cursor.execute(DECLARED_COLUMNS, (SOURCE_TABLE,))
        check_declared(dict(cursor.fetchall()))
        return compare_sides(SourceSide(cursor, region, rejected), table, days, snapshot_at)


@task(name="compare", task_run_name="compare-{days.region}", **RETRIES)
def compare(days: DaysOfRegion, connector_block: str, warehouse: str) -> RegionCompared:
    """Compares one region through its SqlAlchemyConnector block."""
    logger = get_run_logger()
    connector = SnowflakeHostConnector.load(connector_block)
    engine = SqlAlchemyConnector.load(REGIONS[days.region].block).get_engine(
        pool_size=1, max_overflow=0, pool_pre_ping=True
    )
    try:
        with open_session(connector, warehouse, f"retail-sales reconcile {days.region}", logger.warning) as session:
            compared = compare_region(engine, session, days)
    finally:
        engine.dispose()
    counts = " ".join(f"{kind}={compared.count(kind)}" for kind in Kind)
    logger.info("step=compare region=%s days=%d %s", days.region, len(days.due), counts)
    return compared
