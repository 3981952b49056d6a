"""The engines on which rows are judged in tests, without a stack."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from tasks.engine.server import Address
from tasks.engine.session import engine_session
from tests.integration.engine.servers import SAIL, SAIL_CLUSTER, SPARK, running_engine


@pytest.fixture(scope="package", params=[SAIL, SAIL_CLUSTER, SPARK])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with (
        running_engine(request.param, tmp_path_factory.mktemp("engine")) as address,
        engine_session(Address(address)) as spark,
    ):
        yield spark
