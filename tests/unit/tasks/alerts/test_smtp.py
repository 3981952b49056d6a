"""A mail arrives over plain SMTP as it was composed."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from blocks.smtp import SmtpSettings
from tasks.alerts.mail import Mail
from tasks.alerts.smtp import send_mail


class Sink:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []

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
    send_mail(settings, mail, "etl@example.com", ["a@example.com", "b@example.com"])
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


def test_a_server_that_is_down_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        send_mail(SmtpSettings("127.0.0.1", 1, "INSECURE"), Mail("s", "b"), "a@example.com", ["b@example.com"])
