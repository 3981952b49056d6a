"""The table's side of a comparison."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tasks.batch import RolledBack
from tasks.reconcile.fingerprint import table_fingerprint
from tasks.reconcile.sides import Cell, OpenRejected, Sums, TableRow
from tasks.rollback.rolled_back import rolled_back
from tasks.tally import MONEY_COLUMNS
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import key_lists, render, text_literal, text_literals

_FINGERPRINT = {
    "fingerprint": table_fingerprint(),
    "arrival_day": "TO_DATE(GREATEST(SALE_DATE, UPDATED_AT))",
}


class TableSide:
    """Queries the fact table for the sales of one region."""

    def __init__(self, session: Session, region: str) -> None:
        self._session = session
        self._region = region

    def open_rejected(self) -> OpenRejected:
        rows = self._session.query(render("reconcile/open_rejected"), [self._region])
        return OpenRejected([sale_id for sale_id, _ in rows], [version for _, version in rows])

    def rolled_back(self) -> RolledBack:
        """The region's dates and heals that were rolled back."""
        return rolled_back(self._session, [self._region])[self._region]

    def sums(self, days: Sequence[date]) -> dict[Cell, Sums]:
        """The sums of the sales that arrived on given days, without those marked as deleted."""
        if not days:
            return {}
        money = ", ".join(f"SUM({name.upper()})" for name in MONEY_COLUMNS)
        statement = render("reconcile/table_sums", money_sums=money, **_FINGERPRINT, **days_as_literals(days))
        rows = self._session.query(statement, [self._region])
        return {Cell(day, bucket, currency): Sums.of_row(*sums) for day, bucket, currency, *sums in rows}

    def rows(self, days: Sequence[date], buckets: Iterable[str]) -> list[TableRow]:
        """The sales of given days and buckets, without those marked as deleted."""
        statement = render(
            "reconcile/table_rows", buckets=text_literals(buckets), **_FINGERPRINT, **days_as_literals(days)
        )
        return _to_rows(self._session.query(statement, [self._region]))

    def rows_of_keys(self, keys: Sequence[str]) -> list[TableRow]:
        """The sales with given keys, including those marked as deleted."""
        found = []
        for listed in key_lists(keys):
            statement = render("reconcile/table_rows_of_keys", **_FINGERPRINT)
            found += _to_rows(self._session.query(statement, [listed, self._region]))
        return found


def days_as_literals(days: Sequence[date]) -> dict[str, str]:
    """The days, and the span from the first to the end of the last, as literals of statements."""
    since, until = (text_literal(day.isoformat()) for day in (min(days), max(days) + timedelta(days=1)))
    return {
        "dates": text_literals(day.isoformat() for day in days),
        "since": f"{since}::TIMESTAMP_TZ",
        "until": f"{until}::TIMESTAMP_TZ",
    }


def _to_rows(rows: Iterable[Row]) -> list[TableRow]:
    return [
        TableRow(key, day, int(version), int(fingerprint), bool(is_deleted), read_at)
        for key, day, version, fingerprint, is_deleted, read_at in rows
    ]
