"""Check of the flow runs on the Prefect server: how many, since when, and whether old ones are removed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.utilities.asyncutils import sync_compatible

from blocks import names
from blocks.variables import read_variable
from tasks.retention.old_runs import FLOWS, Ours, choose, read_ours, read_page
from tasks.retention.periods import STATE_TYPES, TAG, Kind, days_kept
from tasks.setup_checks.check import Check, SetupFaultError
from tasks.setup_checks.prefect_server import SERVER

SLACK = timedelta(days=7)
"""Passes that are missed or fail for a few days are no fault of the retention; they are mailed anyway."""

CLEANING = "clean-staging"
CLEANINGS_READ_MAX = 50
"""The newest completed ones; dry runs among them do not count."""


def history_checks() -> list[Check]:
    """This project's flow runs."""
    return [
        Check("flow runs", _look_at_history, "look at the server", needs=(SERVER, "variable prefect_retention_days"))
    ]


@dataclass(frozen=True)
class History:
    """This project's flow runs on the server. All times are aware, None where there is none.

    `overdue_at` is the end of a run that has been kept longer than its kind is kept, plus SLACK; `cleaned_at` is the
    last completion of clean-staging.
    """

    runs: int
    oldest_at: datetime | None
    overdue_at: datetime | None
    cleaned_at: datetime | None


def describe_history(history: History, days: int, now: datetime) -> str:
    """Returns how many runs there are, and since when.

    Raises SetupFaultError when one is overdue and no clean-staging has completed lately. One that completes works off a
    backlog in parts.
    """
    if history.oldest_at is None:
        return "none yet"
    runs = f"{history.runs:,}, the oldest of {history.oldest_at:%Y-%m-%d}"
    if history.overdue_at and not (history.cleaned_at and history.cleaned_at > now - SLACK):
        since = f"since {history.cleaned_at:%Y-%m-%d}" if history.cleaned_at else "on this server"
        raise SetupFaultError(
            f"{runs}: one that ended on {history.overdue_at:%Y-%m-%d} should have been removed, and {CLEANING} has not "
            f"completed {since}: `prefect deployment run '{names.deployment(CLEANING)}'`, and see that its schedule is "
            "active"
        )
    kept = {kind: days_kept(kind, days) for kind in Kind}
    return (
        f"{runs}; completed ones are kept {kept[Kind.COMPLETED]} days, the watchdog's {kept[Kind.ROUTINE]}, "
        f"others {kept[Kind.UNSUCCESSFUL]}"
    )


def _look_at_history() -> str:
    days, now = read_variable("prefect_retention_days"), datetime.now(UTC)
    return describe_history(read_history(days, now), days, now)


@sync_compatible
async def read_history(days: int, now: datetime) -> History:
    """Reads the history of this project's runs from the server."""
    async with get_client() as client:
        return await _read_history(client, days, now)


async def _read_history(client: PrefectClient, days: int, now: datetime) -> History:
    which = {"flows": {"name": {"any_": FLOWS}}, "flow_runs": {"tags": {"all_": [TAG]}}}
    count = int((await client._client.post("/flow_runs/count", json=which)).json())
    oldest = await client.read_flow_runs(
        flow_filter=FlowFilter.parse_obj(which["flows"]),
        flow_run_filter=FlowRunFilter.parse_obj(which["flow_runs"]),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=1,
    )
    ours = await read_ours(client)
    overdue = [await _read_overdue(client, ours, kind, days, now - SLACK) for kind in Kind]
    return History(
        count,
        next((run.expected_start_time or run.created for run in oldest), None),
        min((moment for moment in overdue if moment), default=None),
        await _read_last_cleaning(client),
    )


async def _read_overdue(client: PrefectClient, ours: Ours, kind: Kind, days: int, now: datetime) -> datetime | None:
    page = await read_page(client, kind, now - timedelta(days=days_kept(kind, days)))
    return next((ours.past(root).ended_at for root, *_ in await choose(client, ours, page, days, now)), None)


async def _read_last_cleaning(client: PrefectClient) -> datetime | None:
    runs = await client.read_flow_runs(
        flow_filter=FlowFilter.parse_obj({"name": {"any_": [CLEANING]}}),
        flow_run_filter=FlowRunFilter.parse_obj(
            {"tags": {"all_": [TAG]}, "state": {"type": {"any_": STATE_TYPES[Kind.COMPLETED]}}}
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=CLEANINGS_READ_MAX,
    )
    return next((run.end_time for run in runs if not (run.parameters or {}).get("dry_run")), None)
