"""A session's transaction is committed, rolled back, or unknown; the error of a failed login names what to check."""

import itertools
from threading import Barrier
from types import SimpleNamespace
from typing import Any, cast

import pytest
import snowflake.connector.errors as snowflake_errors

from blocks.snowflake import SnowflakeHostConnector
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.warehouse.session import Session, open_session


class FakeConnection:
    """Records statements; raises the errors that it is given."""

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

    def execute_string(self, script: str, remove_comments: bool) -> list["FakeConnection"]:
        self.execute(script, None)
        return []

    def close(self, retry: bool = True) -> None:
        self.closed = not retry
        if error := self.errors.get("close"):
            raise error


def session_of(connection: FakeConnection) -> Session:
    return Session(cast(Any, connection), "host")


def test_a_transaction_that_succeeds_is_committed() -> None:
    connection = FakeConnection()
    with session_of(connection).transaction():
        assert session_of(connection).query("SELECT ?", [7]) == [(1, 2)]
    assert connection.statements == ["BEGIN TRANSACTION", "SELECT ? (7,)", "COMMIT"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_transaction_that_fails_is_rolled_back_and_its_error_raised(error: BaseException) -> None:
    connection = FakeConnection()
    with pytest.raises(type(error)), session_of(connection).transaction():
        raise error
    assert connection.statements == ["BEGIN TRANSACTION", "ROLLBACK"]


def test_a_commit_without_an_answer_has_an_unknown_outcome_and_is_not_rolled_back() -> None:
    connection = FakeConnection(COMMIT=snowflake_errors.OperationalError(msg="connection lost"))
    unknown = pytest.raises(OutcomeUnknownError, match="no answer to COMMIT .TransientError.: ask the ledger")
    with unknown, session_of(connection).transaction():
        pass
    assert connection.statements == ["BEGIN TRANSACTION", "COMMIT"]


def test_a_rollback_that_fails_leaves_the_session_lost() -> None:
    connection = FakeConnection(ROLLBACK=snowflake_errors.ProgrammingError(msg="no right", errno=3001))
    session = session_of(connection)
    with pytest.raises(ValueError, match="bad"), session.transaction():
        raise ValueError("bad")
    assert session.is_lost
    with pytest.raises(TransientError, match="is lost"):
        session.query("DROP TABLE STAGING.CLEAN_000001")
    assert connection.statements == ["BEGIN TRANSACTION", "ROLLBACK"]


MERGE = "-- Guarantees: much.\nMERGE INTO SALES_FACT\nUSING STAGED"


@pytest.mark.parametrize(
    ("error", "kind", "statements"),
    [
        pytest.param(
            snowflake_errors.OperationalError(msg="Failed to\n connect", errno=250003),
            TransientError,
            ["BEGIN TRANSACTION", MERGE],
            id="lost: the server rolls back",
        ),
        pytest.param(
            snowflake_errors.ProgrammingError(msg="does not exist", errno=2003),
            NeedsPersonError,
            ["BEGIN TRANSACTION", MERGE, "ROLLBACK"],
            id="refused",
        ),
        pytest.param(
            snowflake_errors.ProgrammingError(msg="lock", errno=625),
            TransientError,
            ["BEGIN TRANSACTION", MERGE, "ROLLBACK"],
            id="lock",
        ),
    ],
)
def test_an_error_names_the_warehouse_and_the_statement(
    error: Exception, kind: type[SalesEtlError], statements: list[str]
) -> None:
    connection = FakeConnection(**{MERGE: error})
    session = session_of(connection)
    with (
        pytest.raises(kind, match="^warehouse host failed at `MERGE INTO SALES_FACT`. The driver says: "),
        session.transaction(),
    ):
        session.query(MERGE)
    assert connection.statements == statements


def test_a_script_names_its_errors_too() -> None:
    connection = FakeConnection(**{"DROP TABLE X": snowflake_errors.ProgrammingError(msg="no", errno=2003)})
    with pytest.raises(NeedsPersonError, match="warehouse host failed at `DROP TABLE X`"):
        session_of(connection).run_script("DROP TABLE X")


class MeetingConnection(FakeConnection):
    """Executes nothing before three statements are under way."""

    meeting = Barrier(3, timeout=60)

    def execute(self, statement: str, values: tuple[Any, ...] | None) -> None:
        self.meeting.wait()
        super().execute(statement, values)


def test_statements_of_a_script_run_together_and_all_have_ended_when_one_fails() -> None:
    connection = MeetingConnection(**{"DROP TABLE B;": snowflake_errors.ProgrammingError(msg="no", errno=2003)})
    with pytest.raises(NeedsPersonError, match="warehouse host failed at `DROP TABLE B;`"):
        session_of(connection).run_together("-- Of three.\nDROP TABLE A;\n\nDROP TABLE B;\n\nDROP TABLE C;\n")
    assert {statement.removesuffix(";") for statement in connection.statements} == {
        f"DROP TABLE {name}" for name in "ABC"
    }


def test_no_statements_return_no_rows() -> None:
    assert session_of(FakeConnection()).query_together([]) == []


def test_a_request_without_an_answer_is_sent_again_a_bounded_number_of_times() -> None:
    said: list[str] = []
    asked: dict[str, Any] = {}

    def connect(**settings: Any) -> FakeConnection:
        asked.update(settings)
        return FakeConnection()

    with open_session(connector(connect), "ETL_WH", "a tag", said.append):
        delays = asked["backoff_policy"]()
        with pytest.raises(TransientError, match="warehouse account does not answer .asked 8 times."):
            list(itertools.islice(delays, 100))
    assert said[0] == "warehouse account does not answer, asking again in 2 s"
    assert len(said) == 7


def test_a_session_that_cannot_be_closed_hides_no_error() -> None:
    connection = FakeConnection(close=snowflake_errors.OperationalError(msg="gone"))
    with pytest.raises(ValueError, match="what counts"), open_session(connector(lambda **_: connection), "W", "t"):
        raise ValueError("what counts")


def connector(connect: Any) -> SnowflakeHostConnector:
    credentials = SimpleNamespace(account="account", user="loader", role="ETL_ROLE")
    return cast(SnowflakeHostConnector, SimpleNamespace(connect=connect, host=None, credentials=credentials))


def test_a_session_sets_every_parameter_that_it_relies_on_and_is_closed() -> None:
    asked: dict[str, Any] = {}
    connection = FakeConnection()

    def connect(**settings: Any) -> FakeConnection:
        asked.update(settings)
        return connection

    with open_session(connector(connect), "ETL_WH", "a tag"):
        assert not connection.closed
    assert connection.closed
    assert asked["session_parameters"] == {
        "QUERY_TAG": "a tag",
        "TIMEZONE": "UTC",
        "LOCK_TIMEOUT": 1200,
        "STATEMENT_TIMEOUT_IN_SECONDS": 3600,
        "ABORT_DETACHED_QUERY": True,
        "TRANSACTION_ABORT_ON_ERROR": False,
        "ERROR_ON_NONDETERMINISTIC_UPDATE": True,
        "ERROR_ON_NONDETERMINISTIC_MERGE": True,
        "TIMESTAMP_INPUT_FORMAT": "AUTO",
        "DATE_INPUT_FORMAT": "AUTO",
        "USE_CACHED_RESULT": False,
        "ROWS_PER_RESULTSET": 0,
    }
    with open_session(connector(connect), "ETL_WH", "a tag") as session, session.again():
        assert asked["autocommit"] is False
    with open_session(connector(connect), "ETL_WH", "a tag"):
        pass
    assert (asked["warehouse"], asked["autocommit"], asked["paramstyle"]) == ("ETL_WH", True, "qmark")
    assert asked["login_timeout"] == 30
    assert "network_timeout" not in asked, "the connector would end statements by it, too"


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


def test_a_login_that_is_refused_for_its_role_says_who_grants_it() -> None:
    def refuse(**_: Any) -> None:
        said = "Role 'ETL_ROLE' specified in the connect string does not exist or not authorized. Contact your local"
        raise snowflake_errors.DatabaseError(msg=f"Failed to connect to DB: account:443. {said}", errno=390189)

    refused = pytest.raises(
        NeedsPersonError, match="user loader: an administrator has to GRANT ROLE ETL_ROLE TO USER loader; "
    )
    with refused as caught, open_session(connector(refuse), "ETL_WH", "a tag"):
        pass
    assert "Role 'ETL_ROLE' specified" in str(caught.value)
