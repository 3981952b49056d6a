"""A Snowflake session with everything that this project relies on spelled out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error as SnowflakeError

from blocks.snowflake import SnowflakeHostConnector
from tasks.errors import NeedsPersonError, OutcomeUnknownError, TransientError, may_pass

LOGIN_TIMEOUT_S = 30
NETWORK_TIMEOUT_S = 300
STATEMENT_TIMEOUT_S = 3600
LOCK_TIMEOUT_S = 1800

Row = tuple[Any, ...]


class Session:
    """One connection; values are bound with `?`."""

    def __init__(self, connection: SnowflakeConnection) -> None:
        self._connection = connection

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Runs one statement and answers its rows. A new cursor each time: results are never mixed up."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values) or None)
            return [tuple(row) for row in cursor.fetchall()]

    def run_script(self, script: str) -> None:
        """Runs the statements of a script one after the other."""
        for cursor in self._connection.execute_string(script, remove_comments=True):
            cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN ... COMMIT; ROLLBACK when the body raises. Raises OutcomeUnknownError when COMMIT gave no answer."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            # A session that is lost is rolled back by the server; the error that ended it counts.
            with suppress(SnowflakeError):
                self.query("ROLLBACK")
            raise
        try:
            self.query("COMMIT")
        except Exception as error:
            raise OutcomeUnknownError(f"no answer to COMMIT ({type(error).__name__}): ask the ledger") from error


def _connect(connector: SnowflakeHostConnector, **settings: Any) -> SnowflakeConnection:
    try:
        return connector.connect(**settings)
    except SnowflakeError as error:
        where = connector.host or connector.credentials.account
        kind = TransientError if may_pass(error) else NeedsPersonError
        raise kind(
            f"warehouse {where} cannot be reached or refuses user {connector.credentials.user}: check blocks "
            f"snowflake-host-connector and snowflake-credentials, and the network ({' '.join(str(error).split())})"
        ) from error


@contextmanager
def open_session(connector: SnowflakeHostConnector, warehouse: str, query_tag: str) -> Iterator[Session]:
    """A session of its own on `warehouse`, closed at the end.

    UTC, so that TIMESTAMP_TZ values loaded from Parquet carry offset 0; autocommit, so that only `transaction`
    holds one open; limits on every wait.
    """
    connection = _connect(
        connector,
        warehouse=warehouse,
        autocommit=True,
        paramstyle="qmark",
        login_timeout=LOGIN_TIMEOUT_S,
        network_timeout=NETWORK_TIMEOUT_S,
        session_parameters={
            "TIMEZONE": "UTC",
            "QUERY_TAG": query_tag,
            "LOCK_TIMEOUT": LOCK_TIMEOUT_S,
            "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT_S,
        },
    )
    try:
        yield Session(connection)
    finally:
        connection.close()
