"""Real PostgreSQL servers for single tests: clusters, standbys, and PgBouncer in front of one.

Each has its own directory below that of the session, and is recorded there, so that the keeper ends it too.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from expectations.columns import SOURCE_COLUMNS
from local import postgres
from local.environment import HOST
from local.postgres import DATABASE, OWNER, READER
from local.sample_data import create_table
from tests.integration.conftest import STOP_S_MAX, free_port, good_sale, wait_for

SUPERUSER = "postgres"
TABLE = "sales_transactions"
REGION = "EUROPE"
PROGRAMS = Path(postgres.program("postgres")).parent
"""Of the PostgreSQL that the local stack runs; other versions have their own directories."""

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "20",
    "shared_buffers": "16MB",
    "fsync": "off",
    "log_line_prefix": "%m [%p] %u %a ",
}
STANDBY_SETTINGS = {
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "2s",
    "max_standby_streaming_delay": "-1",
}
"""A standby soon notices the loss of its primary, and never cancels a read."""

NOWHERE = f"host={HOST} port=1"
"""Where no primary listens."""


class Server:
    """A program on a free port of 127.0.0.1; when root runs the tests, it runs as another account."""

    stop_signal = signal.SIGTERM

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command line."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes connections."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Returns when it takes connections; fails with the end of its log when it ends instead."""
        with (self.home / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                self.command(), user=postgres.system_user(), cwd="/", stdout=log, stderr=log
            )
        record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        (self.home / "run" / "server.pid").write_text(json.dumps(record))
        wait_for(lambda: self.answers() or process.poll() is not None, f"{self.command()[0]} answers")
        assert process.poll() is None, self.log[-2000:]

    def stop(self) -> None:
        """Ends it, its clients' connections too; one that does not end is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def restart(self) -> None:
        self.stop()
        self.start()


class Cluster(Server):
    """A separate PostgreSQL with the database `sales`, its empty table, and the roles of owner and reader."""

    stop_signal = signal.SIGINT  # ends the sessions of clients, and writes everything out

    def __init__(self, home: Path, programs: Path, settings: Mapping[str, str]) -> None:
        super().__init__(home)
        self.programs, self.settings = programs, SETTINGS | dict(settings)
        self.data = home / "data"
        self.started_by: tuple[str, ...] = ()

    def command(self) -> list[str]:
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        postgres_ = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]
        return [*self.started_by, *postgres_]

    def set_clock_back(self, faketime: Path, back: timedelta) -> None:
        """Restarts it with a clock that is behind."""
        self.started_by = ("env", f"LD_PRELOAD={faketime}", f"FAKETIME=-{back.total_seconds():.0f}s")
        self.restart()

    def set_clock_right(self) -> None:
        """Restarts it with the machine's own clock."""
        self.started_by = ()
        self.restart()

    def answers(self) -> bool:
        try:
            self.connect(SUPERUSER, "postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, user: str = READER, database: str = DATABASE) -> str:
        """The URL for psycopg2 and SQLAlchemy, without a password."""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}"

    def connect(self, user: str, database: str = DATABASE) -> Any:
        """A psycopg2 connection for a test, independent of its role's settings."""
        return psycopg2.connect(self.url(user, database), application_name="test", client_encoding="UTF8")

    def execute(self, statement: str, values: tuple[Any, ...] = (), database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Runs statements as the superuser, each committed; returns the rows of the last."""
        with closing(self.connect(SUPERUSER, database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall()) if cursor.description else []

    def insert(self, *sales: Mapping[str, Any], table: str = TABLE) -> None:
        """Inserts good sales that differ from a plain one in the given columns."""
        with closing(self.connect(OWNER)) as connection, connection, connection.cursor() as cursor:
            for sale in sales:
                row = good_sale(REGION) | dict(sale)
                columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
                cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))

    def empty(self) -> None:
        """Creates database and roles again, without the settings and objects that a test has left."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (DATABASE,), "postgres"
        )
        for statement in (
            f"DROP DATABASE IF EXISTS {DATABASE}",
            f"DROP ROLE IF EXISTS {READER}",
            f"DROP ROLE IF EXISTS {OWNER}",
            f"CREATE ROLE {OWNER} LOGIN",
            f"CREATE ROLE {READER} LOGIN",
            f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
        ):
            self.execute(statement, database="postgres")
        # From PostgreSQL 15 on, only its owner may create tables in it.
        self.execute(f"ALTER SCHEMA public OWNER TO {OWNER}")
        create_table(self.url(OWNER))


def grant_columns(cluster: Cluster) -> None:
    """Takes the reader's right to the whole table, and grants it the contract's columns one by one."""
    columns = ", ".join(column.name for column in SOURCE_COLUMNS)
    cluster.execute(f"REVOKE SELECT ON {TABLE} FROM {READER}; GRANT SELECT ({columns}) ON {TABLE} TO {READER}")


class Standby(Cluster):
    """A hot standby that streams from its primary."""

    def __init__(self, home: Path, primary: Cluster, settings: Mapping[str, str]) -> None:
        super().__init__(home, primary.programs, STANDBY_SETTINGS | dict(settings))
        self.primary, self._connected = primary, ""

    def pause(self) -> None:
        """Keeps receiving, and stops applying."""
        self.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Applies what was received meanwhile."""
        self.execute("SELECT pg_wal_replay_resume()")

    def lag(self, delay: str = "1h") -> None:
        """Applies each commit `delay` after it happened; at once with "0"."""
        self._set("recovery_min_apply_delay", delay)

    def cut_off(self) -> None:
        """Looks for its primary where none listens, and keeps answering; the primary keeps running."""
        ((self._connected,),) = self.execute("SHOW primary_conninfo")
        self._set("primary_conninfo", NOWHERE)
        wait_for(lambda: not self.receives(), "the standby has no WAL receiver")

    def join(self) -> None:
        """Streams from its primary again."""
        self._set("primary_conninfo", self._connected)
        wait_for(self.receives, "the standby has a WAL receiver")

    def receives(self) -> bool:
        """Whether it is connected to its primary."""
        return bool(self.execute("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"))

    def catch_up(self) -> None:
        """Waits until all that the primary has written is applied."""
        ((written,),) = self.primary.execute("SELECT pg_current_wal_flush_lsn()")
        applied = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
        wait_for(lambda: self.execute(applied, (written,))[0][0], "the standby has caught up")

    def _set(self, name: str, value: str) -> None:
        """From version 13 on, a standby takes these settings without a restart."""
        self.execute(f"ALTER SYSTEM SET {name} = %s", (value,))
        self.execute("SELECT pg_reload_conf()")
        # A new session shows the settings that have reached all processes of the server.
        wait_for(lambda: self.execute(f"SHOW {name}") == [(value,)], f"{name} is {value}")


class PgBouncer(Server):
    """A pooler in transaction mode with one connection to the cluster, which its clients share."""

    stop_signal = signal.SIGINT
    program = "pgbouncer"

    def __init__(self, home: Path, cluster: Cluster, settings: Mapping[str, str]) -> None:
        super().__init__(home)
        lines = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": home / "users",
            "pool_mode": "transaction",
            "default_pool_size": 1,
            **settings,
        }
        (home / "users").write_text("".join(f'"{user}" ""\n' for user in (SUPERUSER, OWNER, READER)))
        (home / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={HOST} port={cluster.port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )

    def command(self) -> list[str]:
        return [self.program, "-q", str(self.home / "pgbouncer.ini")]

    def answers(self) -> bool:
        try:
            psycopg2.connect(self.url()).close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, user: str = READER, database: str = DATABASE) -> str:
        """The URL for psycopg2 and SQLAlchemy."""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}"


@contextmanager
def running_cluster(
    directory: Path, programs: Path = PROGRAMS, encoding: str = "UTF8", locale: str = "C", **settings: str
) -> Iterator[Cluster]:
    """A new cluster below `directory`, started with `settings`."""
    postgres.prepare_account()
    cluster = Cluster(_new_home(directory), programs, settings)
    _run(
        programs / "initdb",
        "-D",
        str(cluster.data),
        "-U",
        SUPERUSER,
        "--auth=trust",
        f"--encoding={encoding}",
        f"--locale={locale}",
        "--no-sync",
    )
    with _running(cluster):
        cluster.empty()
        yield cluster


@contextmanager
def running_standby(directory: Path, primary: Cluster, **settings: str) -> Iterator[Standby]:
    """A standby with all data of its primary, started with `settings`."""
    standby = Standby(_new_home(directory), primary, settings)
    copying = ("--wal-method=stream", "--checkpoint=fast", "--no-sync")
    # The newest one copies clusters of all versions; not every package of an older version has one.
    _run(PROGRAMS / "pg_basebackup", "-D", str(standby.data), "-d", primary.url(SUPERUSER, "postgres"), *copying)
    # Written here, because the newest program writes options that older versions reject.
    connection = f"host={HOST} port={primary.port} user={SUPERUSER}"
    _write(standby.data / "postgresql.auto.conf", f"primary_conninfo = '{connection}'\n")
    _write(standby.data / "standby.signal", "")
    with _running(standby):
        wait_for(standby.receives, "the standby has a WAL receiver")
        yield standby


@contextmanager
def running_pgbouncer(directory: Path, cluster: Cluster, **settings: str) -> Iterator[PgBouncer]:
    """A PgBouncer in front of `cluster`, with `settings` of its section [pgbouncer]."""
    bouncer = PgBouncer(_new_home(directory), cluster, settings)
    with _running(bouncer):
        yield bouncer


@contextmanager
def _running(server: Server) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()
        shutil.rmtree(server.home)


def _new_home(directory: Path) -> Path:
    """A directory that the servers' account owns; records below `run` are found by the keeper."""
    home = Path(tempfile.mkdtemp(dir=directory))
    (home / "run").mkdir()
    home.chmod(0o755)
    if user := postgres.system_user():
        shutil.chown(home, user)
    return home


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    if user := postgres.system_user():
        shutil.chown(file, user)


def _run(program: Path, *arguments: str) -> None:
    ran = subprocess.run(
        [program, *arguments],
        user=postgres.system_user(),
        cwd="/",
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=postgres.INIT_S_MAX,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
