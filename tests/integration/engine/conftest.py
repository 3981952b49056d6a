"""A Sail server for tests of rows, without a stack."""

import os
from collections.abc import Iterator

import pytest
from prefect_aws import AwsCredentials, S3Bucket
from pyspark.sql import SparkSession

from tasks.engine.server import engine_address
from tasks.engine.session import engine_session

NO_BUCKET = S3Bucket(bucket_name="none", credentials=AwsCredentials())


@pytest.fixture(scope="package")
def sail() -> Iterator[SparkSession]:
    with (
        engine_address(os.environ.get("TEST_SPARK_REMOTE", ""), NO_BUCKET) as address,
        engine_session(address) as spark,
    ):
        yield spark
