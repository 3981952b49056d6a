"""Runs an action in a separate process that is killed with -9 at a statement."""

import os
import signal
from collections.abc import Callable
from typing import Any

from tasks import law, publish
from tasks.reconcile import deleted
from tasks.rollback import roll_back as rollback
from tests.integration.processes import end_of, start_process


def killed_at(statement: str, action: Callable[..., Any], *arguments: Any) -> bool:
    """Runs the action; returns whether it was killed: it may end before it comes to the statement."""
    code = end_of(start_process(_do, statement, action, arguments))
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def _do(statement: str, action: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    for module in (publish, law, rollback, deleted):
        vars(module)["render"] = _deadly(statement, module.render)
    action(*arguments)


def _deadly(statement: str, render: Callable[..., str]) -> Callable[..., str]:
    def render_or_die(name: str, **values: str) -> str:
        if name == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return render(name, **values)

    return render_or_die
