"""Mails alerts without a Prefect flow: from the watchdog when it runs by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from blocks.smtp import SmtpSettings
from tasks.alerts.book import AlertBook, AlertEntry, Stage, confirm, find_unsent, new_entry, release, take
from tasks.alerts.mail import DATES_MAX, Mail, compose_mail, find_error
from tasks.alerts.request import AlertRequest, RunFacts, with_kind_of_run
from tasks.alerts.run_facts import read_run
from tasks.alerts.run_now import tell_activity
from tasks.alerts.runbook import find_advice, read_runbook
from tasks.alerts.smtp import send_mail
from tasks.alerts.subject import Subject, dates_of, find_subject, slot_name

OUTAGE_SLOT = "server-down"
"""One entry for an outage, whatever its days; it is removed when the server answers again."""


MIRRORED = "mirrored"
"""Holder of an entry that was copied from the server's book, so that an outage does not make it news."""


def sync_books(files: AlertBook, server: AlertBook) -> None:
    """Gives the server what was noticed while it was away, and remembers in files what it says was sent."""
    held = {entry.slot for entry in server.entries()}
    for entry in files.entries():
        if entry.holder != MIRRORED and entry.slot not in held:
            server.claim(entry)
        files.remove(entry)
    for entry in server.entries():
        if entry.stage is Stage.SENT:
            files.claim(replace(entry, holder=MIRRORED))


@dataclass(frozen=True)
class Postman:
    """Sends each alert once by plain SMTP; `book` remembers. `notes` stand in every mail.

    `is_mended` says whether what a mail was about was mended since, so that it is news again; `read_production` says
    whether dates and regions are in production.
    """

    book: AlertBook
    settings: SmtpSettings
    sender: str
    recipients: Sequence[str]
    asks_prefect: bool
    notes: tuple[str, ...] = ()
    is_mended: Callable[[AlertEntry, Subject], bool] = lambda _entry, _subject: False
    read_production: Callable[[Sequence[date], Sequence[str]], str] = lambda _dates, _regions: ""

    def tell(self, request: AlertRequest, slot: str | None = None) -> str:
        """Answers in a line what was done. Raises OSError or SMTPException when the mail could not be sent."""
        run = read_run(request.flow_run_id) if self.asks_prefect and request.flow_run_id else None
        request = with_kind_of_run(request, run)
        subject, now = find_subject(request, run), datetime.now(UTC)
        slot = slot or slot_name(request, subject, run, now)
        entry = take(self.book, new_entry(slot, request, now), now, lambda sent: self.is_mended(sent, subject))
        if entry is None:
            return f"no mail: {slot} was mailed before, or is being mailed"
        try:
            send_mail(self.settings, self._compose(request, run), self.sender, self.recipients)
        except BaseException:
            release(self.book, entry, datetime.now(UTC))
            raise
        confirm(self.book, entry, datetime.now(UTC))
        return f"mailed: {slot}"

    def _compose(self, request: AlertRequest, run: RunFacts | None) -> Mail:
        advice = find_advice(request.kind, find_error(request, run), read_runbook())
        subject = find_subject(request, run)
        now = tell_activity(request.kind, subject.date) if self.asks_prefect else ""
        dates = dates_of(subject, run)[:DATES_MAX] if request.kind == "lease-expired" else []
        shown = self.read_production(dates, subject.regions)
        return compose_mail(request, subject, run, advice, [*self.notes, now, shown])

    def send_unsent(self) -> list[str]:
        """Sends what could not be sent before; answers a line for each."""
        return [self.tell(entry.request, entry.slot) for entry in find_unsent(self.book, datetime.now(UTC))]
