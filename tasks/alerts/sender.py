"""Sends each alert once, whatever noticed it. The caller passes how a mail is sent and what can be asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from tasks.alerts.book import AlertBook, AlertEntry, confirm, find_unsent, is_free, new_entry, release, renew, take
from tasks.alerts.mail import DATES_MAX, Mail, compose_mail, find_error
from tasks.alerts.published import KnownDate, is_mended
from tasks.alerts.request import (
    DAILY_FLOW,
    ENDS_OF_RUNS,
    LASTING_GAP_MAX,
    AlertKind,
    AlertRequest,
    RunFacts,
    is_lasting,
    with_kind_of_run,
)
from tasks.alerts.runbook import find_advice, read_runbook
from tasks.alerts.subject import Subject, dates_of, find_subject, slot_name
from tasks.errors import one_line

WITH_PAGE = ("failed", "quality-failed", "partially-loaded", "anomaly")
"""Alerts about runs that have come to their end, where they write their page."""
UNSENT_MAX = 20
"""How many mails of others are sent in one go."""


@dataclass(frozen=True)
class LedgerReader:
    """Reads the ledger: some regions of a date, and which dates production shows, in words. Both may raise."""

    read_date: Callable[[date, list[str]], KnownDate]
    read_production: Callable[[list[date], list[str]], str]


@dataclass(frozen=True)
class Sender:
    """Sends each alert once; `book` records which were sent.

    `deliver` sends a mail or raises; it returns which recipients were refused, in words, else an empty text. `read_run`
    and `describe_activity` ask the Prefect server; their defaults know nothing. `ledger` is None where no warehouse is
    asked. `notes` stand in every mail. `page_of` returns where the page of a run and its date is, and may raise.
    """

    book: AlertBook
    deliver: Callable[[Mail], str]
    read_run: Callable[[str], RunFacts | None] = lambda _flow_run_id: None
    describe_activity: Callable[[AlertKind, date | None], str] = lambda _kind, _day: ""
    ledger: LedgerReader | None = None
    notes: tuple[str, ...] = ()
    page_of: Callable[[RunFacts, date], str] = lambda _run, _day: ""

    def send(self, request: AlertRequest, slot: str | None = None) -> str:
        """Sends an alert that is due; returns what was done, in a line.

        Args:
            request: What was noticed.
            slot: That of an entry whose mail could not be sent. None: the request's own.

        A mail of which only some recipients were refused counts as sent; the line says which they are. Raises what
        `deliver` raises: the next sender may send the mail then.
        """
        run = self.read_run(request.flow_run_id) if request.flow_run_id else None
        request = with_kind_of_run(request, run)
        subject, now = find_subject(request, run), _utc_now()
        if run and run.is_child and request.kind in ENDS_OF_RUNS:
            return f"no mail: {run.name} is part of another run, whose mail lists it"
        slot = slot or slot_name(request, subject, run, now)
        entry = take(
            self.book, new_entry(slot, request, now), now, lambda sent: self._was_mended(sent, request, subject)
        )
        if entry is None:
            if is_lasting(request):
                renew(self.book, slot, now)
            return f"no mail: {slot} was mailed before, or is being mailed"
        try:
            known, doubt = self._read_date(subject) if request.kind == "sla" else (None, "")
            if known and not known.late:
                self.book.remove(entry)
                return f"no mail: {subject.date} has been published meanwhile"
            activity = self.describe_activity(request.kind, subject.date)
            notes = [*self.notes, doubt, activity, self._describe_production(request, subject, run)]
            advice = find_advice(request.kind, find_error(request, run), read_runbook())
            page = self._find_page(request, subject, run)
            refused = self.deliver(compose_mail(request, subject, run, advice, notes, page))
        except BaseException:
            release(self.book, entry, _utc_now())
            raise
        confirm(self.book, replace(entry, refused=refused), _utc_now())
        return f"mailed: {slot}; {refused}" if refused else f"mailed: {slot}"

    def send_unsent(self) -> Iterator[str]:
        """Sends what could not be sent before; yields a line for each."""
        for entry in find_unsent(self.book, _utc_now())[:UNSENT_MAX]:
            yield self.send(entry.request, entry.slot)

    def taken_slots(self) -> list[str]:
        """The slots of alerts that were mailed or are being mailed."""
        return [entry.slot for entry in self.book.entries() if not is_free(entry, _utc_now())]

    def _was_mended(self, sent: AlertEntry, request: AlertRequest, subject: Subject) -> bool:
        """Whether the date was published after the alert `sent`, so that this failure is a new one.

        Never for the run of that alert, nor for an anomaly: the run that shows it publishes. A lasting anomaly was
        mended when no run saw it for LASTING_GAP_MAX.
        """
        same_run = request.flow_run_id is not None and request.flow_run_id == sent.request.flow_run_id
        if same_run or request.kind == "anomaly":
            return not same_run and is_lasting(request) and _utc_now() - sent.at > LASTING_GAP_MAX
        known, _ = self._read_date(subject)
        return known is not None and is_mended(known.published, subject.regions, sent.at)

    def _find_page(self, request: AlertRequest, subject: Subject, run: RunFacts | None) -> str:
        """Where the run's page is; empty for other flows, for runs that may have been killed, and when it is not
        known."""
        if run is None or subject.date is None or run.flow != DAILY_FLOW or request.kind not in WITH_PAGE:
            return ""
        try:
            return self.page_of(run, subject.date)
        except Exception:  # noqa: BLE001 (the mail goes out without it)
            return ""

    def _read_date(self, subject: Subject) -> tuple[KnownDate | None, str]:
        """What the ledger says of the date, and a sentence for the mail when the warehouse does not answer."""
        if self.ledger is None or subject.date is None:
            return None, ""
        try:
            return self.ledger.read_date(subject.date, list(subject.regions)), ""
        except Exception as error:  # noqa: BLE001 (whatever it is, the alert goes out)
            return None, f"The ledger could not be asked whether it has been published meanwhile: {one_line(error)}"

    def _describe_production(self, request: AlertRequest, subject: Subject, run: RunFacts | None) -> str:
        """Whether production shows the dates of a dead run meanwhile; empty for other alerts."""
        dates = dates_of(subject, run)[:DATES_MAX] if request.kind == "lease-expired" else []
        if self.ledger is None or not dates:
            return ""
        try:
            return self.ledger.read_production(dates, list(subject.regions))
        except Exception as error:  # noqa: BLE001 (whatever it is, the alert goes out)
            return f"The ledger could not be asked whether it is in production meanwhile: {one_line(error)}"


def _utc_now() -> datetime:
    return datetime.now(UTC)
