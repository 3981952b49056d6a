"""Snowflake's sessions over DuckDB: transactions, locks, and what becomes of failed statements and of clients gone.

DuckDB gives up a whole transaction when a statement fails while it runs, and reads as of the transaction's first
statement. So a session keeps the changes of its open transaction, and can make them again in a new one.
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
from local.snowflake_monitor import answer_to, keep_roles, read_consistency_in
from local.snowflake_rewriting import Rewriting

IDLE_HOLDER_S = float(os.environ.get("SNOWFLAKE_IDLE_HOLDER_S", "300"))
"""Snowflake aborts a transaction that was idle for so long while it blocks another; tests wait less."""
IDLE_SESSION_S = float(os.environ.get("SNOWFLAKE_IDLE_SESSION_S", "14400"))
"""Snowflake ends a session that was idle for so long, whether or not it blocks another."""
LOCKING = (exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
"""Changes that wait for each other; INSERT and COPY do not."""
SUCCESS = "SELECT 'Statement executed successfully.' AS status"


@dataclass(frozen=True)
class Change:
    """A statement that has changed rows in the open transaction, and what it answered."""

    statement: Expr
    params: Any
    table: str | None
    answer: pa.Table


class TableLocks:
    """UPDATE, DELETE, MERGE and TRUNCATE of one table wait for each other, as in Snowflake; DuckDB fails the second.

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
                if not holder.give_up_if_idle() and time.monotonic() > give_up:
                    raise OperationalError(
                        msg=f"Statement was aborted: another transaction has locked table '{table}' "
                        f"for longer than LOCK_TIMEOUT ({session.lock_timeout_s} s).",
                        errno=625,
                        sqlstate="57014",
                    )
                self._changed.wait(0.2)
            self._holders[table] = session

    def release(self, session: "Session", committed: Iterable[str] = ()) -> None:
        """Let others at the session's tables, and remember which of them it has changed."""
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
    """A session with Snowflake's transactions; fakesnow's own knowledge of them stays unused.

    A transaction that was aborted is told once, and what follows runs outside of it. One that the stand-in itself has
    lost is not forgotten: everything but ROLLBACK is refused from then on.
    """

    locks = TableLocks()
    read_consistency: ClassVar[str] = "GLOBAL"
    """READ_CONSISTENCY_MODE of the account. With SESSION, queries show nothing that others have committed since their
    session was opened: more than Snowflake says can happen, so that what relies on the opposite fails at once."""
    all_sessions: ClassVar["WeakSet[Session]"] = WeakSet()
    _logging_in = threading.Lock()
    """Held while all sessions are gone through or one joins them."""

    def __init__(self, *args: Any, autocommit: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy = threading.RLock()
        """Held while a statement runs, so that nobody else ends the transaction under it."""
        self.lock_timeout_s = LOCK_TIMEOUT_S
        self.refuses_nondeterministic_update = False
        self.temporary_tables: set[str] = set()
        self.changes: list[Change] = []
        self.in_transaction = False
        self.transaction_id = 0
        self._commits_itself = autocommit
        self._ends_with_statement = False
        self._lost: ProgrammingError | None = None
        self._is_told_once = False
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
    def everyone(cls) -> list["Session"]:
        """The sessions that there are now."""
        with cls._logging_in:
            return list(cls.all_sessions)

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> "Cursor":  # noqa: ARG002
        return Cursor(conn=self, duck_conn=self._duck_conn)

    # The client

    def rest(self) -> None:
        """A statement has ended."""
        self._idle_since = time.monotonic()

    def is_given_up(self) -> bool:
        """Whether the client has said nothing for so long that the session ends."""
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
        if self._has_broken():
            self._lose("The transaction was rolled back: DuckDB gave it up.")
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
            if self._is_told_once:
                self._lost = None
            raise error

    def as_of_login(self, query: Expr) -> duckdb.DuckDBPyConnection | None:
        """Where to ask a query that shows nothing of what others have committed since the session was opened; None
        where that is not asked for, or the query reads what this transaction has changed."""
        if self._as_of_login is None:
            return None
        tables = {self.full_name(table) for table in query.find_all(exp.Table)}
        is_own = any(change.table in tables for change in self.changes)
        return self._as_of_login if is_repeatable(query) and not is_own else None

    def locked_tables(self) -> list[str]:
        return self.locks.held_by(self)

    def abort(self) -> None:
        """Roll back the transaction because somebody has asked for it, when its statement has ended."""
        with self.busy:
            self._abort()

    def give_up_if_idle(self) -> bool:
        """Roll back a transaction that blocks another and whose client says nothing."""
        with self._if_idle() as idle:
            lost = idle and time.monotonic() - self._idle_since > IDLE_HOLDER_S
            if lost:
                self._abort()
            return lost

    # Statements of a transaction

    def make_ready(self, statement: Expr, command: str) -> None:
        """What Snowflake does before a statement: commit, take the lock, see what others have committed."""
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
        """Undo what a failed statement has done, and nothing else of the transaction."""
        if self._ends_with_statement or not self.in_transaction:
            self.rollback()
        elif len(self.changes) > changes_before or isinstance(statement, exp.Copy) or self._has_broken():
            self._start_again(self.changes[:changes_before])

    def shared_table(self, change: Expr) -> str | None:
        """The full name of the table that is changed; None for one that only this session sees."""
        table = target_of(change)
        return None if table.name.upper() in self.temporary_tables else self.full_name(table)

    def full_name(self, table: exp.Table) -> str:
        return f"{table.catalog or self.database}.{table.db or self.schema}.{table.name}".upper()

    def _refresh(self, table: str | None) -> None:
        """READ COMMITTED, where it costs little.

        A transaction that has changed nothing yet sees at each statement what others have committed. Another one does
        when somebody has committed to the very table it is about to change: DuckDB would call that a conflict.
        """
        if not self.changes:
            self._duck_conn.execute("COMMIT")
            self._open()
        elif table and self.locks.has_changed_since(self._sees_since, table):
            self._start_again(self.changes)
            self.refuse_if_lost()

    def _start_again(self, changes: list[Change]) -> None:
        """Make the changes again in a new transaction, while the locks of the old one are held."""
        with suppress(duckdb.Error):
            self._duck_conn.execute("ROLLBACK")
        self._open()
        for change in changes:
            if not self.cursor().make_again(change):
                self._lose(
                    "The transaction was rolled back: a statement of it had to be made again and could not, or did "
                    "something else than before. Snowflake would have gone on; the stand-in cannot."
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
        """Rolls back; the client hears of it with its next statement, once."""
        message = f"Transaction {self.transaction_id} was aborted, SQL execution canceled."
        self.rollback()
        self._lost, self._is_told_once = ProgrammingError(msg=message, errno=615, sqlstate="57014"), True

    def _lose(self, because: str) -> None:
        self.rollback()
        message = f"{because} ROLLBACK, then begin again."
        self._lost, self._is_told_once = ProgrammingError(msg=message, errno=90232, sqlstate="25000"), False

    def _look_back(self) -> None:
        """From now on, what `as_of_login` gives shows what is committed now. DuckDB sees a database as it is when a
        transaction first looks into it."""
        assert self._as_of_login is not None
        with suppress(duckdb.Error):
            self._as_of_login.execute("ROLLBACK")
        self._as_of_login.execute("BEGIN")
        if self.database and self.schema:
            self._as_of_login.execute(f"SET schema = '{self.database}.{self.schema}'")
            self._as_of_login.execute(f"SELECT 1 FROM {self.database}._fs_information_schema._fs_load_history LIMIT 1")

    def _has_broken(self) -> bool:
        """Whether DuckDB has given up the transaction; it would answer COMMIT as if all were well."""
        try:
            self._duck_conn.execute("SELECT 1")
        except duckdb.Error:
            return True
        return False

    @contextmanager
    def _if_idle(self) -> Iterator[bool]:
        """Holds a session that runs no statement; whether it does."""
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
                self._answer(command, params, *args, **kwargs)
            except Exception as error:
                if (known := as_snowflake(error)) is error:
                    raise
                raise known from error
            finally:
                self.session.rest()
        return self

    def make_again(self, change: Change) -> bool:
        """Run a change once more; whether it did the same."""
        if not is_repeatable(change.statement):
            return False
        try:
            self._execute(change.statement, change.params)
        except Exception:
            return False
        return change.answer.equals(self._arrow_table)

    def _answer(self, command: str, params: Any, *args: Any, **kwargs: Any) -> None:
        session = self.session
        session.refuse_if_closed()
        if (mode := read_consistency_in(command)) is not None:
            Session.read_consistency = mode
        keep_roles(command)
        command = answer_to(command, session.everyone(), session) or command
        statement = parse(command)
        if not isinstance(statement, exp.Rollback):
            session.refuse_if_lost()
        if isinstance(statement, (exp.Transaction, exp.Commit, exp.Rollback)):
            self._begin_or_end(statement)
            return
        session.make_ready(statement, command)
        changes_before = len(session.changes)
        try:
            super().execute(self._unless_exists(statement) or command, params, *args, **kwargs)
            if isinstance(statement, exp.Comment):
                super().execute(SUCCESS)  # DuckDB answers COMMENT with nothing
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
        """The answer to a CREATE TABLE IF NOT EXISTS of one that does: fakesnow would forget what COPY has loaded."""
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
        # fakesnow asks nothing of the statement but `transform`.
        transformed: Expr = super()._transform(Rewriting(expression), params).statement  # type: ignore[arg-type, attr-defined]
        if isinstance(transformed, CHANGES):
            fix_time(transformed)
        return transformed

    def _transform_explode(self, expression: Expr) -> list[Expr]:
        """Leave MERGE whole: DuckDB has one of its own, which refuses two source rows for a target row.

        fakesnow's goes over a temporary table, whose description is written to another database: not possible
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
            self._ask(as_of_login, transformed, params)
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
        # Now, as another statement of the session may follow before somebody asks.
        self._columns = [(name, str(kind), "YES", None, None, None) for name, kind, *_ in self._duck_conn.description]

    def _describe_last_sql(self) -> list[Any]:
        """The columns of the answer, as DESCRIBE tells them. fakesnow would have the statement planned once more."""
        return self._columns

    def _forget_loads(self, table: exp.Table) -> None:
        self._duck_conn.execute(
            f"DELETE FROM {table.catalog or self.session.database}._fs_information_schema._fs_load_history "
            "WHERE schema_name = ? AND table_name = ?",
            [table.db or self.session.schema, table.name],
        )

    def _ask(self, as_of_login: duckdb.DuckDBPyConnection, query: Expr, params: Any) -> None:
        now = self._duck_conn
        self._duck_conn = as_of_login
        try:
            self._send(query, params)
        except (duckdb.CatalogException, duckdb.BinderException):
            # A table that was made since.
            self._duck_conn = now
            self._send(query, params)
        finally:
            self._duck_conn = now

    def _refuse_nondeterministic(self, update: exp.Update, params: Any) -> None:
        """Refuses an UPDATE with several rows to take for one: whichever it took, nobody could tell."""
        if not (sources := update.args.get("from_")):
            return
        target = update.this.copy()
        row = exp.column("rowid", table=target.alias_or_name)
        question = exp.select("1").from_(target).join(sources.this.copy(), join_type="CROSS")
        for join in sources.this.args.get("joins", ()):
            question = question.join(join.copy())
        if where := update.args.get("where"):
            question = question.where(where.this.copy())
        question = question.group_by(row).having("COUNT(*) > 1").limit(1)
        written = sum(1 for part in update.expressions for _ in part.find_all(exp.Placeholder))
        given = list(params)[written:] if params else None
        if self._duck_conn.execute(question.sql(dialect="duckdb"), given).fetchone():
            errno, sqlstate = AMBIGUOUS_CHANGE
            raise ProgrammingError(
                msg=f"Duplicate row detected during DML action: several rows for one of {target.name}",
                errno=errno,
                sqlstate=sqlstate,
            )

    def _drop_database(self, drop: exp.Drop) -> None:
        """DuckDB has databases of one file each, which are attached or not."""
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
    """Whether others that change the table wait; for INSERT and COPY they do not."""
    return isinstance(change, LOCKING) or bool(change.args.get("overwrite"))
