"""Sends a mail over plain SMTP: for programs that run without Prefect. Knows no Prefect."""

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr

from blocks.smtp import SmtpSettings
from tasks.alerts.mail import Mail

SMTP_TIMEOUT_S = 60


def build_message(mail: Mail, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Returns the message to send."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = mail.subject, sender, ", ".join(recipients)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "retail-sales"
    message["Date"], message["Message-ID"] = formatdate(usegmt=True), make_msgid(domain=domain)
    if mail.thread:
        # No mail has this id: mail programs group the mails that refer to it.
        message["References"] = f"<{mail.thread}.retail-sales@{domain}>"
    # Servers need not accept 8bit.
    message.set_content(mail.body, cte=None if mail.body.isascii() else "quoted-printable")
    return message


def send_mail(settings: SmtpSettings, mail: Mail, sender: str, recipients: Sequence[str]) -> str:
    """Sends the mail; returns as `hand_over`. Raises OSError or smtplib.SMTPException when the server does not answer,
    or refuses the login, the mail or every recipient."""
    with _connect(settings) as server:
        if settings.user:
            server.login(settings.user, settings.password)
        return hand_over(server, build_message(mail, sender, recipients), recipients)


def hand_over(server: smtplib.SMTP, message: EmailMessage, recipients: Sequence[str]) -> str:
    """Sends the message over an open connection; returns which recipients the server refused, by their number in the
    list, as addresses are personal. Empty when it took all.

    Raises OSError or smtplib.SMTPException when the server refuses the message or every recipient.
    """
    addresses = [parseaddr(recipient)[1] for recipient in recipients]
    refused = server.send_message(message, to_addrs=addresses)
    numbered = [(number, refused[address]) for number, address in enumerate(addresses, 1) if address in refused]
    if not numbered:
        return ""
    count = f"{len(numbered)} of {len(recipients)} recipients (variable alert_email_list)"
    which = ", ".join(f"recipient {number} with {code}" for number, (code, _) in numbered)
    return f"the mail server refused {count}: {which}"


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    if settings.type == "SSL":
        return smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=SMTP_TIMEOUT_S, context=ssl.create_default_context()
        )
    server = smtplib.SMTP(settings.host, settings.port, timeout=SMTP_TIMEOUT_S)
    if settings.type == "STARTTLS":
        server.starttls(context=ssl.create_default_context())
    return server
