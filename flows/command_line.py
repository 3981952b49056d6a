"""Runs a flow from the command line: its end in one line, its state as the exit code."""

import sys
from typing import Any

from prefect import Flow


def run(flow: Flow[Any, Any], **parameters: Any) -> int:
    """0 when the run ended as Completed, under any name; 1 when it failed, a refused parameter included."""
    state = flow(**parameters, return_state=True)
    print(f"{state.name}: {state.message or 'done'}", file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1
