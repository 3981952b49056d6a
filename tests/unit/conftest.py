"""Settings of all unit tests: hypothesis is deterministic, so that a red test stays red, and writes nothing here."""

import gc
from pathlib import Path
from tempfile import gettempdir

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(gettempdir()) / "hypothesis")
settings.register_profile(
    "unit",
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unit")

# Prefect, Snowflake and Great Expectations make millions of objects while they are imported. Collecting them again
# and again takes a fifth of the run.
gc.set_threshold(100_000, 50, 100)


def pytest_collection_finish() -> None:
    gc.freeze()
