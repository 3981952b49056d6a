"""Stage: clean and rejected rows as Parquet under this attempt's path on S3; the manifest is written last."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect_aws import S3Bucket

from blocks import names, storage
from blocks.once import load_once
from blocks.shell import ignore_beside
from blocks.storage import limited
from blocks.waits import logged_if_slow
from expectations.columns import CONTRACT_VERSION
from expectations.regions import REGIONS
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA
from tasks.batch import Attempt
from tasks.errors import NeedsPersonError
from tasks.extract import EXTRACTED_SCHEMA, Extracted
from tasks.files.arrow import in_tables, read_batches
from tasks.files.room import full_disk_named
from tasks.retries import RETRIES
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally, tally_of_table
from tasks.transform import Transformed

FILE_BYTES = 128 * 2**20
"""The size at which a Parquet file is complete: Snowflake loads files of 100 to 250 MB best in parallel
(https://docs.snowflake.com/en/user-guide/data-load-considerations-prepare)."""

ROW_GROUP_BYTES = 16 * 2**20
"""The Arrow memory with which a row group is complete; bounds the memory of a region."""

MANIFEST_NAME = "manifest.json"

FileKind = Literal["clean", "rejected", "extracted", "judged"]

CLEAN: FileKind = "clean"
"""Also the folder of the clean rows."""

SCHEMAS: dict[FileKind, pa.Schema] = {
    "clean": CLEAN_SCHEMA,
    "rejected": REJECTED_SCHEMA,
    "extracted": EXTRACTED_SCHEMA,
}
"""Extracted and judged rows are staged for an engine only; COPY never reads them."""


@dataclass(frozen=True)
class StagedFile:
    """One Parquet file on S3. `name` is relative to the attempt's prefix; `tally` is None for rejected rows (text).
    `sha256` is that of a file that this program wrote, `etag` S3's of one that an engine wrote; the other is empty."""

    name: str
    kind: FileKind
    region: str
    rows: int
    bytes: int
    sha256: str
    tally: Tally | None
    etag: str = ""

    def to_json(self) -> dict[str, Any]:
        digest = "etag" if self.etag else "sha256"
        fields = {name: cell for name, cell in vars(self).items() if name not in {"etag", "sha256"} - {digest}}
        return {**fields, "tally": self.tally.to_json() if self.tally else None}


@dataclass(frozen=True)
class Manifest:
    """What an attempt staged: COPY loads only these files. By region, `snapshots` are aware UTC times, `extra_columns`
    the columns beyond the contract that were read, and `seconds` the time that staging took."""

    attempt: Attempt
    snapshots: dict[str, datetime]
    files: tuple[StagedFile, ...]
    extra_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def files_of(self, kind: FileKind) -> tuple[StagedFile, ...]:
        return tuple(file for file in self.files if file.kind == kind)

    def to_json(self) -> str:
        """The manifest as it stands on S3."""
        document = {
            "batch_id": self.attempt.batch_id,
            "run_number": self.attempt.run_number,
            "contract_version": CONTRACT_VERSION,
            "snapshots": {region: moment.isoformat() for region, moment in self.snapshots.items()},
            "extra_columns": dict(self.extra_columns),
            "files": [file.to_json() for file in self.files],
        }
        return json.dumps(document, indent=2)


def stage_files(
    transformed: Transformed, kinds: Iterable[FileKind], prefix: str, scratch: Path, bucket: S3Bucket
) -> list[StagedFile]:
    """Stages one region's rows of the given kinds below `prefix`."""
    paths: dict[FileKind, Path] = {"clean": transformed.clean_file, "rejected": transformed.rejected_file}
    return [
        file
        for kind in kinds
        for file in stage_rows(read_batches(paths[kind]), kind, transformed.region, prefix, scratch, bucket)
    ]


def stage_rows(
    batches: Iterable[pa.RecordBatch], kind: FileKind, region: str, prefix: str, scratch: Path, bucket: S3Bucket
) -> list[StagedFile]:
    """Writes and uploads the rows as files of bounded size and checks that S3 holds as many bytes as were sent.

    Without rows there is no file. Raises ScratchFullError when there is no room for one.
    """
    staged: list[StagedFile] = []
    groups = in_tables(batches, ROW_GROUP_BYTES)
    while True:
        file_name = f"{region}-{len(staged):03d}.parquet"
        name, path = f"{kind}/{file_name}", scratch / f"{kind}-{file_name}"
        with full_disk_named(f"region {region}", path):
            rows, tally = write_file(groups, kind, path)
        if not rows:
            path.unlink()
            return staged
        _upload(bucket, path, f"{prefix}/{name}")
        staged.append(StagedFile(name, kind, region, rows, path.stat().st_size, sha256_of(path), tally))
        path.unlink()


def write_file(groups: Iterable[pa.Table], kind: FileKind, path: Path) -> tuple[int, Tally | None]:
    """Writes row groups until the file has FILE_BYTES or none are left; returns rows and tally.

    zstd, timestamps in UTC microseconds.
    """
    rows, tally = 0, Tally()
    with (
        open(path, "wb") as file,
        pq.ParquetWriter(file, SCHEMAS[kind], compression="zstd", coerce_timestamps="us", version="2.6") as writer,
    ):

        def write(group: pa.Table) -> None:
            nonlocal rows, tally
            write_group(group, writer)
            rows += group.num_rows
            tally += tally_of_table(group) if kind == "clean" else Tally()

        # Not a loop over the groups: it would hold one while the next is read.
        for _ in map(write, groups):
            if file.tell() >= FILE_BYTES:
                break
    return rows, tally if kind == "clean" else None


def write_group(group: pa.Table, writer: pq.ParquetWriter) -> None:
    """Writes one row group."""
    writer.write_table(group, row_group_size=group.num_rows)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _upload(bucket: S3Bucket, path: Path, key: str) -> None:
    client = bucket.credentials.get_s3_client()
    client.upload_file(str(path), bucket.bucket_name, key)
    arrived = client.head_object(Bucket=bucket.bucket_name, Key=key)["ContentLength"]
    if arrived != path.stat().st_size:
        raise NeedsPersonError(
            f"s3://{bucket.bucket_name}/{key} holds {arrived} bytes, {path.stat().st_size} were sent"
        )


def load_bucket(bucket_name: str) -> S3Bucket:
    """The staging bucket: credentials from the block and not from the shell, the name from the variable
    `s3_staging_bucket`, limits from `blocks/storage.py`."""
    bucket: S3Bucket = load_once(S3Bucket, names.STAGING_BUCKET)
    ignore_beside(bucket.credentials)
    return bucket.copy(update={"bucket_name": bucket_name, "credentials": limited(bucket.credentials)})


def read_extra_columns(attempt: Attempt, bucket: S3Bucket) -> dict[str, list[str]]:
    """The columns beyond the contract that the attempt has read of each region, from its manifest on S3; none when the
    manifest was removed meanwhile."""
    client, key = bucket.credentials.get_s3_client(), f"{attempt.staging_prefix}/{MANIFEST_NAME}"
    try:
        body = client.get_object(Bucket=bucket.bucket_name, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return {}
    extra_columns: dict[str, list[str]] = json.loads(body)["extra_columns"]
    return extra_columns


def finish_stage(
    attempt: Attempt,
    extracts: Sequence[Extracted],
    files: Sequence[StagedFile],
    seconds: Mapping[str, float],
    kinds: Iterable[FileKind],
    bucket: S3Bucket,
) -> Manifest:
    """Writes the manifest of clean rows to the attempt's path, logs what each region staged, and returns the manifest.

    It comes last: without it nothing of the attempt is ever loaded.
    """
    logger = get_run_logger()
    manifest = Manifest(
        attempt,
        snapshots={extracted.region: extracted.snapshot_at for extracted in extracts},
        files=tuple(files),
        extra_columns={extracted.region: extracted.extra_columns for extracted in extracts},
        seconds=seconds,
    )
    if CLEAN in kinds:
        key, body = f"{attempt.staging_prefix}/{MANIFEST_NAME}", manifest.to_json().encode()
        with logged_if_slow(logger.info, "stage", f"s3://{bucket.bucket_name}/{key}", storage.ANSWER_S_MAX):
            bucket.credentials.get_s3_client().put_object(Bucket=bucket.bucket_name, Key=key, Body=body)
    for region, taken in seconds.items():
        count = sum(file.region == region for file in files)
        logger.info("step=stage region=%s files=%d seconds=%.1f", region, count, taken)
    return manifest


@task(name="stage", **RETRIES)
def stage(
    attempt: Attempt,
    extracts: list[Extracted],
    transformed: list[Transformed],
    kinds: tuple[FileKind, ...],
    scratch: Path,
    bucket_name: str,
) -> Manifest:
    """Stages the rows of the given kinds, all regions side by side. The manifest of clean rows is written last:
    without it nothing of the attempt is ever loaded."""
    bucket, seconds, logger = load_bucket(bucket_name), {}, get_run_logger()
    place = f"s3://{bucket_name}/{attempt.staging_prefix}"

    def stage_region(of_region: Transformed) -> list[StagedFile]:
        watch = Stopwatch()
        with logged_if_slow(logger.info, f"stage region={of_region.region}", f"its files at {place}"):
            files = stage_files(of_region, kinds, attempt.staging_prefix, scratch, bucket)
        seconds[of_region.region] = watch.seconds()
        return files

    with ThreadPoolExecutor(len(REGIONS)) as pool:
        staged = [file for files in pool.map(stage_region, transformed) for file in files]
    return finish_stage(attempt, extracts, staged, seconds, kinds, bucket)
