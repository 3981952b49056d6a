"""Compares source and table of one region: by sums per day first, then sale by sale where these differ."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
from prefect import get_run_logger, task
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import names
from blocks.databases import engine_of
from expectations.regions import REGIONS, Region
from tasks.batch import KEYS_MAX, Window
from tasks.lines import counted
from tasks.progress.work import progressing
from tasks.reconcile.days import DaysOfRegion
from tasks.reconcile.discrepancies import DifferingSale, Discrepancy, Portion, differing, judge
from tasks.reconcile.sides import CellSums, SourceRow, TableRow
from tasks.reconcile.source_side import SourceSide
from tasks.reconcile.table_side import TableSide
from tasks.retries import RETRIES
from tasks.source.bad_cells import NONE_BAD, BadCells, Finder, may_be_of_a_cell, undone_on_error
from tasks.source.snapshot import DEFAULT_LIMITS, Limits, Snapshot, open_snapshot
from tasks.source.statements import WINDOW_COLUMNS, check_declared, outside_statement
from tasks.stopwatch import Say, say_nothing
from tasks.tally import MONEY_COLUMNS, currency_name
from tasks.warehouse.session import Session, task_session

TOTAL = MONEY_COLUMNS.index("total_amount")


@dataclass(frozen=True)
class DaySums:
    """Sales of one day, with their exact gross amounts by currency."""

    rows: int = 0
    totals: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class DayCompared:
    """One day of a region. Sales at the source are `accounted` for when they are among the open rejected rows."""

    day: date
    at_source: DaySums
    accounted: DaySums
    in_table: DaySums
    found: Mapping[Discrepancy, int]


@dataclass(frozen=True)
class OutsideWindows:
    """Rows that no date reads, as `sale_date` and `updated_at` are both NULL or in no calendar, and their first
    keys."""

    rows: int = 0
    sale_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{counted(self.rows, 'row has', 'rows have')} neither a sale_date nor an updated_at, so no date ever "
            f"reads them (sale_id {', '.join(self.sale_ids)}): set updated_at at the source"
        )


@dataclass(frozen=True)
class RegionCompared:
    """How one region compares. `differing` lists up to KEYS_MAX sales of each kind. `held_back` counts the sales at the
    source of rolled-back days; `held_sales` counts differing sales of other days that were sold or changed on such a
    day, or loaded by a heal that was rolled back. The source shows everything up to `snapshot_at` (aware, UTC, by its
    clock); `behind` says why that is not all of the days. `why_not_whole` says why the source may hold sales that it
    does not show; `outside` are its rows that no window holds."""

    region: str
    snapshot_at: datetime
    days: tuple[DayCompared, ...]
    held_back: Mapping[date, int]
    held_sales: int
    differing: tuple[DifferingSale, ...]
    why_not_whole: str | None = None
    behind: str | None = None
    outside: OutsideWindows = field(default_factory=OutsideWindows)

    def of(self, *kinds: Discrepancy) -> tuple[DifferingSale, ...]:
        """The sales that differ in one of these ways."""
        return tuple(sale for sale in self.differing if sale.kind in kinds)

    def count(self, kind: Discrepancy) -> int:
        """How many sales differ in this way."""
        return sum(day.found.get(kind, 0) for day in self.days)


def compare_sides(
    source: SourceSide,
    table: TableSide,
    days: DaysOfRegion,
    snapshot_at: datetime,
    compared_days: Callable[[int], None],
) -> RegionCompared:
    """Compares the days that are due. Where sums agree, so do the sales; where they differ, every sale is compared.

    `compared_days` takes the number of days that are compared so far.
    """
    at_source, accounted = source.sums(days.due)
    in_table = table.sums(days.due)
    held_back, _ = source.sums(days.held_back)
    found, listed = Counter[tuple[date, Discrepancy]](), list[DifferingSale]()
    named, stays_out, held_sales = Counter[Discrepancy](), table.rolled_back(), 0
    portions = list(differing(at_source, in_table))
    for buckets, days_of_buckets in counting_days(portions, len(days.due), compared_days):
        sales = _compare_buckets(source, table, days_of_buckets, buckets, days, snapshot_at)
        held = source.held_back([sale.sale_id for sale in sales], stays_out)
        held_sales += sum(sale.sale_id in held for sale in sales)
        for sale in (sale for sale in sales if sale.sale_id not in held):
            found[sale.day, sale.kind] += 1
            if named[sale.kind] < KEYS_MAX:
                named[sale.kind] += 1
                listed.append(sale)
    source_days, accounted_days, table_days = by_day(at_source), by_day(accounted), by_day(in_table)
    compared = tuple(
        DayCompared(
            day,
            source_days.get(day, DaySums()),
            accounted_days.get(day, DaySums()),
            table_days.get(day, DaySums()),
            {kind: found[day, kind] for kind in Discrepancy if found[day, kind]},
        )
        for day in sorted({*days.due, *(day for day, _ in found)})
    )
    held_days = by_day(held_back)
    held_rows = {day: held_days.get(day, DaySums()).rows for day in days.held_back}
    return RegionCompared(days.region, snapshot_at, compared, held_rows, held_sales, tuple(listed))


def counting_days(
    portions: Sequence[Portion], days_due: int, compared_days: Callable[[int], None]
) -> Iterator[Portion]:
    """Yields the portions. Days of none are compared already; the others count in equal shares of the portions."""
    in_portions = len({day for _, days in portions for day in days})
    for number, portion in enumerate(portions):
        compared_days(days_due - in_portions + in_portions * number // len(portions))
        yield portion
    compared_days(days_due)


def _compare_buckets(
    source: SourceSide,
    table: TableSide,
    days: Sequence[date],
    buckets: Sequence[str],
    all_days: DaysOfRegion,
    snapshot_at: datetime,
) -> list[DifferingSale]:
    """The sales of some buckets that differ."""
    stored = {row.key: row for row in table.rows(days, buckets)}
    versions: dict[str, Sequence[SourceRow]] = by_key(source.rows(days, buckets))
    # A sale that only one side has on these days may have another arrival day on the other side.
    stored |= {row.key: row for row in table.rows_of_keys(sorted(versions.keys() - stored.keys()))}
    if unmatched := sorted(key for key, row in stored.items() if not _is_read(row, versions.get(key, ()))):
        versions |= dict.fromkeys(unmatched, ())
        versions |= by_key(source.rows_of_keys(unmatched))
    region = REGIONS[all_days.region]
    judged = (
        (key, judge(versions.get(key, ()), stored.get(key), all_days.due, snapshot_at))
        for key in sorted(versions.keys() | stored.keys())
    )
    return [DifferingSale(*verdict, region.sale_id_of(key), key) for key, verdict in judged if verdict]


def by_key(rows: Iterable[SourceRow]) -> dict[str, Sequence[SourceRow]]:
    """The versions of each sale."""
    versions = dict[str, list[SourceRow]]()
    for row in rows:
        versions.setdefault(row.key, []).append(row)
    return dict(versions)


def _is_read(stored: TableRow, versions: Sequence[SourceRow]) -> bool:
    return any(row.version == stored.version for row in versions)


def by_day(sums: CellSums) -> dict[date, DaySums]:
    """The sums of all buckets of a day."""
    days = dict[date, DaySums]()
    for cell, of in sums.items():
        day, currency = days.get(cell.day, DaySums()), currency_name(cell.currency)
        total = day.totals.get(currency, Decimal(0)) + of.amounts[TOTAL]
        days[cell.day] = DaySums(day.rows + of.rows, {**day.totals, currency: total})
    return days


def compare_region(
    engine: Any, session: Session, days: DaysOfRegion, limits: Limits = DEFAULT_LIMITS, say: Say = say_nothing
) -> RegionCompared:
    """Compares one region, its source in one snapshot. Raises as extract does."""
    region: Region = REGIONS[days.region]
    table = TableSide(session, region.code)
    rejected = table.open_rejected()
    needed, read = window_of(days.due).end if days.due else None, (*days.due, *days.held_back)
    with open_snapshot(engine, region, limits, needed, say) as snapshot:
        at_source = snapshot.table
        check_declared(at_source.declared, at_source.name)

        def compare_without(bad: BadCells) -> RegionCompared:
            source = SourceSide(snapshot.cursor, region, at_source.sql, rejected, bad)
            with progressing(say, f"compare region={days.region}", "days", len(days.due)) as work:
                return compare_sides(source, table, days, snapshot.at, work.reached)

        try:
            with undone_on_error(snapshot.cursor):
                compared = compare_without(NONE_BAD)
        except psycopg2.Error as error:
            if not (may_be_of_a_cell(error) and read):
                raise
            bad = Finder(snapshot.cursor, at_source, window_of(read)).find()
            if not bad.recorded:
                raise
            compared = compare_without(bad)
        return replace(
            compared,
            why_not_whole=at_source.why_not_whole(region),
            behind=snapshot.behind,
            outside=read_outside_windows(snapshot),
        )


def window_of(days: Sequence[date]) -> Window:
    """From the first of some days to the end of the last."""
    return Window(Window.of_day(min(days)).start, Window.of_day(max(days)).end)


def read_outside_windows(snapshot: Snapshot) -> OutsideWindows:
    """The rows of a source that no window holds; not queried where both times are NOT NULL."""
    if snapshot.table.required.issuperset(WINDOW_COLUMNS):
        return OutsideWindows()
    snapshot.cursor.execute(outside_statement(snapshot.table.sql))
    rows, sale_ids = snapshot.cursor.fetchone()
    return OutsideWindows(rows, tuple(sale_ids or ()))


@task(name="compare", task_run_name="compare-{days.region}", **RETRIES)
def compare(days: DaysOfRegion, limits: Limits, warehouse: str) -> RegionCompared:
    """Compares one region through its SqlAlchemyConnector block."""
    logger = get_run_logger()
    engine = engine_of(SqlAlchemyConnector.load(names.database(days.region)))
    try:
        with task_session(warehouse, f"reconcile {days.region}") as session:
            compared = compare_region(engine, session, days, limits, logger.info)
    finally:
        engine.dispose()
    counts = " ".join(f"{kind}={compared.count(kind)}" for kind in Discrepancy)
    logger.info("step=compare region=%s days=%d %s", days.region, len(days.due), counts)
    return compared
