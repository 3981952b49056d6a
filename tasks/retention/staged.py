"""Retention: removes what runs have left behind and is no longer needed. What is alive or open stays, however old."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks.waits import logged_if_slow
from tasks.errors import NeedsPersonError, OutcomeUnknownError, TransientError
from tasks.files.scratch import leftovers, remove, scratch_root
from tasks.retries import ONCE, RETRIES
from tasks.stage import MANIFEST_NAME, load_bucket
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render

TAG = "clean-staging"
STAGED_KEY = re.compile(r"sales/batch=[^/]+/run=(\d+)/")
"""The start of a key, as `Attempt.staging_prefix` writes it."""

DELETED_AT_ONCE_MAX = 1000
"""Keys that S3 deletes in one request."""

IS_PAST = "COALESCE(UNDO_PUBLISH_NUMBER, 0) <= (SELECT PAST_SINCE FROM ANALYTICS.ETL_LOCK)"
"""The past that sql/retention/past_since.sql has given up; it does not grow with the clock since then."""

DAY_S = 24 * 60 * 60


@dataclass(frozen=True)
class Removal:
    """Things that were old enough, and were removed unless it was a dry run."""

    what: str
    older_than_days: int
    count: int
    bytes: int | None = None


def old_runs(session: Session, days: int) -> set[int]:
    """Returns the numbers of the runs that have ended or died, by the ledger, and are older than `days`."""
    return {int(run_number) for (run_number,) in session.query(render("retention/old_runs", days=f"{days:d}"))}


def staged_files(bucket: S3Bucket, runs: set[int]) -> Iterator[tuple[str, int]]:
    """Yields keys and sizes in bytes of the files that these runs have staged."""
    pages = bucket.credentials.get_s3_client().get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket.bucket_name, Prefix="sales/"):
        for found in page.get("Contents", ()):
            key = STAGED_KEY.match(found["Key"])
            if key and int(key[1]) in runs:
                yield found["Key"], found["Size"]


def remove_files(bucket: S3Bucket, keys: list[str]) -> None:
    """Deletes the keys, manifests first: an attempt without one is never loaded.

    Raises NeedsPersonError when one cannot be deleted.
    """
    ordered = sorted(keys, key=lambda key: (not key.endswith(f"/{MANIFEST_NAME}"), key))
    client = bucket.credentials.get_s3_client()
    for start in range(0, len(ordered), DELETED_AT_ONCE_MAX):
        objects = [{"Key": key} for key in ordered[start : start + DELETED_AT_ONCE_MAX]]
        result = client.delete_objects(Bucket=bucket.bucket_name, Delete={"Objects": objects, "Quiet": True})
        if errors := result.get("Errors"):
            raise NeedsPersonError(
                f"s3://{bucket.bucket_name}/{errors[0]['Key']} cannot be deleted ({errors[0].get('Code')}), "
                f"{len(errors)} files in all: the role needs s3:DeleteObject"
            )


def staging_tables(session: Session, runs: set[int]) -> list[str]:
    """Returns the names of the staging tables of these runs."""
    return [name for name, run_number in session.query(render("retention/staging_tables")) if run_number in runs]


def old_rows(session: Session, days: int, dry_run: bool) -> list[Removal]:
    """Removes, or counts, undo rows, closed rejected rows and renewals that are older than `days`, in one transaction.

    Under the publish lock, because the law compares whole tables during a publish.
    """
    verb = "SELECT COUNT(*)" if dry_run else "DELETE"
    with lock_held(session, 0) as writing:
        if not dry_run:
            writing.query(render("retention/past_since", days=f"{days:d}"))
        is_past = "TRUE" if dry_run else IS_PAST
        ((undo,),) = writing.query(render("retention/old_undo_rows", verb=verb, days=f"{days:d}", is_past=is_past))
        ((rejected,),) = writing.query(render("retention/old_rejected_rows", verb=verb, days=f"{days:d}"))
        if not dry_run:
            writing.query(render("retention/delete_closings"))
        ((renewals,),) = writing.query(render("retention/old_renewals", verb=verb, days=f"{days:d}"))
    found = {"undo rows": undo, "closed rejected rows": rejected, "renewals of leases": renewals}
    return [Removal(what, days, int(count)) for what, count in found.items()]


@task(name="remove-staged", **RETRIES)
def remove_staged(days: int, dry_run: bool, warehouse: str, bucket_name: str) -> list[Removal]:
    """Removes staged files and staging tables of runs that have ended and are older than `days`."""
    bucket, logger = load_bucket(bucket_name), get_run_logger()
    with task_session(warehouse, TAG) as session:
        runs = old_runs(session, days)
        with logged_if_slow(logger.info, "remove-staged", f"s3://{bucket_name}: the list of its files"):
            files = dict(staged_files(bucket, runs))
        tables = staging_tables(session, runs)
        if not dry_run:
            with logged_if_slow(logger.info, "remove-staged", f"s3://{bucket_name}: the removal of {len(files)} files"):
                remove_files(bucket, list(files))
            for table in tables:
                session.query(f"DROP TABLE IF EXISTS STAGING.{table}")
    logger.info("step=remove-staged runs=%d files=%d tables=%d dry_run=%s", len(runs), len(files), len(tables), dry_run)
    return [
        Removal("staged files", days, len(files), sum(files.values())),
        Removal("staging tables", days, len(tables)),
    ]


@task(name="remove-old-rows", **RETRIES)
def remove_old_rows(days: int, dry_run: bool, warehouse: str) -> list[Removal]:
    """Removes undo rows, closed rejected rows and renewals that are older than `days`. After a lost answer to COMMIT,
    the next try removes, and counts, what is left."""
    logger = get_run_logger()
    with task_session(warehouse, TAG) as session:
        try:
            removals = old_rows(session, days, dry_run)
        except OutcomeUnknownError as error:
            raise TransientError(str(error)) from error
    for removal in removals:
        logger.info("step=remove-old-rows %s=%d dry_run=%s", removal.what.replace(" ", "-"), removal.count, dry_run)
    return removals


@task(name="remove-scratch", **ONCE)
def remove_scratch(days: int, dry_run: bool) -> list[Removal]:
    """Removes scratch directories on this machine whose process has ended and that are older than `days`."""
    found = leftovers(scratch_root(), older_than_s=days * DAY_S)
    used = sum(file.stat().st_size for directory in found for file in directory.rglob("*") if file.is_file())
    if not dry_run:
        remove(found)
    get_run_logger().info("step=remove-scratch directories=%d dry_run=%s", len(found), dry_run)
    return [Removal("scratch directories", days, len(found), used)]
