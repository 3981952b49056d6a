"""Finds late dates and dead runs by the ledger, and records the deaths there.

A dead run neither holds a lease nor has a process. Fencing protects the table from a wrong judgement: a living run that
was taken for dead publishes nothing over a newer one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tasks.alerts.request import AlertRequest
from tasks.alerts.subject import ALL_REGIONS, join_regions
from tasks.batch import Batch, parse_business_date
from tasks.warehouse.ledger import record_failure
from tasks.warehouse.lock import version_checked_on_error
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render
from tasks.watch.processes import Process

SCHEDULED_AT = time(6)
"""When the daily run starts (UTC), as prefect.yaml schedules it."""
DATES_WATCHED = 7
"""How far back unpublished dates are looked for, where `first_date` is set."""


@dataclass(frozen=True)
class WatchSettings:
    """The variables that the watchdog reads."""

    snowflake_watch_warehouse: str
    sla_minutes: int
    lease_minutes: int
    first_date: date | None


@dataclass(frozen=True)
class Lease:
    """The lease of a flow run's attempts in the ledger. `until` is aware UTC; `open_regions` have no end recorded."""

    flow_run_id: str
    batch_id: str
    until: datetime
    is_live: bool
    open_regions: tuple[str, ...]

    @property
    def is_expired(self) -> bool:
        """Whether its time is over without an end in the ledger."""
        return bool(self.open_regions) and not self.is_live


@dataclass(frozen=True)
class WatchedRun:
    """A flow run in Prefect. `is_active`: Pending or Running, so that it holds its slot."""

    id: str
    name: str
    state: str
    is_active: bool
    since: datetime
    process: Process = Process.ELSEWHERE


@dataclass(frozen=True)
class Family:
    """A run and those that it started in its own process."""

    root: WatchedRun
    children: tuple[WatchedRun, ...] = ()

    @property
    def members(self) -> tuple[WatchedRun, ...]:
        return (self.root, *self.children)


@dataclass(frozen=True)
class Death:
    """Dead runs of one process: those to set to Crashed, those to record as failed, and the alert to send."""

    cause: str
    crash: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    alert: AlertRequest | None = None


# Late dates


def due_dates(now: datetime, settings: WatchSettings) -> list[date]:
    """Returns the dates that are due, oldest first: one, or up to DATES_WATCHED since `first_date`."""
    due_after = timedelta(hours=SCHEDULED_AT.hour, minutes=settings.sla_minutes)
    newest = (now.astimezone(UTC) - due_after).date() - timedelta(days=1)
    days = DATES_WATCHED if settings.first_date else 1
    dates = [newest - timedelta(days=back) for back in reversed(range(days))]
    return [day for day in dates if settings.first_date is None or day >= settings.first_date]


def sla_alerts(unpublished: Mapping[date, Sequence[str]], taken_slots: Iterable[str]) -> Iterator[AlertRequest]:
    """Yields an alert for each late date that was not mailed before, whichever regions were late then."""
    mailed = {slot.split()[0] for slot in taken_slots if slot.endswith(" sla")}
    for day, regions in unpublished.items():
        if Batch(day, ()).batch_id not in mailed:
            joined = join_regions(regions)
            what = "no region is" if joined == ALL_REGIONS else f"{joined} not"
            message = f"{what} in production, as the ledger says (sales of {day})"
            yield AlertRequest("sla", date=str(day), region=None if joined == ALL_REGIONS else joined, message=message)


# Dead runs


def read_leases(session: Session) -> dict[str, Lease]:
    """Returns the leases of runs without a recorded end, and the leases that are not over; by flow run."""
    leases: dict[str, Lease] = {}
    with version_checked_on_error(session):
        known = session.query(render("ledger/open_leases"))
    for flow_run_id, batch_id, region, until, is_live, is_open in known:
        lease = Lease(flow_run_id, batch_id, _utc(until), bool(is_live), (region,) if is_open else ())
        held = leases.get(flow_run_id)
        leases[flow_run_id] = lease if held is None else _joined(held, lease)
    return leases


def _joined(held: Lease, other: Lease) -> Lease:
    later = max(held, other, key=lambda lease: lease.until)
    regions = tuple(dict.fromkeys((*held.open_regions, *other.open_regions)))
    return Lease(held.flow_run_id, later.batch_id, later.until, held.is_live or other.is_live, regions)


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.fromtimestamp(0, UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def find_deaths(
    leases: Mapping[str, Lease], families: Sequence[Family], now: datetime, lease_minutes: int
) -> list[Death]:
    """Returns the dead runs. `now` is the time by the clock that set the times of `families`."""
    known = {member.id for family in families for member in family.members}
    unknown = [lease for lease in leases.values() if lease.is_expired and lease.flow_run_id not in known]
    deaths = [_death_in_ledger(lease) for lease in unknown]
    found = (_death_in(family, leases, now, timedelta(minutes=lease_minutes)) for family in families)
    return [*deaths, *(death for death in found if death)]


def past_lease(leases: Mapping[str, Lease], families: Sequence[Family], deaths: Sequence[Death]) -> list[WatchedRun]:
    """Returns living runs whose lease has expired: their renewals do not arrive."""
    dead = {flow_run_id for death in deaths for flow_run_id in death.record}
    members = [member for family in families for member in family.members]
    return [m for m in members if m.id in leases and leases[m.id].is_expired and m.id not in dead]


def _death_in_ledger(lease: Lease) -> Death:
    """The death of a run that Prefect does not know or cannot be asked about."""
    day, region = date_of_batch(lease.batch_id), join_regions(lease.open_regions)
    alert = AlertRequest("lease-expired", flow_run_id=lease.flow_run_id, date=day, region=region, message=_cause(lease))
    return Death(_cause(lease), record=(lease.flow_run_id,), alert=alert)


def date_of_batch(batch_id: str) -> str | None:
    """Returns the business date of a batch in ISO form; None for a batch of named keys."""
    try:
        return parse_business_date(batch_id).isoformat()
    except ValueError:
        return None


def _death_in(family: Family, leases: Mapping[str, Lease], now: datetime, grace: timedelta) -> Death | None:
    root, members = family.root, family.members
    expired = [member for member in members if member.id in leases and leases[member.id].is_expired]
    if _is_alive(family, leases, now, grace):
        ended = [member for member in expired if not member.is_active]
        return _ended(root, ended, leases)
    active = tuple(member.id for member in members if member.is_active)
    if not active:
        return _ended(root, expired, leases)
    lease = max((leases[member.id] for member in expired), key=lambda lease: lease.until, default=None)
    cause = (
        _cause(lease)
        if lease
        else f"it holds no lease, and has been {root.state} since {root.since:%Y-%m-%d %H:%M} UTC"
    )
    if root.process is Process.ENDED:
        cause += "; no process of it is left"
    # A crash that the worker saw was mailed: its children belong to that mail.
    about = (
        root if root.is_active or root.state == "Crashed" else next(member for member in members if member.is_active)
    )
    alert = AlertRequest("lease-expired", flow_run_id=about.id, message=cause)
    return Death(cause, active, tuple(member.id for member in expired), alert)


def goes_on(family: Family, leases: Mapping[str, Lease]) -> bool:
    """Whether a family goes on whose root has ended in Prefect: a publish outlives its flow, and the dashboard can end
    a run whose process works on. Where the process cannot be seen, the leases decide."""
    if family.root.process is Process.ELSEWHERE:
        return _holds_lease(family, leases)
    return family.root.process is Process.RUNS


def _holds_lease(family: Family, leases: Mapping[str, Lease]) -> bool:
    """One process runs the whole family, so one live lease proves that all are alive."""
    return any(member.id in leases and leases[member.id].is_live for member in family.members)


def _is_alive(family: Family, leases: Mapping[str, Lease], now: datetime, grace: timedelta) -> bool:
    if _holds_lease(family, leases):
        return True
    if not family.root.is_active:
        return False
    if family.root.process is not Process.ELSEWHERE:
        return family.root.process is Process.RUNS
    return max(member.since for member in family.members) + grace > now


def _ended(root: WatchedRun, members: Sequence[WatchedRun], leases: Mapping[str, Lease]) -> Death | None:
    """The death of runs that ended in Prefect and not in the ledger; one that crashed may not have been mailed. Where
    the root crashed, the mail about it lists its children."""
    if not members:
        return None
    cause = f"{_cause(leases[members[0].id])}; its Prefect run is {members[0].state}"
    crashed = next((member for member in members if member.state == "Crashed"), None)
    about = root if crashed and root.state == "Crashed" else crashed
    alert = AlertRequest("lease-expired", flow_run_id=about.id, message=cause) if about else None
    return Death(cause, record=tuple(member.id for member in members), alert=alert)


def _cause(lease: Lease) -> str:
    return f"its lease expired at {lease.until:%Y-%m-%d %H:%M} UTC"


def record_death(session: Session, death: Death) -> list[str]:
    """Records FAILED for the dead runs whose lease was not renewed since; returns the regions."""
    leases = read_leases(session)
    still = [run for run in death.record if run in leases and leases[run].is_expired]
    return [region for run in still for region in record_failure(session, run, death.cause)]
