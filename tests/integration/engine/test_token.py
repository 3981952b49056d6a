"""An engine that wants a token gets the one of the block; a wrong one is named without its text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.blocks.system import Secret

from blocks import names
from local.spark import running_spark
from tasks.engine.server import engine_address
from tasks.engine.session import engine_session
from tasks.errors import NeedsPersonError, TransientError
from tests.integration.conftest import World
from tests.integration.engine.servers import MINUTES, NO_BUCKET

pytestmark = [pytest.mark.more, pytest.mark.usefixtures("world")]

TOKEN = "wanted-by-the-engine"


@pytest.fixture(scope="module")
def remote(spark_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Apache Spark that wants TOKEN."""
    directory = tmp_path_factory.mktemp("spark-with-token")
    with running_spark(spark_packages, directory, token=TOKEN) as address:
        # To this name alone its client gives a token without TLS.
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture(autouse=True)
def _no_token(world: World) -> Iterator[None]:
    yield
    Secret.delete(names.SPARK_TOKEN)


def rows_counted(remote: str) -> int:
    with engine_address(remote, NO_BUCKET, MINUTES) as address, engine_session(address.authorized()) as spark:
        return int(spark.range(3).count())


def test_the_token_of_the_block_is_accepted(remote: str) -> None:
    Secret(value=TOKEN).save(names.SPARK_TOKEN)
    assert rows_counted(remote) == 3


def test_a_wrong_token_is_refused_and_named_by_its_block(remote: str) -> None:
    Secret(value="of-another-engine").save(names.SPARK_TOKEN)
    with pytest.raises(NeedsPersonError) as caught:
        rows_counted(remote)
    said = str(caught.value)
    assert f"the engine at {remote} refuses the token of block secret/{names.SPARK_TOKEN}" in said
    assert "set SPARK_TOKEN and run `python -m blocks.register`" in said
    assert "of-another-engine" not in said


def test_a_token_for_an_engine_without_tls_is_told_as_the_likely_cause(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.engine.session.RETRIES_MAX", 1)
    Secret(value=TOKEN).save(names.SPARK_TOKEN)
    likely = f"a token is sent by TLS alone, so an engine without TLS wants no secret/{names.SPARK_TOKEN}"
    with pytest.raises(TransientError, match=likely):
        rows_counted(remote.replace("localhost", "127.0.0.1"))
