"""Check of the mail server of alerts: connection, login, and whether it takes sender and recipients. Sends nothing."""

from prefect_email import EmailServerCredentials

from blocks import names
from blocks.variables import read_variable
from tasks.setup_checks.check import Check, SetupFaultError

BLOCK = f"block email-server-credentials/{names.ALERT_MAIL}"
ANSWER_S_MAX = 20
REFUSED_CODE_MIN = 400


def mail_checks() -> list[Check]:
    """The mail server."""
    needs = ("variable alert_email_list", "variable alert_sender")
    return [
        Check(
            "mail server",
            _speak,
            f"check SMTP_HOST, SMTP_PORT and SMTP_TYPE, run `{names.HERE}python -m blocks.register` ({BLOCK})",
            needs,
        )
    ]


def _speak() -> str:
    try:
        block = EmailServerCredentials.load(names.ALERT_MAIL)
    except ValueError as error:
        raise SetupFaultError(
            f"{BLOCK} is missing or unreadable: set SMTP_HOST and run `{names.HERE}python -m blocks.register`"
        ) from error
    recipients = read_variable("alert_email_list")
    with block.get_server() as server:
        server.sock.settimeout(ANSWER_S_MAX)
        server.ehlo_or_helo_if_needed()
        _require(server.mail(read_variable("alert_sender")), "the sender (variable alert_sender)")
        for number, recipient in enumerate(recipients, 1):
            _require(server.rcpt(recipient), f"recipient {number} of {len(recipients)} (variable alert_email_list)")
        server.rset()
    return f"{block.smtp_server}:{block.smtp_port} takes mail for {len(recipients)} recipients"


def _require(answer: tuple[int, bytes], what: str) -> None:
    code, text = answer
    if code >= REFUSED_CODE_MIN:
        raise SetupFaultError(
            f"the mail server refuses {what} with {code} {text.decode(errors='replace')}: correct the variable, or let "
            "the server relay for it"
        )
