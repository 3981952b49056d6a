"""The Snowflake stand-in: fakesnow's server over DuckDB, its data kept on disk, mended where it differs from Snowflake.

What belongs here: everything that makes the stand-in behave as Snowflake does. The product knows nothing of it. What
it still does differently stands in README.md.
"""

import asyncio
import contextlib
import gzip
import importlib
import json
import logging
import os
import re
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import sqlglot
import uvicorn
from fakesnow import arrow, conn, copy_into, cursor, dialect, info_schema, instance, rowtype, transforms
from fakesnow.transforms import show
from fsspec.implementations.arrow import ArrowFSWrapper
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import OperationalError, ProgrammingError
from sqlglot import Expr, exp
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.environment import HOST, state_dir

server: Any = importlib.import_module("fakesnow.server")  # `from fakesnow import server` gives a function

LEADING_COMMENTS = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
STATEMENTS_IT_LACKS = (
    # What an administrator sets up; the stand-in has no compute, no accounts and no rights to give.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?WAREHOUSE\b",
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?ROLE\b",
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?USER\b",
    r"(GRANT|REVOKE)\b",
    r"USE\s+(WAREHOUSE|ROLE|SECONDARY\s+ROLES)\b",
    # Cost control: nothing costs anything here.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?RESOURCE\s+MONITOR\b",
    # The stand-in reaches S3 with credentials of its own.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?STORAGE\s+INTEGRATION\b",
    # Masking shows a column by role, and there are no roles.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?MASKING\s+POLICY\b",
    r"ALTER\s+(TABLE|VIEW)\s+\S+\s+(MODIFY|ALTER)\s+(COLUMN\s+)?\S+\s+(SET|UNSET)\s+MASKING\s+POLICY\b",
    # Governance tags classify columns for people; no query reads them.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?TAG\b",
    r"ALTER\s+(TABLE|VIEW)\s+\S+\s+((MODIFY|ALTER)\s+(COLUMN\s+)?\S+\s+)?(SET|UNSET)\s+TAG\b",
    # DuckDB orders rows as they come, and there is no history to travel to.
    r"ALTER\s+TABLE\s+\S+\s+CLUSTER\s+BY\b",
    r"ALTER\s+(TABLE|SCHEMA|DATABASE)\s+\S+\s+SET\s+(DATA_RETENTION_TIME_IN_DAYS|CHANGE_TRACKING)\b",
    # Every session is in UTC, has no query history to tag, no statement clock and no client to miss.
    r"ALTER\s+SESSION\s+SET\s+TIMEZONE\s*=\s*'(Etc/)?UTC'",
    r"ALTER\s+SESSION\s+(SET|UNSET)\s+(QUERY_TAG|STATEMENT_TIMEOUT_IN_SECONDS|STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"
    r"|ABORT_DETACHED_QUERY|TRANSACTION_ABORT_ON_ERROR|USE_CACHED_RESULT|WEEK_START|WEEK_OF_YEAR_POLICY"
    r"|TIMESTAMP_TYPE_MAPPING|TIMESTAMP_OUTPUT_FORMAT|ERROR_ON_NONDETERMINISTIC_MERGE)\b",
)
"""Accepted by every session and ignored, each group for the reason given."""
_LACKED = re.compile(LEADING_COMMENTS + f"(?:{'|'.join(STATEMENTS_IT_LACKS)})", re.IGNORECASE | re.DOTALL)
_SET_LOCK_TIMEOUT = re.compile(
    LEADING_COMMENTS + r"ALTER\s+SESSION\s+SET\s+LOCK_TIMEOUT\s*=\s*(\d+)", re.IGNORECASE | re.DOTALL
)

LOCK_TIMEOUT_S = 43_200
"""Snowflake's own default for LOCK_TIMEOUT."""
IDLE_HOLDER_S = int(os.environ.get("SNOWFLAKE_IDLE_HOLDER_S", "300"))
"""Snowflake aborts a transaction that was idle for so long while it blocks another; tests wait less."""
ANSWERS_KEPT_MAX = 50
"""Answers remembered by request id, for statements that a client sends again."""

ERRORS: tuple[tuple[str, int, str], ...] = (
    (r"cannot affect the same target row more than once", 100090, "42P18"),
    (r"NOT NULL constraint failed", 100072, "22000"),
    (r"^TransactionContext Error: Current transaction is aborted", 90232, "25000"),
    (r"[Cc]onflict", 625, "57014"),
    (r"No such file|No files found|FileNotFoundError|does not exist", 91016, "22000"),
    (r"out of range", 100132, "22003"),
    (r"^(Conversion|Invalid Input) Error", 100038, "22018"),
)
"""DuckDB's message to Snowflake's error number and SQL state; the first that matches counts."""
INTERNAL_ERROR = (603, "XX000")
TIME_FORMATS = (
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH24", "%H"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("FF6", "%f"),
)
"""Snowflake's elements of a time format to DuckDB's."""
SUCCESS = "SELECT 'Statement executed successfully.' AS status"


# Statements, before they run


def parse(command: str) -> Expr:
    """Parse a statement of Snowflake's, as the stand-in is to understand it."""
    if _LACKED.match(command) or _SET_LOCK_TIMEOUT.match(command):
        return transforms.SUCCESS_NOP.copy()
    statement = dialect.parse_one(command)
    if isinstance(statement, exp.Create) and statement.kind == "TABLE":
        _drop_keys(statement)
    if isinstance(statement, exp.Update):
        _unqualify(assignment.this for assignment in statement.expressions)
    for text in list(statement.find_all(exp.ToChar)):
        if text.args.get("format"):
            text.replace(_strftime(text))
    for sequence in statement.find_all(exp.SequenceProperties):
        sequence.set("options", None)  # ORDER or NOORDER: DuckDB's are always in order
    for option in statement.find_all(exp.CopyParameter):
        if option.name.upper() == "MATCH_BY_COLUMN_NAME" and isinstance(option.expression, exp.Literal):
            option.set("expression", exp.var(option.expression.name))  # Snowflake takes it quoted, too
    return statement


def _strftime(text: exp.ToChar) -> exp.Anonymous:
    """TO_VARCHAR of a time with a format, which the stand-in alone would leave out."""
    written = text.args["format"].name
    for snowflake, duckdb_format in TIME_FORMATS:
        written = written.replace(snowflake, duckdb_format)
    return exp.Anonymous(this="STRFTIME", expressions=[text.this.copy(), exp.Literal.string(written)])


def _unqualify(columns: Iterable[Expr]) -> None:
    """DuckDB takes no table name before a column that is written."""
    for column in columns:
        column.set("table", None)


def _drop_keys(create: exp.Create) -> None:
    """Snowflake records keys and enforces none of them, except that the columns of a primary key are NOT NULL."""
    key_columns = {
        part.name.upper() for key in create.find_all(exp.PrimaryKey) for part in key.find_all(exp.Identifier)
    }
    for table_key in list(create.find_all(exp.Constraint, exp.PrimaryKey, exp.ForeignKey)):
        table_key.pop()
    for unique in list(create.find_all(exp.UniqueColumnConstraint)):
        (unique.parent if isinstance(unique.parent, exp.ColumnConstraint) else unique).pop()
    for reference in list(create.find_all(exp.Reference)):
        (reference.parent if isinstance(reference.parent, exp.ColumnConstraint) else reference).pop()
    for column_key in list(create.find_all(exp.PrimaryKeyColumnConstraint)):
        column_key.replace(exp.NotNullColumnConstraint())
    for column in create.find_all(exp.ColumnDef):
        if column.name.upper() in key_columns and not column.find(exp.NotNullColumnConstraint):
            column.append("constraints", exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))


def keep_decimals(expression: Expr) -> Expr:
    """Name an aggregate's column as Snowflake does, and leave its argument alone.

    fakesnow casts the argument to DOUBLE so that text can be summed, and with it every sum of money is inexact.
    """
    if isinstance(expression, (exp.Sum, exp.Avg, exp.Count)) and isinstance(expression.parent, exp.Select):
        return exp.alias_(expression, expression.sql(dialect="snowflake").upper(), quoted=True)
    return expression


def exact_numbers(from_binding: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Bound numbers with decimals, which fakesnow takes for integers or text."""

    def read(binding: dict[str, Any]) -> Any:
        if binding["value"] is None:
            return None
        if binding["type"] == "FIXED":
            return (Decimal if "." in binding["value"] else int)(binding["value"])
        return float(binding["value"]) if binding["type"] == "REAL" else from_binding(binding)

    return read


def with_nulls(to_struct: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Timestamps as Snowflake sends them, where NULL stays NULL: fakesnow's arrives as 1970-01-01."""

    def convert(timestamps: Any) -> Any:
        if isinstance(timestamps, pa.ChunkedArray):
            timestamps = timestamps.combine_chunks()
        struct = to_struct(pc.fill_null(timestamps, pa.scalar(0, timestamps.type)))
        return pa.StructArray.from_arrays(struct.flatten(), fields=list(struct.type), mask=timestamps.is_null())

    return convert


def with_temporary_tables(describe: Callable[..., Any]) -> Callable[..., Any]:
    """The columns of the table that COPY loads: fakesnow looks for it among the permanent ones only."""

    def columns(table: exp.Table, duck_conn: duckdb.DuckDBPyConnection, *current: str | None) -> Any:
        temporary = "SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = ?"
        if not table.db and duck_conn.execute(temporary, [table.name]).fetchone():
            current = ("temp", "main")
        return describe(table, duck_conn, *current)

    return columns


def in_own_transaction(make_sql: Callable[..., str]) -> Callable[..., str]:
    """Record metadata apart from the session's transaction, as DuckDB writes to one database per transaction."""

    def record(catalog: str, schema: str, table: str, value: Any) -> str:
        if value is not None:
            escaped = value.replace("'", "''") if isinstance(value, str) else value
            with server.shared_fs.duck_conn.cursor() as apart:
                apart.execute(make_sql(catalog, schema, table, escaped))
        return "SELECT 1"

    return record


# Sessions


class TableLocks:
    """UPDATE, DELETE and MERGE of one table wait for each other, as in Snowflake; DuckDB would fail the second.

    A transaction keeps its locks until it ends. DuckDB takes its snapshot at the first statement that touches the
    database, so a transaction that waits here first sees what the one before it committed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: dict[str, Session] = {}

    def take(self, table: str, session: "Session") -> None:
        give_up = time.monotonic() + session.lock_timeout_s
        with self._changed:
            while (holder := self._holders.get(table, session)) is not session:
                if holder.is_abandoned():
                    holder.end_transaction("ROLLBACK")
                elif time.monotonic() > give_up:
                    raise OperationalError(
                        msg=f"Statement was aborted: another transaction has locked table '{table}' "
                        f"for longer than LOCK_TIMEOUT ({session.lock_timeout_s} s).",
                        errno=625,
                        sqlstate="57014",
                    )
                self._changed.wait(0.2)
            self._holders[table] = session

    def release(self, session: "Session") -> None:
        with self._changed:
            self._holders = {table: holder for table, holder in self._holders.items() if holder is not session}
            self._changed.notify_all()


class Session(conn.FakeSnowflakeConnection):
    """A session that knows whether its transaction is open, and since when it is idle."""

    locks = TableLocks()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_transaction = False
        self.lock_timeout_s = LOCK_TIMEOUT_S
        self.temporary_tables: set[str] = set()
        self.working = False
        self.idle_since = time.monotonic()

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> "Cursor":  # noqa: ARG002
        return Cursor(conn=self, duck_conn=self._duck_conn)

    def is_abandoned(self) -> bool:
        return not self.working and time.monotonic() - self.idle_since > IDLE_HOLDER_S

    def end_transaction(self, how: str) -> None:
        """COMMIT or ROLLBACK, whether or not something is open; then let others at the tables."""
        with contextlib.suppress(duckdb.TransactionException):
            self._duck_conn.execute(how)
        self.in_transaction = False
        self.locks.release(self)

    def is_between_transactions(self) -> bool:
        return self._autocommit and not self.in_transaction

    def refuse_if_broken(self) -> None:
        """DuckDB gives up the whole transaction when a statement fails, and then answers COMMIT as if all were well."""
        try:
            self._duck_conn.execute("SELECT 1")
        except duckdb.TransactionException:
            self.end_transaction("ROLLBACK")
            raise ProgrammingError(
                msg="The transaction was rolled back: one of its statements had failed. Snowflake would undo that "
                "statement alone; the stand-in cannot.",
                errno=90232,
                sqlstate="25000",
            ) from None

    def close(self, retry: bool = True) -> None:
        self.end_transaction("ROLLBACK")
        super().close(retry)


class Cursor(cursor.FakeSnowflakeCursor):
    """A cursor with Snowflake's transactions, locks, MERGE and errors."""

    session: Session
    _arrow_table: Any
    _rowcount: Any

    def __init__(self, conn: Session, duck_conn: duckdb.DuckDBPyConnection) -> None:
        super().__init__(conn, duck_conn)
        self.session = conn

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> "Cursor":
        session = self.session
        statement = parse(command)
        session.working = True
        try:
            self._before(statement, command)
            if isinstance(statement, exp.Transaction) and session.in_transaction:
                command = SUCCESS  # Snowflake ignores BEGIN inside a transaction
            super().execute(command, params, *args, **kwargs)
            if isinstance(statement, exp.Comment):
                super().execute(SUCCESS)  # DuckDB answers COMMENT with nothing
            self._after(statement)
        except (ProgrammingError, OperationalError):
            raise
        except Exception as error:
            raise as_snowflake(error) from error
        finally:
            session.working = False
            session.idle_since = time.monotonic()
            if isinstance(statement, (exp.Commit, exp.Rollback)) or session.is_between_transactions():
                session.end_transaction("ROLLBACK")
        return self

    def _before(self, statement: Expr, command: str) -> None:
        session = self.session
        if timeout := _SET_LOCK_TIMEOUT.match(command):
            session.lock_timeout_s = int(timeout[1])
        is_ddl = isinstance(statement, (exp.Create, exp.Alter, exp.Drop))
        if isinstance(statement, exp.Commit) or (is_ddl and session.in_transaction):
            session.refuse_if_broken()
        if is_ddl and session.in_transaction:
            session.end_transaction("COMMIT")  # as DDL does in Snowflake
        if isinstance(statement, (exp.Update, exp.Delete, exp.Merge)) and (table := self._shared_table(statement)):
            session.locks.take(table, session)

    def _after(self, statement: Expr) -> None:
        if isinstance(statement, exp.Transaction):
            self.session.in_transaction = True
        elif isinstance(statement, exp.Create) and statement.find(exp.TemporaryProperty):
            self.session.temporary_tables |= {table.name.upper() for table in [statement.find(exp.Table)] if table}

    def _shared_table(self, statement: Expr) -> str | None:
        """The full name of the table that is changed; None for one that only this session sees."""
        table = statement.this
        if not isinstance(table, exp.Table) or table.name.upper() in self.session.temporary_tables:
            return None
        return f"{table.catalog or self.session.database}.{table.db or self.session.schema}.{table.name}".upper()

    def _transform_explode(self, expression: Expr) -> list[Expr]:
        """Leave MERGE whole: DuckDB has one of its own, which refuses two source rows for a target row.

        fakesnow's goes over a temporary table, whose description is written to another database: not possible
        inside a transaction.
        """
        return [expression] if isinstance(expression, exp.Merge) else super()._transform_explode(expression)

    def _execute(self, transformed: Expr, params: Any = None) -> None:
        if not isinstance(transformed, exp.Merge):
            return super()._execute(transformed, params)
        actions = _actions(transformed)
        super()._execute(_merge_in_duckdb(transformed), params)
        counts = dict.fromkeys(actions, 0)
        done: pa.Table = self._arrow_table
        for row in done.column("merge_action").value_counts().to_pylist():
            counts[row["values"]] = row["counts"]
        names = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
        sql = ", ".join(f'{counts[action]} AS "number of rows {names[action]}"' for action in names if action in counts)
        super()._execute(sqlglot.parse_one(f"SELECT {sql}", read="duckdb"))
        self._rowcount = sum(counts.values())
        return None


def _actions(merge: exp.Merge) -> set[str]:
    """What a MERGE may do: INSERT, UPDATE, DELETE."""
    thens = [when.args["then"] for when in merge.args["whens"].expressions]
    return {then.key.upper() if isinstance(then, (exp.Insert, exp.Update)) else then.name.upper() for then in thens}


def _merge_in_duckdb(merge: exp.Merge) -> exp.Merge:
    """DuckDB's MERGE, which says per row what it did."""
    for when in merge.args["whens"].expressions:
        then = when.args["then"]
        if isinstance(then, exp.Update):
            _unqualify(assignment.this for assignment in then.expressions)
        elif isinstance(then, exp.Insert) and then.this:
            _unqualify(then.this.expressions)
    merge.set("returning", exp.Returning(expressions=[exp.column("merge_action")]))
    return merge


def as_snowflake(error: Exception) -> ProgrammingError:
    """The error that Snowflake's connector knows; what has no equivalent becomes Snowflake's internal error."""
    message = str(error).split("\n\nLINE")[0]
    for pattern, errno, sqlstate in ERRORS:
        if re.search(pattern, message):
            return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)
    errno, sqlstate = INTERNAL_ERROR
    return ProgrammingError(msg=f"{type(error).__name__}: {message}", errno=errno, sqlstate=sqlstate)


# The server


class StandIn(instance.FakeSnow):
    """fakesnow with everything on disk: a file per database, one more for stages, file formats and comments."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # A misspelt database or schema is to be missed, as it would be in Snowflake.
        super().__init__(create_database_on_connect=False, create_schema_on_connect=False, db_path=directory)
        shared = directory / f"{instance.GLOBAL_DATABASE_NAME}.db"
        self.duck_conn.execute(f"DETACH {instance.GLOBAL_DATABASE_NAME}")
        self.duck_conn.execute(f"ATTACH '{shared}' AS {instance.GLOBAL_DATABASE_NAME}")
        self.duck_conn.execute(info_schema.fs_global_creation_sql())
        self.duck_conn.execute(show.fs_global_creation_sql())
        for file in directory.glob("*.db"):
            if file != shared:
                self.duck_conn.execute(f"ATTACH '{file}' AS {file.stem}")

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: Any,
    ) -> Session:
        return Session(
            self.duck_conn.cursor(),
            self.results_cache,
            database,
            schema,
            create_database=self.create_database_on_connect,
            create_schema=self.create_schema_on_connect,
            db_path=self.db_path,
            nop_regexes=nop_regexes,
            **kwargs,
        )


class S3(ArrowFSWrapper):
    """The S3 stand-in for DuckDB, whose own S3 extension has to be downloaded."""

    protocol = "s3"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("s3://")


async def log_in(request: Request) -> Response:
    """fakesnow's login, and the session parameter that it does not know."""
    answer = json.loads(bytes((await server.login_request(request)).body))
    token = answer["data"]["token"]
    answer["data"]["masterToken"] = token  # without one the connector does not say when it leaves
    parameters = (await _body(request))["data"].get("SESSION_PARAMETERS", {})
    server.sessions[token].lock_timeout_s = int(parameters.get("LOCK_TIMEOUT", LOCK_TIMEOUT_S))
    return JSONResponse(answer)


async def end_session(request: Request) -> Response:
    """fakesnow's end of a session, and the end of its transaction."""
    session = server.sessions.get(server.to_token(request))
    response: Response = await server.session(request)
    if session and request.query_params.get("delete"):
        await run_in_threadpool(session.close)
    return response


class Queries:
    """fakesnow's answer to a statement, with two of Snowflake's habits.

    A request that a client sends again gets the first one's answer, and is not run again. Whatever goes wrong is
    answered as an error: at an HTTP 500 the connector would try again for minutes.
    """

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Task[Response]] = {}

    async def answer(self, request: Request) -> Response:
        request_id = request.query_params.get("requestId") or secrets.token_hex()
        if request_id not in self._answers:
            self._answers[request_id] = asyncio.create_task(self._answer(request))
            for oldest in list(self._answers)[:-ANSWERS_KEPT_MAX]:
                del self._answers[oldest]
        return await self._answers[request_id]

    async def _answer(self, request: Request) -> Response:
        try:
            response: Response = await server.query_request(request)
        except Exception as error:
            return _failure(as_snowflake(error))
        if response.status_code < 500:
            return response
        return _failure(as_snowflake(RuntimeError(json.loads(bytes(response.body))["message"])))


def _failure(error: ProgrammingError) -> Response:
    code = f"{error.errno:06d}"
    details = {"errorCode": code, "sqlState": error.sqlstate}
    return JSONResponse({"data": details, "code": code, "message": error.msg, "success": False})


async def _body(request: Request) -> Any:
    body = await request.body()
    return json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)


def mend_fakesnow() -> None:
    """Put our functions in the place of those of fakesnow that differ too much from Snowflake."""
    server.parse_one = cursor.parse_one = parse
    server.from_binding = exact_numbers(server.from_binding)
    transforms.numeric_agg_implicit_cast = keep_decimals
    copy_into._describe_table = with_temporary_tables(copy_into._describe_table)
    arrow.timestamp_to_sf_struct = with_nulls(arrow.timestamp_to_sf_struct)  # type: ignore[assignment]
    info_schema.insert_table_comment_sql = in_own_transaction(info_schema.insert_table_comment_sql)
    info_schema.insert_text_lengths_sql = in_own_transaction(info_schema.insert_text_lengths_sql)
    rowtype.duckdb_to_sf_type |= {"TINYINT": "fixed", "SMALLINT": "fixed", "UINTEGER": "fixed", "FLOAT": "real"}


def open_stand_in(directory: Path, s3_endpoint_url: str) -> StandIn:
    """The stand-in with its saved data, the S3 stand-in within reach, and what an administrator provides."""
    stand_in = StandIn(directory)
    scheme, _, endpoint = s3_endpoint_url.partition("://")
    s3 = pyarrow.fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_DEFAULT_REGION"],
        endpoint_override=endpoint,
        scheme=scheme,
    )
    stand_in.duck_conn.register_filesystem(S3(s3))
    return stand_in


def provide(stand_in: StandIn, database: str, schema: str) -> None:
    """What an administrator of Snowflake provides before the pipeline's own set-up."""
    session = stand_in.connect()
    session.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    session.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {database}.{schema}")
    session.close()


def main() -> None:
    """Serve until told to stop."""
    logging.getLogger("fakesnow.server").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    mend_fakesnow()
    server.shared_fs = open_stand_in(state_dir() / "snowflake", os.environ["S3_ENDPOINT_URL"])
    provide(server.shared_fs, os.environ["SNOWFLAKE_DATABASE"], os.environ["SNOWFLAKE_SCHEMA"])
    mended = {
        "/session/v1/login-request": log_in,
        "/session": end_session,
        "/queries/v1/query-request": Queries().answer,
    }
    routes = [
        Route(route.path, mended.get(route.path, route.endpoint), methods=list(route.methods))
        for route in server.routes
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn raises it again when done: let us finish, too
    try:
        uvicorn.run(
            Starlette(routes=routes),
            host=HOST,
            port=int(os.environ["SNOWFLAKE_PORT"]),
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    finally:
        for session in server.sessions.values():
            session.close()  # DuckDB writes its log into the database when the last one closes
        server.shared_fs.duck_conn.close()


if __name__ == "__main__":
    main()
