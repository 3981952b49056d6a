"""A Snowflake session with every setting that this project relies on spelled out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from io import StringIO
from typing import Any

from prefect import get_run_logger
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error as SnowflakeError
from snowflake.connector.util_text import split_statements

from blocks import names
from blocks.once import load_once
from blocks.snowflake import SnowflakeHostConnector, UnusableKeyError
from blocks.waits import logged_if_slow
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError, may_pass
from tasks.lines import quoting
from tasks.stopwatch import Say, say_nothing

LOGIN_TIMEOUT_S = 30
STATEMENT_TIMEOUT_S = 3600
LOCK_TIMEOUT_S = 1200
"""The locks of a killed client last until its statement has ended and 5 idle minutes are over; 10 minutes were reported
(https://github.com/airbytehq/airbyte/issues/29903). A longer wait is for a run that is alive."""
RESEND_DELAYS_S = (1, 2, 4, 8, 16, 16, 16, 16)
"""Seconds between tries of a request that got no answer. Snowflake knows requests by their ids: none runs twice."""
LOST_CODES = frozenset({*range(250_000, 252_000), 390_111, 390_112, 390_114})
"""The connector's own errors of network and session, and the warehouse's error that it has ended the session."""
NO_ROLE = "specified in the connect string"
"""In Snowflake's words, error 390189, of a role that does not exist or that the user does not have."""

PARAMETERS: Mapping[str, str | int | bool] = {
    # TIMESTAMP_TZ values loaded from Parquet carry offset 0.
    "TIMEZONE": "UTC",
    # Limits of every wait; the statement of a killed client ends, and its lock with it.
    "LOCK_TIMEOUT": LOCK_TIMEOUT_S,
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT_S,
    "ABORT_DETACHED_QUERY": True,
    # A failed statement is undone alone, and the transaction goes on: `transaction` below undoes the rest.
    "TRANSACTION_ABORT_ON_ERROR": False,
    # When several rows match one, Snowflake takes any; for UPDATE that is no error by default.
    "ERROR_ON_NONDETERMINISTIC_UPDATE": True,
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
    # Literals of dates and times are written as ISO 8601.
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_INPUT_FORMAT": "AUTO",
    # Results come from the tables, and whole.
    "USE_CACHED_RESULT": False,
    "ROWS_PER_RESULTSET": 0,
}
"""Settings that results depend on and that an account or a user may have changed
(https://docs.snowflake.com/en/sql-reference/parameters)."""

Row = tuple[Any, ...]


class Session:
    """One connection; values are bound with `?`. Raises TransientError or NeedsPersonError naming the warehouse. `say`
    gets lines about statements that take long."""

    def __init__(
        self,
        connection: SnowflakeConnection,
        where: str = "",
        again: "OpenSession | None" = None,
        say: Say = say_nothing,
    ) -> None:
        self._connection = connection
        self._where = where
        self._again = again
        self.say = say
        self._lost = False

    @property
    def is_lost(self) -> bool:
        """Whether the session no longer answers, or did not answer to ROLLBACK."""
        return self._lost

    def again(self) -> AbstractContextManager["Session"]:
        """Opens another session like this one, which sees what was committed before. AUTOCOMMIT is off in it:
        statements after an aborted transaction run in one that is never committed."""
        assert self._again is not None
        return self._again()

    def transaction_id(self) -> str:
        """The id of the session's current transaction."""
        ((transaction_id,),) = self.query("SELECT CURRENT_TRANSACTION()")
        return str(transaction_id)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Runs one statement and returns its rows. Each has its own cursor, so that results are never mixed up."""
        with self._errors_named(statement), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values) or None)
            return [tuple(row) for row in cursor.fetchall()]

    def query_named(self, statement: str) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows by the names of their columns: SHOW has others in each edition."""
        with self._errors_named(statement), self._connection.cursor() as cursor:
            cursor.execute(statement)
            columns = [column.name for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def run_script(self, script: str) -> None:
        """Runs the statements of a script one after the other."""
        with self._errors_named(script):
            for cursor in self._connection.execute_string(script, remove_comments=True):
                cursor.close()

    def query_together(self, statements: Sequence[str]) -> list[list[Row]]:
        """Runs independent statements at the same time, outside of a transaction, and returns the rows of each. All
        have ended when it raises for one."""
        # Threads may share a connection of this connector: its threadsafety is 2
        # (https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api). The warning at
        # https://docs.snowflake.com/en/developer-guide/driver-connections is about state that threads would change for
        # each other: transaction, schema and parameters. Nothing here does that.
        with ThreadPoolExecutor(max(len(statements), 1)) as pool:
            return list(pool.map(self.query, statements))

    def run_together(self, script: str) -> None:
        """Runs the independent statements of a script at the same time."""
        statements = [text for text, _ in split_statements(StringIO(script), remove_comments=True) if text]
        self.query_together(statements)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN ... COMMIT; ROLLBACK when the body raises. Raises OutcomeUnknownError when COMMIT gave no answer."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            # The server rolls a lost session back; the error that ended it counts.
            try:
                self.query("ROLLBACK")
            except SalesEtlError:
                self._lost = True
            raise
        try:
            self.query("COMMIT")
        except Exception as error:
            raise OutcomeUnknownError(f"no answer to COMMIT ({type(error).__name__}): ask the ledger") from error

    @contextmanager
    def _errors_named(self, statement: str) -> Iterator[None]:
        if self._lost:
            raise TransientError(f"the session with warehouse {self._where} is lost")
        try:
            with logged_if_slow(
                self.say, f"warehouse host={self._where}", f"`{_head(statement)}`", STATEMENT_TIMEOUT_S
            ):
                yield
        except TransientError:
            self._lost = True
            raise
        except SnowflakeError as error:
            self._lost = self._lost or error.errno in LOST_CODES
            kind = TransientError if may_pass(error) else NeedsPersonError
            raise kind(quoting(f"warehouse {self._where} failed at `{_head(statement)}`", error)) from error


OpenSession = Callable[[], AbstractContextManager[Session]]


def _head(statement: str) -> str:
    """The first line of a statement after its comments."""
    lines = (line.strip() for line in statement.splitlines())
    return next((line for line in lines if line and not line.startswith("--")), "")[:80]


def _resending(where: str, say: Say) -> Callable[[], Iterator[int]]:
    """The connector's backoff policy. Its own ends only by a time limit, which would end long statements too."""

    def delays() -> Iterator[int]:
        yield RESEND_DELAYS_S[0]
        for delay_s in RESEND_DELAYS_S[1:]:
            say(f"warehouse {where} does not answer, asking again in {delay_s} s")
            yield delay_s
        raise TransientError(
            f"warehouse {where} does not answer (asked {len(RESEND_DELAYS_S)} times): check the network, and "
            "Snowflake's status page"
        )

    return delays


def _connect(connector: SnowflakeHostConnector, where: str, say: Say, **settings: Any) -> SnowflakeConnection:
    try:
        with logged_if_slow(say, f"warehouse host={where}", "a session", LOGIN_TIMEOUT_S):
            return connector.connect(**settings)
    except UnusableKeyError as error:
        raise NeedsPersonError(f"warehouse {where}: {error}") from None
    except SnowflakeError as error:
        kind = TransientError if may_pass(error) else NeedsPersonError
        user, role = connector.credentials.user, connector.credentials.role
        mend = "check blocks snowflake-host-connector and snowflake-credentials, and the network"
        if NO_ROLE in str(error):
            set_up = f"{names.HERE}python -m flows.setup_warehouse"
            mend = f"an administrator has to GRANT ROLE {role} TO USER {user}; `{set_up}` creates the role of the loads"
        # The connector's chain of causes is hundreds of lines that add nothing.
        ours = f"warehouse {where} cannot be reached or refuses user {user}: {mend}"
        raise kind(quoting(ours, error)) from None


@contextmanager
def open_session(
    connector: SnowflakeHostConnector,
    warehouse: str,
    query_tag: str,
    say: Say = say_nothing,
    autocommit: bool = True,
) -> Iterator[Session]:
    """A session on `warehouse`, closed at the end; `say` gets lines about long waits and a warehouse that does not
    answer.

    With AUTOCOMMIT, only `transaction` keeps a transaction open.
    """
    where = connector.host or connector.credentials.account
    connection = _connect(
        connector,
        where,
        say,
        warehouse=warehouse,
        autocommit=autocommit,
        paramstyle="qmark",
        login_timeout=LOGIN_TIMEOUT_S,
        backoff_policy=_resending(where, say),
        session_parameters={"QUERY_TAG": query_tag, **PARAMETERS},
    )
    again = partial(open_session, connector, warehouse, query_tag, say, autocommit=False)
    try:
        yield Session(connection, where, again, say)
    finally:
        # Without retry: the server ends a session that cannot be closed.
        with suppress(SnowflakeError, SalesEtlError):
            connection.close(retry=False)


@contextmanager
def task_session(warehouse: str, tag: str) -> Iterator[Session]:
    """A session for a task: by the registered connector, tagged `retail-sales <tag>`, logging to the task's run."""
    connector, logger = load_once(SnowflakeHostConnector, names.WAREHOUSE), get_run_logger()
    with open_session(connector, warehouse, f"retail-sales {tag}", logger.warning) as session:
        yield session
