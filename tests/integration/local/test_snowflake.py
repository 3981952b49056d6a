"""The Snowflake stand-in is as strict as Snowflake, seen through the real connector; what it is not, docs/ lists."""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, Error

from local.environment import CHECKOUT, HOST, STAGING_BUCKET
from tests.integration.conftest import free_port, stop, wait_for

START_S_MAX = 300
WAIT_S_MAX = 120
IDLE_SESSION_S = 10
TRANSACTION_IS_LOST = (90232, "25000")
TRANSACTION_WAS_ABORTED = (615, "57014")


@dataclass(frozen=True)
class StandIn:
    """A stand-in of this file's own, with the S3 that it reads from."""

    port: int
    s3_url: str

    def connect(self, **settings: Any) -> SnowflakeConnection:
        where = {"host": HOST, "port": self.port, "protocol": "http", "database": "RETAIL", "schema": "ANALYTICS"}
        login = {"account": "local", "user": "etl", "password": "any", "login_timeout": 10, "network_timeout": 20}
        return snowflake.connector.connect(**(where | login | {"paramstyle": "qmark"} | settings))

    def put(self, key: str, content: str | bytes) -> str:
        """Puts a file on S3; returns its URL."""
        s3 = boto3.client(
            "s3",
            endpoint_url=self.s3_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        body = content.encode() if isinstance(content, str) else content
        s3.put_object(Bucket=STAGING_BUCKET, Key=key, Body=body)
        return f"s3://{STAGING_BUCKET}/{key}"


class Connect(Protocol):
    def __call__(self, **settings: Any) -> SnowflakeConnection: ...


@contextmanager
def serving(module: str, port: int, directory: Path, **environment: str) -> Iterator[None]:
    """`python -m local.<module>` until the end of the block."""
    with (directory / f"{module}-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"local.{module}"],
            cwd=CHECKOUT,
            env=os.environ
            | {"RETAIL_SALES_LOCAL_DIR": str(directory), f"{module.upper()}_PORT": str(port)}
            | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_answer(process, port, Path(log.name))
        yield
    finally:
        stop(process)


def wait_for_answer(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up = time.monotonic() + START_S_MAX
    while process.poll() is None and time.monotonic() < give_up:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError(log.read_text())


@contextmanager
def serving_stand_in(s3_port: int, **environment: str) -> Iterator[StandIn]:
    port, s3_url = free_port(), f"http://{HOST}:{s3_port}"
    environment |= {"S3_ENDPOINT_URL": s3_url, "SNOWFLAKE_DATABASE": "RETAIL", "SNOWFLAKE_SCHEMA": "ANALYTICS"}
    environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    with (
        tempfile.TemporaryDirectory(prefix="retail-sales-snowflake-") as directory,
        serving("snowflake", port, Path(directory), **environment),
    ):
        yield StandIn(port, s3_url)


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="retail-sales-s3-") as directory,
        serving("s3", port, Path(directory)),
    ):
        yield port


@pytest.fixture(scope="module")
def stand_in(s3_port: int) -> Iterator[StandIn]:
    with serving_stand_in(s3_port) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def impatient(s3_port: int) -> Iterator[StandIn]:
    """A stand-in that soon gives up clients that say nothing."""
    with serving_stand_in(
        s3_port, SNOWFLAKE_IDLE_HOLDER_S="0.5", SNOWFLAKE_IDLE_SESSION_S=str(IDLE_SESSION_S)
    ) as stand_in:
        yield stand_in


@pytest.fixture
def connect(stand_in: StandIn) -> Iterator[Connect]:
    """Opens sessions that are closed after the test."""
    sessions: list[SnowflakeConnection] = []

    def open_session(**settings: Any) -> SnowflakeConnection:
        sessions.append(stand_in.connect(**settings))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def session(connect: Connect) -> SnowflakeConnection:
    return connect()


@pytest.fixture
def other(connect: Connect) -> SnowflakeConnection:
    """A second client."""
    return connect()


@pytest.fixture
def table(session: SnowflakeConnection) -> str:
    """A table of the test's own with two rows: (1, 10) and (2, 20)."""
    return new_table(session)


def new_table(session: SnowflakeConnection) -> str:
    name = f"T_{uuid.uuid4().hex[:8].upper()}"
    run(session, f"CREATE TABLE {name} (ID NUMBER(10,0) NOT NULL, AMOUNT NUMBER(10,2))")
    run(session, f"INSERT INTO {name} VALUES (1, 10), (2, 20)")
    return name


def run(session: SnowflakeConnection, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(statement, values or None)
        return [tuple(row) for row in cursor.fetchall()]


def refusal(session: SnowflakeConnection, statement: str) -> tuple[int | None, str | None]:
    """Number and SQL state of the error that the statement must end in."""
    with pytest.raises(DatabaseError) as caught:
        run(session, statement)
    return caught.value.errno, caught.value.sqlstate


def rows(session: SnowflakeConnection, table: str) -> list[tuple[Any, ...]]:
    return sorted(run(session, f"SELECT * FROM {table}"))


class Waiting(threading.Thread):
    """A statement of another client that is expected to wait."""

    def __init__(self, session: SnowflakeConnection, statement: str) -> None:
        super().__init__(daemon=True)
        self._session, self._statement = session, statement
        self._error: Error | None = None
        self.start()
        time.sleep(0.5)

    def run(self) -> None:
        try:
            run(self._session, self._statement)
        except Error as error:
            self._error = error

    def end(self) -> None:
        """Waits for the statement; raises what it raised."""
        self.join(WAIT_S_MAX)
        assert not self.is_alive()
        if self._error:
            raise self._error


# Keys and MERGE


def test_a_primary_key_is_not_enforced_but_is_not_null(session: SnowflakeConnection) -> None:
    name = f"T_{uuid.uuid4().hex[:8]}"
    run(session, f"CREATE TABLE {name} (ID NUMBER(10,0), SALE VARCHAR UNIQUE, PRIMARY KEY (ID))")
    run(session, f"INSERT INTO {name} VALUES (1, 'a'), (1, 'a')")
    run(session, f"ALTER TABLE {name} ADD CONSTRAINT ONE_EACH UNIQUE (SALE)")
    run(session, f"INSERT INTO {name} VALUES (1, 'a')")
    assert rows(session, name) == [(1, "a")] * 3
    assert refusal(session, f"INSERT INTO {name} VALUES (NULL, 'b')") == (100072, "22000")


MERGE_TWO = (
    "MERGE INTO {table} AS T USING (SELECT {key} AS ID, 1 AS AMOUNT UNION ALL SELECT {key}, 2) AS S ON T.ID = S.ID "
    "WHEN MATCHED THEN UPDATE SET AMOUNT = S.AMOUNT WHEN NOT MATCHED THEN INSERT (ID, AMOUNT) VALUES (S.ID, S.AMOUNT)"
)


def test_merge_refuses_two_source_rows_for_a_key_in_the_table(session: SnowflakeConnection, table: str) -> None:
    assert refusal(session, MERGE_TWO.format(table=table, key=1)) == (100090, "42P18")
    assert rows(session, table) == [(1, 10), (2, 20)]


def test_merge_inserts_two_source_rows_for_a_new_key_without_a_word(session: SnowflakeConnection, table: str) -> None:
    assert run(session, MERGE_TWO.format(table=table, key=3)) == [(2, 0)]
    assert rows(session, table) == [(1, 10), (2, 20), (3, 1), (3, 2)]


UPDATE_TWO = "UPDATE {table} SET AMOUNT = S.AMOUNT FROM (SELECT ? AS AMOUNT UNION ALL SELECT 2) AS S WHERE ID = ?"
REFUSES = "ERROR_ON_NONDETERMINISTIC_UPDATE"


def test_an_update_takes_one_of_several_rows_unless_the_session_refuses(
    session: SnowflakeConnection, connect: Connect, table: str
) -> None:
    update = UPDATE_TWO.format(table=table)
    assert run(session, update, (1, 1))[0][0] == 1
    run(session, f"ALTER SESSION SET {REFUSES} = TRUE")
    for careful in (session, connect(session_parameters={REFUSES: True})):
        with pytest.raises(DatabaseError) as caught:
            run(careful, update, (1, 2))
        assert (caught.value.errno, caught.value.sqlstate) == (100090, "42P18")
        assert rows(careful, table)[1] == (2, 20)
        # Nobody is met by two.
        assert run(careful, update, (1, 3))[0][0] == 0
        one = f"UPDATE {table} SET AMOUNT = S.AMOUNT FROM (SELECT 1 AS ID, 5 AS AMOUNT) AS S WHERE {table}.ID = S.ID"
        assert run(careful, one)[0][0] == 1
    run(session, f"ALTER SESSION UNSET {REFUSES}")
    assert run(session, update, (1, 2))[0][0] == 1


# Transactions


@pytest.mark.parametrize("ddl", ["CREATE TABLE {table}_2 (ID INT)", "COMMENT ON TABLE {table} IS 'x'", "CREATE ROLE X"])
def test_ddl_commits_the_open_transaction(session: SnowflakeConnection, table: str, ddl: str) -> None:
    run(session, "BEGIN")
    run(session, f"INSERT INTO {table} VALUES (3, 30)")
    run(session, ddl.format(table=table))
    run(session, "ROLLBACK")
    assert (3, 30) in rows(session, table)


def test_begin_inside_a_transaction_is_ignored(session: SnowflakeConnection, table: str) -> None:
    run(session, "BEGIN")
    run(session, f"DELETE FROM {table} WHERE ID = 1")
    run(session, "BEGIN TRANSACTION")
    run(session, "ROLLBACK")
    assert rows(session, table) == [(1, 10), (2, 20)]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_ending_no_transaction_is_no_error(session: SnowflakeConnection, end: str) -> None:
    run(session, end)


FAILING = {
    "found while it runs": ("INSERT INTO {table} SELECT 5, 1 / (AMOUNT - 20) FROM {table}", (100051, "22012")),
    "null": ("INSERT INTO {table} VALUES (NULL, 1)", (100072, "22000")),
    "two source rows": (MERGE_TWO.replace("{key}", "1"), (100090, "42P18")),
    "syntax": ("INSERT INTO {table} VALUES (5,", (1003, "42000")),
    "unknown table": ("DELETE FROM NOWHERE", (2003, "42S02")),
    "missing file": ("COPY INTO {table} FROM 's3://retail-sales-staging/' FILES = ('none.csv')", (91016, "22000")),
    "no change": ("SELECT 'abc'::NUMBER FROM {table}", (100038, "22018")),
}


@pytest.mark.parametrize(("statement", "error"), FAILING.values(), ids=FAILING)
def test_a_failed_statement_is_undone_alone(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str, statement: str, error: tuple[int, str]
) -> None:
    run(session, "CREATE TEMPORARY TABLE SEEN (ID INT)")
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
    run(session, f"INSERT INTO {table} VALUES (?, ?)", (3, Decimal("30.30")))
    run(session, "INSERT INTO SEEN VALUES (3)")
    assert refusal(session, statement.format(table=table)) == error
    assert rows(session, table) == [(1, 11), (2, 20), (3, Decimal("30.30"))]
    run(session, f"DELETE FROM {table} WHERE ID = 2")
    assert rows(other, table) == [(1, 10), (2, 20)], "nothing is shown before COMMIT"
    run(session, "COMMIT")
    assert rows(other, table) == [(1, 11), (3, Decimal("30.30"))]
    assert rows(session, "SEEN") == [(3,)]


def test_a_failed_statement_is_undone_alone_without_autocommit(connect: Connect, other: SnowflakeConnection) -> None:
    session = connect(autocommit=False)
    table = new_table(session)
    assert rows(other, table) == []
    assert refusal(session, f"INSERT INTO {table} VALUES (NULL, 1)") == (100072, "22000")
    session.commit()
    assert rows(other, table) == [(1, 10), (2, 20)]
    run(session, f"DELETE FROM {table}")
    session.rollback()
    assert rows(session, table) == [(1, 10), (2, 20)]


def test_the_time_in_a_row_stays_when_its_statement_is_made_again(session: SnowflakeConnection) -> None:
    run(session, "CREATE TEMPORARY TABLE TIMES (WHEN_WRITTEN TIMESTAMP_TZ(6))")
    run(session, "BEGIN")
    run(session, "INSERT INTO TIMES SELECT CURRENT_TIMESTAMP()")
    written = rows(session, "TIMES")
    assert refusal(session, "INSERT INTO TIMES SELECT 'never'::TIMESTAMP_TZ") == (100035, "22007")
    assert rows(session, "TIMES") == written
    run(session, "COMMIT")


def test_the_locks_stay_when_a_failed_statement_is_undone(connect: Connect, table: str) -> None:
    session, other = connect(), connect(session_parameters={"LOCK_TIMEOUT": 0})
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
    assert refusal(session, f"UPDATE {table} SET ID = NULL") == (100072, "22000")
    assert refusal(other, f"UPDATE {table} SET AMOUNT = 12") == (625, "57014")


@pytest.mark.parametrize("begin", ["BEGIN", "COMMIT"], ids=["in a transaction", "alone"])
def test_a_copy_that_fails_at_its_second_file_leaves_nothing(
    stand_in: StandIn, session: SnowflakeConnection, table: str, begin: str
) -> None:
    stand_in.put(f"{table}/1.csv", "3,30\n")
    stand_in.put(f"{table}/2.csv", "four,40\n")
    copy = f"COPY INTO {table} FROM 's3://{STAGING_BUCKET}/{table}/' FILES = ('1.csv', '2.csv')"
    run(session, begin)
    assert refusal(session, copy) == (100038, "22018")
    run(session, "COMMIT")
    assert rows(session, table) == [(1, 10), (2, 20)]


def test_what_cannot_be_made_again_is_refused_until_rollback(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str
) -> None:
    source = new_table(other)
    run(session, "BEGIN")
    run(session, f"INSERT INTO {table} SELECT ID + 10, AMOUNT FROM {source}")
    run(other, f"INSERT INTO {source} VALUES (3, 30)")
    assert refusal(session, f"INSERT INTO {table} VALUES (NULL, 1)") == (100072, "22000")
    for statement in ("SELECT 1", f"DELETE FROM {table}", "CREATE TABLE NEVER (ID INT)", "BEGIN", "COMMIT", "COMMIT"):
        assert refusal(session, statement) == TRANSACTION_IS_LOST
    run(session, "ROLLBACK")
    assert rows(session, table) == [(1, 10), (2, 20)]


def test_a_number_from_a_sequence_is_never_taken_twice(session: SnowflakeConnection, table: str) -> None:
    run(session, f"CREATE SEQUENCE {table}_SEQ")
    run(session, "BEGIN")
    run(session, f"INSERT INTO {table} SELECT {table}_SEQ.NEXTVAL, 1")
    assert refusal(session, f"INSERT INTO {table} VALUES (NULL, 1)") == (100072, "22000")
    assert refusal(session, "COMMIT") == TRANSACTION_IS_LOST


# Clients side by side


def test_a_writer_waits_for_the_others_lock_and_sees_what_it_committed(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str
) -> None:
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = AMOUNT + 1 WHERE ID = 1")
    waiting = Waiting(other, f"UPDATE {table} SET AMOUNT = AMOUNT + 1 WHERE ID = 1")
    run(session, "COMMIT")
    waiting.end()
    assert rows(session, table) == [(1, 12), (2, 20)]


@pytest.mark.parametrize(
    "before", ["SELECT * FROM {table}", "INSERT INTO {table} VALUES (3, 30)"], ids=["read", "wrote"]
)
def test_a_transaction_that_has_begun_before_it_waits_sees_what_the_other_committed(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str, before: str
) -> None:
    run(other, "BEGIN")
    run(other, before.format(table=table))
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = AMOUNT + 1 WHERE ID = 1")
    waiting = Waiting(other, f"UPDATE {table} SET AMOUNT = AMOUNT + 1 WHERE ID = 1")
    run(session, "COMMIT")
    waiting.end()
    run(other, "COMMIT")
    assert (1, 12) in rows(session, table)


def test_a_transaction_that_has_only_read_sees_what_others_commit(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str
) -> None:
    run(session, "BEGIN")
    assert rows(session, table) == [(1, 10), (2, 20)]
    run(other, f"DELETE FROM {table} WHERE ID = 1")
    assert rows(session, table) == [(2, 20)]


def test_insert_does_not_wait(connect: Connect, session: SnowflakeConnection, table: str) -> None:
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
    run(connect(session_parameters={"LOCK_TIMEOUT": 0}), f"INSERT INTO {table} VALUES (3, 30)")
    run(session, "COMMIT")
    assert rows(session, table) == [(1, 11), (2, 20), (3, 30)]


@pytest.mark.parametrize("change", ["UPDATE {table} SET AMOUNT = 1", "DELETE FROM {table}", "TRUNCATE TABLE {table}"])
def test_lock_timeout_ends_the_wait_and_only_the_statement(
    session: SnowflakeConnection, other: SnowflakeConnection, table: str, change: str
) -> None:
    mine = new_table(other)
    run(other, "ALTER SESSION SET LOCK_TIMEOUT = 1")
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
    run(other, "BEGIN")
    run(other, f"DELETE FROM {mine} WHERE ID = 1")
    assert refusal(other, change.format(table=table)) == (625, "57014")
    run(other, "COMMIT")
    assert rows(other, mine) == [(2, 20)]


def test_a_request_sent_again_is_answered_once(session: SnowflakeConnection, table: str) -> None:
    assert session.rest is not None
    url = f"/queries/v1/query-request?requestId={uuid.uuid4()}"
    body = {"sqlText": f"UPDATE {table} SET AMOUNT = AMOUNT + 1", "asyncExec": False, "sequenceId": 1}
    first, second = session.rest.request(url, body), session.rest.request(url, body)
    assert first["success"]
    assert second == first
    assert rows(session, table) == [(1, 11), (2, 21)]


def test_an_idle_transaction_that_blocks_another_is_rolled_back_and_its_commit_refused(impatient: StandIn) -> None:
    with impatient.connect() as holder, impatient.connect() as other:
        table = new_table(other)
        run(holder, "BEGIN")
        run(holder, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
        run(other, f"UPDATE {table} SET AMOUNT = 12 WHERE ID = 1")
        assert refusal(holder, "COMMIT") == TRANSACTION_WAS_ABORTED
        assert rows(holder, table) == [(1, 12), (2, 20)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_an_aborted_transaction_is_told_once_and_what_follows_runs_outside(
    connect: Connect, other: SnowflakeConnection, table: str, autocommit: bool
) -> None:
    """https://github.com/snowflakedb/snowflake-connector-net/issues/560"""
    session = connect(autocommit=autocommit)
    run(session, "BEGIN")
    run(session, f"UPDATE {table} SET AMOUNT = 11 WHERE ID = 1")
    ((begun,),) = run(session, "SELECT CURRENT_TRANSACTION()")
    run(other, f"SELECT SYSTEM$ABORT_TRANSACTION({begun})")
    assert refusal(session, f"UPDATE {table} SET AMOUNT = 21 WHERE ID = 2") == TRANSACTION_WAS_ABORTED
    run(session, f"UPDATE {table} SET AMOUNT = 31 WHERE ID = 2")
    ((follows,),) = run(session, "SELECT CURRENT_TRANSACTION()")
    assert (follows is None) == autocommit
    assert follows != begun
    assert rows(other, table) == [(1, 10), (2, 31 if autocommit else 20)]


CONSISTENCY = "SHOW PARAMETERS LIKE 'READ_CONSISTENCY_MODE' IN ACCOUNT"


def test_a_session_may_show_nothing_of_what_others_have_committed_since_it_was_opened(
    connect: Connect, session: SnowflakeConnection, table: str
) -> None:
    assert run(session, CONSISTENCY)[0][:2] == ("READ_CONSISTENCY_MODE", "GLOBAL")
    run(session, "ALTER ACCOUNT SET READ_CONSISTENCY_MODE = 'SESSION'")
    try:
        assert run(session, CONSISTENCY)[0][1] == "SESSION"
        old = connect()
        run(session, f"INSERT INTO {table} VALUES (3, 30)")
        assert len(rows(old, table)) == 2
        assert len(rows(connect(), table)) == 3
        # What it changes, it sees.
        run(old, f"INSERT INTO {table} VALUES (4, 40)")
        assert len(rows(old, table)) == 4
    finally:
        run(session, "ALTER ACCOUNT SET READ_CONSISTENCY_MODE = 'GLOBAL'")


def test_a_dead_clients_session_ends_and_its_transaction_is_rolled_back(impatient: StandIn) -> None:
    with impatient.connect() as dead, impatient.connect() as other:
        table = new_table(dead)
        run(dead, "BEGIN")
        run(dead, f"DELETE FROM {table}")
        wait_for(lambda: not run(other, "SHOW TRANSACTIONS"), "the end of the dead client's session")
        assert refusal(dead, "COMMIT") == (390111, "08001")
        assert rows(other, table) == [(1, 10), (2, 20)]


# COPY's load history


GROUPS, GROUP_ROWS = 40, 10_000
BY_NAME = "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"


def count_loaded(session: SnowflakeConnection, table: str, url: str, options: str = "FORCE = FALSE") -> int:
    before = len(rows(session, table))
    run(session, f"COPY INTO {table} FROM '{url}' {options}")
    return len(rows(session, table)) - before


def test_copy_skips_a_file_that_the_same_table_has(stand_in: StandIn, session: SnowflakeConnection, table: str) -> None:
    url = stand_in.put(f"{table}.csv", "3,30\n")
    assert count_loaded(session, table, url) == 1
    assert count_loaded(session, table, url) == 0
    assert count_loaded(session, table, url, "") == 0
    assert count_loaded(session, table, url, "FORCE = TRUE") == 1
    assert count_loaded(session, new_table(session), url) == 1


def test_a_table_keeps_its_load_history_until_it_is_recreated_or_truncated(
    stand_in: StandIn, session: SnowflakeConnection, table: str
) -> None:
    url = stand_in.put(f"{table}.csv", "3,30\n")
    assert count_loaded(session, table, url) == 1
    run(session, f"CREATE TABLE IF NOT EXISTS {table} (ID NUMBER(10,0) NOT NULL, AMOUNT NUMBER(10,2))")
    assert count_loaded(session, table, url) == 0
    run(session, f"TRUNCATE TABLE {table}")
    assert count_loaded(session, table, url) == 1
    run(session, f"DROP TABLE {table}")
    run(session, f"CREATE TABLE {table} (ID NUMBER(10,0) NOT NULL, AMOUNT NUMBER(10,2))")
    assert count_loaded(session, table, url) == 1


def test_a_copy_that_was_rolled_back_is_not_in_the_load_history(
    stand_in: StandIn, session: SnowflakeConnection, table: str
) -> None:
    url = stand_in.put(f"{table}.csv", "3,30\n")
    run(session, "BEGIN")
    assert count_loaded(session, table, url) == 1
    run(session, "ROLLBACK")
    assert count_loaded(session, table, url) == 1


def test_the_row_groups_of_a_file_are_read_side_by_side_each_whole(
    stand_in: StandIn, session: SnowflakeConnection
) -> None:
    made = pa.table({"ID": pa.array(range(GROUPS * GROUP_ROWS)), "TEXT": [str(n) for n in range(GROUPS * GROUP_ROWS)]})
    buffer = pa.BufferOutputStream()
    pq.write_table(made, buffer, row_group_size=GROUP_ROWS)
    url = stand_in.put("groups.parquet", buffer.getvalue().to_pybytes())
    run(session, "CREATE TABLE GROUPS (ID NUMBER(18,0), TEXT VARCHAR)")
    for _ in range(5):
        run(session, f"COPY INTO GROUPS FROM '{url}' FILE_FORMAT = (TYPE = 'PARQUET') FORCE = TRUE {BY_NAME}")
        counted = run(session, "SELECT COUNT(*), COUNT(DISTINCT ID), COUNT_IF(ID::VARCHAR <> TEXT) FROM GROUPS")
        assert counted == [(GROUPS * GROUP_ROWS, GROUPS * GROUP_ROWS, 0)]
        run(session, "DELETE FROM GROUPS")


PARQUET_TEXTS = ["\\N", "", "NULL", "-", None]
NULL_IFS = {
    "": [None, "", "NULL", "-", None],
    "NULL_IF = ()": PARQUET_TEXTS,
    "NULL_IF = ('-', 'NULL')": ["\\N", "", None, None, None],
    "NULL_IF = '-'": ["\\N", "", "NULL", None, None],
}


@pytest.mark.parametrize(("option", "expected"), NULL_IFS.items(), ids=NULL_IFS)
def test_a_copy_from_parquet_takes_the_texts_of_null_if_for_null(
    stand_in: StandIn, session: SnowflakeConnection, table: str, option: str, expected: list[str | None]
) -> None:
    """https://docs.snowflake.com/en/sql-reference/sql/copy-into-table: by default, and with MATCH_BY_COLUMN_NAME."""
    buffer = pa.BufferOutputStream()
    texts = range(len(PARQUET_TEXTS))
    pq.write_table(pa.table({"ID": texts, "TEXT": PARQUET_TEXTS, "NUMBER": texts}), buffer)
    url = stand_in.put(f"{table}.parquet", buffer.getvalue().to_pybytes())
    run(session, f"CREATE TABLE {table}_TEXTS (ID NUMBER(18,0), TEXT VARCHAR, NUMBER NUMBER(18,0))")
    run(session, f"COPY INTO {table}_TEXTS FROM '{url}' FILE_FORMAT = (TYPE = 'PARQUET' {option}) {BY_NAME}")
    assert rows(session, f"{table}_TEXTS") == [(number, text, number) for number, text in enumerate(expected)]


# Errors, values, settings

ERRORS = {
    "unknown table": ("SELECT * FROM NOWHERE", (2003, "42S02")),
    "unknown schema": ("SELECT * FROM NOWHERE.T", (2003, "42S02")),
    "unknown column": ("SELECT NOTHING FROM {table}", (904, "42000")),
    "unknown column to write": ("INSERT INTO {table} (NOTHING) VALUES (1)", (904, "42000")),
    "ambiguous column": ("SELECT ID FROM {table} AS A, {table} AS B", (2028, "42601")),
    "syntax": ("SELEC 1", (1003, "42000")),
    "open quote": ("SELECT 'abc", (1003, "42000")),
    "two statements": ("SELECT 1; SELECT 2", (8, "0A000")),
    "unknown function": ("SELECT NO_FUNCTION(1)", (2140, "42601")),
    "division by zero": ("SELECT AMOUNT / 0 FROM {table}", (100051, "22012")),
    "remainder by zero": ("SELECT MOD(5, 0)", (100051, "22012")),
    "null": ("UPDATE {table} SET ID = NULL", (100072, "22000")),
    "no number": ("SELECT 'abc'::NUMBER(10,2)", (100038, "22018")),
    "no boolean": ("SELECT 'abc'::BOOLEAN", (100037, "22018")),
    "no date": ("SELECT 'abc'::DATE", (100040, "22007")),
    "no timestamp": ("SELECT 'abc'::TIMESTAMP_NTZ", (100035, "22007")),
    "number too big": ("INSERT INTO {table} VALUES (1, 123456789)", (100046, "22003")),
    "missing file": ("COPY INTO {table} FROM 's3://retail-sales-staging/' FILES = ('none.csv')", (91016, "22000")),
    "unknown stage": ("COPY INTO {table} FROM @NO_STAGE", (2003, "02000")),
    "missing database": ("DROP DATABASE NOBODYS", (2003, "02000")),
    "existing table": ("CREATE TABLE {table} (ID INT)", (2002, "42710")),
    "default if not exists": (
        "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS MORE BOOLEAN DEFAULT FALSE",
        (1003, "42000"),
    ),
    "unsupported subquery": (
        "SELECT ID FROM {table} WHERE EXISTS (SELECT 1 FROM {table} AS T WHERE T.ID + {table}.ID = 2)",
        (2031, "0A000"),
    ),
    "unknown option": (
        "COPY INTO {table} FROM 's3://x/' FILE_FORMAT = (TYPE = 'PARQUET' SCANNER = 'FAST')",
        (1420, "22023"),
    ),
    "unsupported": ("EXPLAIN SELECT 1", (603, "XX000")),
    "other time zone": ("ALTER SESSION SET TIMEZONE = 'America/New_York'", (9999, "99999")),
}


@pytest.mark.parametrize(("statement", "error"), ERRORS.values(), ids=ERRORS)
def test_a_wrong_statement_gets_snowflakes_error(
    session: SnowflakeConnection, table: str, statement: str, error: tuple[int, str]
) -> None:
    assert refusal(session, statement.format(table=table)) == error


def test_sums_of_numbers_are_exact(session: SnowflakeConnection, table: str) -> None:
    run(session, f"INSERT INTO {table} SELECT 3, 2.20 FROM TABLE(GENERATOR(ROWCOUNT => 1000))")
    assert run(session, f"SELECT SUM(AMOUNT), SUM(AMOUNT) + 0.01, SUM(ID) FROM {table} WHERE ID = 3") == [
        (Decimal("2200.00"), Decimal("2200.01"), 3000)
    ]


def test_a_fingerprint_of_rows_knows_each_row_and_no_order(session: SnowflakeConnection) -> None:
    def fingerprint(*rows: str) -> Any:
        selected = " UNION ALL ".join(f"SELECT {row}" for row in ("1 AS ID, 'x' AS NAME WHERE FALSE", *rows))
        ((named, of_all),) = run(session, f"SELECT HASH_AGG(ID, NAME), HASH_AGG(*) FROM ({selected}) AS ROWS_OF")
        assert named == of_all
        return named

    assert fingerprint("1, 'a'", "2, 'b'") == fingerprint("2, 'b'", "1, 'a'")
    others = [("1, 'b'", "2, 'a'"), ("1, 'a'",), ("1, 'a'", "1, 'a'"), ("1, NULL",), ("1, ''",), ("NULL, 'a'",), ()]
    assert len({fingerprint(*rows) for rows in others}) == len(others)
    assert fingerprint() == 0
    moments = "SELECT HASH_AGG('2024-01-01 12:00:00 {}'::TIMESTAMP_TZ)"
    assert run(session, moments.format("+00:00")) == run(
        session, moments.format("+02:00").replace("12:00:00", "14:00:00")
    )


def test_the_lower_64_bits_of_an_md5_are_an_unsigned_number(session: SnowflakeConnection) -> None:
    """RFC 1321's digest of abc ends with d6963f7d28e17f72."""
    number, expected = "MD5_NUMBER_LOWER64('abc')", 0xD6963F7D28E17F72
    assert run(session, f"SELECT {number}") == [(expected,)]
    assert run(session, f"SELECT SUM({number}) FROM (SELECT 1 UNION ALL SELECT 2)") == [(2 * expected,)]


def test_an_object_loses_keys_and_no_others_and_a_null_in_json_is_not_null(session: SnowflakeConnection) -> None:
    """https://docs.snowflake.com/en/sql-reference/functions/object_delete, https://docs.snowflake.com/en/user-guide/semistructured-considerations"""
    stored = """PARSE_JSON('{"a b": "x", "b": null, "c": "it''s"}')"""
    assert run(session, f"SELECT TO_JSON(OBJECT_DELETE({stored}::OBJECT, 'a b', 'c', 'd'))") == [('{"b":null}',)]
    assert run(session, f"SELECT TO_JSON(OBJECT_DELETE({stored}::OBJECT, 'a b', 'b', 'c'))") == [("{}",)]
    assert run(session, "SELECT OBJECT_DELETE(PARSE_JSON(NULL)::OBJECT, 'b')") == [(None,)]
    values = ", ".join(f"TO_JSON(GET({stored}, '{key}'))" for key in ("a b", "b", "d"))
    assert run(session, f"SELECT {values}") == [('"x"', "null", None)]


def test_a_database_is_dropped_with_all_that_is_in_it(stand_in: StandIn) -> None:
    with stand_in.connect() as session:
        for _ in range(2):
            run(session, "CREATE DATABASE PASSING")
            run(session, "CREATE SCHEMA PASSING.ANALYTICS")
            with stand_in.connect(database="PASSING") as inside:
                run(inside, "CREATE TABLE ANALYTICS.THINGS (ID INT)")
                assert run(inside, "SELECT COUNT(*) FROM THINGS") == [(0,)]
            run(session, "DROP DATABASE PASSING")
        run(session, "DROP DATABASE IF EXISTS PASSING")
        assert refusal(session, "SELECT COUNT(*) FROM PASSING.ANALYTICS.THINGS") == (2003, "42S02")


def test_a_role_is_known_by_its_comment_until_it_is_dropped(session: SnowflakeConnection, table: str) -> None:
    for comment in ("mine", "another's"):
        run(session, f"CREATE ROLE IF NOT EXISTS {table} COMMENT = '{comment.replace(chr(39), '')}'")
    assert [(row[1], row[-1]) for row in run(session, f"SHOW ROLES LIKE '{table}'")] == [(table, "mine")]
    run(session, f"DROP ROLE {table}")
    assert run(session, f"SHOW ROLES LIKE '{table}'") == []


def test_the_rights_of_a_role_are_listed_until_they_are_revoked(session: SnowflakeConnection, table: str) -> None:
    run(session, f"CREATE ROLE {table}_READER")
    run(session, f"GRANT SELECT, INSERT ON TABLE RETAIL.ANALYTICS.{table} TO ROLE {table}_READER")
    run(session, f"GRANT SELECT ON FUTURE TABLES IN SCHEMA RETAIL.{table} TO ROLE {table}_READER")
    run(session, f"REVOKE INSERT ON TABLE RETAIL.ANALYTICS.{table} FROM ROLE {table}_READER")
    (right,) = run(session, f"SHOW GRANTS TO ROLE {table}_READER")
    assert right[1:6] == ("SELECT", "TABLE", f"RETAIL.ANALYTICS.{table}", "ROLE", f"{table}_READER")
    (to_come,) = run(session, f"SHOW FUTURE GRANTS IN SCHEMA RETAIL.{table}")
    assert to_come[1:6] == ("SELECT", "TABLE", f"RETAIL.{table}.<TABLE>", "ROLE", f"{table}_READER")
    run(session, f"DROP ROLE {table}_READER")
    assert run(session, f"SHOW GRANTS TO ROLE {table}_READER") == []
    assert run(session, f"SHOW FUTURE GRANTS IN SCHEMA RETAIL.{table}") == []


def test_a_stage_is_pointed_at_another_place(stand_in: StandIn, session: SnowflakeConnection, table: str) -> None:
    stand_in.put(f"{table}/there/1.csv", "3,30\n")
    run(session, f"CREATE STAGE {table}_STAGE URL = 's3://{STAGING_BUCKET}/{table}/here/'")
    run(session, f"ALTER STAGE ANALYTICS.{table}_STAGE SET URL = 's3://{STAGING_BUCKET}/{table}/there/'")
    run(session, f"COPY INTO {table} FROM @{table}_STAGE FILES = ('1.csv')")
    assert rows(session, table) == [(1, 10), (2, 20), (3, 30)]


def test_a_stage_of_the_same_name_in_another_database_stays(
    stand_in: StandIn, session: SnowflakeConnection, table: str
) -> None:
    stand_in.put(f"{table}/here/1.csv", "3,30\n")
    run(session, f"CREATE STAGE {table}_STAGE URL = 's3://{STAGING_BUCKET}/{table}/here/'")
    run(session, "CREATE DATABASE OF_OTHERS")
    run(session, "CREATE SCHEMA OF_OTHERS.ANALYTICS")
    run(session, "USE SCHEMA RETAIL.ANALYTICS")
    with stand_in.connect(database="OF_OTHERS") as other:
        run(other, f"CREATE STAGE ANALYTICS.{table}_STAGE URL = 's3://{STAGING_BUCKET}/{table}/here/'")
        run(other, f"ALTER STAGE ANALYTICS.{table}_STAGE SET URL = 's3://{STAGING_BUCKET}/{table}/there/'")
    run(session, f"COPY INTO {table} FROM @{table}_STAGE FILES = ('1.csv')")
    assert rows(session, table) == [(1, 10), (2, 20), (3, 30)]
    run(session, "DROP DATABASE OF_OTHERS")


@pytest.mark.parametrize("setting", ["LOCK_TIMEOUT = 480", "TIMEZONE = 'UTC'", "QUERY_TAG = 'sales'"])
def test_session_settings_are_accepted_inside_a_transaction(
    session: SnowflakeConnection, table: str, setting: str
) -> None:
    run(session, "BEGIN")
    run(session, f"DELETE FROM {table}")
    run(session, f"ALTER SESSION SET {setting}")
    run(session, "ROLLBACK")
    assert len(rows(session, table)) == 2
