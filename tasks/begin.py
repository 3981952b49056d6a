"""Begin: checks blocks and bucket, opens the attempt in the ledger and removes the leftovers of dead attempts.

Leftovers on the scratch disk are removed by `tasks/files/scratch.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import botocore.exceptions
from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks.shell import describe_ignored
from blocks.waits import logged_if_slow
from tasks.batch import Attempt, Batch, NamedKeys
from tasks.errors import SalesEtlError
from tasks.ready import require_ready
from tasks.retries import RETRIES
from tasks.stage import CLEAN, load_bucket
from tasks.warehouse.ledger import start_attempt
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render, union_all


@dataclass(frozen=True)
class Leftovers:
    """Leftovers of dead attempts: the names of tables in STAGING, of any batch, and the run numbers of attempts of this
    batch whose staged files will never be loaded."""

    tables: tuple[str, ...]
    run_numbers: tuple[int, ...]


def find_leftovers(session: Session, batch: Batch | NamedKeys) -> Leftovers:
    found = sorted(session.query(leftovers_query(), [batch.batch_id]))
    return Leftovers(
        tuple(value for kind, value in found if kind == "table"),
        tuple(int(value) for kind, value in found if kind == "run"),
    )


def leftovers_query() -> str:
    """The query for tables and runs, in one round trip: rows of kind (`table` or `run`) and name or number."""
    return union_all((render("ledger/dead_staging_tables"), render("ledger/dead_attempts")))


def drop_leftover_tables(session: Session, leftovers: Leftovers) -> int:
    """Drops the tables and returns how many they were."""
    for name in leftovers.tables:
        session.query(f"DROP TABLE IF EXISTS STAGING.{name}")
    return len(leftovers.tables)


def remove_leftover_files(leftovers: Leftovers, batch: Batch | NamedKeys, bucket: S3Bucket) -> list[str]:
    """Deletes the files on S3 with clean rows that dead attempts of the batch staged; returns their S3 keys.

    Files with rejected rows stay: they say why a batch was refused.
    """
    client, removed = bucket.credentials.get_s3_client(), []
    for run_number in leftovers.run_numbers:
        prefix = f"{Attempt(run_number, '', batch.batch_id, ()).staging_prefix}/{CLEAN}/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket_name, Prefix=prefix)
        for key in [found["Key"] for page in pages for found in page.get("Contents", ())]:
            client.delete_object(Bucket=bucket.bucket_name, Key=key)
            removed.append(key)
    return removed


def sweep(session: Session, batch: Batch | NamedKeys, bucket: S3Bucket, warn: Callable[[str], None]) -> int:
    """Removes the leftovers of dead attempts; returns the number of tables and files. Leftovers that cannot be removed
    are logged; they never fail a load."""
    swept = 0
    with _failure_only_logged(warn):
        leftovers = find_leftovers(session, batch)
        with _failure_only_logged(warn):
            swept += drop_leftover_tables(session, leftovers)
        with logged_if_slow(warn, "begin", f"s3://{bucket.bucket_name}: files of dead attempts"):
            swept += len(remove_leftover_files(leftovers, batch, bucket))
    return swept


@contextmanager
def _failure_only_logged(warn: Callable[[str], None]) -> Iterator[None]:
    """Logs a failure instead of raising it."""
    try:
        yield
    except (SalesEtlError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        warn(f"step=begin leftovers of dead attempts could not be removed: {error}")


@task(name="begin", **RETRIES)
def begin(
    batch: Batch | NamedKeys,
    flow_run_id: str,
    warehouse: str,
    bucket_name: str,
    lease_minutes: int,
) -> Attempt:
    """Opens the attempt in the ledger. Anything missing or unreachable stops the run here, before anything is read.

    Raises NeedsPersonError naming the missing block or bucket, TransientError when S3 or the warehouse does not answer.
    """
    logger = get_run_logger()
    require_ready(batch, bucket_name, logger.info)
    bucket = load_bucket(bucket_name)
    if ignored_variables := describe_ignored():
        logger.warning("step=begin %s", ignored_variables)
    with task_session(warehouse, f"begin {batch.batch_id}") as session:
        attempt = start_attempt(session, batch, flow_run_id, lease_minutes)
        swept = sweep(session, batch, bucket, logger.warning)
    regions = len(batch.regions)
    logger.info("step=begin batch=%s run=%d regions=%d swept=%d", batch.batch_id, attempt.run_number, regions, swept)
    return attempt
