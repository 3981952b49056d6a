"""Retries: only for what can pass, a bounded number of times."""

from typing import Any, cast

import psycopg2
import pytest
from prefect.states import Completed, Crashed, Failed, State

from tasks.errors import NeedsPersonError, OutcomeUnknownError, TransientError
from tasks.retries import RETRIES, retry_if_may_pass


def tried_again(state: State) -> bool:
    return retry_if_may_pass(cast(Any, None), cast(Any, None), state)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        pytest.param(TransientError("x"), True, id="transient"),
        pytest.param(psycopg2.OperationalError("connection refused"), True, id="connection-refused"),
        pytest.param(NeedsPersonError("x"), False, id="needs-person"),
        pytest.param(OutcomeUnknownError("x"), False, id="outcome-unknown"),
        pytest.param(KeyError("x"), False, id="fault-of-the-program"),
    ],
)
def test_a_failed_task_is_tried_again_when_its_error_may_pass(error: Exception, again: bool) -> None:
    assert tried_again(Failed(data=error)) is again
    assert tried_again(Crashed(data=error)) is again


def test_a_task_that_returned_is_not_tried_again() -> None:
    assert not tried_again(Completed(data="TransientError"))


def test_there_are_three_retries_with_growing_waits_and_jitter() -> None:
    assert RETRIES["retries"] == 3
    assert RETRIES["retry_delay_seconds"](3) == [5, 10, 20]
    assert 0 < RETRIES["retry_jitter_factor"] <= 1
