"""One sender: each alert is mailed once, whatever sends its mail and whatever can be asked."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from tasks.alerts.book import Stage
from tasks.alerts.file_book import FileBook
from tasks.alerts.mail import Mail
from tasks.alerts.published import KnownDate
from tasks.alerts.request import LASTING_GAP_MAX, AlertKind, AlertRequest, RunFacts
from tasks.alerts.sender import UNSENT_MAX, LedgerReader, Sender
from tests.unit.tasks.alerts.run_facts import ROOT_ID, RUN_ID, run_of

DAY = "2024-01-15"
FAILED = AlertRequest("failed", None, DAY)
LACKING = AlertRequest("anomaly", None, DAY, "EUROPE", "lacking-column: column that the source lacks: tier")


@dataclass
class MailServer:
    """Keeps mails, and refuses them while it `is_down`, or some of their recipients."""

    mails: list[Mail] = field(default_factory=list)
    is_down: bool = False
    refused: str = ""

    def take(self, mail: Mail) -> str:
        if self.is_down:
            raise OSError("connection refused")
        self.mails.append(mail)
        return self.refused


@pytest.fixture
def server() -> MailServer:
    return MailServer()


@pytest.fixture
def sender(tmp_path: Path, server: MailServer) -> Sender:
    return Sender(FileBook(tmp_path), server.take)


def knowing_run(run: RunFacts) -> Callable[[str], RunFacts | None]:
    return {run.id: run}.get


def ledger_of(known: KnownDate) -> LedgerReader:
    def read_production(dates: list[date], regions: list[str]) -> str:
        return f"{dates[0]} is in production now."

    return LedgerReader(lambda _day, _regions: known, read_production)


def published(at: datetime, *late: str) -> LedgerReader:
    return ledger_of(KnownDate(dict.fromkeys(("US_EAST", "US_WEST", "EUROPE", "ASIA_PACIFIC"), at), late))


def unreachable() -> LedgerReader:
    def fail(*_: object) -> NoReturn:
        raise OSError("no route to host")

    return LedgerReader(fail, fail)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_an_alert_is_mailed_once(sender: Sender, server: MailServer) -> None:
    assert sender.send(FAILED) == "mailed: 20240115 all failed"
    assert sender.send(FAILED) == "no mail: 20240115 all failed was mailed before, or is being mailed"
    assert len(server.mails) == 1
    assert sender.taken_slots() == ["20240115 all failed"]


def test_a_mail_that_could_not_be_sent_goes_with_the_next(sender: Sender, server: MailServer) -> None:
    server.is_down = True
    with pytest.raises(OSError, match="refused"):
        sender.send(FAILED)
    assert sender.taken_slots() == []
    server.is_down = False
    assert list(sender.send_unsent()) == ["mailed: 20240115 all failed"]
    assert list(sender.send_unsent()) == []
    assert len(server.mails) == 1


def test_a_mail_that_some_recipients_did_not_get_counts_as_sent_and_says_so(sender: Sender, server: MailServer) -> None:
    server.refused = "the mail server refused 1 of 2 recipients (variable alert_email_list): recipient 2 with 550"
    assert sender.send(FAILED) == f"mailed: 20240115 all failed; {server.refused}"
    (entry,) = sender.book.entries()
    assert (entry.stage, entry.refused) == (Stage.SENT, server.refused)
    assert sender.send(FAILED).startswith("no mail: ")


def test_unsent_mails_are_sent_in_bounded_numbers(sender: Sender, server: MailServer) -> None:
    server.is_down = True
    for number in range(UNSENT_MAX + 1):
        with pytest.raises(OSError, match="refused"):
            sender.send(AlertRequest("failed", f"run-{number}"))
    server.is_down = False
    assert [len(list(sender.send_unsent())) for _ in range(3)] == [UNSENT_MAX, 1, 0]


@pytest.mark.parametrize(
    ("kind", "is_mailed"), [("failed", False), ("quality-failed", False), ("lease-expired", True), ("anomaly", True)]
)
def test_how_a_child_ended_is_left_to_the_mail_of_its_parent(
    sender: Sender, server: MailServer, kind: AlertKind, is_mailed: bool
) -> None:
    sender = replace(sender, read_run=knowing_run(run_of(root_id=ROOT_ID)))
    assert ("is part of another run" in sender.send(AlertRequest(kind, RUN_ID))) is not is_mailed
    assert bool(server.mails) is bool(sender.book.entries()) is is_mailed


def test_the_runs_own_state_names_the_kind(sender: Sender) -> None:
    sender = replace(sender, read_run=knowing_run(run_of(state="QualityFailed")))
    assert sender.send(AlertRequest("failed", RUN_ID)) == "mailed: 20240115 all quality-failed"


def test_a_date_that_was_published_meanwhile_is_not_late(sender: Sender, server: MailServer) -> None:
    request = AlertRequest("sla", None, DAY)
    on_time = replace(sender, ledger=published(datetime.now(UTC)))
    assert on_time.send(request) == "no mail: 2024-01-15 has been published meanwhile"
    assert (server.mails, sender.book.entries()) == ([], [])
    assert replace(sender, ledger=published(datetime.now(UTC), "EUROPE")).send(request) == "mailed: 20240115 all sla"


def test_a_mail_goes_out_when_the_ledger_cannot_be_asked(sender: Sender, server: MailServer) -> None:
    sender = replace(sender, ledger=unreachable())
    sender.send(AlertRequest("sla", None, DAY))
    sender.send(AlertRequest("lease-expired", None, DAY))
    late, died = (mail.body for mail in server.mails)
    assert "could not be asked whether it has been published meanwhile: no route to host" in late
    assert "could not be asked whether it is in production meanwhile: no route to host" in died
    assert sender.send(AlertRequest("sla", None, DAY)).startswith("no mail: ")


def test_notes_activity_and_production_stand_in_the_mail(sender: Sender, server: MailServer) -> None:
    notes = ("The server does not answer.",)
    sender = replace(sender, notes=notes, ledger=published(later()), describe_activity=lambda kind, _: f"Now: {kind}")
    sender.send(AlertRequest("lease-expired", None, DAY))
    (mail,) = server.mails
    assert "\n\n".join([*notes, "Now: lease-expired", f"{DAY} is in production now."]) in mail.body


@pytest.mark.parametrize(
    ("first", "second", "is_mailed"),
    [
        pytest.param(FAILED, FAILED, True, id="published-since"),
        pytest.param(replace(FAILED, flow_run_id="a"), replace(FAILED, flow_run_id="b"), True, id="another-run"),
        pytest.param(replace(FAILED, flow_run_id="a"), replace(FAILED, flow_run_id="a"), False, id="the-same-run"),
        pytest.param(
            AlertRequest("anomaly", None, DAY),
            AlertRequest("anomaly", None, DAY),
            False,
            id="anomaly",
        ),
    ],
)
def test_a_failure_after_its_date_was_published_is_a_new_one(
    sender: Sender, first: AlertRequest, second: AlertRequest, is_mailed: bool
) -> None:
    sender.send(first)
    assert replace(sender, ledger=published(later())).send(second).startswith("mailed: ") is is_mailed


def test_a_lasting_anomaly_is_mailed_anew_when_no_run_saw_it_for_days(sender: Sender) -> None:
    book, now = sender.book, datetime.now(UTC)
    sender.send(LACKING)
    (entry,) = book.entries()
    book.rewrite(entry, Stage.SENT, now - LASTING_GAP_MAX + timedelta(hours=1))
    assert sender.send(LACKING).startswith("no mail: ")
    (seen,) = book.entries()
    assert seen.at >= now
    book.rewrite(seen, Stage.SENT, now - LASTING_GAP_MAX - timedelta(hours=1))
    assert sender.send(LACKING).startswith("mailed: ")


def page_of(run: RunFacts, day: date) -> str:
    return f"https://reports.example.com/runs/{day}/{run.id}.html"


@pytest.mark.parametrize("kind", ["failed", "quality-failed", "partially-loaded"])
def test_the_mail_of_a_daily_run_that_has_ended_names_its_page(
    sender: Sender, server: MailServer, kind: AlertKind
) -> None:
    sender = replace(sender, read_run=knowing_run(run_of()), page_of=page_of)
    sender.send(AlertRequest(kind, RUN_ID))
    assert f"Page         https://reports.example.com/runs/2024-01-15/{RUN_ID}.html\n" in server.mails[0].body


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        pytest.param(run_of(), "lease-expired", id="a-run-that-died"),
        pytest.param(run_of("backfill"), "failed", id="another-flow"),
    ],
)
def test_a_run_that_may_have_no_page_has_none_in_its_mail(
    sender: Sender, server: MailServer, run: RunFacts, kind: AlertKind
) -> None:
    replace(sender, read_run=knowing_run(run), page_of=page_of).send(AlertRequest(kind, RUN_ID))
    assert "reports.example.com" not in server.mails[0].body


def test_a_mail_goes_out_when_nobody_knows_where_the_page_is(sender: Sender, server: MailServer) -> None:
    def unknown(_run: RunFacts, _day: date) -> NoReturn:
        raise OSError("no Prefect server")

    replace(sender, read_run=knowing_run(run_of()), page_of=unknown).send(AlertRequest("failed", RUN_ID))
    assert len(server.mails) == 1
