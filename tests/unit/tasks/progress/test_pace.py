"""How far work is, in lines and in words, and the estimate of the rest."""

import pytest

from tasks.progress.pace import Pace


@pytest.mark.parametrize(
    ("pace", "left"),
    [
        pytest.param(Pace("rows", 250, 1000, 10.0, 10.0), 30.0, id="as-fast-as-so-far"),
        pytest.param(Pace("dates", 1, 3, 25.0, 20.0), 35.0, id="while-a-unit-is-under-way"),
        pytest.param(Pace("dates", 2, 3, 99.0, 40.0), 0.0, id="a-unit-that-takes-longer"),
        pytest.param(Pace("rows", 1000, 1000, 40.0, 40.0), 0.0, id="done"),
        pytest.param(Pace("rows", 1001, 1000, 40.0, 40.0), 0.0, id="more-than-expected"),
        pytest.param(Pace("dates", 0, 10, 5.0), None, id="nothing-known"),
        pytest.param(Pace("dates", 0, 10, 5.0, usual_s=60.0), 55.0, id="as-usual"),
        pytest.param(Pace("dates", 0, 10, 70.0, usual_s=60.0), 0.0, id="longer-than-usual"),
        pytest.param(Pace("dates", 5, 10, 10.0, 10.0, usual_s=60.0), 10.0, id="faster-than-usual"),
        pytest.param(Pace("parts", 5, 8, 10.0, 9.0, usual_s=12.0, steady_from=None), 2.0, id="units-that-differ"),
        pytest.param(Pace("parts", 5, 8, 10.0, 9.0, steady_from=None), None, id="units-that-differ-for-the-first-time"),
        pytest.param(Pace("dates", 3, 9, 10.0, 9.0, usual_s=30.0, steady_from=4), 20.0, id="side-by-side-at-first"),
        pytest.param(Pace("dates", 4, 8, 10.0, 10.0, usual_s=30.0, steady_from=4), 10.0, id="side-by-side-later"),
    ],
)
def test_the_rest_is_estimated_by_what_is_known(pace: Pace, left: float | None) -> None:
    assert pace.seconds_left == left


@pytest.mark.parametrize(
    ("pace", "line", "words", "left"),
    [
        pytest.param(
            Pace("rows", 250_000, 1_000_000, 12.04, 12.04),
            "rows=250000 of=1000000 seconds=12.0 seconds_left=36",
            "250,000 of 1,000,000 rows",
            "about 0:00:36 left",
            id="rows",
        ),
        pytest.param(
            Pace("dates", 4, 10, 2400.0, 2400.0, failed=1),
            "dates=4 of=10 failed=1 seconds=2400.0 seconds_left=3600",
            "4 of 10 dates, 1 failed",
            "about 1:00:00 left",
            id="with-failed-ones",
        ),
        pytest.param(Pace("days", 0, 7, 0.0), "days=0 of=7 seconds=0.0", "0 of 7 days", "", id="nothing-known"),
    ],
)
def test_line_and_words(pace: Pace, line: str, words: str, left: str) -> None:
    assert (pace.in_line(), pace.in_words(), pace.left_in_words()) == (line, words, left)


@pytest.mark.parametrize(("done", "total", "share"), [(0, 4, 0.0), (1, 4, 0.25), (5, 4, 1.0), (0, 0, 1.0)], ids=str)
def test_a_bar_is_never_more_than_full(done: int, total: int, share: float) -> None:
    assert Pace("rows", done, total, 1.0).share == share
