"""Which errors may pass: decided for every class of the three drivers, spot-checked where it matters."""

import ast
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3.exceptions
import botocore.exceptions
import psycopg2
import psycopg2.errors
import pytest
import snowflake.connector.errors as snowflake_errors
import sqlalchemy.exc
from psycopg2._psycopg import sqlstate_errors

import tasks.errors
from tasks.errors import (
    NeedsPersonError,
    OutcomeUnknownError,
    PublishRefusedError,
    RegionUnfitError,
    SalesEtlError,
    TransientError,
    may_pass,
)


def postgres(state: str, text: str = "x") -> psycopg2.Error:
    """An error as the server sends it, with its SQLSTATE."""
    error = psycopg2.errors.lookup(state)(text)
    error.__setstate__({"pgcode": state})
    return error


def login(text: str) -> psycopg2.OperationalError:
    """A refused connection: psycopg2 gives only its text."""
    return psycopg2.OperationalError(f'connection to server at "db" (10.0.0.1), port 5432 failed: {text}')


def snowflake(kind: type[snowflake_errors.Error], errno: int = -1) -> snowflake_errors.Error:
    """Made without its own constructor: several report telemetry or take other arguments."""
    error = kind.__new__(kind)
    error.errno = errno
    return error


def aws(code: str, status: int = 400) -> botocore.exceptions.ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(answer, "PutObject")


def upload_failed(code: str) -> Exception:
    """What boto3's upload_file makes of a ClientError."""
    try:
        try:
            raise aws(code)
        except botocore.exceptions.ClientError as error:
            raise boto3.exceptions.S3UploadFailedError(f"Failed to upload x to bucket/x: {error}")  # noqa: B904
    except boto3.exceptions.S3UploadFailedError as error:
        return error


def classes(module: Any, base: type[Exception]) -> Iterator[type[Any]]:
    for name in dir(module):
        found = getattr(module, name)
        if isinstance(found, type) and issubclass(found, base):
            yield found


MAY_PASS = [
    pytest.param(postgres("08006"), id="postgres-connection-failure"),
    pytest.param(postgres("40001"), id="postgres-serialization-failure"),
    pytest.param(postgres("40P01"), id="postgres-deadlock"),
    pytest.param(postgres("53300"), id="postgres-too-many-connections"),
    pytest.param(postgres("55P03"), id="postgres-lock-timeout"),
    pytest.param(postgres("57014"), id="postgres-statement-timeout"),
    pytest.param(postgres("57P01"), id="postgres-shut-down"),
    pytest.param(postgres("57P03"), id="postgres-starting-up"),
    pytest.param(login("Connection refused\n\tIs the server running?"), id="postgres-refused-connection"),
    pytest.param(login("timeout expired"), id="postgres-connect-timeout"),
    pytest.param(login("FATAL:  the database system is starting up"), id="postgres-login-while-starting"),
    pytest.param(login("FATAL:  sorry, too many clients already"), id="postgres-login-too-many-clients"),
    pytest.param(psycopg2.OperationalError("server closed the connection unexpectedly"), id="postgres-closed"),
    pytest.param(psycopg2.InterfaceError("connection already closed"), id="postgres-interface"),
    pytest.param(
        psycopg2.DatabaseError("error with status PGRES_COPY_OUT and no message from the libpq"), id="lost-in-copy"
    ),
    pytest.param(snowflake(snowflake_errors.OperationalError, 250001), id="snowflake-unreachable"),
    pytest.param(snowflake(snowflake_errors.InterfaceError), id="snowflake-interface"),
    pytest.param(snowflake(snowflake_errors.ServiceUnavailableError), id="snowflake-503"),
    pytest.param(snowflake(snowflake_errors.TooManyRequests), id="snowflake-429"),
    pytest.param(snowflake(snowflake_errors.ProgrammingError, 604), id="snowflake-cancelled"),
    pytest.param(snowflake(snowflake_errors.ProgrammingError, 625), id="snowflake-lock-timeout"),
    pytest.param(snowflake(snowflake_errors.ProgrammingError, 630), id="snowflake-statement-timeout"),
    pytest.param(aws("SlowDown", 503), id="s3-slow-down"),
    pytest.param(aws("InternalError", 500), id="s3-internal-error"),
    pytest.param(aws("503", 503), id="s3-head-503"),
    pytest.param(upload_failed("SlowDown"), id="s3-upload-slow-down"),
    pytest.param(botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3"), id="s3-unreachable"),
    pytest.param(botocore.exceptions.ConnectTimeoutError(endpoint_url="http://s3"), id="s3-connect-timeout"),
    pytest.param(botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3"), id="s3-read-timeout"),
    pytest.param(botocore.exceptions.ConnectionClosedError(endpoint_url="http://s3"), id="s3-closed"),
    pytest.param(ConnectionResetError("reset by peer"), id="python-connection-reset"),
    pytest.param(TimeoutError("timed out"), id="python-timeout"),
    pytest.param(TransientError("x"), id="our-transient-error"),
]

NEEDS_PERSON = [
    pytest.param(postgres("42P01"), id="postgres-undefined-table"),
    pytest.param(postgres("42703"), id="postgres-undefined-column"),
    pytest.param(postgres("42501"), id="postgres-insufficient-privilege"),
    pytest.param(postgres("22003"), id="postgres-out-of-range"),
    pytest.param(postgres("28P01"), id="postgres-invalid-password"),
    pytest.param(postgres("3D000"), id="postgres-undefined-database"),
    pytest.param(login('FATAL:  password authentication failed for user "x"'), id="postgres-wrong-password"),
    pytest.param(login("fe_sendauth: no password supplied"), id="postgres-no-password"),
    pytest.param(login('FATAL:  database "x" does not exist'), id="postgres-no-database"),
    pytest.param(login('FATAL:  permission denied for database "x"'), id="postgres-no-connect-privilege"),
    pytest.param(login("FATAL:  no pg_hba.conf entry for host"), id="postgres-host-not-allowed"),
    pytest.param(login('FATAL:  role "x" is not permitted to log in'), id="postgres-role-without-login"),
    pytest.param(snowflake(snowflake_errors.DatabaseError, 250001), id="snowflake-wrong-password"),
    pytest.param(snowflake(snowflake_errors.ForbiddenError), id="snowflake-403"),
    pytest.param(snowflake(snowflake_errors.ProgrammingError, 2003), id="snowflake-missing-table"),
    pytest.param(snowflake(snowflake_errors.ProgrammingError, 3001), id="snowflake-no-privilege"),
    pytest.param(snowflake(snowflake_errors.IntegrityError), id="snowflake-not-null-broken"),
    pytest.param(aws("AccessDenied", 403), id="s3-access-denied"),
    pytest.param(aws("NoSuchBucket", 404), id="s3-no-bucket"),
    pytest.param(aws("404", 404), id="s3-head-404"),
    pytest.param(aws("InvalidAccessKeyId", 403), id="s3-wrong-key"),
    pytest.param(upload_failed("AccessDenied"), id="s3-upload-denied"),
    pytest.param(botocore.exceptions.NoCredentialsError(), id="s3-no-credentials"),
    pytest.param(NeedsPersonError("x"), id="ours-needs-person"),
    pytest.param(RegionUnfitError("x"), id="ours-region-unfit"),
    pytest.param(PublishRefusedError("x"), id="ours-publish-refused"),
    pytest.param(OutcomeUnknownError("x"), id="ours-outcome-unknown"),
    pytest.param(ValueError("x"), id="unknown-error"),
    pytest.param(FileNotFoundError("x"), id="missing-file"),
    pytest.param(KeyboardInterrupt(), id="interrupt"),
]


@pytest.mark.parametrize("error", MAY_PASS)
def test_errors_that_may_pass(error: BaseException) -> None:
    assert may_pass(error) is True


@pytest.mark.parametrize("error", NEEDS_PERSON)
def test_errors_that_need_a_person(error: BaseException) -> None:
    assert may_pass(error) is False


@pytest.mark.parametrize("state", ["57014", "42P01"])
def test_sqlalchemys_wrapping_changes_nothing(state: str) -> None:
    wrapped = sqlalchemy.exc.DBAPIError("SELECT 1", {}, postgres(state))
    assert may_pass(wrapped) is may_pass(postgres(state))


TRANSIENT_CLASSES = {"08", "40", "53"}
TRANSIENT_STATES = {"55P03", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"}


def test_every_sqlstate_of_postgresql_is_decided() -> None:
    states = set(sqlstate_errors)
    passing = {state for state in states if may_pass(postgres(state))}
    assert passing == {state for state in states if state[:2] in TRANSIENT_CLASSES or state in TRANSIENT_STATES}
    assert len(states) > 200


def test_every_class_of_the_snowflake_connector_is_decided() -> None:
    passing = {kind.__name__ for kind in classes(snowflake_errors, snowflake_errors.Error) if may_pass(snowflake(kind))}
    assert passing == {
        "BadGatewayError",
        "GatewayTimeoutError",
        "HttpError",
        "InterfaceError",
        "InternalServerError",
        "OperationalError",
        "OtherHTTPRetryableError",
        "RequestExceedMaxRetryError",
        "RequestTimeoutError",
        "RevocationCheckError",
        "ServiceUnavailableError",
        "TooManyRequests",
    }


def test_every_class_of_botocore_is_decided() -> None:
    kinds: Any = classes(botocore.exceptions, botocore.exceptions.BotoCoreError)
    passing = {kind.__name__ for kind in kinds if may_pass(kind.__new__(kind))}
    network = {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "HTTPClientError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    }
    assert network <= passing <= network | {"ConnectionError", "ProxyConnectionError"}, (
        "and not SSLError: a certificate"
    )


@pytest.mark.parametrize(
    "kind", [SalesEtlError, *SalesEtlError.__subclasses__(), RegionUnfitError, PublishRefusedError]
)
def test_our_errors_survive_pickling(kind: type[SalesEtlError]) -> None:
    error = pickle.loads(pickle.dumps(kind("EUROPE: table is missing: create it")))
    assert type(error) is kind
    assert str(error) == "EUROPE: table is missing: create it"


def test_our_errors_say_when_they_are_raised() -> None:
    assert all((kind.__doc__ or "").startswith("Raised when") for kind in SalesEtlError.__subclasses__())


PROJECT = Path(__file__).parents[3]
MEMBER = re.compile(r"^    (?P<branch>[|` -]*)(?P<name>\w+)(\((?P<base>\w+)\))? +(?P<path>\S+\.py) +\S", re.MULTILINE)


@dataclass(frozen=True)
class ErrorClass:
    """An error of the project, its base, and the file that it stands in."""

    name: str
    base: str
    path: str


def drawn_errors() -> set[ErrorClass]:
    """The errors as the docstring of `tasks.errors` draws them; three characters of a branch are a level."""
    drawn, parents = set(), ["Exception"]
    for line in MEMBER.finditer(tasks.errors.__doc__ or ""):
        level = len(line["branch"]) // 3
        parents[level + 1 :] = [line["name"]]
        drawn.add(ErrorClass(line["name"], line["base"] or parents[level], line["path"]))
    return drawn


def written_errors() -> Iterator[ErrorClass]:
    for folder in ("tasks", "flows", "blocks", "expectations", "deployments"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    base = ", ".join(map(ast.unparse, node.bases))
                    if base.endswith(("Error", "Exception")):
                        yield ErrorClass(node.name, base, str(path.relative_to(PROJECT)))


def test_all_errors_of_the_project_are_drawn() -> None:
    assert drawn_errors() == set(written_errors())
