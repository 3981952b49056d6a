"""Mail settings from the environment, for the block and for programs without Prefect."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from blocks.environment import Environment, MissingSettingError, required, whole_number

SmtpType = Literal["SSL", "STARTTLS", "INSECURE"]

SSL_PORT = 465


@dataclass(frozen=True)
class SmtpSettings:
    """A mail server. `type` is TLS from the start (SSL), TLS after a greeting (STARTTLS), or none (INSECURE)."""

    host: str
    port: int
    type: SmtpType
    user: str | None = None
    password: str = field(default="", repr=False)


def read_smtp_settings(environment: Environment) -> SmtpSettings | None:
    """The mail server of `SMTP_HOST`, `SMTP_PORT`, `SMTP_USER`, `SMTP_PASSWORD`, `SMTP_TYPE`; None without a host.

    Without `SMTP_TYPE`, a server with a user gets TLS: no password is sent in clear.
    Raises MissingSettingError naming the variable that is unusable.
    """
    host = environment.get("SMTP_HOST", "").strip()
    if not host:
        return None
    user = environment.get("SMTP_USER", "").strip() or None
    default_port = "587" if user else "25"
    port = whole_number(environment, "SMTP_PORT", default_port)
    return SmtpSettings(
        host=host,
        port=port,
        type=_smtp_type(environment, port, user),
        user=user,
        password=required(environment, "SMTP_PASSWORD", "the password of SMTP_USER") if user else "",
    )


def _smtp_type(environment: Environment, port: int, user: str | None) -> SmtpType:
    given = environment.get("SMTP_TYPE", "").strip().upper()
    if not given:
        return "INSECURE" if user is None else "SSL" if port == SSL_PORT else "STARTTLS"
    for known in get_args(SmtpType):
        if given == known:
            if known == "INSECURE" and user is not None:
                raise MissingSettingError("SMTP_TYPE is INSECURE: with SMTP_USER, give it as STARTTLS or SSL")
            chosen: SmtpType = known
            return chosen
    raise MissingSettingError(f"SMTP_TYPE is {given!r}: give it as SSL, STARTTLS or INSECURE")
