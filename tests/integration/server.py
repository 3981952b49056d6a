"""The stack's Prefect server, asked by its REST API."""

import time
from typing import Any

import httpx

from tests.integration.conftest import POLL_S

BUSY_TRIES_MAX = 20


class PatientClient(httpx.Client):
    """Asks a server whose database is busy (503) again, as Prefect's own client does."""

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
