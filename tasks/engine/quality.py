"""The quality gate on an engine: the same suites, judged by Great Expectations on the engine's frames."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import narwhals as nw
from prefect import get_run_logger, task
from pyspark.sql import DataFrame, SparkSession

from expectations.rules import readable_named
from expectations.suite_columns import input_columns, output_columns
from expectations.thresholds import Thresholds
from tasks.batch import Attempt
from tasks.engine.files import Place, extracted_files, read_rows, written
from tasks.engine.server import Address
from tasks.engine.session import engine_step
from tasks.extract import Extracted
from tasks.quality import Verdict, judge, logged
from tasks.retries import ONCE
from tasks.stage import load_bucket
from tasks.transform import Transformed


def input_frame(rows: DataFrame) -> DataFrame:
    """The rows as read, each cell replaced by 1, or by NULL if it is missing."""
    return nw.from_native(rows).with_columns(readable_named()).select(*input_columns()).to_native()


def output_frame(clean: DataFrame) -> DataFrame:
    """The clean rows with the identities of the derived columns as residuals."""
    return nw.from_native(clean).with_columns(**output_columns()).to_native()


@dataclass(frozen=True)
class EngineFrames:
    """The frames of a batch that the suites judge, read from what S3 holds."""

    spark: SparkSession
    place: Place

    def as_read(self, extracted: Extracted) -> Iterator[DataFrame]:
        if extracted.read.rows:
            files = extracted_files(self.place, extracted.region)
            yield input_frame(read_rows(self.spark, self.place, files))

    def clean(self, region: Transformed) -> Iterator[DataFrame]:
        yield from (output_frame(rows) for rows in self._clean(region))

    def keys(self, region: Transformed) -> Iterator[DataFrame]:
        yield from (rows.select("sale_id") for rows in self._clean(region))

    def _clean(self, region: Transformed) -> Iterator[DataFrame]:
        if files := written(self.place, "clean", region.region):
            yield read_rows(self.spark, self.place, files)


@task(name="quality-gate", **ONCE)
def check_quality(
    attempt: Attempt,
    extracts: Sequence[Extracted],
    regions: Sequence[Transformed],
    thresholds: Thresholds,
    with_floor: bool,
    closed: Collection[str],
    bucket_name: str,
    address: Address,
) -> Verdict:
    """Judges the batch on the engine; a verdict that fails is returned, not raised."""
    with engine_step(address.authorized(), get_run_logger().info, "quality-gate") as spark:
        frames = EngineFrames(spark, Place(load_bucket(bucket_name), attempt.staging_prefix))
        verdict = judge(extracts, regions, thresholds, with_floor, closed, frames)
        if not verdict.passed:
            # An engine that is lost is an error, not a verdict: Great Expectations counts its errors as failed checks.
            spark.range(1).count()
        return logged(verdict)
