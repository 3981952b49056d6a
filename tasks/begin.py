"""Begin: opens the attempt in the ledger and sweeps what dead attempts left. Scratch is swept in `scratch.py`."""

from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks.snowflake import SnowflakeHostConnector
from tasks.attempt import Attempt
from tasks.batch import Batch
from tasks.ledger import start_attempt
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


def sweep_staged_files(session: Session, batch: Batch, bucket: S3Bucket) -> list[str]:
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


@task(name="begin", **RETRIES)
def begin(
    batch: Batch,
    flow_run_id: str,
    connector_block: str,
    warehouse: str,
    bucket_block: str,
    bucket_name: str,
    lease_minutes: int,
) -> Attempt:
    """Opens the attempt in the ledger; a warehouse that does not answer stops the run here, before anything is read."""
    connector, logger = SnowflakeHostConnector.load(connector_block), get_run_logger()
    bucket = load_bucket(bucket_block, bucket_name)
    with open_session(connector, warehouse, f"retail-sales begin {batch.batch_id}", logger.warning) as session:
        swept = [*sweep_staging_tables(session), *sweep_staged_files(session, batch, bucket)]
        attempt = start_attempt(session, batch, flow_run_id, lease_minutes)
    regions = len(batch.regions)
    logger.info(
        "step=begin batch=%s run=%d regions=%d swept=%d", batch.batch_id, attempt.run_number, regions, len(swept)
    )
    return attempt
