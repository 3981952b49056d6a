"""Takes pending second looks: those of published runs whose process ended before them."""

from contextlib import suppress
from dataclasses import dataclass, replace

from prefect_aws import S3Bucket

from tasks.batch import Attempt
from tasks.errors import SalesEtlError
from tasks.load import drop_staging_tables
from tasks.rollback.roll_back import roll_back_unless_verified
from tasks.stage import read_extra_columns
from tasks.warehouse.second_look import look as look_at
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render
from tasks.watch.runs import read_ends


@dataclass(frozen=True)
class SecondLook:
    """A published attempt whose staging tables still exist. `is_over`: its lease has expired; `was_taken`: its run took
    the look and could not drop the tables."""

    attempt: Attempt
    is_over: bool
    was_taken: bool = False


def read_pending(session: Session) -> list[SecondLook]:
    """Returns the second looks that were not taken yet, the oldest first; also those of live runs, which will take
    theirs."""
    pending: dict[int, SecondLook] = {}
    for run_number, flow_run_id, batch_id, region, is_over in session.query(render("ledger/pending_second_looks")):
        found = pending.get(
            int(run_number), SecondLook(Attempt(int(run_number), flow_run_id, batch_id, ()), bool(is_over))
        )
        attempt = replace(found.attempt, regions=(*found.attempt.regions, region))
        pending[int(run_number)] = replace(found, attempt=attempt)
    return list(pending.values())


def find_second_looks(session: Session, asks_prefect: bool) -> list[SecondLook]:
    """Returns the looks to take: of runs that have ended in Prefect, and of runs whose lease has expired and that have
    no process here. A run that ended as Completed has taken its look and left only its tables."""
    pending = read_pending(session)
    ends = read_ends([look.attempt.flow_run_id for look in pending]) if asks_prefect and pending else {}
    known = [(look, ends.get(look.attempt.flow_run_id)) for look in pending]
    return [
        replace(look, was_taken=bool(end and end.is_completed))
        for look, end in known
        if (end and end.has_ended) or (look.is_over and not (end and end.has_process))
    ]


def take(session: Session, attempt: Attempt, bucket: S3Bucket) -> str:
    """Takes the second look; returns a sentence that the table shows the batch.

    Raises NeedsPersonError when it does not: the batch was rolled back then.
    """
    verification = look_at(session, attempt, read_extra_columns(attempt, bucket))
    roll_back_unless_verified(session, attempt, verification)
    rows = sum(comparison.found.rows for comparison in verification.comparisons)
    return (
        f"batch {attempt.batch_id} is published: its run {attempt.run_number} ended before the second look, which the "
        f"watchdog has taken now; the table shows all {rows:,} rows"
    )


def forget_staged(session: Session, attempt: Attempt) -> None:
    """Drops the staging tables, so that the look is not taken again."""
    with suppress(SalesEtlError):  # the next pass looks again
        drop_staging_tables(session, attempt.staging_tables)
