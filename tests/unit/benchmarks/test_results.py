"""The page of a benchmark: measurements, targets, and whether they are met."""

from datetime import UTC, datetime

import pytest

from benchmarks.flow_run import FlowRun, _steps
from benchmarks.results import Results, Target, Timing, median_steps, to_markdown


def run_of(**steps: float) -> FlowRun:
    return FlowRun(seconds=9.0, cold_start=5.0, peak_mb=400.0, steps=steps)


def test_a_timing_is_judged_by_its_median() -> None:
    assert Timing("floor", [9.0, 1.0, 2.0]).median == 2.0


@pytest.mark.parametrize(("value", "met"), [(0.74, True), (0.75, True), (0.76, False)])
def test_a_target_is_met_up_to_its_bound(value: float, met: bool) -> None:
    assert Target("first run / floor", value, 0.75).met is met


def test_steps_are_medians_in_the_order_in_which_they_began() -> None:
    runs = [run_of(extract=4.0, publish=1.0), run_of(extract=2.0, publish=9.0), run_of(extract=3.0, publish=2.0)]
    assert list(median_steps(runs).items()) == [("extract", 3.0), ("publish", 2.0)]


def test_a_step_lasts_from_its_first_task_to_the_end_of_its_last() -> None:
    def task(key: str, start: int, end: int) -> dict[str, str]:
        moments = (f"2024-01-15T06:00:{second:02d}+00:00" for second in (start, end))
        return dict(zip(("task_key", "start_time", "end_time"), (key, *moments), strict=True))

    tasks = [task("stage-b7", 7, 9), task("extract-a1", 2, 4), task("extract-a1", 1, 3)]
    assert _steps(tasks) == {"extract": 3.0, "stage": 2.0}


def test_the_page_lists_met_and_missed_targets() -> None:
    targets = [Target("first run / floor", 3.14, 2.5), Target("peak memory (PSS)", 0.4, 1.5, " GB")]
    results = Results(500_000, [Timing("floor", [2.0, 4.0, 3.0])], {"extract": 1.5}, 400.0, targets)
    page = to_markdown(results, datetime(2024, 1, 15, tzinfo=UTC), plot="plot.svg")
    assert page.startswith("# 4 x 500,000 rows, 2024-01-15\n")
    assert "| first run / floor | 3.14 | <= 2.5 | no |" in page
    assert "| peak memory (PSS) | 0.40 GB | <= 1.5 GB | yes |" in page
    assert "| floor | 3.0 | 2.0, 4.0, 3.0 |" in page
    assert "| extract | 1.5 |" in page
