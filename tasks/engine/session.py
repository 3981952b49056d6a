"""Sessions of an engine, with every setting on which results depend."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.connect.client.retries import DefaultPolicy

from blocks import names
from tasks.engine.server import Address
from tasks.errors import NeedsPersonError, TransientError

SETTINGS = {
    # Days and texts of times are those of UTC.
    "spark.sql.session.timeZone": "UTC",
    # A sum or cast that does not fit is an error, not NULL.
    "spark.sql.ansi.enabled": "true",
    # Times as Snowflake reads them.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
RETRIES_MAX = 5
"""How often a call is repeated while the engine does not answer: about a minute, not ten."""

LOST = ("UNAVAILABLE", "CANCELLED", "Socket closed", "RetriesExceeded", "RETRIES_EXCEEDED", "SESSION")
"""Texts in the errors of an engine that went away."""
UNAUTHENTICATED = "UNAUTHENTICATED"


@contextmanager
def engine_session(address: Address) -> Iterator[SparkSession]:
    """A session of its own at the engine. The engine's errors become TransientError or NeedsPersonError."""
    spark = None
    try:
        spark = SparkSession.builder.remote(address.with_token()).create()
        spark.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES_MAX)])
        for name, text in SETTINGS.items():
            spark.conf.set(name, text)
        yield spark
    except PySparkException as error:
        text = f"{type(error).__name__}: {error}"
        if UNAUTHENTICATED in text:
            raise NeedsPersonError(
                f"the engine at {address} refuses the token of block secret/{names.SPARK_TOKEN}, or the lack of one: "
                "set SPARK_TOKEN and run `python -m blocks.register`"
            ) from error
        kind = TransientError if any(sign in text for sign in LOST) else NeedsPersonError
        raise kind(f"the engine at {address} failed ({text})") from error
    finally:
        if spark is not None:
            _stop(spark)


def _stop(spark: SparkSession) -> None:
    # An engine that is gone has no session left to end.
    with suppress(Exception):
        spark.stop()
