"""Reads the figures of pages from the warehouse."""

from collections.abc import Sequence
from datetime import date, timedelta

from tasks.batch import Batch, DateRange, parse_business_date
from tasks.pages.history_page import EndedRun
from tasks.pages.run_page import DaySales, weekdays_before
from tasks.tally import currency_name
from tasks.warehouse.lock import version_checked_on_error
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, text_literal
from tasks.warehouse.states import Status


def read_weekday_sales(session: Session, day: date) -> list[DaySales]:
    """Returns the sales of the day and of the same weekdays before it."""
    return read_sales(session, [DateRange(one, one) for one in weekdays_before(day)])


def read_sales(session: Session, ranges: Sequence[DateRange]) -> list[DaySales]:
    """Returns the sales of each region, day (UTC) and currency in the ranges. Days without sales are not among them."""
    found = session.query(render("pages/sales_of_days", on_days=" OR ".join(map(_on_days, ranges))))
    return [
        DaySales(region, date.fromisoformat(day), currency_name(currency), int(rows), revenue)
        for region, day, currency, rows, revenue in found
    ]


def _on_days(days: DateRange) -> str:
    since, until = (text_literal(day.isoformat()) for day in (days.first, days.last + timedelta(days=1)))
    return f"(SALE_DATE >= {since}::TIMESTAMP_TZ AND SALE_DATE < {until}::TIMESTAMP_TZ)"


def read_ledger_range(session: Session) -> DateRange | None:
    """Returns the range of the ledger's dates, None without one. Raises NeedsPersonError when the tables are of another
    version."""
    with version_checked_on_error(session):
        ((first, last),) = session.query(render("ledger/first_and_last_date"))
    return DateRange(parse_business_date(first), parse_business_date(last)) if first else None


def read_run_ends(session: Session, days: DateRange) -> list[EndedRun]:
    """Returns how each run over these dates has ended, by region, the oldest runs first."""
    ids = [Batch(day, ()).batch_id for day in (days.first, days.last)]
    return [
        EndedRun(
            parse_business_date(batch_id),
            region,
            int(run_number),
            flow_run_id,
            Status(status),
            began_at,
            ended_at,
            None if extracted is None else int(extracted),
            None if rejected is None else int(rejected),
            cause,
        )
        for (
            batch_id,
            region,
            run_number,
            flow_run_id,
            status,
            began_at,
            ended_at,
            extracted,
            rejected,
            cause,
        ) in session.query(render("pages/run_ends"), ids)
    ]
