"""A mail arrives over plain SMTP as it was composed."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from blocks.smtp import SmtpSettings
from tasks.alerts.mail import Mail
from tasks.alerts.smtp import send_mail


class Sink:
    """Keeps what arrives, but nothing for addresses that begin with `no`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("no"):
            return f"550 5.1.1 <{address}> is unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return "250 kept"


@pytest.fixture
def sink() -> Iterator[tuple[Sink, SmtpSettings]]:
    handler = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    yield handler, SmtpSettings("127.0.0.1", port, "INSECURE")
    server.stop()


def test_a_mail_arrives_as_it_was_composed(sink: tuple[Sink, SmtpSettings]) -> None:
    handler, settings = sink
    mail = Mail("[retail-sales] drill: Zürich", "First line\n\n    indented, ä\n" + "long " * 60 + "\n", "20240115")
    assert send_mail(settings, mail, "etl@example.com", ["a@example.com", "b@example.com"]) == ""
    (arrived,) = handler.mails
    assert (arrived["Subject"], arrived["From"], arrived["To"]) == (
        mail.subject,
        "etl@example.com",
        "a@example.com, b@example.com",
    )
    assert arrived.get_content_type() == "text/plain"
    assert arrived.get_content().replace("\r\n", "\n") == mail.body
    assert handler.recipients == ["a@example.com", "b@example.com"]
    assert arrived["Date"]
    assert str(arrived["Message-ID"]).endswith("@example.com>")
    assert arrived["References"] == "<20240115.retail-sales@example.com>"


@pytest.mark.parametrize(
    ("recipients", "words"),
    [
        pytest.param(
            ["a@example.com", "Nobody <nobody@example.com>"],
            "the mail server refused 1 of 2 recipients (variable alert_email_list): recipient 2 with 550",
            id="one",
        ),
        pytest.param(
            ["nobody@example.com", "a@example.com", "none@example.com"],
            "the mail server refused 2 of 3 recipients (variable alert_email_list): recipient 1 with 550, "
            "recipient 3 with 550",
            id="several",
        ),
    ],
)
def test_recipients_that_the_server_refuses_are_named_by_their_number(
    sink: tuple[Sink, SmtpSettings], recipients: list[str], words: str
) -> None:
    handler, settings = sink
    assert send_mail(settings, Mail("s", "b"), "etl@example.com", recipients) == words
    assert handler.recipients == ["a@example.com"]


def test_a_mail_that_no_recipient_gets_is_not_sent(sink: tuple[Sink, SmtpSettings]) -> None:
    handler, settings = sink
    with pytest.raises(SMTPRecipientsRefused):
        send_mail(settings, Mail("s", "b"), "etl@example.com", ["nobody@example.com"])
    assert handler.mails == []


def test_a_server_that_is_down_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        send_mail(SmtpSettings("127.0.0.1", 1, "INSECURE"), Mail("s", "b"), "a@example.com", ["b@example.com"])
