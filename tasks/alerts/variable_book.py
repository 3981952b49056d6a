"""The book of alerts in Prefect variables: the server keeps their names unique, which makes a claim atomic."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect import get_client
from prefect.exceptions import PrefectHTTPStatusError

from blocks import names
from tasks.alerts.book import AlertEntry, Stage, plain_name

PAGE_SIZE = 200
"""The most entries that the server returns at once."""

CONFLICT, NOT_FOUND = 409, 404


@dataclass(frozen=True)
class VariableBook:
    """Entries as Prefect variables `alert_<slot>` with the tag `retail-sales-alert`; `key` is a variable's id."""

    def claim(self, entry: AlertEntry) -> bool:
        variable = {"name": _name(entry.slot), "value": entry.to_text(), "tags": [names.ALERT_TAG]}
        return _done("POST", "/variables/", CONFLICT, json=variable)

    def find(self, slot: str) -> AlertEntry | None:
        found = self._read({"name": {"any_": [_name(slot)]}}, 0)
        return found[0] if found else None

    def remove(self, entry: AlertEntry) -> bool:
        return _done("DELETE", f"/variables/{entry.key}", NOT_FOUND)

    def rewrite(self, entry: AlertEntry, stage: Stage, at: datetime) -> None:
        value = replace(entry, stage=stage, at=at).to_text()
        _done("PATCH", f"/variables/{entry.key}", NOT_FOUND, json={"value": value})

    def entries(self) -> list[AlertEntry]:
        found: list[AlertEntry] = []
        while page := self._read({"tags": {"all_": [names.ALERT_TAG]}}, len(found)):
            found += page
        return found

    def _read(self, which: dict[str, Any], offset: int) -> list[AlertEntry]:
        with _api() as api:
            body = {"variables": which, "limit": PAGE_SIZE, "offset": offset}
            found = api.request("POST", "/variables/filter", json=body).json()
        return [AlertEntry.from_text(variable["value"], variable["id"]) for variable in found]


def _name(slot: str) -> str:
    return f"{names.ALERT_ENTRY}_{plain_name(slot)}"


@contextmanager
def _api() -> Iterator[Any]:
    with get_client(sync_client=True) as client:
        # The client's own methods support neither ids nor tags of variables, and limit values to fewer characters.
        yield client._client


def _done(method: str, path: str, refused: int, **arguments: Any) -> bool:
    try:
        with _api() as api:
            api.request(method, path, **arguments)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != refused:
            raise
        return False
    return True
