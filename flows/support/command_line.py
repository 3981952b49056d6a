"""Runs a flow from the command line: its end in one line, its state as the exit code."""

import sys
from collections.abc import Callable
from typing import Any

from prefect import Flow, tags

from blocks.register import NoPrefectServerError, speaking_to_prefect
from tasks.lines import in_one_line
from tasks.prefect_server.stopping import ToldToEnd
from tasks.retention.periods import TAG

TOLD_TO_END = 130


def run(flow: Flow[Any, Any], *, show: Callable[[Any], None] | None = None, **parameters: Any) -> int:
    """0 when the run ended as Completed, under any name; 1 when it failed or could not begin; 130 after Ctrl-C.

    `show` prints the result of a run that has one, before the line.
    """
    try:
        with speaking_to_prefect(), tags(TAG):
            state = flow(**parameters, return_state=True)
    except NoPrefectServerError as error:
        print(f"{flow.name}: {error}", file=sys.stderr)
        return 1
    except ToldToEnd as told:
        print(f"{flow.name}: {told}", file=sys.stderr)
        return TOLD_TO_END
    if show and state.is_completed():
        show(state.result())
    end = in_one_line(f"{state.name}: {state.message or 'done'}")
    print(end, file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1
