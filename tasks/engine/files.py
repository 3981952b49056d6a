"""An attempt's files on S3 as an engine reads and writes them."""

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect_aws import S3Bucket
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that PySpark's own documentation uses)

from tasks.engine.tallies import tallies_by
from tasks.errors import NeedsPersonError
from tasks.extract import Extracted
from tasks.files.arrow import read_batches
from tasks.stage import SCHEMAS, FileKind, StagedFile, stage_rows
from tasks.tally import Tally

FOOTER_BYTES = 64 * 2**10
"""The end of a Parquet file that is read for its footer; more is read when the footer is longer."""

FOOTERS_AT_ONCE = 8

FILES_PER_JOB = 20
"""Files whose rows one job counts."""

ROWS_PER_FILE = 2_500_000
"""Rows of a file of clean rows that an engine writes: about 140 MB."""


@dataclass(frozen=True)
class Place:
    """An attempt's path in the bucket. Each kind of rows of a region has a folder of its own below it."""

    bucket: S3Bucket
    prefix: str

    def url(self, kind: FileKind, region: str) -> str:
        return f"s3://{self.bucket.bucket_name}/{self.prefix}/{kind}/{region}"


def stage_extracted(extracted: Extracted, place: Place, scratch: Path) -> list[StagedFile]:
    """Writes the rows as read to the attempt's path, the last time that they pass the worker."""
    return stage_rows(
        read_batches(*extracted.paths), "extracted", extracted.region, place.prefix, scratch, place.bucket
    )


def extracted_files(place: Place, region: str) -> list[StagedFile]:
    """The files of a region's rows as read."""
    return _files(place, "extracted", region, f"{place.prefix}/extracted/{region}-")


def read_rows(spark: SparkSession, place: Place, files: list[StagedFile]) -> DataFrame:
    """The rows of these files of one region."""
    urls = [f"s3://{place.bucket.bucket_name}/{place.prefix}/{file.name}" for file in files]
    return read_parquet(spark, *urls)


def write_rows(rows: DataFrame, kind: FileKind, region: str, place: Place) -> None:
    """Lets the engine write the rows below the attempt's path; a repeated attempt at the step replaces them."""
    write_parquet(rows, place.url(kind, region))


def read_written(spark: SparkSession, kind: FileKind, region: str, place: Place) -> DataFrame:
    """The rows that `write_rows` has written."""
    return read_parquet(spark, place.url(kind, region))


def read_parquet(spark: SparkSession, *urls: str) -> DataFrame:
    """The rows of files, or of the files in a folder."""
    return spark.read.parquet(*urls)


def write_parquet(rows: DataFrame, url: str) -> None:
    """Replaces the files of a folder."""
    rows.write.mode("overwrite").option("compression", "zstd").option("maxRecordsPerFile", ROWS_PER_FILE).parquet(url)


def written(place: Place, kind: FileKind, region: str) -> list[StagedFile]:
    """The files that the engine has written: rows from their footers, size and ETag from S3. Those without rows count
    as none. Raises NeedsPersonError when a file has another schema than the rows should have."""
    return _files(place, kind, region, f"{place.prefix}/{kind}/{region}/")


def _files(place: Place, kind: FileKind, region: str, prefix: str) -> list[StagedFile]:
    client, bucket = place.bucket.credentials.get_s3_client(), place.bucket.bucket_name

    def file_of(listed: Mapping[str, Any]) -> StagedFile:
        key, size = listed["Key"], listed["Size"]
        footer = read_footer(client, bucket, key, size)
        _require_schema(footer, kind, key)
        name, etag = key.removeprefix(f"{place.prefix}/"), listed["ETag"].strip('"')
        return StagedFile(name, kind, region, footer.num_rows, size, "", None, etag)

    found = [listed for listed in _listed(client, bucket, prefix) if _holds_rows(listed["Key"].removeprefix(prefix))]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        files = [file for file in pool.map(file_of, found) if file.rows]
    return sorted(files, key=lambda file: file.name)


def _holds_rows(name: str) -> bool:
    """Engines leave markers like _SUCCESS, and tasks that were given up leave files below _temporary."""
    return name.endswith(".parquet") and not any(part.startswith(("_", ".")) for part in name.split("/"))


def _listed(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def read_footer(client: Any, bucket: str, key: str, size: int) -> pq.FileMetaData:
    """The footer of a Parquet file on S3, without its rows."""
    length = FOOTER_BYTES
    while True:
        start = max(size - length, 0)
        tail = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{size - 1}")["Body"].read()
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if needed <= len(tail):
            # The file's magic number comes first, as a reader expects it.
            return pq.read_metadata(io.BytesIO(b"PAR1" + tail[-needed:]))
        if start == 0:
            raise NeedsPersonError(f"s3://{bucket}/{key} is no Parquet file: run the date again")
        length = needed


def _require_schema(footer: pq.FileMetaData, kind: FileKind, key: str) -> None:
    found, wanted = footer.schema.to_arrow_schema(), SCHEMAS[kind]
    different = [
        field.name for field in wanted if field.name not in found.names or found.field(field.name).type != field.type
    ]
    if different or len(found) != len(wanted):
        raise NeedsPersonError(
            f"{key}: the engine wrote other columns than expected: {', '.join(different) or found.names}"
        )


def tallied(spark: SparkSession, files: list[StagedFile], place: Place) -> list[StagedFile]:
    """The files of clean rows with the tallies of their rows, counted from what S3 holds by jobs of their own."""
    tallies: dict[tuple[str, ...], Tally] = {}
    for start in range(0, len(files), FILES_PER_JOB):
        # Not every engine knows the file of a row.
        named = [read_rows(spark, place, [f]).withColumn("file", F.lit(f.name)) for f in files[start:][:FILES_PER_JOB]]
        tallies |= tallies_by(reduce(DataFrame.unionByName, named), "file")
    return [_with_tally(file, tallies.get((file.name,), Tally())) for file in files]


def _with_tally(file: StagedFile, tally: Tally) -> StagedFile:
    if tally.rows != file.rows:
        raise NeedsPersonError(f"{file.name} has {tally.rows} rows, its footer says {file.rows}: run the date again")
    return replace(file, tally=tally)
