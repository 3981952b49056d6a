"""Retries: only for what can pass, a bounded number of times."""

import os
import subprocess
import sys
from typing import Any, cast

import psycopg2
import pytest
from prefect.states import Completed, Crashed, Failed, State

from local.environment import CHECKOUT
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


LIST_SETTINGS = """
import importlib, pkgutil
from prefect import Flow, Task
import flows, tasks
for package in (flows, tasks):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".engine" not in module.name:
            for thing in vars(importlib.import_module(module.name)).values():
                if isinstance(thing, Flow | Task):
                    print(thing.name, thing.retries, thing.persist_result)
"""


def test_no_setting_of_the_shell_has_a_flow_or_task_tried_again_or_its_result_kept() -> None:
    shell = {"PREFECT_FLOW_DEFAULT_RETRIES": "1", "PREFECT_TASK_DEFAULT_RETRIES": "2"}
    kept = {"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}
    command = [sys.executable, "-c", LIST_SETTINGS]
    listed = subprocess.run(command, cwd=CHECKOUT, env=os.environ | shell | kept, capture_output=True, text=True)
    found = {(name, retries, kept) for name, retries, kept in map(str.split, listed.stdout.splitlines())}
    assert {("daily-sales", "0", "False"), ("publish", "0", "False"), ("extract", "3", "False")} <= found, listed.stderr
    assert {(retries, kept) for _, retries, kept in found} == {("0", "False"), ("3", "False")}


def test_there_are_three_retries_with_growing_waits_and_jitter() -> None:
    assert RETRIES["retries"] == 3
    assert RETRIES["retry_delay_seconds"](3) == [5, 10, 20]
    assert 0 < RETRIES["retry_jitter_factor"] <= 1
