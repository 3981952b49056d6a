"""The steps from source to table as plain functions, without Prefect: fast enough for many small cases."""

import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Engine, create_engine

from blocks.register import storage_blocks
from expectations.thresholds import Thresholds
from tasks.batch import Attempt, Batch, Keys, Window
from tasks.extract import read_region
from tasks.law import Fate
from tasks.publish import Publication, Staged, publish_manifest
from tasks.rollback.rolled_back import rolled_back
from tasks.stage import FileKind, Manifest, stage_files
from tasks.transform import transform_region
from tasks.verify import compare
from tasks.warehouse.ledger import start_attempt
from tasks.warehouse.second_look import Verification, refuse_differences
from tests.integration.conftest import World

KINDS: tuple[FileKind, ...] = ("clean", "rejected")
TOLERANT = Thresholds(max_rejected_percentage=Decimal(100))
KEY = b"a key of tests, long enough for all"
NONE: Mapping[str, str] = MappingProxyType({})


def source_engine(world: World, region: str) -> Engine:
    """Connects to a region's database as its reader."""
    return create_engine(world.environment[f"PG_{region}_URL"].replace("postgresql://", "postgresql+psycopg2://"))


def begin(world: World, day: date, *regions: str) -> Attempt:
    with world.session() as session:
        return start_attempt(session, Batch(day, regions), str(uuid.uuid4()), lease_minutes=15)


def stage_attempt(
    world: World, attempt: Attempt, day: date, scratch: Path, extra_columns: Mapping[str, str] = NONE
) -> Staged:
    """Reads, cleans and stages one day of the attempt's regions."""
    return stage_wanted(world, attempt, dict.fromkeys(attempt.regions, Window.of_day(day)), scratch, extra_columns)


def stage_wanted(
    world: World,
    attempt: Attempt,
    wanted: Mapping[str, Window | Keys],
    scratch: Path,
    extra_columns: Mapping[str, str] = NONE,
) -> Staged:
    """Reads, cleans and stages the wanted windows or keys of the attempt's regions."""
    _, bucket = storage_blocks(world.environment)
    extracts, transformed, files = [], [], []
    for region in attempt.regions:
        engine = source_engine(world, region)
        extracts.append(read_region(engine, region, wanted[region], scratch, KEY, extra_columns, lambda line: None))
        engine.dispose()
        transformed.append(transform_region(extracts[-1], scratch))
        files += stage_files(transformed[-1], KINDS, attempt.staging_prefix, scratch, bucket)
    read = {e.region: e.extra_columns for e in extracts}
    manifest = Manifest(attempt, {e.region: e.snapshot_at for e in extracts}, tuple(files), read)
    return Staged(manifest, extracts, transformed, (), TOLERANT)


def keys_of(world: World, region: str, *sale_ids: str) -> Keys:
    """Keys of a region, without those that stay out because they were rolled back."""
    with world.session() as session:
        return Keys(sale_ids, rolled_back(session, [region])[region])


def publish_staged(world: World, staged: Staged) -> tuple[Publication, Verification | None]:
    """Publishes and takes the second look."""
    with world.session() as session:
        publication = publish_manifest(session, staged, world.session, print)
    if publication.refused:
        return publication, None
    with world.session() as session:
        verification = compare(session, staged.manifest, publication)
    refuse_differences(verification.comparisons, verification.repeated_keys)
    return publication, verification


def load(world: World, day: date, scratch: Path, *regions: str, extra_columns: Mapping[str, str] = NONE) -> Publication:
    """Runs one attempt from source to table."""
    return publish_staged(world, stage_attempt(world, begin(world, day, *regions), day, scratch, extra_columns))[0]


def fates(publication: Publication) -> Mapping[str, dict[str, int]]:
    """The numbers of rows by region and fate, without zeros."""
    return {
        region.region: {str(fate): region.of(fate).rows for fate in Fate if region.of(fate).rows}
        for region in publication.regions
    }
