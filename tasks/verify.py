"""Verify: takes the second look at a batch after COMMIT, and rolls back a batch that the fact table does not show."""

from contextlib import suppress

from prefect import get_run_logger, task
from prefect.exceptions import UnfinishedRun

from tasks.errors import SalesEtlError
from tasks.law import Fate
from tasks.load import drop_staging_tables
from tasks.publish import Publication
from tasks.retries import RETRIES
from tasks.rollback.roll_back import roll_back_unless_verified
from tasks.stage import Manifest
from tasks.tally import Tally, add_up
from tasks.warehouse.second_look import Verification, look
from tasks.warehouse.session import Session, task_session


def expected_in_table(manifest: Manifest, publication: Publication) -> dict[str, Tally]:
    """The manifest's clean rows of each published region, without those that gave way to another row of the table."""
    expected = {}
    for published in publication.regions:
        files = [file.tally or Tally() for file in manifest.files_of("clean") if file.region == published.region]
        gave_way = published.of(Fate.SUPERSEDED) + published.of(Fate.CROSS_REGION)
        expected[published.region] = add_up(files).minus(gave_way)
    return expected


def compare(session: Session, manifest: Manifest, publication: Publication) -> Verification:
    """Takes the second look: the manifest against the fact table."""
    return look(session, manifest.attempt, manifest.extra_columns, expected_in_table(manifest, publication))


@task(name="verify", **RETRIES)
def verify(manifest: Manifest, publication: Publication, warehouse: str) -> Verification:
    """Takes the second look, rolls the batch back when the table does not show it, and drops the staging tables."""
    logger = get_run_logger()
    with task_session(warehouse, f"verify {manifest.attempt.batch_id}") as session:
        verification = compare(session, manifest, publication)
        roll_back_unless_verified(session, manifest.attempt, verification)
        with suppress(SalesEtlError):  # a later run sweeps what stays
            drop_staging_tables(session, manifest.attempt.staging_tables)
    logger.info("step=verify regions=%d seconds=%.1f", len(verification.comparisons), verification.seconds)
    return verification


def verify_in_any_case(manifest: Manifest, publication: Publication, warehouse: str) -> Verification:
    """Takes the second look as a task, or without one: Prefect starts no task in a run that was cancelled."""
    try:
        verification: Verification = verify(manifest, publication, warehouse)
    except UnfinishedRun:
        verification = verify.fn(manifest, publication, warehouse)
    return verification
