"""One pass of the watchdog: reads the ledger and Prefect, ends dead runs and sends alerts."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial

from tasks.alerts.published import read_unpublished
from tasks.alerts.request import AlertRequest
from tasks.alerts.sender import Sender
from tasks.alerts.subject import join_regions
from tasks.batch import Attempt
from tasks.errors import NeedsPersonError, one_line
from tasks.warehouse.session import Session
from tasks.watch.cancelled import explain_cancelled
from tasks.watch.concurrency_slots import free_slots
from tasks.watch.first_day import only_expected
from tasks.watch.late_and_dead import (
    Death,
    Lease,
    WatchSettings,
    date_of_batch,
    due_dates,
    find_deaths,
    past_lease,
    read_leases,
    record_death,
    sla_alerts,
)
from tasks.watch.runs import crash_run, read_families
from tasks.watch.second_looks import SecondLook, find_second_looks, forget_staged


@dataclass
class Report:
    """The lines that a pass reports: what it did, what it could not do, and what it looked at."""

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.done += other.done
        self.problems += other.problems
        self.looked_at += other.looked_at

    def carry_out(self, what: str, act: Callable[[], str]) -> None:
        """Does one thing and adds its result, unless that is empty. A failure is a problem; the pass goes on."""
        try:
            if done := act():
                self.done.append(f"{what}: {done}")
        except Exception as error:  # noqa: BLE001 (no failure may stop the pass)
            self.problems.append(f"{what}: {one_line(error)}")


@dataclass(frozen=True)
class PassActions:
    """How a pass sends alerts, whether it can ask Prefect, and how it takes a pending second look (None: it cannot)."""

    sender: Sender
    asks_prefect: bool
    look: Callable[[Session, Attempt], str] | None = None


def watch(session: Session, settings: WatchSettings, actions: PassActions) -> Report:
    """Ends dead runs with an alert for each, takes pending second looks, explains cancelled runs, frees slots of ended
    runs, then alerts about late dates."""
    report, leases = Report(), read_leases(session)
    expired = [flow_run_id for flow_run_id, lease in leases.items() if lease.is_expired]
    families = read_families(expired) if actions.asks_prefect else []
    deaths = find_deaths(leases, families, datetime.now(UTC), settings.lease_minutes)
    for death in deaths:
        _end(session, death, actions, report)
    for run in past_lease(leases, families, deaths):
        report.done.append(f"{run.name}: its lease has expired but its process still runs, left alone")
    if look := actions.look:
        for pending in find_second_looks(session, actions.asks_prefect):
            what = f"second look at {pending.attempt.batch_id}"
            report.carry_out(what, partial(_look, session, pending, look, actions))
    if actions.asks_prefect:
        report.carry_out("cancelled runs", partial(explain_cancelled, session))
        report.carry_out("concurrency limits", partial(free_slots, leases))
    ((now,),) = session.query("SELECT CURRENT_TIMESTAMP()")
    dates = due_dates(now, settings)
    absent = unpublished = read_unpublished(session, dates)
    if settings.first_date is None:
        unpublished = only_expected(session, absent, actions.asks_prefect)
    report.looked_at += [describe_dates(dates, absent, unpublished), describe_runs(leases.values())]
    for alert in sla_alerts(unpublished, actions.sender.taken_slots() if unpublished else ()):
        report.carry_out(f"{alert.date} is late", partial(actions.sender.send, alert))
    return report


def describe_dates(dates: Sequence[date], absent: Collection[date], expected: Collection[date]) -> str:
    """Lists the due dates in words. Of the `absent` ones, the `expected` are late; the others predate the first
    deployment."""
    if not dates:
        return "no date is due"
    which = str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    late = ", ".join(str(day) for day in dates if day in expected)
    before_deployment = ", ".join(str(day) for day in dates if day in absent and day not in expected)
    found = [
        f"not in production: {late}" if late else "",
        f"from before the first deployment: {before_deployment}" if before_deployment else "",
    ]
    return f"dates due, {which}: {'; '.join(filter(None, found)) or 'in production'}"


def describe_runs(leases: Iterable[Lease]) -> str:
    """Says how many runs are alive according to the ledger."""
    alive = sum(lease.is_live and bool(lease.open_regions) for lease in leases)
    return "no run is alive" if not alive else "1 run is alive" if alive == 1 else f"{alive} runs are alive"


def describe_unsent(count: int) -> str:
    """Returns how many mails wait to be sent, in words."""
    return "all mails are sent" if not count else "1 mail is unsent" if count == 1 else f"{count} mails are unsent"


def _end(session: Session, death: Death, actions: PassActions, report: Report) -> None:
    """Crashes a dead run in Prefect, alerts about it, and records FAILED in the ledger. The ledger comes last, so that
    the next pass repeats all three when this one is cut short; the sender sends the mail once."""
    for flow_run_id in death.crash:
        report.carry_out(f"run {flow_run_id}", partial(_crash, flow_run_id, death.cause))
    if alert := death.alert:
        report.carry_out(f"run {alert.flow_run_id} is dead ({death.cause})", partial(actions.sender.send, alert))
    if death.record:
        report.carry_out(
            "ledger", lambda: f"recorded FAILED for {', '.join(record_death(session, death)) or 'no region'}"
        )


def _look(session: Session, pending: SecondLook, look: Callable[[Session, Attempt], str], actions: PassActions) -> str:
    """Takes the look, sends an alert about a result that is new, and drops the attempt's staging tables. The next pass
    repeats a look that fails."""
    attempt, is_news = pending.attempt, not pending.was_taken
    try:
        found = look(session, attempt)
    except NeedsPersonError as error:
        found, is_news = str(error), True
    request = AlertRequest(
        "second-look", attempt.flow_run_id, date_of_batch(attempt.batch_id), join_regions(attempt.regions), found
    )
    done = f"{found}; {actions.sender.send(request)}" if is_news else ""
    forget_staged(session, attempt)
    return done


def _crash(flow_run_id: str, cause: str) -> str:
    crash_run(flow_run_id, cause)
    return "set to Crashed"
