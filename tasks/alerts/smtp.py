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


def send_mail(settings: SmtpSettings, mail: Mail, sender: str, recipients: Sequence[str]) -> None:
    """Sends the mail; raises OSError or smtplib.SMTPException when the server refuses it."""
    with _connect(settings) as server:
        if settings.user:
            server.login(settings.user, settings.password)
        server.send_message(build_message(mail, sender, recipients))


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    if settings.type == "SSL":
        return smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=SMTP_TIMEOUT_S, context=ssl.create_default_context()
        )
    server = smtplib.SMTP(settings.host, settings.port, timeout=SMTP_TIMEOUT_S)
    if settings.type == "STARTTLS":
        server.starttls(context=ssl.create_default_context())
    return server
