"""The error family, and the table that maps drivers' errors to it. Knows no Prefect.

    SalesEtlError              tasks/errors.py                   base: names the thing, the value and the next step
    |- TransientError          tasks/errors.py                   may pass when tried again: network, lock, timeout
    |- OutcomeUnknownError     tasks/errors.py                   the answer to a COMMIT was lost: ask the ledger first
    `- NeedsPersonError        tasks/errors.py                   will not pass: password, permission, bad input
       |- RegionUnfitError     tasks/errors.py                   a region does not fit the contract; the others go on
       |- PublishRefusedError  tasks/errors.py                   the law does not hold: the transaction is rolled back
       |- ScratchFullError     tasks/files/room.py               the scratch disk has no room for a region's rows
       |- StoppedError         tasks/prefect_server/stopping.py  cancelled or ended by a signal just before COMMIT
       |- SetupFaultError      tasks/setup_checks/check.py       a check of the setup found something wrong
       |- SetupNotReadyError   flows/check_setup.py              the result of a check-setup that found faults
       |- QualityFailedError   flows/support/states.py           the result of a run that the quality gate refused
       |- DrillError           flows/alert_drill.py              a run fails on purpose, to prove that alerts arrive
       `- DeployError          deployments/applied.py            something cannot be applied to the Prefect server

Outside the family, because blocks/ may not import tasks/; all of them need a person:

    MissingSettingError(ValueError)   blocks/environment.py                  an environment variable
    BadVariableError(ValueError)      blocks/variables.py                    a Prefect variable
    UnusableKeyError(Exception)       blocks/snowflake.py                    a private key; becomes a NeedsPersonError
    NoPrefectServerError(Exception)   blocks/server.py                       no Prefect server answers

and because no handler of the family may catch them:

    PrefectDatabaseError(Exception)   deployments/clean_prefect_database.py  this program loads nothing of tasks/
    _TooManyRejectedError(Exception)  tasks/publish.py                       rolls back; the publication says why
    EndedBySignal(BaseException)      tasks/prefect_server/stopping.py       a signal ends the run

Only this module decides which errors may pass; `retries.py` decides how often to try.
"""

import boto3.exceptions
import botocore.exceptions
import psycopg2
import psycopg2.errors
import snowflake.connector.errors as snowflake_errors
import sqlalchemy.exc

from tasks.lines import in_one_line, shortened


class SalesEtlError(Exception):
    """Base of all errors that this project raises on purpose. Its message is one line, whatever values it names."""

    def __str__(self) -> str:
        return in_one_line(super().__str__())


class TransientError(SalesEtlError):
    """Raised when the same call may succeed later: connection lost, timeout, lock wait, throttling."""


class NeedsPersonError(SalesEtlError):
    """Raised when trying again cannot help: wrong password, missing permission, bad input, a broken law."""


class RegionUnfitError(NeedsPersonError):
    """Raised when a region's table or a required column is missing or has a type that does not fit."""


class OutcomeUnknownError(SalesEtlError):
    """Raised when the answer to COMMIT was lost and the ledger did not show how it ended."""


class PublishRefusedError(NeedsPersonError):
    """Raised when the figures do not add up before COMMIT: everything was rolled back."""


TRANSIENT_POSTGRES_STATES = (
    "08",  # connection exception
    "40",  # transaction rollback: serialization failure, deadlock
    "53",  # insufficient resources: too many connections, disk full
    "55P03",  # lock not available
    "57014",  # query cancelled by statement_timeout
    "57P",  # operator intervention: server shuts down or starts up
)

NEEDS_PERSON_POSTGRES_TEXTS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "not permitted",
    "permission denied",
)
"""A refused login has no SQLSTATE in psycopg2, only the server's text."""

LOST_IN_COPY = "error with status PGRES_COPY_OUT"
"""What psycopg2 says when the server ends a connection within a COPY, in the least specific of its errors."""

TRANSIENT_SNOWFLAKE_CODES = frozenset({604, 615, 625, 630, 251011, 251012, 390111, 390112, 390114})
"""Statement cancelled; transaction aborted; statement aborted (lock wait, conflict) or timed out; connection timed out;
session ended."""

TRANSIENT_SNOWFLAKE_CLASSES = (
    snowflake_errors.OperationalError,
    snowflake_errors.InterfaceError,
    snowflake_errors.HttpError,
    snowflake_errors.InternalServerError,
    snowflake_errors.ServiceUnavailableError,
    snowflake_errors.GatewayTimeoutError,
    snowflake_errors.RequestTimeoutError,
    snowflake_errors.BadGatewayError,
    snowflake_errors.TooManyRequests,
    snowflake_errors.OtherHTTPRetryableError,
    snowflake_errors.RequestExceedMaxRetryError,
)
"""The connector's own network errors. A wrong password or role is a DatabaseError and not among them."""

TRANSIENT_S3_CODES = frozenset(
    {"500", "503", "InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"}
)


def _postgres_may_pass(error: psycopg2.Error) -> bool:
    if error.pgcode:
        return error.pgcode.startswith(TRANSIENT_POSTGRES_STATES)
    refused = any(text in str(error) for text in NEEDS_PERSON_POSTGRES_TEXTS)
    if type(error) is psycopg2.DatabaseError:
        return LOST_IN_COPY in str(error)
    return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) and not refused


def _snowflake_may_pass(error: snowflake_errors.Error) -> bool:
    if isinstance(error, snowflake_errors.NonRetryableTlsError):
        return False
    return error.errno in TRANSIENT_SNOWFLAKE_CODES or isinstance(error, TRANSIENT_SNOWFLAKE_CLASSES)


def _aws_may_pass(error: botocore.exceptions.ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in TRANSIENT_S3_CODES


def _upload_may_pass(error: boto3.exceptions.S3UploadFailedError) -> bool:
    # The service's code is only in the error's text; a lost connection is its context.
    is_transient = any(f"({code})" in str(error) for code in TRANSIENT_S3_CODES)
    return is_transient or (error.__context__ is not None and may_pass(error.__context__))


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help. An error without a case here needs a person."""
    match error:
        case SalesEtlError():
            return isinstance(error, TransientError)
        case sqlalchemy.exc.DBAPIError() if error.orig is not None:
            return may_pass(error.orig)
        case psycopg2.Error():
            return _postgres_may_pass(error)
        case snowflake_errors.Error():
            return _snowflake_may_pass(error)
        case botocore.exceptions.ClientError():
            return _aws_may_pass(error)
        case boto3.exceptions.S3UploadFailedError():
            return _upload_may_pass(error)
        case botocore.exceptions.SSLError():
            return False
        case botocore.exceptions.HTTPClientError() | botocore.exceptions.ConnectionError():
            return True
        case ConnectionError() | TimeoutError():
            return True
        case _:
            return False


def one_line(error: BaseException | str, length_max: int = 500) -> str:
    """An error's message in one line of bounded length, which keeps what happened and what to do."""
    text = str(getattr(error, "orig", None) or error)
    return shortened(" ".join(in_one_line(text).split()), length_max)
