"""Removes pages of runs that are past their retention, from the staging bucket and from this machine's disk."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks.project import reports_directory
from blocks.waits import logged_if_slow
from tasks.pages.paths import FOLDER, RUNS
from tasks.retention.staged import Removal, remove_files
from tasks.retries import RETRIES
from tasks.stage import load_bucket


def old_objects(bucket: S3Bucket, before: datetime) -> Iterator[tuple[str, int]]:
    """Yields keys and sizes in bytes of the pages that were written before that moment (aware)."""
    pages = bucket.credentials.get_s3_client().get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket.bucket_name, Prefix=f"{FOLDER}/{RUNS}/"):
        for found in page.get("Contents", ()):
            if found["LastModified"] < before:
                yield found["Key"], found["Size"]


def old_files(directory: Path, before: datetime) -> list[Path]:
    """The pages below the directory that were written before that moment (aware)."""
    return [file for file in (directory / RUNS).glob("*/*") if file.stat().st_mtime < before.timestamp()]


@task(name="remove-pages", **RETRIES)
def remove_pages(days: int, dry_run: bool, bucket_name: str) -> list[Removal]:
    """Removes the pages of runs that are older than `days`; the history is written anew and stays."""
    bucket, logger, before = load_bucket(bucket_name), get_run_logger(), datetime.now(UTC) - timedelta(days=days)
    with logged_if_slow(logger.info, "remove-pages", f"s3://{bucket_name}: the list of its pages"):
        objects = dict(old_objects(bucket, before))
    directory = reports_directory()
    files = old_files(directory, before) if directory else []
    used = sum(file.stat().st_size for file in files)
    if not dry_run:
        with logged_if_slow(logger.info, "remove-pages", f"s3://{bucket_name}: the removal of {len(objects)} pages"):
            remove_files(bucket, list(objects))
        for file in files:
            file.unlink(missing_ok=True)
    logger.info("step=remove-pages objects=%d files=%d dry_run=%s", len(objects), len(files), dry_run)
    return [
        Removal("pages in the bucket", days, len(objects), sum(objects.values())),
        Removal("pages on this machine", days, len(files), used),
    ]
