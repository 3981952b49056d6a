"""Logs long waits for the Prefect server and for its concurrency limits, of this project and of Prefect's engine, and
lets no task wait for its own slot.

Prefect has no setting or hook for this, and its engine makes clients of its own. Each call, with its tries and the
pauses between them, goes through `send` of one of Prefect's two clients, which `log_waits` wraps in this process.
"""

from collections import Counter
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import cache, wraps
from typing import Any

import httpx
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.schemas.objects import StateType
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from blocks.waits import logged_if_slow

_TRIES = Counter[str]()
"""How often each task has asked for a slot in vain."""


@cache
def log_waits() -> None:
    """From now on, each wait of this process for the Prefect server is logged. A second call does nothing."""
    send_async, send = PrefectHttpxAsyncClient.send, PrefectHttpxSyncClient.send

    @wraps(send_async)
    async def send_async_logged(
        client: PrefectHttpxAsyncClient, request: httpx.Request, *args: Any, **kwargs: Any
    ) -> httpx.Response:
        with _logged(request):
            response = await send_async(client, request, *args, **kwargs)
        if giving_back := _look_for_slot(client, request, response):
            await client.send(giving_back)
        return response

    @wraps(send)
    def send_logged(
        client: PrefectHttpxSyncClient, request: httpx.Request, *args: Any, **kwargs: Any
    ) -> httpx.Response:
        with _logged(request):
            response = send(client, request, *args, **kwargs)
        if giving_back := _look_for_slot(client, request, response):
            client.send(giving_back)
        return response

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


def _look_for_slot(
    client: httpx.AsyncClient | httpx.Client, request: httpx.Request, response: httpx.Response
) -> httpx.Request | None:
    """Logs that a task waits for a slot of a concurrency limit: at its first try, its second, its fourth ...

    Returns the request by which the task gives back a slot that the server holds for it already, as where the answer to
    an earlier try was lost: the server counts that slot as another's, and the task would wait for itself.
    """
    if not request.url.path.endswith("/set_state") or b'"WAIT"' not in response.content:
        return None
    answer = response.json()
    details = answer["details"]
    if "oncurrency limit" not in (details.get("reason") or ""):
        return None
    _TRIES[request.url.path] += 1
    if _TRIES[request.url.path].bit_count() == 1:
        _warn(f"step=prefect-server {details['reason']}: the task asks again in {details['delay_seconds']} s")
    if (answer.get("state") or {}).get("type") != StateType.RUNNING.value:
        return None
    _warn("step=prefect-server the task holds a slot already, as an answer was lost: it gives that back first")
    return client.build_request("POST", request.url, json={"state": {"type": StateType.PENDING.value}})


def _warn(line: str) -> None:
    """Logs in the run whose call waits, else on stderr. The run's page shows the line when the server is back."""
    try:
        logger: Any = get_run_logger()
    except MissingContextError:
        logger = get_logger("client")
    logger.warning(line)
