"""The steps from transform to stage on the engine of a run: pandas in this process, or one reached by Spark Connect."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blocks.variables import Settings
from expectations.thresholds import Thresholds
from tasks.batch import Attempt
from tasks.engine.server import Address, engine_address
from tasks.extract import Extracted
from tasks.quality import Verdict, check_quality
from tasks.stage import FileKind, Manifest, load_bucket, stage
from tasks.transform import Transformed, transform


class Steps(Protocol):
    """What an engine does for a batch."""

    def transform(self, extracts: list[Extracted]) -> list[Transformed]: ...

    def check_quality(
        self,
        extracts: list[Extracted],
        regions: list[Transformed],
        thresholds: Thresholds,
        with_floor: bool,
        closed: frozenset[str],
    ) -> Verdict: ...

    def stage(self, extracts: list[Extracted], regions: list[Transformed], kinds: tuple[FileKind, ...]) -> Manifest: ...


@dataclass(frozen=True)
class OnPandas:
    """The steps in this process, on files of the scratch directory."""

    attempt: Attempt
    scratch: Path
    bucket: str

    def transform(self, extracts: list[Extracted]) -> list[Transformed]:
        return transform(extracts, self.scratch)

    def check_quality(
        self,
        extracts: list[Extracted],
        regions: list[Transformed],
        thresholds: Thresholds,
        with_floor: bool,
        closed: frozenset[str],
    ) -> Verdict:
        return check_quality(extracts, regions, thresholds, with_floor, closed)

    def stage(self, extracts: list[Extracted], regions: list[Transformed], kinds: tuple[FileKind, ...]) -> Manifest:
        return stage(self.attempt, extracts, regions, kinds, self.scratch, self.bucket)


@dataclass(frozen=True)
class OnEngine:
    """The steps at `address`, on files of the attempt's path on S3."""

    attempt: Attempt
    scratch: Path
    bucket: str
    address: Address

    def transform(self, extracts: list[Extracted]) -> list[Transformed]:
        from tasks.engine import transform as on_engine

        return on_engine.transform(self.attempt, extracts, self.scratch, self.bucket, self.address)

    def check_quality(
        self,
        extracts: list[Extracted],
        regions: list[Transformed],
        thresholds: Thresholds,
        with_floor: bool,
        closed: frozenset[str],
    ) -> Verdict:
        from tasks.engine import quality as on_engine

        return on_engine.check_quality(
            self.attempt, extracts, regions, thresholds, with_floor, closed, self.bucket, self.address
        )

    def stage(self, extracts: list[Extracted], regions: list[Transformed], kinds: tuple[FileKind, ...]) -> Manifest:
        from tasks.engine import stage as on_engine

        return on_engine.stage(self.attempt, extracts, regions, kinds, self.bucket, self.address)


@contextmanager
def steps_on(engine: str, attempt: Attempt, settings: Settings, scratch: Path) -> Iterator[Steps]:
    """The steps of the engine that the run was given. pyspark is imported for `spark` alone: workers without it run
    pandas."""
    bucket = settings.s3_staging_bucket
    if engine == "pandas":
        yield OnPandas(attempt, scratch, bucket)
        return
    with engine_address(settings.spark_remote, load_bucket(bucket), settings.spark_timeout_minutes) as address:
        yield OnEngine(attempt, scratch, bucket, address)
