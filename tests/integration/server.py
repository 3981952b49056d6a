"""The stack's Prefect server, asked by its REST API."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prefect.settings import PREFECT_EXPERIMENTAL_EVENTS, PREFECT_EXPERIMENTAL_WARN, temporary_settings

BUSY_TRIES_MAX = 20
POLL_S = 0.5
ANSWER_S_MAX = 60


@contextmanager
def events_enabled() -> Iterator[None]:
    """Events and automations for what runs in this process; a third of the server's work is events."""
    with temporary_settings(updates={PREFECT_EXPERIMENTAL_EVENTS: True, PREFECT_EXPERIMENTAL_WARN: False}):
        yield


@contextmanager
def concurrency_limit(api: httpx.Client, tag: str, limit: int) -> Iterator[Callable[[], list[str]]]:
    """A limit on the tasks with a tag, removed at the end; called, it returns the task runs that hold its slots."""
    api.post("/concurrency_limits/", json={"tag": tag, "concurrency_limit": limit}).raise_for_status()
    try:
        yield lambda: list(api.get(f"/concurrency_limits/tag/{tag}").raise_for_status().json()["active_slots"])
    finally:
        api.delete(f"/concurrency_limits/tag/{tag}")


class PatientClient(httpx.Client):
    """Asks a server whose database is busy (503) again, as Prefect's own client does, and waits as long for answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"timeout": ANSWER_S_MAX} | options))

    def request(self, *arguments: Any, **options: Any) -> httpx.Response:
        for _ in range(BUSY_TRIES_MAX):
            answer = super().request(*arguments, **options)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(POLL_S)
        return answer


def clear_the_way(api: httpx.Client) -> None:
    """No run waits or seems to run, and nothing is paused: other tests leave such things, some of them on purpose."""
    unfinished = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]}}}
    oldest_first = {"flow_runs": unfinished, "sort": "EXPECTED_START_TIME_ASC"}
    for run in api.post("/flow_runs/filter", json=oldest_first).raise_for_status().json():
        api.delete(f"/flow_runs/{run['id']}")
    api.patch("/work_pools/retail-sales", json={"is_paused": False}).raise_for_status()
    api.patch("/work_pools/retail-sales/queues/load", json={"is_paused": False}).raise_for_status()
