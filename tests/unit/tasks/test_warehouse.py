"""A session's transaction: committed, rolled back, or unknown; and a login that fails says what to look at."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import snowflake.connector.errors as snowflake_errors

from blocks.snowflake import SnowflakeHostConnector
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.warehouse import Session, open_session


class FakeConnection:
    """Remembers statements; raises where it is told to."""

    def __init__(self, **errors: BaseException) -> None:
        self.statements: list[str] = []
        self.errors = errors
        self.closed = False

    def cursor(self) -> "FakeConnection":
        return self

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str, values: tuple[Any, ...] | None) -> None:
        self.statements.append(statement if values is None else f"{statement} {values}")
        if error := self.errors.get(statement):
            raise error

    def fetchall(self) -> list[list[int]]:
        return [[1, 2]]

    def close(self) -> None:
        self.closed = True


def session_of(connection: FakeConnection) -> Session:
    return Session(cast(Any, connection))


def test_what_succeeds_is_committed() -> None:
    connection = FakeConnection()
    with session_of(connection).transaction():
        assert session_of(connection).query("SELECT ?", [7]) == [(1, 2)]
    assert connection.statements == ["BEGIN TRANSACTION", "SELECT ? (7,)", "COMMIT"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_what_fails_is_rolled_back_and_raised_on(error: BaseException) -> None:
    connection = FakeConnection()
    with pytest.raises(type(error)), session_of(connection).transaction():
        raise error
    assert connection.statements == ["BEGIN TRANSACTION", "ROLLBACK"]


def test_a_commit_without_an_answer_has_an_unknown_outcome_and_is_not_rolled_back() -> None:
    connection = FakeConnection(COMMIT=snowflake_errors.OperationalError(msg="connection lost"))
    unknown = pytest.raises(OutcomeUnknownError, match="no answer to COMMIT .OperationalError.: ask the ledger")
    with unknown, session_of(connection).transaction():
        pass
    assert connection.statements == ["BEGIN TRANSACTION", "COMMIT"]


def connector(connect: Any) -> SnowflakeHostConnector:
    credentials = SimpleNamespace(account="account", user="loader")
    return cast(SnowflakeHostConnector, SimpleNamespace(connect=connect, host=None, credentials=credentials))


def test_a_session_spells_out_what_it_relies_on_and_is_closed() -> None:
    asked: dict[str, Any] = {}
    connection = FakeConnection()

    def connect(**settings: Any) -> FakeConnection:
        asked.update(settings)
        return connection

    with open_session(connector(connect), "ETL_WH", "a tag"):
        assert not connection.closed
    assert connection.closed
    assert asked["session_parameters"] == {
        "TIMEZONE": "UTC",
        "QUERY_TAG": "a tag",
        "LOCK_TIMEOUT": 1800,
        "STATEMENT_TIMEOUT_IN_SECONDS": 3600,
    }
    assert (asked["warehouse"], asked["autocommit"], asked["paramstyle"]) == ("ETL_WH", True, "qmark")
    assert {"login_timeout", "network_timeout"} <= asked.keys()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(
            snowflake_errors.OperationalError(msg="timed\n out", errno=250001), TransientError, id="unreachable"
        ),
        pytest.param(
            snowflake_errors.DatabaseError(msg="Incorrect password", errno=250001), NeedsPersonError, id="password"
        ),
    ],
)
def test_a_login_that_fails_names_account_user_and_blocks(error: Exception, kind: type[SalesEtlError]) -> None:
    def refuse(**_: Any) -> None:
        raise error

    refused = pytest.raises(kind, match="warehouse account .* user loader: check blocks .*snowflake-credentials")
    with refused as caught, open_session(connector(refuse), "ETL_WH", "a tag"):
        pass
    assert "\n" not in str(caught.value)
