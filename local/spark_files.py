"""Parquet files on S3 for a Spark without a connector for S3, by a Python data source over pyarrow.

The connector (hadoop-aws) is in no package of PyPI. Engines in use have one: EMR, Databricks and Sail bring it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from prefect_aws import S3Bucket
from pyarrow import fs
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from tasks.engine import files
from tasks.engine.server import s3_settings

NAME = "parquet_on_s3"
BATCH_ROWS = 50_000


class ParquetOnS3(DataSource):
    """Parquet files at the URLs of option `urls` (blank-separated files or folders), or written below `url`."""

    @classmethod
    def name(cls) -> str:
        return NAME

    def schema(self) -> StructType:
        store = file_system(self.options)
        with store.open_input_file(parquet_files(store, self.options["urls"])[0]) as file:
            return from_arrow_schema(pq.read_schema(file))

    def reader(self, schema: StructType) -> "Reader":  # noqa: ARG002 (Spark gives it)
        return Reader(self.options)

    def writer(self, schema: StructType, overwrite: bool) -> "Writer":  # noqa: ARG002
        return Writer(self.options, to_arrow_schema(schema, timezone="UTC"))


def file_system(options: Any) -> fs.S3FileSystem:
    """The store that Spark's Python workers reach as the block says."""
    return fs.S3FileSystem(
        access_key=options["key"],
        secret_key=options["secret"],
        endpoint_override=options["endpoint"],
        scheme="http",
        region="us-east-1",
    )


def parquet_files(store: fs.S3FileSystem, urls: str) -> list[str]:
    """The Parquet files at these URLs, as paths of the store."""
    found: list[str] = []
    for url in urls.split():
        path = url.removeprefix("s3://")
        below = fs.FileSelector(path, allow_not_found=True, recursive=True)
        found += [path] if path.endswith(".parquet") else [info.path for info in store.get_file_info(below)]
    return sorted(path for path in found if path.endswith(".parquet"))


class Reader(DataSourceReader):
    """A partition for each row group."""

    def __init__(self, options: Any) -> None:
        self.options = dict(options)

    def partitions(self) -> list[InputPartition]:
        store, parts = file_system(self.options), []
        for path in parquet_files(store, self.options["urls"]):
            with store.open_input_file(path) as file:
                parts += [InputPartition((path, n)) for n in range(pq.ParquetFile(file).num_row_groups)]
        return parts

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        path, group = partition.value
        with file_system(self.options).open_input_file(path) as file:
            yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS, row_groups=[group])


class Writer(DataSourceArrowWriter):
    """Writes each partition's rows to files of at least `rows_per_file`, the last one with fewer, so that there is one
    without rows to tell the columns; the files before are removed when all are written."""

    def __init__(self, options: Any, schema: pa.Schema) -> None:
        self.options, self.arrow_schema = dict(options), schema
        self.before = parquet_files(file_system(self.options), self.options["url"])

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        more = True
        while more:
            more = self._write_file(iterator)
        return WriterCommitMessage()

    def _write_file(self, batches: Iterator[pa.RecordBatch]) -> bool:
        """Whether the file is full."""
        path = f"{self.options['url'].removeprefix('s3://')}/part-{uuid4().hex}.parquet"
        store, rows, limit = file_system(self.options), 0, int(self.options["rows_per_file"])
        with pq.ParquetWriter(path, self.arrow_schema, filesystem=store, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
                if rows >= limit:
                    return True
        return False

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:  # noqa: ARG002
        for path in self.before:
            file_system(self.options).delete_file(path)


@contextmanager
def files_by_pyarrow(bucket: S3Bucket) -> Iterator[None]:
    """Lets the steps on the engine read and write their files by this data source during the body."""
    settings = s3_settings(bucket)
    options = {
        "key": settings["AWS_ACCESS_KEY_ID"],
        "secret": settings["AWS_SECRET_ACCESS_KEY"],
        "endpoint": settings["AWS_ENDPOINT"].removeprefix("http://"),
    }

    def read(spark: SparkSession, *urls: str) -> DataFrame:
        spark.dataSource.register(ParquetOnS3)
        rows = spark.read.format(NAME).options(**options, urls=" ".join(urls)).load()
        # Spark asks a data source of Python for all columns in each job.
        return rows.persist()

    def write(rows: DataFrame, url: str) -> None:
        rows.sparkSession.dataSource.register(ParquetOnS3)
        chosen = options | {"url": url, "rows_per_file": str(files.ROWS_PER_FILE)}
        rows.write.format(NAME).options(**chosen).mode("append").save()

    # Spark's Python workers cannot import this module.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with patch.multiple(files, read_parquet=read, write_parquet=write):
        yield
