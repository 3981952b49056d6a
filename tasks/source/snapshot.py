"""Reading a source: one transaction with known settings and limits, the table locked before the first SELECT.

LOCK TABLE comes first because a snapshot older than the lock misses the rows that TRUNCATE or ALTER rewrote in between
(https://www.postgresql.org/docs/current/mvcc-caveats.html). SET, SHOW and LOCK take no snapshot.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED, ISOLATION_LEVEL_REPEATABLE_READ
from sqlalchemy import Engine

from blocks.databases import CONNECT_S_MAX
from blocks.variables import Settings
from blocks.waits import logged_if_slow
from expectations.regions import Region
from tasks.errors import RegionUnfitError, TransientError, may_pass
from tasks.source.sqlstates import meaning_of
from tasks.source.standby import POSITION, Position, Shown, wait_until_shown
from tasks.source.table import (
    SourceTable,
    describe,
    hidden_by_row_security,
    missing,
    name_of,
    refuse_rewritten,
    sql_name_of,
)
from tasks.source.waits import limited_wait, waiting_cursor
from tasks.stopwatch import Say, say_nothing

SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "row_security": "off",
}
"""The settings that decide which rows are found and how cells are written, as SHOW returns them. They override those of
the role, the database and a pooler. `row_security = off` makes PostgreSQL refuse a query that a policy would filter."""

_UNITS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}

JOIN_S_MAX = 10
"""Seconds for a further connection to join a snapshot."""

SOURCE = "source"


@dataclass(frozen=True)
class Limits:
    """How long a run waits for a source, in seconds: for a statement, a lock, a standby that lags."""

    statement_s: int = 1800
    lock_s: int = 60
    standby_s: int = 0

    @property
    def settings(self) -> dict[str, str]:
        """The limits that PostgreSQL enforces, as SHOW returns them; 0 would mean no limit."""
        statement, lock = _with_unit(self.statement_s * 1000), _with_unit(self.lock_s * 1000)
        return {
            "statement_timeout": statement,
            "lock_timeout": lock,
            "idle_in_transaction_session_timeout": statement,
        }


def _with_unit(milliseconds: int) -> str:
    """A time as SHOW returns it: in the largest unit that divides it."""
    unit = next(unit for unit, length in _UNITS.items() if milliseconds % length == 0)
    return f"{milliseconds // _UNITS[unit]}{unit}"


def limits_of(settings: Settings) -> Limits:
    """The limits that the variables set."""
    return Limits(statement_s=settings.source_timeout_minutes * 60, standby_s=settings.replica_wait_minutes * 60)


DEFAULT_LIMITS = Limits()
"""The limits of a source that is no standby."""


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a source.

    `at` is the moment (aware, UTC) up to which it shows all commits: that of the snapshot on a primary, that of the
    last replay on a standby, before the end of what is needed where nobody knows. `behind` says why a standby, or a
    materialized view, may lack some of what is needed. `step` begins its log lines.
    `join` opens a cursor of one more connection that shows it, given the text by which it was exported and a number.
    """

    cursor: Any
    at: datetime
    table: SourceTable
    behind: str | None
    step: str
    join: Callable[[str, int], AbstractContextManager[Any]]


@contextmanager
def connected(engine: Engine, say: Say = say_nothing, step: str = SOURCE) -> Iterator[Any]:
    """A psycopg2 connection with UTF-8. Raises RegionUnfitError for a database whose encoding is SQL_ASCII."""
    with logged_if_slow(say, step, "a connection to its database", CONNECT_S_MAX):
        connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        driver.rollback()
        driver.set_client_encoding("UTF8")
        refuse_unknown_encoding(driver.get_parameter_status("server_encoding"))
        yield driver
    finally:
        connection.invalidate()


def refuse_unknown_encoding(server_encoding: str) -> None:
    """Raises RegionUnfitError for a database that does not declare the encoding of its text."""
    if server_encoding == "SQL_ASCII":
        raise RegionUnfitError(
            "its database has the encoding SQL_ASCII, which does not say what letters its bytes are: "
            "restore it into one that was created with ENCODING 'UTF8'"
        )


@contextmanager
def reading(
    driver: Any,
    limits: Limits,
    isolation_level: int = ISOLATION_LEVEL_REPEATABLE_READ,
    say: Say = say_nothing,
    step: str = SOURCE,
) -> Iterator[Any]:
    """A cursor in a read-only transaction with SETTINGS and limits, before its snapshot is taken.

    SET LOCAL, because a pooler may run every transaction in another session. Raises RegionUnfitError when the limits
    are not in force.
    """
    driver.set_session(isolation_level=isolation_level, readonly=True, deferrable=False)
    wanted = {**SETTINGS, **limits.settings}
    with waiting_cursor(driver, say, step, limits.statement_s) as cursor:
        cursor.execute("; ".join(f"SET LOCAL {name} = '{value}'" for name, value in wanted.items()))
        for name, value in limits.settings.items():
            cursor.execute(f"SHOW {name}")
            _refuse_other(name, value, *cursor.fetchone())
        yield cursor
    driver.rollback()


def _refuse_other(name: str, wanted: str, shown: str) -> None:
    if shown != wanted:
        raise RegionUnfitError(
            f"its connection keeps {name} at {shown} though it was set to {wanted}: let the block's URL name the "
            "database itself, or a pooler in transaction mode"
        )


@contextmanager
def open_snapshot(
    engine: Engine,
    region: Region,
    limits: Limits = DEFAULT_LIMITS,
    needed: datetime | None = None,
    say: Say = say_nothing,
) -> Iterator[Snapshot]:
    """One snapshot of a region's table. A standby is waited for, at most `limits.standby_s`, until it shows what was
    committed before `needed` (aware). Long waits are logged by `say`.

    Raises RegionUnfitError for a table that is missing, has a kind without snapshots, or hides rows by row security;
    TransientError when the table was rewritten meanwhile, or another server answers.
    """
    step = f"{SOURCE} region={region.code}"
    with source_errors_mapped(name_of(region)), connected(engine, say, step) as driver:
        with logged_if_slow(say, step, "a standby that shows the whole day", limits.standby_s):
            shown = wait_until_shown(lambda: read_position(driver, limits), needed, limits.standby_s)
        if shown.is_standby and shown.until is None:
            raise RegionUnfitError(
                "its database is a standby that does not say what it has replayed: wait until it has"
            )
        with reading(driver, limits, say=say, step=step) as cursor:
            _lock(cursor, region)
            at = _first_select(cursor, shown)
            table = describe(cursor, region)
            until, behind = shown.until or at, shown.behind
            if needed and until >= needed and (behind := table.why_behind(region)):
                until = needed - datetime.resolution
            try:
                join = partial(_join, engine, region, shown, limits, say)
                yield Snapshot(cursor, until, table, behind, f"step={step}", join)
                refuse_rewritten(cursor, table)
            except psycopg2.errors.InsufficientPrivilege:
                if hidden := hidden_by_row_security(table):
                    raise hidden from None
                raise


@contextmanager
def _join(
    engine: Engine, region: Region, shown: Shown, limits: Limits, say: Say, exported: str, number: int
) -> Iterator[Any]:
    """A cursor of one more connection that shows an exported snapshot of the server.

    Does not wait long: a pooler may have no connection left, and a change of the table that waits for the lock of the
    first connection keeps others from theirs.
    """
    step = f"{SOURCE} region={region.code} slice={number}"
    with connected(engine, say, step) as driver, ExitStack() as stack:
        with limited_wait(driver, say, step, "SET TRANSACTION SNAPSHOT", JOIN_S_MAX):
            cursor = stack.enter_context(reading(driver, limits, say=say, step=step))
            cursor.execute("SET TRANSACTION SNAPSHOT %s", (exported,))
            _lock(cursor, region, "NOWAIT")
            _first_select(cursor, shown)
        yield cursor


@contextmanager
def source_errors_mapped(table: str) -> Iterator[None]:
    """Maps errors that will not pass to RegionUnfitError, which quotes no cell and says what to do."""
    try:
        yield
    except psycopg2.Error as error:
        if error.pgcode is None or may_pass(error):
            raise
        meaning = meaning_of(error.pgcode)
        # A function chooses its own messages, which may quote a cell.
        is_quoted = meaning.may_be_quoted and not error.diag.context and error.diag.message_primary
        message = f": {error.diag.message_primary}" if is_quoted else ""
        raise RegionUnfitError(
            f"reading {table} failed with {type(error).__name__} (SQLSTATE {error.pgcode}{message}): {meaning.words}"
        ) from None


def read_position(driver: Any, limits: Limits) -> Position:
    """Returns how far the server of a connection is."""
    with reading(driver, limits, ISOLATION_LEVEL_READ_COMMITTED) as cursor:
        cursor.execute(POSITION)
        return Position(*cursor.fetchone())


def _lock(cursor: Any, region: Region, how: str = "") -> None:
    """Locks the table where possible: rights on single columns do not suffice, and materialized views take no lock."""
    cursor.execute("SAVEPOINT before_lock")
    try:
        cursor.execute(f"LOCK TABLE {sql_name_of(region)} IN ACCESS SHARE MODE {how}")
    except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.WrongObjectType):
        # `refuse_rewritten` detects what the lock would have prevented.
        cursor.execute("ROLLBACK TO SAVEPOINT before_lock")
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
        raise missing(name_of(region)) from None
    # No snapshot can be exported within a savepoint.
    cursor.execute("RELEASE SAVEPOINT before_lock")


def _first_select(cursor: Any, shown: Shown) -> datetime:
    """Takes the snapshot and returns its time. Raises TransientError when another server answers than the one whose
    position was read, RegionUnfitError when a setting is not in force."""
    names = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
    cursor.execute(f"SELECT now(), pg_postmaster_start_time(), pg_is_in_recovery(), {names}")
    now, started_at, is_standby, *values = cursor.fetchone()
    if (started_at, is_standby) != (shown.started_at, shown.is_standby):
        raise TransientError("another server answers than a moment ago: it is read again")
    for (name, wanted), value in zip(SETTINGS.items(), values, strict=True):
        _refuse_other(name, wanted, value)
    at: datetime = now
    return at
