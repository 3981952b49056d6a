"""Watch: which dates are late and which runs have died, by the ledger; and what the ledger is told of them.

A dead run is one that neither holds a lease nor has a process. Whatever is judged here, fencing protects the table: a
run that was called dead and lives publishes nothing over a newer one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from expectations.regions import REGIONS
from tasks.alerts.compose import ALL_REGIONS, AlertRequest, join_regions
from tasks.batch import Batch, parse_business_date
from tasks.warehouse.ledger import record_failure
from tasks.warehouse.lock import version_checked_on_error
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, text_literal
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
    """What the ledger says of the attempts of one flow run. `until` is aware UTC; `open_regions` have no end there."""

    flow_run_id: str
    batch_id: str
    until: datetime
    is_live: bool
    open_regions: tuple[str, ...]

    @property
    def is_expired(self) -> bool:
        """Whether it has no end in the ledger and its time is over."""
        return bool(self.open_regions) and not self.is_live


@dataclass(frozen=True)
class WatchedRun:
    """A flow run as Prefect has it. `is_active`: Pending or Running, so that it holds its slot."""

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
    """What is to be done about dead runs of one process: Prefect's runs to crash, the ledger's to end, whom to tell."""

    cause: str
    crash: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    alert: AlertRequest | None = None


# Late dates


def due_dates(now: datetime, settings: WatchSettings) -> list[date]:
    """The dates whose time to be published is over, oldest first: one, or up to DATES_WATCHED since `first_date`."""
    due_after = timedelta(hours=SCHEDULED_AT.hour, minutes=settings.sla_minutes)
    newest = (now.astimezone(UTC) - due_after).date() - timedelta(days=1)
    days = DATES_WATCHED if settings.first_date else 1
    dates = [newest - timedelta(days=back) for back in reversed(range(days))]
    return [day for day in dates if settings.first_date is None or day >= settings.first_date]


def read_unpublished(session: Session, dates: Sequence[date]) -> dict[date, list[str]]:
    """The regions of each of `dates` that are not in production; dates that are complete are left out."""
    if not dates:
        return {}
    expected = " UNION ALL ".join(
        f"SELECT {text_literal(Batch(day, ()).batch_id)} AS BATCH_ID, {text_literal(region)} AS REGION"
        for day in dates
        for region in REGIONS
    )
    found: dict[date, list[str]] = {}
    for batch_id, region in session.query(render("ledger/unpublished_regions", expected=expected)):
        found.setdefault(parse_business_date(batch_id), []).append(region)
    return found


def sla_alerts(unpublished: Mapping[date, Sequence[str]], told_slots: Iterable[str]) -> Iterator[AlertRequest]:
    """An alert for each late date that was not told before, whichever regions were late then."""
    told = {slot.split()[0] for slot in told_slots if slot.endswith(" sla")}
    for day, regions in unpublished.items():
        if Batch(day, ()).batch_id not in told:
            joined = join_regions(regions)
            what = "no region is" if joined == ALL_REGIONS else f"{joined} not"
            message = f"{what} in production, as the ledger says (sales of {day})"
            yield AlertRequest("sla", date=str(day), region=None if joined == ALL_REGIONS else joined, message=message)


# Dead runs


def read_leases(session: Session) -> dict[str, Lease]:
    """What the ledger says of runs without an end, and of those whose lease is not over; by flow run."""
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
    """What is to be done about dead runs. `now` is the time by the clock that set the times of `families`."""
    known = {member.id for family in families for member in family.members}
    unknown = [lease for lease in leases.values() if lease.is_expired and lease.flow_run_id not in known]
    deaths = [_death_in_ledger(lease) for lease in unknown]
    found = (_death_in(family, leases, now, timedelta(minutes=lease_minutes)) for family in families)
    return [*deaths, *(death for death in found if death)]


def left_alone(leases: Mapping[str, Lease], families: Sequence[Family], deaths: Sequence[Death]) -> list[WatchedRun]:
    """Runs whose lease is over and that are alive all the same: their renewals do not arrive."""
    dead = {flow_run_id for death in deaths for flow_run_id in death.record}
    members = [member for family in families for member in family.members]
    return [m for m in members if m.id in leases and leases[m.id].is_expired and m.id not in dead]


def _death_in_ledger(lease: Lease) -> Death:
    """Of a run that Prefect does not know, or cannot be asked about."""
    day, region = date_of_batch(lease.batch_id), join_regions(lease.open_regions)
    alert = AlertRequest("lease-expired", flow_run_id=lease.flow_run_id, date=day, region=region, message=_cause(lease))
    return Death(_cause(lease), record=(lease.flow_run_id,), alert=alert)


def date_of_batch(batch_id: str) -> str | None:
    """The business date of a batch in ISO form; None for a batch of named keys."""
    try:
        return parse_business_date(batch_id).isoformat()
    except ValueError:
        return None


def _death_in(family: Family, leases: Mapping[str, Lease], now: datetime, grace: timedelta) -> Death | None:
    root, members = family.root, family.members
    expired = [member for member in members if member.id in leases and leases[member.id].is_expired]
    if _is_alive(family, leases, now, grace):
        ended = [member for member in expired if not member.is_active]
        return _ended(ended, leases)
    active = tuple(member.id for member in members if member.is_active)
    if not active:
        return _ended(expired, leases)
    lease = max((leases[member.id] for member in expired), key=lambda lease: lease.until, default=None)
    cause = _cause(lease) if lease else f"it holds no lease, and is {root.state} since {root.since:%Y-%m-%d %H:%M} UTC"
    if root.process is Process.GONE:
        cause += "; no process of it is left"
    # One that its worker saw crash was told of: its children belong to that mail.
    told = root if root.is_active or root.state == "Crashed" else next(member for member in members if member.is_active)
    alert = AlertRequest("lease-expired", flow_run_id=told.id, message=cause)
    return Death(cause, active, tuple(member.id for member in expired), alert)


def _is_alive(family: Family, leases: Mapping[str, Lease], now: datetime, grace: timedelta) -> bool:
    """One process runs the whole family: a live lease of any of them is its word."""
    if any(member.id in leases and leases[member.id].is_live for member in family.members):
        return True
    if not family.root.is_active:
        return False
    if family.root.process is not Process.ELSEWHERE:
        return family.root.process is Process.RUNS
    return max(member.since for member in family.members) + grace > now


def _ended(members: Sequence[WatchedRun], leases: Mapping[str, Lease]) -> Death | None:
    """Runs that have ended in Prefect and have no end in the ledger; one that crashed may not have been told."""
    if not members:
        return None
    cause = f"{_cause(leases[members[0].id])}; its Prefect run is {members[0].state}"
    crashed = next((member for member in members if member.state == "Crashed"), None)
    alert = AlertRequest("lease-expired", flow_run_id=crashed.id, message=cause) if crashed else None
    return Death(cause, record=tuple(member.id for member in members), alert=alert)


def _cause(lease: Lease) -> str:
    return f"its lease expired at {lease.until:%Y-%m-%d %H:%M} UTC"


def record_death(session: Session, death: Death) -> list[str]:
    """Records FAILED for the dead runs, but for one whose lease lives again; answers the regions."""
    leases = read_leases(session)
    still = [run for run in death.record if run in leases and leases[run].is_expired]
    return [region for run in still for region in record_failure(session, run, death.cause)]
