"""Stage on an engine: its files are on S3 already; the manifest says which of them count."""

from prefect import get_run_logger, task

from tasks.batch import Attempt
from tasks.engine.files import Place, tallied, written
from tasks.engine.server import Address
from tasks.engine.session import engine_step
from tasks.extract import Extracted
from tasks.retries import RETRIES
from tasks.stage import CLEAN, FileKind, Manifest, StagedFile, finish_stage, load_bucket
from tasks.stopwatch import Stopwatch
from tasks.transform import Transformed


@task(name="stage", **RETRIES)
def stage(
    attempt: Attempt,
    extracts: list[Extracted],
    transformed: list[Transformed],
    kinds: tuple[FileKind, ...],
    bucket_name: str,
    address: Address,
) -> Manifest:
    """Lists the files that the engine wrote, with rows from their footers and totals by a job that did not write them.
    The manifest of clean rows is written last: without it nothing of the attempt is ever loaded."""
    place = Place(load_bucket(bucket_name), attempt.staging_prefix)
    staged: list[StagedFile] = []
    seconds = {}
    with engine_step(address.authorized(), get_run_logger().info, "stage") as spark:
        for of_region in transformed:
            watch = Stopwatch()
            for kind in kinds:
                files = written(place, kind, of_region.region)
                staged += tallied(spark, files, place) if kind == CLEAN else files
            seconds[of_region.region] = watch.seconds()
    return finish_stage(attempt, extracts, staged, seconds, kinds, place.bucket)
