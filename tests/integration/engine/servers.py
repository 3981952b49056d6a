"""Servers of Spark Connect for the engine's tests: Sail, Sail as a cluster of local workers, and Apache Spark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect_aws import AwsCredentials, S3Bucket

from local.spark import running_spark
from tasks.engine.server import engine_address

NO_BUCKET = S3Bucket(bucket_name="none", credentials=AwsCredentials())
MINUTES = 30
SAIL, SAIL_CLUSTER, SPARK = "sail", "sail-cluster", "spark"
CLUSTER = {"SAIL_MODE": "local-cluster", "SAIL_CLUSTER__WORKER_INITIAL_COUNT": "2"}


@contextmanager
def running_engine(kind: str, packages: Path, directory: Path, bucket: S3Bucket = NO_BUCKET) -> Iterator[str]:
    """The address of a server, which ends with the body; `packages` are those of Apache Spark."""
    if kind == SPARK:
        with running_spark(packages, directory) as address:
            yield address
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, text in CLUSTER.items() if kind == SAIL_CLUSTER else ():
            patch.setenv(name, text)
        with engine_address("", bucket, MINUTES) as address:
            yield address.url
