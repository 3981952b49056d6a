"""Sessions of an engine, with every setting on which results depend."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

from blocks import names
from blocks.waits import logged_if_slow
from tasks.engine.server import Address
from tasks.errors import NeedsPersonError, TransientError

SETTINGS = {
    # Days and texts of times are those of UTC.
    "spark.sql.session.timeZone": "UTC",
    # A sum or cast that does not fit is an error, not NULL.
    "spark.sql.ansi.enabled": "true",
    # Times as Snowflake reads them.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Days of the proleptic Gregorian calendar, as PostgreSQL's and pyarrow's are.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}
RETRIES_MAX = 6
"""How often a call is repeated while the engine does not answer: about a minute, not ten."""

LOST = ("UNAVAILABLE", "CANCELLED", "Socket closed", "RetriesExceeded", "RETRIES_EXCEEDED", "SESSION")
"""Texts in the errors of an engine that went away."""
UNAUTHENTICATED = "UNAUTHENTICATED"
INTERRUPT_S_MAX = 5
"""Seconds in which an engine that is given up may answer that it stops its jobs."""


class Patience(DefaultPolicy):
    """Repeats a call that the engine does not answer. After one for which all was in vain, no other is repeated: Great
    Expectations goes on to its next check."""

    in_vain = False

    def can_retry(self, exception: BaseException) -> bool:
        return not self.in_vain and super().can_retry(exception)

    def to_state(self) -> RetryPolicyState:
        return _Waits(self)


class _Waits(RetryPolicyState):
    """The waits of one call."""

    def next_attempt(self, *error: BaseException | None) -> int | None:
        wait_ms = super().next_attempt(*error)
        if wait_ms is None and isinstance(self.policy, Patience):
            self.policy.in_vain = True
        return wait_ms


@contextmanager
def engine_step(address: Address, say: Callable[[str], None], step: str) -> Iterator[SparkSession]:
    """A session for a step of a run, which logs that it waits."""
    with logged_if_slow(say, step, f"the engine at {address}", address.limit_s), engine_session(address) as spark:
        yield spark


@contextmanager
def engine_session(address: Address) -> Iterator[SparkSession]:
    """A session of its own at the engine, of at most `address.limit_s` seconds: calls of Spark Connect wait for ever.

    The engine's errors become TransientError or NeedsPersonError, the end of the limit a NeedsPersonError.
    """
    try:
        spark = SparkSession.builder.remote(address.with_token()).create()
    except PySparkException as error:
        raise _explained(error, address) from error
    given_up, patience = threading.Event(), Patience(max_retries=RETRIES_MAX)

    def give_up() -> None:
        given_up.set()
        _interrupt(spark)
        spark.client.close()

    limit = threading.Timer(address.limit_s, give_up)
    limit.daemon = True
    limit.start()
    try:
        spark.client.set_retry_policies([patience])
        for name, text in SETTINGS.items():
            spark.conf.set(name, text)
        yield spark
        if given_up.is_set() or patience.in_vain:
            raise TransientError(f"the engine at {address} did not answer")
    except Exception as error:
        if given_up.is_set():
            raise NeedsPersonError(
                f"the engine at {address} did not finish within {address.limit_s:,.0f} s: look at its log and its free "
                "capacity, raise the variable spark_timeout_minutes, or run with engine pandas"
            ) from error
        if isinstance(error, PySparkException):
            raise _explained(error, address) from error
        raise
    finally:
        # An engine that is gone has no session left to end.
        with suppress(Exception):
            spark.stop()
        limit.cancel()


def _interrupt(spark: SparkSession) -> None:
    """Ends the session's jobs, which would go on without a client."""

    def interrupt() -> None:
        with suppress(Exception):
            spark.interruptAll()

    thread = threading.Thread(target=interrupt, name="interrupt-engine", daemon=True)
    thread.start()
    thread.join(INTERRUPT_S_MAX)


def _explained(error: PySparkException, address: Address) -> NeedsPersonError | TransientError:
    text = f"{type(error).__name__}: {error}"
    if UNAUTHENTICATED in text:
        return NeedsPersonError(
            f"the engine at {address} refuses the token of block secret/{names.SPARK_TOKEN}, or the lack of one: "
            f"set SPARK_TOKEN and run `{names.HERE}python -m blocks.register`"
        )
    kind = TransientError if any(sign in text for sign in LOST) else NeedsPersonError
    hint = f"; a token is sent by TLS alone, so an engine without TLS wants no secret/{names.SPARK_TOKEN}"
    by_tls = address.token and "UNAVAILABLE" in text
    return kind(f"the engine at {address} failed ({text}){hint if by_tls else ''}")
