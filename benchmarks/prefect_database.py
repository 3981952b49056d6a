"""`python -m benchmarks.prefect_database`: the size of a Prefect server's database after a year of watchdog passes.

A worker runs one real pass on the stack; all its rows (run, states, logs, results, events and their resources) are
copied 288 times for each day of a year, with new ids and times, into a new database of the same Prefect. `--every 240`
copies it 6 times a day, which saves hours. At each day's end by the simulated clock the retention runs as in operation:
first what clean-staging removes through Prefect's API, then `deployments.clean_prefect_database`. Only the clock and
the copies are made up: the API is the server's own code, in this process, and the tables are Prefect's.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa
from prefect import get_client
from prefect.server.database.dependencies import provide_database_interface
from prefect.server.database.interface import PrefectDBInterface
from prefect.settings import (
    PREFECT_API_BLOCKS_REGISTER_ON_START,
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_DATABASE_MIGRATE_ON_START,
    PREFECT_API_DATABASE_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_EXPERIMENTAL_EVENTS,
    temporary_settings,
)

from benchmarks.work import Work, prepared
from deployments.clean_prefect_database import clean
from deployments.worker import checkout_variables
from local.environment import state_dir
from tasks.retention.old_runs import remove_runs

DAYS, DAYS_SHOWN = 365, 30
RETENTION_DAYS = 30
EVERY_MINUTES = 5
"""As often as the watchdog runs."""
PASS_S_MAX = 180
WORKER_END_S_MAX = 60
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table, as SQLAlchemy reads them."""


@dataclass(frozen=True)
class Template:
    """The rows of one pass, their flow, and the time at which the pass was due."""

    flow: dict[str, Any]
    rows: Rows
    due_at: datetime

    def at(self, due_at: datetime) -> Rows:
        """Returns the same pass at another time, with new ids."""
        ids: dict[Any, UUID] = {row["id"]: uuid4() for rows in self.rows.values() for row in rows}
        run = self.rows["flow_run"][0]["id"]
        # In seconds: the difference of Prefect's times counts months.
        shift, old, new = timedelta(seconds=due_at.timestamp() - self.due_at.timestamp()), str(run), str(ids[run])

        def moved(column: str, value: Any) -> Any:
            if isinstance(value, UUID):
                return ids.get(value, value)
            if isinstance(value, datetime):
                return value + shift
            return value.replace(old, new) if column == "resource_id" else value

        return {
            table: [{column: moved(column, value) for column, value in row.items()} for row in rows]
            for table, rows in self.rows.items()
        }


# One real pass


def run_one_pass(work: Work, copy: Path) -> str:
    """Deploys, lets a worker run one pass of the watchdog, and copies the server's database; returns the run's id."""
    environment = {**work.environment, "PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_EXPERIMENTAL_EVENTS": "true"}
    environment |= checkout_variables(environment)
    subprocess.run([sys.executable, "-m", "deployments.apply"], env=environment, check=True, stdout=subprocess.DEVNULL)
    with httpx.Client(base_url=work.environment["PREFECT_API_URL"], timeout=60) as api:
        deployment = api.get("/deployments/name/watchdog/production").json()
        run = api.post(f"/deployments/{deployment['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}).json()
        command = [str(Path(sys.executable).with_name("prefect")), "worker", "start", "--pool", "retail-sales"]
        with worker([*command, "--type", "process", "--work-queue", "ops"], environment):
            give_up = time.monotonic() + PASS_S_MAX
            while (state := api.get(f"/flow_runs/{run['id']}").json()["state_type"]) != "COMPLETED":
                if state in ("FAILED", "CRASHED") or time.monotonic() > give_up:
                    raise RuntimeError(f"the watchdog's pass is {state}")
                time.sleep(1)
        time.sleep(10)  # its last logs and events are written in the background
    with sqlite3.connect(state_dir() / "prefect" / "prefect.db") as server, sqlite3.connect(copy) as target:
        server.backup(target)
    return str(run["id"])


@contextmanager
def worker(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Runs a worker during the block."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(WORKER_END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def template_of(copy: Path, run_id: str) -> Template:
    """Returns the run's rows in a copy of the server's database."""
    with _database(f"sqlite+aiosqlite:///{copy}"):
        return asyncio.run(_read_template(run_id))


async def _read_template(run_id: str) -> Template:
    db, run = provide_database_interface(), UUID(run_id)
    wanted: dict[Any, Any] = {
        db.FlowRun: db.FlowRun.id == run,
        db.FlowRunState: db.FlowRunState.flow_run_id == run,
        db.TaskRun: db.TaskRun.flow_run_id == run,
        db.TaskRunState: db.TaskRunState.task_run_id.in_(sa.select(db.TaskRun.id).where(db.TaskRun.flow_run_id == run)),
        db.Artifact: db.Artifact.flow_run_id == run,
        db.Log: db.Log.flow_run_id == run,
    }
    rows: Rows = {}
    async with db.session_context() as session:

        async def read(model: Any, which: Any) -> list[dict[str, Any]]:
            found = await session.execute(sa.select(model.__table__).where(which))
            return [dict(row) for row in found.mappings()]

        for model, which in wanted.items():
            rows[model.__tablename__] = await read(model, which)
        events = await read(db.Event, sa.true())
        of_run = [event for event in events if run_id in event["resource_id"] + json.dumps(event["related"])]
        rows["events"] = of_run
        resources = db.EventResource.event_id.in_([event["id"] for event in of_run])
        rows["event_resources"] = await read(db.EventResource, resources)
        (pass_,) = rows["flow_run"]
        (flow,) = await read(db.Flow, db.Flow.id == pass_["flow_id"])
    pass_["work_queue_id"] = None  # the new database has none
    return Template(flow, {table: found for table, found in rows.items() if found}, pass_["expected_start_time"])


# A simulated year


async def simulate(template: Template, days: int, every: timedelta, with_retention: bool, shown: int) -> None:
    """Fills the database of Prefect's settings day by day, and prints its size each time that `shown` days are over."""
    db = provide_database_interface()
    await db.create_db()
    async with get_client() as client, db.session_context() as session:
        await session.execute(sa.insert(db.Flow.__table__), [template.flow])
        await session.commit()
        print(
            f"{'day':>4}{'runs':>10}{'states':>10}{'logs':>10}{'events':>10}{'resources':>12}{'all rows':>12}{'MB':>9}"
        )
        for day in range(1, days + 1):
            await _insert_day(db, template, BEGIN + timedelta(days=day - 1), every)
            if with_retention:
                now = BEGIN + timedelta(days=day)
                await remove_runs(client, RETENTION_DAYS, now, dry_run=False)
                await clean(db, now, dry_run=False, say=lambda _: None)
            if day % shown == 0 or day == days:
                await _show(db, day)


async def _insert_day(db: PrefectDBInterface, template: Template, midnight: datetime, every: timedelta) -> None:
    passes = [template.at(midnight + number * every) for number in range(timedelta(days=1) // every)]
    async with db.session_context(begin_transaction=True) as session:
        for name in template.rows:
            rows = [row for one in passes for row in one[name]]
            # A run refers to its state, and the state to the run.
            first = [row | {"state_id": None} for row in rows] if "state_id" in rows[0] else rows
            await session.execute(sa.insert(db.Base.metadata.tables[name]), first)
        for name in ("flow_run", "task_run"):
            if name in template.rows:
                table = db.Base.metadata.tables[name]
                pairs = [{"run": row["id"], "state": row["state_id"]} for one in passes for row in one[name]]
                last = sa.update(table).where(table.c.id == sa.bindparam("run")).values(state_id=sa.bindparam("state"))
                await (await session.connection()).execute(last, pairs)


async def _show(db: PrefectDBInterface, day: int) -> None:
    async with db.session_context() as session:
        counts = {}
        for name, table in db.Base.metadata.tables.items():
            counts[name] = await session.scalar(sa.select(sa.func.count()).select_from(table))
        if db.dialect.name == "postgresql":
            size = await session.scalar(sa.text("SELECT pg_database_size(current_database())"))
        else:
            pages = await session.scalar(sa.text("PRAGMA page_count"))
            size = pages * await session.scalar(sa.text("PRAGMA page_size"))
    shown = [counts[name] for name in ("flow_run", "flow_run_state", "log", "events", "event_resources")]
    cells = "".join(f"{count:>{width},}" for count, width in zip(shown, (10, 10, 10, 10, 12), strict=True))
    print(f"{day:>4}{cells}{sum(counts.values()):>12,}{size / 1e6:>9,.0f}", flush=True)


def main() -> int:
    """Prints a row for each month, or as often as `--show` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefect_database", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--every", type=int, default=EVERY_MINUTES, help="minutes between passes")
    parser.add_argument("--show", type=int, default=DAYS_SHOWN, help="days between two rows that are printed")
    parser.add_argument("--without-retention", action="store_true", help="keep all rows, for comparison")
    parser.add_argument("--url", help="an empty PostgreSQL database, as postgresql+asyncpg://...; else SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        copy, target = Path(directory) / "server.db", Path(directory) / "year.db"
        with prepared(rows=10, for_peers=False) as work:
            run_id = run_one_pass(work, copy)
        os.environ.pop("PREFECT_API_URL", None)
        # In another process: Prefect's code uses one database per process.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            template = pool.submit(template_of, copy, run_id).result()
        print("one pass: " + ", ".join(f"{len(rows)} {table}" for table, rows in template.rows.items()), flush=True)
        with _database(asked.url or f"sqlite+aiosqlite:///{target}"):
            every = timedelta(minutes=asked.every)
            asyncio.run(simulate(template, asked.days, every, not asked.without_retention, asked.show))
    return 0


@contextmanager
def _database(url: str) -> Iterator[None]:
    settings = {
        PREFECT_API_DATABASE_CONNECTION_URL: url,
        PREFECT_API_DATABASE_TIMEOUT: 600,
        PREFECT_API_DATABASE_MIGRATE_ON_START: False,
        PREFECT_API_BLOCKS_REGISTER_ON_START: False,
        PREFECT_EXPERIMENTAL_EVENTS: True,
    }
    with temporary_settings(updates=settings, restore_defaults={PREFECT_API_URL}):
        yield


if __name__ == "__main__":
    sys.exit(main())
