"""A failure is over when every region that it is about was published after it was mailed."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.alerts.published import is_mended

MAILED = datetime(2024, 1, 16, 7, tzinfo=UTC)
BEFORE, AFTER = MAILED - timedelta(hours=1), MAILED + timedelta(hours=1)


@pytest.mark.parametrize(
    ("published", "mended"),
    [
        pytest.param({}, False, id="never-published"),
        pytest.param({"EUROPE": BEFORE, "US_EAST": BEFORE}, False, id="published-before"),
        pytest.param({"EUROPE": AFTER}, False, id="one-is-missing"),
        pytest.param({"EUROPE": AFTER, "US_EAST": BEFORE}, False, id="one-was-before"),
        pytest.param({"EUROPE": AFTER, "US_EAST": MAILED}, False, id="one-at-that-moment"),
        pytest.param({"EUROPE": AFTER, "US_EAST": AFTER, "US_WEST": BEFORE}, True, id="all-after"),
    ],
)
def test_mended_is_published_since(published: dict[str, datetime], mended: bool) -> None:
    assert is_mended(published, ("EUROPE", "US_EAST"), MAILED) is mended
