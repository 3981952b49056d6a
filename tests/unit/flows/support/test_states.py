"""How a run ends: a state's type and name for automations, and a message for people."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
from prefect.client.schemas import StateType
from prefect.states import Failed

from flows.support.states import QualityFailedError, final_state, report_of
from tasks.report import Findings, summarize
from tests.unit import findings as made


@pytest.mark.parametrize(
    ("ended", "kind", "name", "message"),
    [
        pytest.param(
            made.completed, StateType.COMPLETED, "Completed", "2024-01-15: 180 clean rows of 2 regions", id="completed"
        ),
        pytest.param(
            made.partially_loaded,
            StateType.COMPLETED,
            "PartiallyLoaded",
            "EUROPE left out: connection refused",
            id="partially-loaded",
        ),
        pytest.param(
            made.overtaken,
            StateType.COMPLETED,
            "Overtaken",
            "a newer run has published or rolled back 2024-01-15; this one changed nothing",
            id="overtaken",
        ),
        pytest.param(
            made.quality_failed,
            StateType.FAILED,
            "QualityFailed",
            "nothing was loaded for 2024-01-15: record count 45 is below threshold 100",
            id="quality-failed",
        ),
        pytest.param(
            made.refused_before_commit,
            StateType.FAILED,
            "QualityFailed",
            "nothing was loaded for 2024-01-15: EUROPE: rejected 60 of 100 rows",
            id="refused-before-commit",
        ),
        pytest.param(
            made.too_few_answered,
            StateType.FAILED,
            "QualityFailed",
            "nothing was loaded for 2024-01-15: record count 45 is below threshold 100",
            id="too-few-rows-answered",
        ),
        pytest.param(
            made.closed_day, StateType.COMPLETED, "Completed", "2024-01-15: a closed day without rows", id="closed-day"
        ),
    ],
)
def test_a_run_ends_in_a_state_that_says_what_happened(
    ended: Callable[[], Findings], kind: StateType, name: str, message: str
) -> None:
    report = summarize(ended())
    state = final_state(report)
    assert (state.type, state.name, state.message) == (kind, name, message)
    assert report_of(state) == report


def test_a_region_that_was_overtaken_does_not_hide_one_that_was_loaded() -> None:
    found = replace(
        made.completed(), publication=made.publication(made.published("US_EAST", 100), overtaken=("EUROPE",))
    )
    state = final_state(summarize(found))
    assert (state.name, state.message) == ("Completed", "2024-01-15: 100 clean rows of 1 region")


def test_the_result_of_a_refused_batch_is_an_error_with_its_report() -> None:
    state = final_state(summarize(made.quality_failed()))
    with pytest.raises(QualityFailedError, match="^nothing was loaded for 2024-01-15: record count 45") as raised:
        state.result()
    assert raised.value.report == report_of(state)
    assert pickle.loads(pickle.dumps(raised.value)).report == raised.value.report


def test_a_run_that_ended_before_its_report_has_none() -> None:
    assert report_of(Failed(data=ValueError("x"))) is None
