"""The source's side of a comparison, deliberately not written like extract: no window, no COPY, sums by the database.
Knows no Prefect."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from expectations.regions import Region
from tasks.batch import RolledBack
from tasks.reconcile.fingerprint import MODULUS, source_fingerprint, source_md5
from tasks.reconcile.sides import Cell, OpenRejected, SourceRow, Sums
from tasks.rollback.held_back import held_back
from tasks.source.bad_cells import NONE_BAD, BadCells, table_without
from tasks.source.statements import CURRENCY_NAME, FIRST_MOMENT, HAS_KEY, LAST_MOMENT, is_one_of, quote_postgres
from tasks.tally import MONEY_COLUMNS
from tasks.warehouse.statements import text_literal


def business_key(region: Region) -> str:
    """The key of the fact table, as an SQL expression."""
    return f"{text_literal(region.code + ':')} || sale_id::text" if region.prefix_keys else "sale_id::text"


_VERSION = f"CASE WHEN updated_at BETWEEN {FIRST_MOMENT} AND {LAST_MOMENT} THEN updated_at END"
_BUCKET = f"left({source_md5('key')}, 2)"
_ARRIVED = "sale_date >= %(since)s AND sale_date < %(until)s OR updated_at >= %(since)s AND updated_at < %(until)s"
_OF_KEYS = is_one_of("sale_id", "%(sale_ids)s::text[]")


def _day(moment: str) -> str:
    """SQL of a moment's UTC day; 9999-12-31 for one in no calendar."""
    return (
        f"CASE WHEN {moment} BETWEEN {FIRST_MOMENT} AND {LAST_MOMENT} THEN ({moment} AT TIME ZONE 'UTC')::date "
        "ELSE date '9999-12-31' END"
    )


def _versions(region: Region, table: str, which: str) -> str:
    """SQL of the versions of sales with a key that meet `which`, with day, fingerprint and whether they are accounted
    for."""
    key = business_key(region)
    money = ", ".join(quote_postgres(name) for name in MONEY_COLUMNS)
    return f"""WITH rejected AS (
  SELECT
    rejected_id COLLATE "C" AS rejected_id,
    array_agg(version) AS rejected_versions,
    bool_or(version IS NULL) AS has_no_version
  FROM unnest(%(rejected_ids)s::text[], %(rejected_versions)s::timestamptz[]) AS given (rejected_id, version)
  GROUP BY 1
), versions AS (
  SELECT
    ({key}) COLLATE "C" AS key,
    {_day("greatest(sale_date, updated_at)")} AS day,
    {_VERSION} AS version,
    {source_fingerprint(key)} AS fingerprint,
    is_bad OR coalesce(
      CASE WHEN {_VERSION} IS NULL THEN has_no_version ELSE {_VERSION} = ANY (rejected_versions) END, false
    ) AS is_accounted,
    {CURRENCY_NAME} AS currency,
    {money}
  FROM {table}
  LEFT JOIN rejected ON rejected_id = sale_id::text COLLATE "C"
  WHERE ({which}) AND {HAS_KEY}
)"""


def sums_statement(region: Region, table: str) -> str:
    """SQL of the sums of the sales that arrived on given days, by day, bucket, currency and `is_accounted`.

    A key counts once, by its newest version of those days, and once more if versions of it are accounted for.
    """
    totals = ", ".join(f"sum({quote_postgres(name)})" for name in MONEY_COLUMNS)
    return f"""{_versions(region, table, _ARRIVED)}
SELECT day, {_BUCKET}, currency, is_accounted, count(*), sum(fingerprint), {totals}
FROM (
  SELECT DISTINCT ON (key, is_accounted) *
  FROM versions
  WHERE day = ANY (%(days)s)
  ORDER BY key, is_accounted, version DESC NULLS LAST
) AS newest
GROUP BY 1, 2, 3, 4"""


_ROW = "key, day, (extract(epoch FROM version) * 1000000)::bigint, fingerprint, is_accounted"


def rows_statement(region: Region, table: str) -> str:
    """SQL of all versions of given days and buckets."""
    return f"""{_versions(region, table, _ARRIVED)}
SELECT {_ROW}
FROM versions
WHERE day = ANY (%(days)s) AND {_BUCKET} = ANY (%(buckets)s)"""


def rows_of_keys_statement(region: Region, table: str) -> str:
    """SQL of all versions of given keys, whatever their day."""
    return f"{_versions(region, table, _OF_KEYS)}\nSELECT {_ROW}\nFROM versions"


class SourceSide:
    """Queries one region's database, in the snapshot of `cursor`; `table` is the quoted name of its table.

    Rows with `bad` cells count as accounted for: extract rejects them.
    """

    def __init__(
        self, cursor: Any, region: Region, table: str, rejected: OpenRejected, bad: BadCells = NONE_BAD
    ) -> None:
        self._cursor = cursor
        self._region = region
        self._table = table_without(bad, table)
        self._rejected = {"rejected_ids": list(rejected.sale_ids), "rejected_versions": list(rejected.versions)}

    def sums(self, days: Sequence[date]) -> tuple[dict[Cell, Sums], dict[Cell, Sums]]:
        """Returns the sums of what the table has to hold, and of what is accounted for by rejected rows."""
        if not days:
            return {}, {}
        due: dict[Cell, Sums] = {}
        accounted: dict[Cell, Sums] = {}
        rows = self._query(sums_statement(self._region, self._table), days=days)
        for day, bucket, currency, is_accounted, *sums in rows:
            (accounted if is_accounted else due)[Cell(day, bucket, currency)] = Sums.of_row(*sums)
        return due, accounted

    def rows(self, days: Sequence[date], buckets: Iterable[str]) -> list[SourceRow]:
        """The versions of given days and buckets."""
        return self._to_rows(self._query(rows_statement(self._region, self._table), days=days, buckets=list(buckets)))

    def rows_of_keys(self, keys: Iterable[str]) -> list[SourceRow]:
        """The versions of given business keys."""
        sale_ids = [self._region.sale_id_of(key) for key in keys]
        return self._to_rows(self._query(rows_of_keys_statement(self._region, self._table), sale_ids=sale_ids))

    def held_back(self, sale_ids: Sequence[str], stays_out: RolledBack) -> frozenset[str]:
        """Those of the `sale_ids` that stay out."""
        return held_back(self._cursor, self._table, self._region, sale_ids, stays_out)

    def _query(self, statement: str, days: Sequence[date] = (), **values: Any) -> list[tuple[Any, ...]]:
        since, until = (min(days), max(days) + timedelta(days=1)) if days else (None, None)
        given = {"days": list(days), "since": since, "until": until, **values}
        self._cursor.execute(statement, {**self._rejected, **given})
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def _to_rows(self, rows: Iterable[tuple[Any, ...]]) -> list[SourceRow]:
        return [
            SourceRow(key, day, version, fingerprint % MODULUS, is_accounted)
            for key, day, version, fingerprint, is_accounted in rows
        ]
