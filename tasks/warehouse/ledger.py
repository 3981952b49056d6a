"""The ledger `ANALYTICS.ETL_BATCHES`: what happened to each batch and region. Only ever inserted into."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from expectations.columns import CONTRACT_VERSION
from tasks.batch import Attempt, Batch, NamedKeys
from tasks.tally import Tally
from tasks.warehouse.lock import lock_held, require_known_version, version_checked_on_error, version_readable
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, union_all
from tasks.warehouse.states import LedgerState, Status


@dataclass(frozen=True)
class Entry:
    """One row of the ledger, without its time. `counts` maps EXTRACTED, REJECTED, ... to rows; `snapshot_at` is the
    time up to which the source showed everything (aware)."""

    region: str
    status: Status
    counts: Mapping[str, int] = field(default_factory=dict)
    money: Tally | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    cause: str | None = None
    lease_minutes: int | None = None
    snapshot_at: datetime | None = None


_COUNTS = ("EXTRACTED", "REJECTED", "DUPLICATES", "INSERTED", "UPDATED", "UNCHANGED", "SUPERSEDED")


def record(session: Session, attempt: Attempt, entries: Sequence[Entry]) -> None:
    """Inserts the entries in one statement. Entries that end a run need a transaction that holds the lock."""
    if entries:
        selected = union_all(render("ledger/entry", ordinal=_ordinal(entry.status)) for entry in entries)
        values = [value for entry in entries for value in _values(attempt, entry)]
        session.query(render("ledger/insert_entries", entries=selected), values)


def _ordinal(status: Status) -> str:
    return "NULL" if status is Status.STARTED else "(SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)"


def _values(attempt: Attempt, entry: Entry) -> list[Any]:
    return [
        attempt.batch_id,
        entry.region,
        attempt.run_number,
        attempt.flow_run_id,
        str(entry.status),
        entry.lease_minutes,
        entry.snapshot_at and entry.snapshot_at.isoformat(" "),
        *(entry.counts.get(name) for name in _COUNTS),
        json.dumps(entry.money.to_json()) if entry.money else None,
        json.dumps(dict(entry.seconds)) if entry.seconds else None,
        entry.cause,
        CONTRACT_VERSION,
    ]


def is_committed(session: Session, run_number: int) -> bool:
    """Whether the attempt's publish transaction has ended with COMMIT: then the ledger holds its entries.

    FAILED is no such entry: others write it for an attempt that they take for dead.
    """
    entries = session.query(
        "SELECT REGION, STATUS FROM ANALYTICS.ETL_BATCHES WHERE RUN_NUMBER = ? "
        "AND STATUS NOT IN ('STARTED', 'RENEWED', 'FAILED')",
        [run_number],
    )
    return bool(entries)


def next_run_number(session: Session) -> int:
    """Returns the next number of the one counter. Raises NeedsPersonError when the tables are of another version."""
    with version_readable():
        ((run_number, version),) = session.query(render("ledger/next_run_number"))
    require_known_version(version)
    return int(run_number)


def start_attempt(session: Session, batch: Batch | NamedKeys, flow_run_id: str, lease_minutes: int) -> Attempt:
    """Takes the next run number and records STARTED for every region. Raises NeedsPersonError when the tables are of
    another version."""
    attempt = Attempt(next_run_number(session), flow_run_id, batch.batch_id, batch.regions)
    record(session, attempt, [Entry(region, Status.STARTED, lease_minutes=lease_minutes) for region in batch.regions])
    return attempt


def record_failure(session: Session, flow_run_id: str, cause: str) -> list[str]:
    """Records FAILED for every region of the flow run's attempts that has no final status, and returns them.

    Under the publish lock, so that no COMMIT of the run lands after it.
    """
    if not (attempts := _open_attempts(session, flow_run_id)):
        return []
    with lock_held(session, attempts[0].run_number) as writing:
        attempts = _open_attempts(writing, flow_run_id)
        for attempt in attempts:
            record(writing, attempt, [Entry(region, Status.FAILED, cause=cause) for region in attempt.regions])
    return [region for attempt in attempts for region in attempt.regions]


def _open_attempts(session: Session, flow_run_id: str) -> list[Attempt]:
    """The flow run's attempts and regions without a final status, one region each."""
    rows = session.query(
        "SELECT RUN_NUMBER, BATCH_ID, REGION FROM ANALYTICS.ETL_BATCHES WHERE FLOW_RUN_ID = ? "
        "GROUP BY RUN_NUMBER, BATCH_ID, REGION "
        "HAVING COUNT_IF(STATUS NOT IN ('STARTED', 'RENEWED')) = 0 ORDER BY RUN_NUMBER, REGION",
        [flow_run_id],
    )
    return [Attempt(int(run_number), flow_run_id, batch_id, (region,)) for run_number, batch_id, region in rows]


def known_states(session: Session, first: date | None, last: date) -> list[LedgerState]:
    """The state of each date and region in the ledger up to `last`, from `first` or the beginning."""
    ends = [f"{first:%Y%m%d}" if first else "", f"{last:%Y%m%d}"]
    with version_checked_on_error(session):
        return [LedgerState.of_row(*row) for row in session.query(render("ledger/states_for_gaps"), ends)]
