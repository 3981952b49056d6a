"""Batches of named keys: sales read again by key and loaded by the steps of every batch, judged row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from prefect.runtime import flow_run

from blocks.variables import Settings
from tasks.batch import Attempt, NamedKeys
from tasks.begin import begin
from tasks.errors import NeedsPersonError
from tasks.extract import Extracted, extract_regions
from tasks.plan import unread_regions
from tasks.prefect_server.stopping import finished_first
from tasks.publish import Publication, publish
from tasks.quality import check_rows
from tasks.rejected.replay import lacking_keys
from tasks.rollback.rolled_back import read_rolled_back
from tasks.stage import stage
from tasks.transform import Transformed, transform
from tasks.verify import verify_in_any_case
from tasks.warehouse.lease import lease_kept
from tasks.warehouse.ledger import Entry
from tasks.warehouse.states import Status


@dataclass(frozen=True)
class ReadAgain:
    """What the sources hold of the keys now. `gone` are keys that a region no longer holds, `unread` the reasons of
    regions that could not be read, `not_found` how many keys a region does not show and why it may hold them."""

    present: tuple[Extracted, ...]
    transformed: tuple[Transformed, ...]
    gone: Mapping[str, tuple[str, ...]]
    unread: Mapping[str, str]
    not_found: Mapping[str, str]

    @property
    def held_back(self) -> dict[str, int]:
        """Numbers of keys that stay out because they were rolled back, per region with any."""
        return {extracted.region: len(extracted.held_back) for extracted in self.present if extracted.held_back}


@dataclass(frozen=True)
class LoadedAgain:
    """A batch of named keys that was published."""

    attempt: Attempt
    read: ReadAgain
    publication: Publication


def read_again(batch: NamedKeys, settings: Settings, scratch: Path, warehouse: str) -> ReadAgain:
    """Reads the keys and applies the rules. Leaves out regions that cannot be read, and keys that were rolled back."""
    batch = batch.with_rolled_back(read_rolled_back(batch.regions, warehouse))
    outcomes = extract_regions(batch, settings, scratch)
    unread = unread_regions(outcomes)
    present = [outcome for outcome in outcomes.values() if isinstance(outcome, Extracted)]
    transformed = transform(present, scratch)
    lacking = {of.region: lacking_keys(batch.keys[of.region], of) for of in present}
    in_part = {of.region: of.why_not_whole for of in present if of.why_not_whole and lacking[of.region]}
    gone = {region: () if region in in_part else keys for region, keys in lacking.items()}
    not_found = {region: f"{len(lacking[region]):,} not found stay open: {why}" for region, why in in_part.items()}
    return ReadAgain(tuple(present), tuple(transformed), gone, unread, not_found)


def load_again(batch: NamedKeys, settings: Settings, scratch: Path) -> LoadedAgain:
    """Reads the keys and loads the good rows by the steps of every batch, without floor and percentages.

    Raises NeedsPersonError when no region can be read, or a clean row does not fit the suites.
    """
    warehouse, watch_warehouse = settings.snowflake_warehouse, settings.snowflake_watch_warehouse
    bucket, lease_minutes = settings.s3_staging_bucket, settings.lease_minutes
    attempt = begin(batch, str(flow_run.id), watch_warehouse, bucket, lease_minutes)
    with lease_kept(attempt, watch_warehouse, lease_minutes):
        read = read_again(batch, settings, scratch, warehouse)
        if not read.present:
            raise NeedsPersonError(f"no region could be read: {read.unread}")
        present, transformed = list(read.present), list(read.transformed)
        verdict = check_rows(present, transformed)
        if verdict.failed:
            raise NeedsPersonError(f"nothing was loaded for {batch.batch_id}: {verdict.message}")
        manifest = stage(attempt, present, transformed, ("clean", "rejected"), scratch, bucket)
        left_out = [Entry(region, Status.MISSING, cause=cause) for region, cause in read.unread.items()]
        tolerant = replace(settings.thresholds, max_rejected_percentage=Decimal(100))
        with finished_first(attempt.run_number):
            publication = publish(manifest, present, transformed, left_out, tolerant, warehouse, read.gone)
            verify_in_any_case(manifest, publication, warehouse)
    return LoadedAgain(attempt, read, publication)
