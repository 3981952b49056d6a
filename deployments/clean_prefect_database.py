"""Removes from a Prefect server's database what no API removes: `python -m deployments.clean_prefect_database`.

Run beside the server, as often as clean-staging: PREFECT_API_DATABASE_CONNECTION_URL of its environment names the
database, as it does for the server (PostgreSQL or SQLite). It keeps all that an existing run shows, and removes:

- logs, results and the like of deleted runs, of other projects, too;
- events older than PREFECT_EVENTS_RETENTION_PERIOD (7 days), and their `event_resources`, which the server never trims.

It removes page by page, each in its own transaction, so that the server does not wait. It may be killed and run again
at any time, beside the server and beside itself.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from asyncpg import PostgresError
from prefect.server.database.dependencies import provide_database_interface
from prefect.server.database.interface import PrefectDBInterface
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_TIMEOUT,
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_DATABASE_TIMEOUT,
    PREFECT_EVENTS_RETENTION_PERIOD,
    temporary_settings,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tasks.stopwatch import Say

SETTING = "PREFECT_API_DATABASE_CONNECTION_URL"
DRIVERS = ("postgresql+asyncpg", "sqlite+aiosqlite")
"""The drivers that Prefect supports."""
BEGINNINGS = " or ".join(f"{driver}://" for driver in DRIVERS)

SQLITE_HEAD = b"SQLite format 3\0"
PAGE_ROWS = 2_000
"""Rows that one transaction reads and at most removes."""

PAUSE_S = 0.02
"""After each transaction that removed rows, so that others get at a SQLite database."""

ANSWER_S_MAX = 60
"""For a connection, and for a statement; on SQLite, for the lock of the database."""


class PrefectDatabaseError(Exception):
    """Raised when the database is not named, does not answer, or is not Prefect's; says what to do."""


@dataclass(frozen=True)
class Sweep:
    """Rows of a table to remove, and why."""

    table: sa.Table
    why: str
    is_surplus: Any
    """The condition, as SQLAlchemy writes it."""


def sweeps(db: PrefectDBInterface, events_before: datetime) -> tuple[Sweep, ...]:
    """Returns what to remove: nothing of an existing run, and no event that the server's own setting keeps."""
    of_no_run, of_no_state = "their runs were deleted", "their states were deleted"
    old = f"older than {events_before:%Y-%m-%d %H:%M} UTC"
    log, artifact = db.Log, db.Artifact
    cache, queue = db.TaskRunStateCache, db.FlowRunNotificationQueue
    return (
        Sweep(log.__table__, of_no_run, _is_orphan(log.flow_run_id, db.FlowRun)),
        # An artifact with a key has its own page in the dashboard.
        Sweep(
            artifact.__table__,
            of_no_run,
            sa.and_(artifact.key.is_(None), _is_orphan(artifact.flow_run_id, db.FlowRun)),
        ),
        Sweep(cache.__table__, of_no_state, _is_orphan(cache.task_run_state_id, db.TaskRunState)),
        Sweep(queue.__table__, of_no_state, _is_orphan(queue.flow_run_state_id, db.FlowRunState)),
        Sweep(db.Event.__table__, old, db.Event.occurred < events_before),
        Sweep(db.EventResource.__table__, old, db.EventResource.occurred < events_before),
    )


def _is_orphan(reference: Any, referred: Any) -> Any:
    return sa.and_(reference.is_not(None), ~sa.exists().where(referred.id == reference))


async def clean(db: PrefectDBInterface, now: datetime, dry_run: bool, say: Say) -> dict[str, int]:
    """Removes or counts rows, prints a line for each table, and returns the rows by table.

    Args:
        db: Prefect's own interface to its database.
        now: What the age of events is counted from, aware.
        dry_run: Count, remove nothing.
        say: Takes the lines.

    Raises PrefectDatabaseError when the database is not Prefect's, else what SQLAlchemy raises.
    """
    found = sweeps(db, now - PREFECT_EVENTS_RETENTION_PERIOD.value())
    await _refuse_another_database(db, [sweep.table.name for sweep in found])
    counts = {}
    for sweep in found:
        counts[sweep.table.name] = count = await _sweep(db, sweep, dry_run)
        say(f"{sweep.table.name:<28}{count:>12,} {'would be removed' if dry_run else 'removed'}: {sweep.why}")
    return counts


async def _refuse_another_database(db: PrefectDBInterface, tables: Sequence[str]) -> None:
    async with db.session_context() as session:
        there = await session.run_sync(lambda sync: sa.inspect(sync.connection()).get_table_names())
    if missing := [table for table in tables if table not in there]:
        raise PrefectDatabaseError(
            f"holds no table {missing[0]}, so it is not that of a Prefect 2.20 server: correct {SETTING}, or start the "
            "server once, which makes its tables"
        )


async def _sweep(db: PrefectDBInterface, sweep: Sweep, dry_run: bool) -> int:
    """Pages through the table by its key, so that each row is read once, however many stay."""
    count, key, after = 0, sweep.table.c.id, None
    while True:
        rest = sa.true() if after is None else key > after
        async with db.session_context(begin_transaction=not dry_run) as session:
            end = await session.scalar(sa.select(key).where(rest).order_by(key).offset(PAGE_ROWS - 1).limit(1))
            page = sa.and_(rest, sa.true() if end is None else key <= end, sweep.is_surplus)
            if dry_run:
                found = await session.scalar(sa.select(sa.func.count()).select_from(sweep.table).where(page))
            else:
                found = (await session.execute(sa.delete(sweep.table).where(page))).rowcount
        count += found
        if end is None:
            return count
        after = end
        if found and not dry_run:
            await asyncio.sleep(PAUSE_S)


@contextmanager
def database_of(environment: Mapping[str, str]) -> Iterator[URL]:
    """Prefect's settings for the database that the environment names, read as the server reads it.

    Raises PrefectDatabaseError.
    """
    if not environment.get(SETTING):
        raise PrefectDatabaseError(
            f"{SETTING} is not set: set it to what the Prefect server has, and run this beside it"
        )
    settings = {
        PREFECT_API_DATABASE_CONNECTION_URL: environment[SETTING],
        PREFECT_API_DATABASE_TIMEOUT: ANSWER_S_MAX,
        PREFECT_API_DATABASE_CONNECTION_TIMEOUT: ANSWER_S_MAX,
    }
    with temporary_settings(updates=settings):
        yield _checked(PREFECT_API_DATABASE_CONNECTION_URL.value())


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise PrefectDatabaseError(f"{SETTING} is no database URL: it begins with {BEGINNINGS}") from None
    if url.drivername not in DRIVERS:
        raise PrefectDatabaseError(f"{SETTING} begins with {url.drivername}://: it has to be {BEGINNINGS}")
    # SQLite would make an empty one.
    if url.drivername == DRIVERS[1] and not (url.database and Path(url.database).is_file()):
        raise PrefectDatabaseError(f"{SETTING} names the file {url.database or 'in memory'}, which is not there")
    # If only the connection found it out, the driver would keep a thread that does not end.
    if url.drivername == DRIVERS[1] and _head_of(Path(str(url.database))) not in (b"", SQLITE_HEAD):
        raise PrefectDatabaseError(f"{SETTING} names the file {url.database}, which is not a database")
    return url


def _head_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(len(SQLITE_HEAD))


async def clean_named(url: URL, dry_run: bool, say: Say) -> None:
    """Cleans the database of Prefect's settings, whose URL this is. Raises PrefectDatabaseError for any failure."""
    shown = url.render_as_string()
    try:
        await clean(provide_database_interface(), datetime.now(UTC), dry_run, say)
    except PrefectDatabaseError as error:
        raise PrefectDatabaseError(f"{shown} {error}") from None
    except (SQLAlchemyError, PostgresError, OSError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        text = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise PrefectDatabaseError(
            f"{shown} does not answer as it should ({text}): is it up? Then run this again"
        ) from None


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Prints what was removed, a line for each table; an error is one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.clean_prefect_database",
        description="Removes logs and results of deleted runs, and old events, from a Prefect server's database.",
        allow_abbrev=False,
    )
    parser.add_argument("--dry-run", action="store_true", help="count, remove nothing")
    dry_run = parser.parse_args(arguments).dry_run
    try:
        with database_of(environment) as url:
            asyncio.run(clean_named(url, dry_run, lambda line: print(line, flush=True)))
    except PrefectDatabaseError as error:
        print(f"clean-prefect-database: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
