"""Begin: blocks and bucket are there, the attempt is opened in the ledger, and what dead attempts left is swept.

Scratch is swept in `scratch.py`.
"""

from collections.abc import Callable

import botocore.exceptions
from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks.once import load_once
from blocks.snowflake import SnowflakeHostConnector
from tasks.attempt import Attempt
from tasks.batch import Batch, NamedKeys
from tasks.errors import SalesEtlError
from tasks.ledger import start_attempt
from tasks.ready import require_ready
from tasks.retries import RETRIES
from tasks.stage import CLEAN, load_bucket
from tasks.statements import render
from tasks.warehouse import Session, open_session


def sweep_staging_tables(session: Session) -> list[str]:
    """Drops the staging tables that dead attempts left, and answers their names."""
    dead = [name for (name,) in session.query(render("ledger/dead_staging_tables"))]
    for name in dead:
        session.query(f"DROP TABLE IF EXISTS STAGING.{name}")
    return dead


def sweep_staged_files(session: Session, batch: Batch | NamedKeys, bucket: S3Bucket) -> list[str]:
    """Removes the clean rows that attempts at the batch have staged and never published, and answers their keys.

    Rejected rows stay: they say why a batch was refused.
    """
    client, swept = bucket.credentials.get_s3_client(), []
    for (run_number,) in session.query(render("ledger/dead_attempts"), [batch.batch_id]):
        prefix = f"{Attempt(int(run_number), '', batch.batch_id, ()).staging_prefix}/{CLEAN}/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket_name, Prefix=prefix)
        for key in [found["Key"] for page in pages for found in page.get("Contents", ())]:
            client.delete_object(Bucket=bucket.bucket_name, Key=key)
            swept.append(key)
    return swept


def sweep(session: Session, batch: Batch | NamedKeys, bucket: S3Bucket, warn: Callable[[str], None]) -> int:
    """Removes what dead attempts left, and answers how many things. What cannot be removed is told: no load fails for
    it."""
    swept = 0
    for what, remove in (
        ("staging tables", lambda: sweep_staging_tables(session)),
        ("staged files", lambda: sweep_staged_files(session, batch, bucket)),
    ):
        try:
            swept += len(remove())
        except (SalesEtlError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            warn(f"step=begin {what} of dead attempts stay where they are: {error}")
    return swept


@task(name="begin", **RETRIES)
def begin(
    batch: Batch | NamedKeys,
    flow_run_id: str,
    token_key_block: str,
    connector_block: str,
    warehouse: str,
    bucket_block: str,
    bucket_name: str,
    lease_minutes: int,
) -> Attempt:
    """Opens the attempt in the ledger; what is missing or does not answer stops the run here, before anything is read.

    Raises NeedsPersonError naming the block or bucket that is missing, TransientError when S3 or the warehouse does not
    answer.
    """
    require_ready(batch, token_key_block, bucket_block, bucket_name)
    connector, logger = load_once(SnowflakeHostConnector, connector_block), get_run_logger()
    bucket = load_bucket(bucket_block, bucket_name)
    with open_session(connector, warehouse, f"retail-sales begin {batch.batch_id}", logger.warning) as session:
        attempt = start_attempt(session, batch, flow_run_id, lease_minutes)
        swept = sweep(session, batch, bucket, logger.warning)
    regions = len(batch.regions)
    logger.info("step=begin batch=%s run=%d regions=%d swept=%d", batch.batch_id, attempt.run_number, regions, swept)
    return attempt
