"""`make mails`: the mails of the mail sink, readable."""

import mailbox
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from local.environment import StackError
from local.mails import RULE, WHOLE, read_mails, refuse_other_server, to_lines

OWN = "http://127.0.0.1:4200/api"


def keep(directory: Path, hour: int, subject: str, body: str) -> None:
    """A mail as the sink keeps it."""
    mail = EmailMessage()
    mail["Subject"], mail["To"] = subject, "a@example.com, b@example.com"
    mail.set_content(body)
    kept = mailbox.MaildirMessage(mail)
    kept.set_date(datetime(2024, 1, 15, hour, tzinfo=UTC).timestamp())
    mailbox.Maildir(directory).add(kept)


def test_a_mail_is_shown_with_its_text(tmp_path: Path) -> None:
    keep(tmp_path / "mail", 9, "FAILED daily-sales 2024-01-15: größer " + "x" * 90, "What happened\n\n  naïve €\n")
    assert list(to_lines(read_mails(tmp_path / "mail"))) == [
        RULE,
        "Date     2024-01-15 09:00:00 UTC",
        f"Subject  FAILED daily-sales 2024-01-15: größer {'x' * 90}",
        "To       a@example.com, b@example.com",
        "",
        "What happened",
        "",
        "  naïve €",
    ]


def test_the_newest_come_last_and_the_earlier_ones_are_a_line_each(tmp_path: Path) -> None:
    for hour in reversed(range(WHOLE + 2)):
        keep(tmp_path / "mail", hour, f"mail of {hour}", "text\x1b[31m")
    lines = list(to_lines(read_mails(tmp_path / "mail")))
    assert lines[:2] == ["2024-01-15 00:00:00 UTC  mail of 0", "2024-01-15 01:00:00 UTC  mail of 1"]
    assert [line for line in lines if line.startswith("Subject")] == [f"Subject  mail of {n + 2}" for n in range(WHOLE)]
    assert not any("\x1b" in line for line in lines)


def test_an_empty_sink_is_reported(tmp_path: Path) -> None:
    assert list(to_lines(read_mails(tmp_path / "mail"))) == ["no mail has arrived"]


def test_the_mails_of_another_server_are_not_here() -> None:
    refuse_other_server(OWN, "")
    refuse_other_server(OWN, f"{OWN}/")
    with pytest.raises(StackError, match=r"names https://prefect\.example\.com/api, whose mails go to its own"):
        refuse_other_server(OWN, "https://prefect.example.com/api")
