"""Logs each long wait for the Prefect server, of this project's calls and of those of Prefect's engine alike.

Prefect has no setting or hook for this, and its engine makes clients of its own. Each call, with its tries and the
pauses between them, goes through `send` of one of Prefect's two clients, which `log_waits` wraps in this process.
"""

from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import cache, wraps
from typing import Any

import httpx
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from blocks.waits import logged_if_slow


@cache
def log_waits() -> None:
    """From now on, each wait of this process for the Prefect server is logged. A second call does nothing."""
    send_async, send = PrefectHttpxAsyncClient.send, PrefectHttpxSyncClient.send

    @wraps(send_async)
    async def send_async_logged(
        client: PrefectHttpxAsyncClient, request: httpx.Request, *args: Any, **kwargs: Any
    ) -> httpx.Response:
        with _logged(request):
            return await send_async(client, request, *args, **kwargs)

    @wraps(send)
    def send_logged(
        client: PrefectHttpxSyncClient, request: httpx.Request, *args: Any, **kwargs: Any
    ) -> httpx.Response:
        with _logged(request):
            return send(client, request, *args, **kwargs)

    PrefectHttpxAsyncClient.send = send_async_logged
    PrefectHttpxSyncClient.send = send_logged


def _logged(request: httpx.Request) -> AbstractContextManager[None]:
    tries, limit_s = PREFECT_CLIENT_MAX_RETRIES.value() + 1, request.extensions.get("timeout", {}).get("read")
    limit = f"{tries} {'try' if tries == 1 else 'tries'} of {limit_s:g} s" if limit_s else "no limit"
    # The thread that logs knows no run.
    context = copy_context()
    return logged_if_slow(
        lambda line: context.run(_warn, line),
        f"prefect-server host={request.url.netloc.decode()}",
        f"{request.method} {request.url.path} ({limit})",
    )


def _warn(line: str) -> None:
    """Logs in the run whose call waits, else on stderr. The run's page shows the line when the server is back."""
    try:
        logger: Any = get_run_logger()
    except MissingContextError:
        logger = get_logger("client")
    logger.warning(line)
