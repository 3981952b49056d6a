"""The publish lock: one transaction at a time writes rows, and it sees all that others have committed before.

A Snowflake session sees what was committed before it was opened; later commits may reach it late
(https://docs.snowflake.com/en/sql-reference/transactions, READ_CONSISTENCY_MODE). So a run waits for the lock in one
session, leaves a token there and commits; a second session, opened then, takes the lock if the token is still there.
The lock belongs to the transaction that writes, and is lost with it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from blocks import names
from blocks.waits import logged_if_slow
from expectations.tables import TABLES_VERSION
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.stopwatch import Say, Stopwatch
from tasks.warehouse.session import LOCK_TIMEOUT_S, Session
from tasks.warehouse.statements import render

FRESH_S = 10
"""How long others leave a token alone; opening a session takes a second or two."""
POLL_S = 0.5
"""Seconds between two looks at another run's token."""
TRIES_MAX = 20
"""How many tokens a run writes, each after the last was overwritten by another run that had waited too long."""
SET_UP = f"run `{names.HERE}python -m flows.setup_warehouse`"
WAITED_FOR = "the publish lock: another run holds it, and one whose client was killed loses it after 5 to 10 minutes,"
OF_KNOWN_TABLES = f" AND TABLES_VERSION = {TABLES_VERSION:d}"
"""The condition under which sql/lock/take.sql gives the lock."""


@contextmanager
def lock_held(
    session: Session, run_number: int, say: Say | None = None, of_tables: str = OF_KNOWN_TABLES
) -> Iterator[Session]:
    """A new session in a transaction that holds the lock and is committed at the end; `session`, in no transaction,
    waits for it. `say`, or else that of the session, gets a line about a long wait. Set-up, which brings the tables to
    this version, accepts any version by `of_tables`.

    Raises TransientError when the lock cannot be taken, or when the transaction was ended from outside, and
    NeedsPersonError when the tables are of another version: nothing is committed then. Raises OutcomeUnknownError when
    COMMIT gave no answer.
    """
    for _ in range(TRIES_MAX):
        token, writing = _leave_token(session, say or session.say), None
        try:
            with session.again() as writing, writing.transaction():
                if _take(writing, run_number, token, of_tables):
                    begun = writing.transaction_id()
                    yield writing
                    _refuse_other(begun, writing.transaction_id())
                    return
                if of_tables:
                    require_known_tables(writing)
        except OutcomeUnknownError:
            raise
        except BaseException:
            # A lost session may still hold the lock, which this would wait for. Others wait until the token is stale.
            if writing is None or not writing.is_lost:
                with suppress(SalesEtlError):
                    session.query(render("lock/clear_token"), [token])
            raise
    raise TransientError(f"the publish lock went to others {TRIES_MAX} times: run it again")


def _leave_token(session: Session, say: Say) -> str:
    """Waits while the lock is held or another run is about to take it, then writes a token."""
    token, watch = uuid4().hex, Stopwatch()
    statement = render("lock/write_token", fresh_seconds=f"{FRESH_S:d}")
    with logged_if_slow(say, "lock", WAITED_FOR, LOCK_TIMEOUT_S):
        while not _rows_changed(session, statement, [token]):
            if watch.seconds() > LOCK_TIMEOUT_S:
                raise TransientError("the publish lock was always about to be taken by another run: run it again")
            time.sleep(POLL_S)
    return token


def _take(session: Session, run_number: int, token: str, of_tables: str) -> bool:
    return _rows_changed(session, render("lock/take", of_known_tables=of_tables), [run_number, token])


def require_known_tables(session: Session) -> None:
    """Raises NeedsPersonError when the tables of the warehouse are of another version than this code."""
    with version_readable():
        ((version,),) = session.query(render("lock/tables_version"))
    require_known_version(version)


@contextmanager
def version_readable() -> Iterator[None]:
    """Names the next step when the tables' version cannot be read: before version 2 they have none."""
    try:
        yield
    except NeedsPersonError as error:
        raise NeedsPersonError(f"the version of the warehouse's tables cannot be read: {SET_UP}; {error}") from error


@contextmanager
def version_checked_on_error(session: Session) -> Iterator[None]:
    """Raises the error of `require_known_tables` instead when the body fails on tables of another version."""
    try:
        yield
    except NeedsPersonError:
        require_known_tables(session)
        raise


def require_known_version(version: int) -> None:
    """Raises NeedsPersonError for tables of another version than this code."""
    if int(version) < TABLES_VERSION:
        raise NeedsPersonError(
            f"the warehouse's tables are of version {version}, this code writes version {TABLES_VERSION}: {SET_UP}"
        )
    if int(version) > TABLES_VERSION:
        raise NeedsPersonError(
            f"the warehouse's tables are of version {version}, this code writes version {TABLES_VERSION}: bring this "
            "machine's project up to date"
        )


def _rows_changed(session: Session, statement: str, values: list[object]) -> bool:
    ((rows, *_),) = session.query(statement, values)
    return int(rows) > 0


def _refuse_other(begun: str, ended: str) -> None:
    """Raises TransientError when a transaction was aborted: later statements ran in another one, without the lock."""
    if begun != ended:
        raise TransientError(
            f"transaction {begun} was ended from outside, and {ended} does not hold the lock: run it again"
        )
