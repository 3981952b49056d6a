"""Reads the figures of pages from the warehouse. Knows no Prefect."""

from collections.abc import Sequence
from datetime import date, timedelta

from tasks.batch import DateRange
from tasks.pages.run_page import DaySales, weekdays_before
from tasks.tally import currency_name
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, text_literal


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
