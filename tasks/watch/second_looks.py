"""Second looks that were not taken, because the process ended after COMMIT: the watchdog takes them."""

from contextlib import suppress
from dataclasses import dataclass, replace

from prefect_aws import S3Bucket

from tasks.attempt import Attempt
from tasks.errors import NeedsPersonError, SalesEtlError
from tasks.load import drop_staging_tables
from tasks.second_look import look, put_back_unless_shown
from tasks.stage import read_extra_columns
from tasks.statements import render
from tasks.warehouse import Session
from tasks.watch.runs import read_ended


@dataclass(frozen=True)
class SecondLook:
    """A published attempt that nobody has looked at. `is_over`: whether its lease is."""

    attempt: Attempt
    is_over: bool


def read_left(session: Session) -> list[SecondLook]:
    """The second looks that were not taken, those of runs that go on included; the oldest first."""
    left: dict[int, SecondLook] = {}
    for run_number, flow_run_id, batch_id, region, is_over in session.query(render("ledger/second_looks_left")):
        found = left.get(
            int(run_number), SecondLook(Attempt(int(run_number), flow_run_id, batch_id, ()), bool(is_over))
        )
        attempt = replace(found.attempt, regions=(*found.attempt.regions, region))
        left[int(run_number)] = replace(found, attempt=attempt)
    return list(left.values())


def find_second_looks(session: Session, asks_prefect: bool) -> list[Attempt]:
    """The attempts to look at whose runs do not go on: their lease is over, or Prefect knows how they have ended."""
    left = read_left(session)
    waiting = [look.attempt.flow_run_id for look in left if not look.is_over]
    ended = read_ended(waiting) if asks_prefect and waiting else frozenset[str]()
    return [look.attempt for look in left if look.is_over or look.attempt.flow_run_id in ended]


def take(session: Session, attempt: Attempt, bucket: S3Bucket) -> str:
    """Looks whether the table shows the batch, and answers that it does. The staging tables are dropped afterwards.

    Raises NeedsPersonError when the table does not show the batch: it was put back then.
    """
    verification = look(session, attempt, read_extra_columns(attempt, bucket))
    try:
        put_back_unless_shown(session, attempt, verification)
    except NeedsPersonError:
        _forget_staged(session, attempt)
        raise
    _forget_staged(session, attempt)
    rows = sum(comparison.found.rows for comparison in verification.comparisons)
    return (
        f"batch {attempt.batch_id} is published: its run {attempt.run_number} ended before the second look, which the "
        f"watchdog has taken now; the table shows all {rows:,} rows"
    )


def _forget_staged(session: Session, attempt: Attempt) -> None:
    with suppress(SalesEtlError):  # the next pass looks again
        drop_staging_tables(session, attempt.staging_tables)
