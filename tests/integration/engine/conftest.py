"""The engines on which rows are judged in tests, without a stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from local.spark import installed
from tasks.engine.server import Address
from tasks.engine.session import engine_session
from tests.integration.engine.servers import SAIL, SAIL_CLUSTER, SPARK, running_engine


@pytest.fixture(scope="session")
def spark_packages() -> Path:
    """The packages of Apache Spark, of its Python and Java, installed if missing."""
    return installed()


@pytest.fixture(scope="package", params=[SAIL, SAIL_CLUSTER, SPARK])
def engine(
    request: pytest.FixtureRequest, spark_packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    with (
        running_engine(request.param, spark_packages, tmp_path_factory.mktemp("engine")) as address,
        engine_session(Address(address)) as spark,
    ):
        yield spark
