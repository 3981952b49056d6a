"""How often and how patiently flows and tasks are tried again; `errors.py` decides after which errors."""

from typing import Any

from prefect import Task
from prefect.client.schemas import TaskRun
from prefect.states import State
from prefect.tasks import exponential_backoff

from tasks.errors import may_pass


def retry_if_may_pass(task: "Task[Any, Any]", task_run: TaskRun, state: State) -> bool:  # noqa: ARG001 (Prefect names them)
    """Prefect's `retry_condition_fn`: only an error that may pass is tried again."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and may_pass(error)


ONCE: dict[str, Any] = {"retries": 0, "persist_result": False}
"""For flows and tasks that are not tried again. Written out, because PREFECT_FLOW_DEFAULT_RETRIES and the like in a
shell would decide otherwise; a result that was kept would stand in for the ledger or files of a second try."""

RETRIES: dict[str, Any] = {
    **ONCE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": retry_if_may_pass,
}
"""Three retries after about 5, 10 and 20 seconds, for every task that talks to another machine."""
