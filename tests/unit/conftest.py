"""What all unit tests share: hypothesis repeats itself, so that a red test stays red, and writes nothing here."""

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
