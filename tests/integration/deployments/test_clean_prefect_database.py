"""Prefect's own database: what no run shows any more goes, all else stays, mistakes are one line."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from deployments.clean_prefect_database import PAGE_ROWS, SETTING
from local.environment import HOST
from tests.integration.commands import Ended
from tests.integration.packages import require_contrib
from tests.integration.processes import run_python
from tests.integration.sources.clusters import SUPERUSER, Cluster, running_cluster

PROGRAM = "deployments.clean_prefect_database"
NAME = "prefect"
UPGRADE = "from prefect.cli import app; app(['server', 'database', 'upgrade', '-y'])"
OLD, YOUNG = 8, 6
"""Days, before and after what PREFECT_EVENTS_RETENTION_PERIOD is when nobody sets it."""


def with_database(url: str) -> dict[str, str]:
    """The environment of a Prefect server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {SETTING: url}


@dataclass(frozen=True)
class Database:
    """A database of a Prefect server: its URL as the server has it, and for the driver of a test."""

    url: str
    own: str

    def execute(self, statement: str, *rows: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Runs a statement once for each row of values, or once; returns the rows of the last."""
        is_postgres = self.own.startswith("postgresql")
        connect: Any = psycopg2.connect if is_postgres else sqlite3.connect
        with closing(connect(self.own)) as connection, connection:
            cursor = connection.cursor()
            for row in rows or ((),):
                cursor.execute(statement.replace("?", "%s") if is_postgres else statement, row)
            return list(cursor.fetchall()) if cursor.description else []

    def insert(self, table: str, columns: str, *rows: tuple[Any, ...]) -> None:
        """Inserts rows, each with an id of its own."""
        names = ["id", *columns.split()]
        places = ", ".join("?" * len(names))
        self.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", *((str(uuid4()), *row) for row in rows)
        )

    def clean(self, *arguments: str) -> Ended:
        return run_python("-m", PROGRAM, *arguments, environment=with_database(self.url))

    def count(self, table: str) -> int:
        ((count,),) = self.execute(f"SELECT COUNT(*) FROM {table}")
        return int(count)


@pytest.fixture(scope="module")
def cluster(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster_with_trigrams(directory: Path) -> Iterator[Cluster]:
    """Prefect's indexes on PostgreSQL need pg_trgm."""
    with running_cluster(directory, programs=require_contrib()) as cluster:
        cluster.execute(f"CREATE DATABASE {NAME}", database="postgres")
        yield cluster


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.more)])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """With the tables that a server's start makes."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("prefect") / "prefect.db"
        database = Database(f"sqlite+aiosqlite:///{file}", str(file))
    else:
        own = request.getfixturevalue("cluster_with_trigrams").url(SUPERUSER, NAME)
        database = Database(own.replace("postgresql://", "postgresql+asyncpg://"), own)
    made = run_python("-c", UPGRADE, environment=with_database(database.url))
    assert made.returncode == 0, made.stderr
    return database


def removed(ended: Ended) -> dict[str, int]:
    """Rows by table, as the program tells them."""
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = re.findall(r"^(\w+) +([\d,]+) (?:would be )?removed: ", ended.stdout, re.MULTILINE)
    return {table: int(count.replace(",", "")) for table, count in lines}


def test_what_no_run_shows_any_more_goes_and_all_else_stays(database: Database) -> None:
    flow, run, gone = (str(uuid4()) for _ in range(3))
    database.execute("INSERT INTO flow (id, name) VALUES (?, ?)", (flow, "of another project"))
    database.execute("INSERT INTO flow_run (id, flow_id, name) VALUES (?, ?, ?)", (run, flow, "is there"))
    now = datetime.now(UTC)
    old, young = (f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S.%f}" for days in (OLD, YOUNG))

    many = PAGE_ROWS + 500
    logs = [("test", 20, of, "a line", old) for of in (*[gone] * many, *[run] * 3, None)]
    database.insert("log", "name level flow_run_id message timestamp", *logs)
    artifacts = [(None, gone), ("of-a-table", gone), (None, run), ("of-a-page", None)]
    database.insert("artifact", "key flow_run_id", *artifacts)
    database.insert("task_run_state_cache", "cache_key task_run_state_id", ("key", str(uuid4())))
    database.insert(
        "flow_run_notification_queue", "flow_run_notification_policy_id flow_run_state_id", (str(uuid4()), str(uuid4()))
    )
    for moment in (old, young):
        event = ("prefect.flow-run.Completed", "prefect.flow-run.1", "{}", "{}", moment, moment, moment)
        database.insert("events", "event resource_id resource payload occurred received recorded", event)
        resource = ("prefect.flow-run.1", "", "{}", str(uuid4()), moment)
        database.insert("event_resources", "resource_id resource_role resource event_id occurred", *[resource] * 5)

    expected = {
        "log": many,
        "artifact": 1,
        "task_run_state_cache": 1,
        "flow_run_notification_queue": 1,
        "events": 1,
        "event_resources": 5,
    }
    before = {table: database.count(table) for table in expected}
    assert removed(database.clean("--dry-run")) == expected
    assert {table: database.count(table) for table in expected} == before
    assert removed(database.clean()) == expected
    assert {table: before[table] - database.count(table) for table in expected} == expected
    assert {(of and str(of)) for (of,) in database.execute("SELECT flow_run_id FROM log")} == {run, None}
    assert database.execute("SELECT COUNT(*) FROM artifact WHERE key IS NOT NULL") == [(2,)]
    assert database.count("flow_run") == 1
    assert removed(database.clean()) == dict.fromkeys(expected, 0)


def test_the_period_of_events_is_the_servers_own_setting(database: Database) -> None:
    moment = f"{datetime.now(UTC) - timedelta(days=YOUNG):%Y-%m-%d %H:%M:%S.%f}"
    resource = ("prefect.flow-run.2", "", "{}", str(uuid4()), moment)
    database.insert("event_resources", "resource_id resource_role resource event_id occurred", resource)
    shorter = with_database(database.url) | {"PREFECT_EVENTS_RETENTION_PERIOD": f"{5 * 24 * 3600}"}
    assert removed(run_python("-m", PROGRAM, environment=shorter))["event_resources"] >= 1
    assert database.execute("SELECT COUNT(*) FROM event_resources WHERE resource_id = 'prefect.flow-run.2'") == [(0,)]


def test_a_database_of_something_else_is_refused_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    other = cluster.url(SUPERUSER, "postgres").replace("postgresql://", "postgresql+asyncpg://")
    for url in (f"sqlite+aiosqlite:///{empty}", other):
        ended = run_python("-m", PROGRAM, environment=with_database(url))
        (line,) = ended.stderr.splitlines()
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"{url} holds no table log, so it is not that of a Prefect 2.20 server" in line


def test_a_database_that_does_not_answer_is_one_line_without_the_password(cluster: Cluster, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, however long it is")
    for url, shown in (
        (
            f"postgresql+asyncpg://prefect:hunter2@{HOST}:9/prefect",
            f"postgresql+asyncpg://prefect:***@{HOST}:9/prefect",
        ),
        (f"postgresql+asyncpg://nobody:hunter2@{HOST}:{cluster.port}/prefect", 'role "nobody" does not exist'),
        (f"sqlite+aiosqlite:///{broken}", "which is not a database"),
    ):
        ended = run_python("-m", PROGRAM, environment=with_database(url))
        (line,) = ended.stderr.splitlines()
        assert (ended.returncode, ended.stdout, "hunter2" in line) == (1, "", False)
        assert shown in line
