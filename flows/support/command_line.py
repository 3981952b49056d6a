"""Runs a flow from the command line: prints its final state in one line, and returns it as the exit code."""

import sys
from collections.abc import Callable
from typing import Any

from prefect import Flow, tags

from blocks.server import NoPrefectServerError, speaking_to_prefect
from tasks.lines import in_one_line
from tasks.prefect_server.stopping import EndedBySignal
from tasks.retention.periods import TAG

EXIT_BY_SIGNAL = 130


def run(flow: Flow[Any, Any], *, show: Callable[[Any], None] | None = None, **parameters: Any) -> int:
    """Returns 0 when the run ended as Completed, under any name, 1 when it failed or could not begin, 130 after Ctrl-C.

    `show` prints the result of a completed run, before the line.
    """
    try:
        with speaking_to_prefect(), tags(TAG):
            state = flow(**parameters, return_state=True)
    except NoPrefectServerError as error:
        print(f"{flow.name}: {error}", file=sys.stderr)
        return 1
    except EndedBySignal as ended:
        print(f"{flow.name}: {ended}", file=sys.stderr)
        return EXIT_BY_SIGNAL
    if show and state.is_completed():
        show(state.result())
    end = in_one_line(f"{state.name}: {state.message or 'done'}")
    print(end, file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1


def to_stderr(line: str) -> None:
    """Prints a line that is no result."""
    print(line, file=sys.stderr, flush=True)
