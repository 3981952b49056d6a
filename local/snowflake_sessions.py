"""Snowflake's sessions over DuckDB: transactions, locks, failed statements and lost clients.

DuckDB aborts the whole transaction when a statement fails while it runs, and reads as of the transaction's first
statement. A session therefore keeps the changes of its open transaction, and can repeat them in a new one.
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import duckdb
import pyarrow as pa
import sqlglot
from fakesnow import conn, cursor, instance
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import OperationalError, ProgrammingError
from sqlglot import Expr, exp

from local.snowflake_dialect import (
    AMBIGUOUS_CHANGE,
    CHANGES,
    LOCK_TIMEOUT_S,
    actions_of,
    as_snowflake,
    fix_time,
    is_ddl,
    is_repeatable,
    lock_timeout_in,
    merge_in_duckdb,
    nondeterministic_update_in,
    parse,
    target_of,
)
from local.snowflake_files import S3
from local.snowflake_monitor import keep_roles, read_consistency_in, result_query
from local.snowflake_rewriting import Rewriting

IDLE_HOLDER_S = float(os.environ.get("SNOWFLAKE_IDLE_HOLDER_S", "300"))
"""Snowflake aborts a transaction that is idle for this long while it blocks another; tests set less."""
IDLE_SESSION_S = float(os.environ.get("SNOWFLAKE_IDLE_SESSION_S", "14400"))
"""Snowflake ends a session that is idle for this long, whether or not it blocks another."""
LOCKING = (exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
"""Changes that wait for each other; INSERT and COPY do not."""
SUCCESS = "SELECT 'Statement executed successfully.' AS status"


@dataclass(frozen=True)
class Change:
    """A statement that has changed rows in the open transaction, and its result."""

    statement: Expr
    params: Any
    table: str | None
    result: pa.Table


class TableLocks:
    """UPDATE, DELETE, MERGE and TRUNCATE of one table wait for each other, as in Snowflake; in DuckDB the second fails.

    A transaction keeps its locks until it ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: dict[str, Session] = {}
        self._committed_at: dict[str, float] = {}

    def take(self, table: str, session: "Session") -> None:
        give_up = time.monotonic() + session.lock_timeout_s
        with self._changed:
            while (holder := self._holders.get(table, session)) is not session:
                session.refuse_if_closed()
                if not holder.abort_if_idle() and time.monotonic() > give_up:
                    raise OperationalError(
                        msg=f"Statement was aborted: another transaction has locked table '{table}' "
                        f"for longer than LOCK_TIMEOUT ({session.lock_timeout_s} s).",
                        errno=625,
                        sqlstate="57014",
                    )
                self._changed.wait(0.2)
            self._holders[table] = session

    def release(self, session: "Session", committed: Iterable[str] = ()) -> None:
        """Releases the session's locks, and records which tables it has changed."""
        with self._changed:
            self._holders = {table: holder for table, holder in self._holders.items() if holder is not session}
            self._committed_at |= dict.fromkeys(committed, time.monotonic())
            self._changed.notify_all()

    def held_by(self, session: "Session") -> list[str]:
        with self._changed:
            return sorted(table for table, holder in self._holders.items() if holder is session)

    def has_changed_since(self, moment: float, table: str) -> bool:
        with self._changed:
            return self._committed_at.get(table, moment) > moment


class Session(conn.FakeSnowflakeConnection):
    """A session with Snowflake's transactions; fakesnow's own are unused.

    An aborted transaction is reported once, and later statements run outside it. After the stand-in itself has lost a
    transaction, every statement but ROLLBACK is refused.
    """

    locks = TableLocks()
    read_consistency: ClassVar[str] = "GLOBAL"
    """READ_CONSISTENCY_MODE of the account. With SESSION, queries see nothing that others have committed since their
    session was opened: stricter than Snowflake's documentation, so that code that relies on the opposite fails."""
    all_sessions: ClassVar["WeakSet[Session]"] = WeakSet()
    _logging_in = threading.Lock()
    """Held while the sessions are listed or one is added."""

    def __init__(self, *args: Any, autocommit: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy = threading.RLock()
        """Held while a statement runs, so that no other thread ends its transaction."""
        self.lock_timeout_s = LOCK_TIMEOUT_S
        self.refuses_nondeterministic_update = False
        self.temporary_tables: set[str] = set()
        self.changes: list[Change] = []
        self.in_transaction = False
        self.transaction_id = 0
        self._commits_itself = autocommit
        self._ends_with_statement = False
        self._lost: ProgrammingError | None = None
        self._is_reported_once = False
        self._as_of_login: duckdb.DuckDBPyConnection | None = None
        self._sees_since = time.monotonic()
        self._is_closing = False
        self._idle_since = time.monotonic()
        if self.read_consistency == "SESSION":
            self._as_of_login = self._duck_conn.cursor()
            self._look_back()
        with self._logging_in:
            self.all_sessions.add(self)

    @classmethod
    def current(cls) -> list["Session"]:
        """Returns the sessions that exist now."""
        with cls._logging_in:
            return list(cls.all_sessions)

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> "Cursor":  # noqa: ARG002
        return Cursor(conn=self, duck_conn=self._duck_conn)

    # The client

    def note_activity(self) -> None:
        """Records that a statement has just ended."""
        self._idle_since = time.monotonic()

    def is_abandoned(self) -> bool:
        """Whether the client has been idle for longer than IDLE_SESSION_S."""
        with self._if_idle() as idle:
            return idle and time.monotonic() - self._idle_since > IDLE_SESSION_S

    def close(self, retry: bool = True) -> None:
        self._is_closing = True
        with suppress(duckdb.Error):
            self._duck_conn.interrupt()
        with self.busy:
            self.rollback()
            if self._as_of_login:
                self._as_of_login.close()
            super().close(retry)

    def refuse_if_closed(self) -> None:
        if self._is_closing:
            raise session_is_gone()

    # Transactions

    def begin(self, ends_with_statement: bool = False) -> None:
        """Snowflake ignores BEGIN inside a transaction."""
        if not self.in_transaction:
            self._open()
            self.transaction_id = time.time_ns()
            self.in_transaction, self._ends_with_statement = True, ends_with_statement

    def commit(self) -> None:
        if not self.in_transaction:
            return
        if self._is_aborted():
            self._lose("The transaction was rolled back: DuckDB aborted it.")
            self.refuse_if_lost()
        try:
            self._duck_conn.execute("COMMIT")
        except duckdb.Error:
            self.rollback()
            raise
        self._end(committed=[change.table for change in self.changes if change.table])

    def rollback(self) -> None:
        with suppress(duckdb.Error):  # nothing is open
            self._duck_conn.execute("ROLLBACK")
        self._end()

    def autocommit(self, mode: bool) -> None:
        if mode != self._commits_itself:
            self.commit()
        self._commits_itself = mode

    def refuse_if_lost(self) -> None:
        if error := self._lost:
            if self._is_reported_once:
                self._lost = None
            raise error

    def as_of_login(self, query: Expr) -> duckdb.DuckDBPyConnection | None:
        """Returns the connection for a query that sees nothing that others have committed since the session was opened;
        None if READ_CONSISTENCY_MODE is not SESSION, or the query reads what this transaction has changed."""
        if self._as_of_login is None:
            return None
        tables = {self.full_name(table) for table in query.find_all(exp.Table)}
        is_own = any(change.table in tables for change in self.changes)
        return self._as_of_login if is_repeatable(query) and not is_own else None

    def locked_tables(self) -> list[str]:
        return self.locks.held_by(self)

    def abort(self) -> None:
        """Rolls the transaction back on request, when its statement has ended."""
        with self.busy:
            self._abort()

    def abort_if_idle(self) -> bool:
        """Rolls back a transaction that blocks another if its client is idle; returns whether it did."""
        with self._if_idle() as idle:
            lost = idle and time.monotonic() - self._idle_since > IDLE_HOLDER_S
            if lost:
                self._abort()
            return lost

    # Statements of a transaction

    def prepare(self, statement: Expr, command: str) -> None:
        """Does what Snowflake does before a statement: commits, takes the lock, sees the commits of others."""
        if (timeout_s := lock_timeout_in(command)) is not None:
            self.lock_timeout_s = timeout_s
        if (refuses := nondeterministic_update_in(command)) is not None:
            self.refuses_nondeterministic_update = refuses
        if is_ddl(command):
            self.commit()
            return
        table = self.shared_table(statement) if isinstance(statement, CHANGES) else None
        if table and _takes_lock(statement):
            self.locks.take(table, self)
        if self.in_transaction:
            self._refresh(table)
        elif isinstance(statement, CHANGES):
            self.begin(ends_with_statement=self._commits_itself)

    def finish_statement(self) -> None:
        if self._ends_with_statement:
            self.commit()

    def undo_statement(self, statement: Expr, changes_before: int) -> None:
        """Undoes a failed statement, and nothing else of its transaction."""
        if self._ends_with_statement or not self.in_transaction:
            self.rollback()
        elif len(self.changes) > changes_before or isinstance(statement, exp.Copy) or self._is_aborted():
            self._repeat(self.changes[:changes_before])

    def shared_table(self, change: Expr) -> str | None:
        """The full name of the changed table; None for a temporary one."""
        table = target_of(change)
        return None if table.name.upper() in self.temporary_tables else self.full_name(table)

    def full_name(self, table: exp.Table) -> str:
        return f"{table.catalog or self.database}.{table.db or self.schema}.{table.name}".upper()

    def _refresh(self, table: str | None) -> None:
        """READ COMMITTED, where it costs little.

        A transaction without changes sees the commits of others at each statement. One with changes sees them when
        they are in the table that it is about to change, where DuckDB would report a conflict.
        """
        if not self.changes:
            self._duck_conn.execute("COMMIT")
            self._open()
        elif table and self.locks.has_changed_since(self._sees_since, table):
            self._repeat(self.changes)
            self.refuse_if_lost()

    def _repeat(self, changes: list[Change]) -> None:
        """Repeats the changes in a new transaction, under the locks of the old one."""
        with suppress(duckdb.Error):
            self._duck_conn.execute("ROLLBACK")
        self._open()
        for change in changes:
            if not self.cursor().repeat(change):
                self._lose(
                    "The transaction was rolled back: one of its statements had to be repeated, and failed or gave "
                    "another result. Snowflake would have continued; the stand-in cannot."
                )
                return

    def _open(self) -> None:
        self.changes = []
        self._sees_since = time.monotonic()
        self._duck_conn.execute("BEGIN")

    def _end(self, committed: Iterable[str] = ()) -> None:
        self.in_transaction = self._ends_with_statement = False
        self._lost = None
        self.locks.release(self, committed)
        if self.changes and self._as_of_login:
            self._look_back()
        self.changes = []

    def _abort(self) -> None:
        """Rolls back; the client's next statement fails, and only that."""
        message = f"Transaction {self.transaction_id} was aborted, SQL execution canceled."
        self.rollback()
        self._lost, self._is_reported_once = ProgrammingError(msg=message, errno=615, sqlstate="57014"), True

    def _lose(self, because: str) -> None:
        self.rollback()
        message = f"{because} ROLLBACK, then begin again."
        self._lost, self._is_reported_once = ProgrammingError(msg=message, errno=90232, sqlstate="25000"), False

    def _look_back(self) -> None:
        """Makes `as_of_login` see what is committed now. A transaction of DuckDB's sees a database as of its first
        read of it."""
        assert self._as_of_login is not None
        with suppress(duckdb.Error):
            self._as_of_login.execute("ROLLBACK")
        self._as_of_login.execute("BEGIN")
        if self.database and self.schema:
            self._as_of_login.execute(f"SET schema = '{self.database}.{self.schema}'")
            self._as_of_login.execute(f"SELECT 1 FROM {self.database}._fs_information_schema._fs_load_history LIMIT 1")

    def _is_aborted(self) -> bool:
        """Whether DuckDB has aborted the transaction; COMMIT would succeed all the same."""
        try:
            self._duck_conn.execute("SELECT 1")
        except duckdb.Error:
            return True
        return False

    @contextmanager
    def _if_idle(self) -> Iterator[bool]:
        """Holds the session if it runs no statement; yields whether it does."""
        is_idle = self.busy.acquire(blocking=False)
        try:
            yield is_idle
        finally:
            if is_idle:
                self.busy.release()


class Cursor(cursor.FakeSnowflakeCursor):
    """A cursor with Snowflake's transactions, MERGE and errors."""

    session: Session
    _arrow_table: Any
    _rowcount: Any
    _columns: list[Any]

    def __init__(self, conn: Session, duck_conn: duckdb.DuckDBPyConnection) -> None:
        super().__init__(conn, duck_conn)
        self.session = conn

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> "Cursor":
        with self.session.busy:
            try:
                self._run(command, params, *args, **kwargs)
            except Exception as error:
                if (known := as_snowflake(error)) is error:
                    raise
                raise known from error
            finally:
                self.session.note_activity()
        return self

    def repeat(self, change: Change) -> bool:
        """Runs a change again; returns whether its result was the same."""
        if not is_repeatable(change.statement):
            return False
        try:
            self._execute(change.statement, change.params)
        except Exception:
            return False
        return change.result.equals(self._arrow_table)

    def _run(self, command: str, params: Any, *args: Any, **kwargs: Any) -> None:
        session = self.session
        session.refuse_if_closed()
        if (mode := read_consistency_in(command)) is not None:
            Session.read_consistency = mode
        keep_roles(command)
        command = result_query(command, session.current(), session) or command
        statement = parse(command)
        if not isinstance(statement, exp.Rollback):
            session.refuse_if_lost()
        if isinstance(statement, (exp.Transaction, exp.Commit, exp.Rollback)):
            self._begin_or_end(statement)
            return
        session.prepare(statement, command)
        changes_before = len(session.changes)
        try:
            super().execute(self._unless_exists(statement) or command, params, *args, **kwargs)
            if isinstance(statement, exp.Comment):
                super().execute(SUCCESS)  # DuckDB returns nothing for COMMENT
        except Exception:
            session.undo_statement(statement, changes_before)
            raise
        session.finish_statement()
        self._remember_temporary(statement)

    def _begin_or_end(self, statement: Expr) -> None:
        if isinstance(statement, exp.Transaction):
            self.session.begin()
        elif isinstance(statement, exp.Commit):
            self.session.commit()
        else:
            self.session.rollback()
        super().execute(SUCCESS)

    def _unless_exists(self, statement: Expr) -> str | None:
        """The result of CREATE TABLE IF NOT EXISTS for an existing table, whose loads fakesnow would forget."""
        if not (isinstance(statement, exp.Create) and statement.kind == "TABLE" and statement.args.get("exists")):
            return None
        name = self.session.full_name(target_of(statement))
        tables = "SELECT 1 FROM duckdb_tables() WHERE upper(concat_ws('.', database_name, schema_name, table_name)) = ?"
        if not self._duck_conn.execute(tables, [name]).fetchone():
            return None
        return f"SELECT '{target_of(statement).name.upper()} already exists, statement succeeded.' AS status"

    def _remember_temporary(self, statement: Expr) -> None:
        if isinstance(statement, exp.Create) and statement.find(exp.TemporaryProperty):
            self.session.temporary_tables.add(target_of(statement).name.upper())
        elif isinstance(statement, exp.Drop):
            self.session.temporary_tables -= {table.name.upper() for table in statement.find_all(exp.Table)}

    def _transform(self, expression: Expr, params: Any) -> Expr:
        # fakesnow uses nothing of the statement but `transform`.
        transformed: Expr = super()._transform(Rewriting(expression), params).statement  # type: ignore[arg-type, attr-defined]
        if isinstance(transformed, CHANGES):
            fix_time(transformed)
        return transformed

    def _transform_explode(self, expression: Expr) -> list[Expr]:
        """Leaves MERGE whole: DuckDB's own refuses two source rows for a target row.

        fakesnow's uses a temporary table, whose description is written to another database, which is impossible
        inside a transaction.
        """
        return [expression] if isinstance(expression, exp.Merge) else super()._transform_explode(expression)

    def _execute(self, transformed: Expr, params: Any = None) -> None:
        if isinstance(transformed, exp.Update) and self.session.refuses_nondeterministic_update:
            self._refuse_nondeterministic(transformed, params)
        if isinstance(transformed, exp.Merge):
            self._merge(transformed, params)
        elif isinstance(transformed, exp.Drop) and transformed.kind == "DATABASE":
            self._drop_database(transformed)
        elif isinstance(transformed, exp.Query) and (as_of_login := self.session.as_of_login(transformed)):
            self._query_past(as_of_login, transformed, params)
        elif isinstance(transformed, exp.Copy):
            with S3.of_copy():
                self._send(transformed, params)
        else:
            self._send(transformed, params)
        if isinstance(transformed, CHANGES) and self.session.in_transaction:
            if isinstance(transformed, exp.TruncateTable):
                self._forget_loads(target_of(transformed))
            table = self.session.shared_table(transformed)
            self.session.changes.append(Change(transformed, params, table, self._arrow_table))

    def _send(self, statement: Expr, params: Any = None) -> None:
        super()._execute(statement, params)
        # Read at once, as another statement of the session may follow.
        self._columns = [(name, str(kind), "YES", None, None, None) for name, kind, *_ in self._duck_conn.description]

    def _describe_last_sql(self) -> list[Any]:
        """The columns of the result, as DESCRIBE returns them. fakesnow would plan the statement again."""
        return self._columns

    def _forget_loads(self, table: exp.Table) -> None:
        self._duck_conn.execute(
            f"DELETE FROM {table.catalog or self.session.database}._fs_information_schema._fs_load_history "
            "WHERE schema_name = ? AND table_name = ?",
            [table.db or self.session.schema, table.name],
        )

    def _query_past(self, as_of_login: duckdb.DuckDBPyConnection, query: Expr, params: Any) -> None:
        now = self._duck_conn
        self._duck_conn = as_of_login
        try:
            self._send(query, params)
        except (duckdb.CatalogException, duckdb.BinderException):
            # A table created since login.
            self._duck_conn = now
            self._send(query, params)
        finally:
            self._duck_conn = now

    def _refuse_nondeterministic(self, update: exp.Update, params: Any) -> None:
        """Refuses an UPDATE with several source rows for a target row, whose result would be arbitrary."""
        if not (sources := update.args.get("from_")):
            return
        target = update.this.copy()
        row = exp.column("rowid", table=target.alias_or_name)
        repeated = exp.select("1").from_(target).join(sources.this.copy(), join_type="CROSS")
        for join in sources.this.args.get("joins", ()):
            repeated = repeated.join(join.copy())
        if where := update.args.get("where"):
            repeated = repeated.where(where.this.copy())
        repeated = repeated.group_by(row).having("COUNT(*) > 1").limit(1)
        written = sum(1 for part in update.expressions for _ in part.find_all(exp.Placeholder))
        given = list(params)[written:] if params else None
        if self._duck_conn.execute(repeated.sql(dialect="duckdb"), given).fetchone():
            errno, sqlstate = AMBIGUOUS_CHANGE
            raise ProgrammingError(
                msg=f"Duplicate row detected during DML action: several rows for one of {target.name}",
                errno=errno,
                sqlstate=sqlstate,
            )

    def _drop_database(self, drop: exp.Drop) -> None:
        """Detaches a database and removes its file; DuckDB has no DROP DATABASE."""
        (name,) = (named.name.upper() for named in drop.find_all(exp.Table))
        known = "SELECT path FROM duckdb_databases() WHERE upper(database_name) = ?"
        if file := self._duck_conn.execute(known, [name]).fetchone():
            if self.session.database == name:
                self._duck_conn.execute(f"USE {instance.GLOBAL_DATABASE_NAME}")
            self._duck_conn.execute(f'DETACH "{name}"')
            Path(file[0]).unlink(missing_ok=True)
        elif not drop.args.get("exists"):
            raise ProgrammingError(
                msg=f"Database '{name}' does not exist or not authorized.", errno=2003, sqlstate="02000"
            )
        self._send(sqlglot.parse_one(SUCCESS, read="duckdb"))

    def _merge(self, merge: exp.Merge, params: Any) -> None:
        actions = actions_of(merge)
        self._send(merge_in_duckdb(merge), params)
        counts = dict.fromkeys(actions, 0)
        done: pa.Table = self._arrow_table
        for row in done.column("merge_action").value_counts().to_pylist():
            counts[row["values"]] = row["counts"]
        names = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
        sql = ", ".join(f'{counts[action]} AS "number of rows {names[action]}"' for action in names if action in counts)
        self._send(sqlglot.parse_one(f"SELECT {sql}", read="duckdb"))
        self._rowcount = sum(counts.values())


def session_is_gone() -> ProgrammingError:
    return ProgrammingError(
        msg="Session no longer exists. New login required to access the service.", errno=390111, sqlstate="08001"
    )


def _takes_lock(change: Expr) -> bool:
    """Whether a change locks its table; INSERT and COPY do not."""
    return isinstance(change, LOCKING) or bool(change.args.get("overwrite"))
