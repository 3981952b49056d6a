"""A step on an engine has a limit: its jobs are ended, and the engine goes on for others."""

import time
from pathlib import Path

import pytest

from tasks.engine.server import Address
from tasks.engine.session import engine_session
from tasks.errors import NeedsPersonError
from tests.integration.engine.servers import SAIL, SPARK, running_engine

pytestmark = pytest.mark.more

UNFIT = "sc://localhost:15002/;use_ssl"
ENDLESS = "SELECT sum(a.id % 7 + b.id % 11) FROM range(100000000) a CROSS JOIN range(1000000) b"
LIMIT_S, END_S_MAX = 3.0, 120.0


@pytest.mark.parametrize("kind", [SAIL, SPARK])
def test_a_step_that_does_not_end_is_given_up_and_named(kind: str, spark_packages: Path, tmp_path: Path) -> None:
    with running_engine(kind, spark_packages, tmp_path) as url:
        began = time.monotonic()
        with (
            pytest.raises(
                NeedsPersonError, match=r"did not finish within 3 s: .* raise the variable spark_timeout_minutes"
            ),
            engine_session(Address(url, limit_s=LIMIT_S)) as spark,
        ):
            spark.sql(ENDLESS).collect()
        # A bound, not a timing: without a limit it would take days.
        assert time.monotonic() - began < END_S_MAX
        with engine_session(Address(url)) as spark:
            assert spark.range(10).count() == 10


def test_an_address_that_spark_does_not_take_is_named() -> None:
    with (
        pytest.raises(NeedsPersonError, match=f"the engine at {UNFIT} failed .*key-value pair"),
        engine_session(Address(UNFIT)),
    ):
        pass
