"""Stage: clean and rejected rows as Parquet under this attempt's path on S3; the manifest is written last."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from expectations.columns import CONTRACT_VERSION
from tasks.arrow_files import read_table
from tasks.attempt import Attempt
from tasks.errors import NeedsPersonError
from tasks.extract import Extracted
from tasks.retries import RETRIES
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally, tally_of_table
from tasks.transform import Transformed

FILE_ROWS_MAX = 2_000_000
"""Rows per Parquet file: about 100 to 250 MB of zstd, what Snowflake loads best in parallel."""

ROW_GROUP_ROWS_MAX = 250_000

MANIFEST_NAME = "manifest.json"

FileKind = Literal["clean", "rejected"]

CLEAN: FileKind = "clean"
"""The folder of the clean rows, too."""


@dataclass(frozen=True)
class StagedFile:
    """One Parquet file on S3. `name` is relative to the attempt's prefix; `tally` is None for rejected rows (text)."""

    name: str
    kind: FileKind
    region: str
    rows: int
    bytes: int
    sha256: str
    tally: Tally | None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "tally": self.tally.to_json() if self.tally else None}


@dataclass(frozen=True)
class StagedRegion:
    """One region's files."""

    region: str
    files: tuple[StagedFile, ...]
    seconds: float


@dataclass(frozen=True)
class Manifest:
    """What an attempt staged: COPY loads these files and no others. `snapshots` are aware UTC times per region."""

    attempt: Attempt
    snapshots: dict[str, datetime]
    files: tuple[StagedFile, ...]

    def files_of(self, kind: FileKind) -> tuple[StagedFile, ...]:
        return tuple(file for file in self.files if file.kind == kind)

    def to_json(self) -> str:
        """The manifest as it stands on S3."""
        document = {
            "batch_id": self.attempt.batch_id,
            "run_number": self.attempt.run_number,
            "contract_version": CONTRACT_VERSION,
            "snapshots": {region: moment.isoformat() for region, moment in self.snapshots.items()},
            "files": [file.to_json() for file in self.files],
        }
        return json.dumps(document, indent=2)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes zstd Parquet with microsecond UTC timestamps and row groups of bounded size."""
    pq.write_table(
        table, path, compression="zstd", row_group_size=ROW_GROUP_ROWS_MAX, coerce_timestamps="us", version="2.6"
    )


def parts(table: pa.Table, rows_max: int = FILE_ROWS_MAX) -> Iterable[pa.Table]:
    """The table in slices of at most `rows_max` rows; none for an empty table."""
    return (table.slice(start, rows_max) for start in range(0, table.num_rows, rows_max))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stage_table(
    table: pa.Table, kind: FileKind, region: str, prefix: str, scratch: Path, bucket: S3Bucket
) -> list[StagedFile]:
    """Writes and uploads the table's files and checks that S3 holds as many bytes as were sent."""
    staged = []
    for number, part in enumerate(parts(table)):
        name = f"{kind}/{region}-{number:03d}.parquet"
        path = scratch / f"{region}.{kind}-{number:03d}.parquet"
        write_parquet(part, path)
        _upload(bucket, path, f"{prefix}/{name}")
        tally = tally_of_table(part) if kind == "clean" else None
        staged.append(StagedFile(name, kind, region, part.num_rows, path.stat().st_size, sha256_of(path), tally))
        path.unlink()
    return staged


def _upload(bucket: S3Bucket, path: Path, key: str) -> None:
    client = bucket.credentials.get_s3_client()
    client.upload_file(str(path), bucket.bucket_name, key)
    arrived = client.head_object(Bucket=bucket.bucket_name, Key=key)["ContentLength"]
    if arrived != path.stat().st_size:
        raise NeedsPersonError(
            f"s3://{bucket.bucket_name}/{key} holds {arrived} bytes, {path.stat().st_size} were sent"
        )


def load_bucket(block: str, bucket_name: str) -> S3Bucket:
    """The staging bucket: credentials from the block, the name from the variable `s3_staging_bucket`."""
    return S3Bucket.load(block).copy(update={"bucket_name": bucket_name})


@task(name="stage", task_run_name="stage-{transformed.region}", **RETRIES)
def stage(
    transformed: Transformed,
    attempt: Attempt,
    kinds: tuple[FileKind, ...],
    scratch: Path,
    bucket_block: str,
    bucket_name: str,
) -> StagedRegion:
    """Stages one region's rows of the given kinds."""
    watch = Stopwatch()
    bucket = load_bucket(bucket_block, bucket_name)
    paths: dict[FileKind, Path] = {"clean": transformed.clean_path, "rejected": transformed.rejected_path}
    region, prefix = transformed.region, attempt.staging_prefix
    files = [
        file for kind in kinds for file in stage_table(read_table(paths[kind]), kind, region, prefix, scratch, bucket)
    ]
    seconds = watch.seconds()
    get_run_logger().info("step=stage region=%s files=%d seconds=%.1f", region, len(files), seconds)
    return StagedRegion(region, tuple(files), seconds)


@task(name="write-manifest", **RETRIES)
def write_manifest(
    attempt: Attempt, extracts: list[Extracted], staged: list[StagedRegion], bucket_block: str, bucket_name: str
) -> Manifest:
    """Writes the manifest, last of all: without it nothing of the attempt is ever loaded."""
    snapshots = {extracted.region: extracted.snapshot_at for extracted in extracts}
    manifest = Manifest(attempt, snapshots, tuple(file for region in staged for file in region.files))
    bucket = load_bucket(bucket_block, bucket_name)
    bucket.credentials.get_s3_client().put_object(
        Bucket=bucket_name, Key=f"{attempt.staging_prefix}/{MANIFEST_NAME}", Body=manifest.to_json().encode()
    )
    return manifest
