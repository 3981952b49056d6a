"""The Prefect server that is configured: its errors in words, its addresses without a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL, PREFECT_UI_URL

from blocks.server_waits import log_waits

log_waits()

CANNOT_BEGIN = "Failed to reach API"
_USER = re.compile(r"//[^/\s]*@")


class NoPrefectServerError(Exception):
    """Raised when no Prefect server answers; names PREFECT_API_URL, its value and what to do."""


@contextmanager
def speaking_to_prefect() -> Iterator[None]:
    """Raises NoPrefectServerError for the errors of Prefect's client when no Prefect server answers it."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        answer = f"it answers {error.response.status_code} {error.response.reason_phrase}"
        step = "look at its log, and check PREFECT_API_KEY and that PREFECT_API_URL ends as your server's does"
        raise NoPrefectServerError(f"{_server()}: {answer}: {step}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RuntimeError) as error:
        # ValueError: an answer that is no JSON, or not Prefect's. RuntimeError: raised by a flow that cannot begin.
        if isinstance(error, RuntimeError) and CANNOT_BEGIN not in str(error):
            raise
        cause = without_password(" ".join(f"{type(error).__name__}: {error}".split()))
        step = (
            "start that server (the local stack: `make up`), or correct PREFECT_API_URL, like http://127.0.0.1:4200/api"
        )
        raise NoPrefectServerError(f"{_server()}: no Prefect server answers there ({cause}): {step}") from error


def _server() -> str:
    if url := PREFECT_API_URL.value():
        return f"PREFECT_API_URL is {without_password(url)!r}"
    return f"PREFECT_API_URL is not set (Prefect's own database: {own_database()})"


def own_database() -> str:
    """Prefect's own database, which is used where no server is set, without its password."""
    return without_password(str(PREFECT_API_DATABASE_CONNECTION_URL.value()))


def dashboard() -> str:
    """The address of the dashboard, for links: without user, password and slash at its end. Empty without a server."""
    return _USER.sub("//", str(PREFECT_UI_URL.value() or "")).rstrip("/")


def without_password(text: str) -> str:
    """The address, or a text with addresses, with *** in place of user and password."""
    return _USER.sub("//***@", text)
