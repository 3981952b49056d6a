"""What an alert is about: date, regions, and the slot under which it is sent once. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from expectations.regions import REGIONS
from tasks.alerts.request import (
    CARRIED_PARAMETER,
    DAILY_FLOW,
    WATCHDOG_FLOW,
    AlertRequest,
    RunFacts,
    column_names,
    is_lasting,
    sort_of_anomaly,
)
from tasks.batch import Batch, date_asked, parse_business_date

ALL_REGIONS = "all"

SAME_FAILURE: Mapping[str, str] = {"lease-expired": "failed"}
"""A run whose lease expired is set to Crashed for it: one failure, not two."""


@dataclass(frozen=True)
class Subject:
    """What an alert is about. `date` is None for a flow that has no business date; `region` as in the alert's slot."""

    date: date | None
    region: str
    what: str

    @property
    def batch_id(self) -> str | None:
        return Batch(self.date, ()).batch_id if self.date else None

    @property
    def regions(self) -> tuple[str, ...]:
        """The region codes that it is about; all for a whole date."""
        named = tuple(code for code in REGIONS if code in self.region.split(","))
        return named or tuple(REGIONS)


def find_subject(request: AlertRequest, run: RunFacts | None) -> Subject:
    """Returns date and regions, the same whatever noticed them: the request's, else the run's own.

    A flow without a business date (check-setup, backfill) is named in place of the region.
    """
    day = _given_date(request.date) or (_date_of_run(run) if run else None)
    if run and run.flow != DAILY_FLOW and request.date is None:
        return Subject(None, run.flow, f"flow {run.flow}")
    region = join_regions(region_codes(request, run))
    return Subject(day, region, f"the daily run of {day}" if day else "the daily run")


def region_codes(request: AlertRequest, run: RunFacts | None) -> Iterable[str]:
    """Returns the regions that the request names, else those that its run left out or was started for."""
    if request.region:
        return re.split(r"[,\s]+", request.region.strip())
    if run and request.kind == "partially-loaded":
        return re.findall(r"(\w+) left out: ", run.message)
    asked = run.parameters.get("regions") if run else None
    return [str(code) for code in asked] if isinstance(asked, list | tuple) else ()


def join_regions(codes: Iterable[str]) -> str:
    """Returns region codes in their usual order, joined by commas; `all` for none and for all of them."""
    given = {code.upper() for code in codes if code and code.lower() != ALL_REGIONS}
    known = [code for code in REGIONS if code in given]
    joined = ",".join([*known, *sorted(given.difference(REGIONS))])
    return ALL_REGIONS if len(known) == len(REGIONS) or not joined else joined


def dates_of(subject: Subject, run: RunFacts | None) -> list[date]:
    """Returns the date that an alert is about; for a backfill, those that it and the runs before it did not load,
    oldest first."""
    if subject.date or run is None:
        return [subject.date] if subject.date else []
    before = run.parameters.get(CARRIED_PARAMETER)
    dates = [*(child.date for child in run.children), *(before if isinstance(before, Mapping) else ())]
    return sorted({day for value in dates if (day := _given_date(value))})


def _given_date(value: Any) -> date | None:
    try:
        return None if value is None else parse_business_date(value)
    except ValueError:
        return None


def _date_of_run(run: RunFacts) -> date | None:
    if run.flow != DAILY_FLOW:
        return None
    try:
        return date_asked(run.parameters.get("date"), run.scheduled_at)
    except ValueError:
        return None


def slot_name(request: AlertRequest, subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """Returns the alert's name in the book: one per date, region and kind; without a business date, per run and kind.

    The watchdog, which runs every five minutes, and alerts without a run have one slot a day.
    """
    if request.kind == "anomaly":
        return _slot_of_anomaly(request, subject, run, now)
    kind = SAME_FAILURE.get(request.kind, request.kind)
    flow_run_id = (run.root_id or run.id) if run else request.flow_run_id
    is_watchdog = run is not None and run.flow == WATCHDOG_FLOW
    if flow_run_id and not is_watchdog and (subject.date is None or request.kind == "drill"):
        return f"{flow_run_id} {kind}"
    return f"{_day(subject, run, now)} {subject.region} {kind}"


def _slot_of_anomaly(request: AlertRequest, subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """One per region and sort (the word before the first colon of the message) of a date, or of a whole backfill.

    Lasting anomalies have one per region and column names.
    """
    message = request.message or ""
    sort = sort_of_anomaly(message)
    if is_lasting(request):
        return f"{subject.region} anomaly {sort} {column_names(message)}"
    scope = run.root_id if run and run.root_id else _day(subject, run, now)
    return " ".join([scope, subject.region, "anomaly", *([sort] if sort else [])])


def _day(subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """The business date, else the day on which the run began."""
    day = subject.date or (run.started_at or run.scheduled_at if run else now).astimezone(UTC).date()
    return f"{day:%Y%m%d}"
