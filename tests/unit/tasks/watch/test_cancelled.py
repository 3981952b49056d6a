"""What the message of a cancelled run's state says of its batches."""

import pytest

from tasks.watch.cancelled import what_became

SHOWN, BEGUN, GONE = (True, False), (False, False), (False, True)


@pytest.mark.parametrize(
    ("touched", "words"),
    [
        pytest.param([], "nothing was changed", id="nothing-begun"),
        pytest.param([("20240115", "EUROPE", *BEGUN)], "nothing was published", id="begun"),
        pytest.param([("20240115", "EUROPE", *SHOWN)], "20240115 published before", id="published"),
        pytest.param(
            [("20240115", "EUROPE", *SHOWN), ("20240115", "US_EAST", *BEGUN), ("20240116", "EUROPE", *BEGUN)],
            "20240115 published before, 20240116 not",
            id="a-backfill",
        ),
        pytest.param([("20240115", "EUROPE", *GONE)], "20240115 rolled back before", id="rolled-back"),
    ],
)
def test_what_became_of_its_batches(touched: list[tuple[str, str, bool, bool]], words: str) -> None:
    assert what_became(touched) == words
