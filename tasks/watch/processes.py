"""Whether the process of a flow run is still there. Asks this machine only; nothing is touched. Knows no Prefect."""

import os
import socket
from enum import StrEnum
from pathlib import Path

PROC = Path("/proc")


class Process(StrEnum):
    """What this machine knows of the process of a run."""

    RUNS = "runs"
    ENDED = "ended"
    ELSEWHERE = "elsewhere"


def find_process(infrastructure_pid: str | None, flow_run_id: str) -> Process:
    """The process that a process worker started for the run.

    `infrastructure_pid` is `host:pid`, as the worker keeps it; None for a run that no worker started, or not yet. A
    process that cannot be looked into counts as the run's: better a slot held than a living run called dead.
    """
    host, _, pid = (infrastructure_pid or "").rpartition(":")
    if not pid.isdecimal() or host != socket.gethostname():
        return Process.ELSEWHERE
    is_there = _is_of_run(int(pid), flow_run_id) if PROC.exists() else _exists(int(pid))
    return Process.RUNS if is_there else Process.ENDED


def _is_of_run(pid: int, flow_run_id: str) -> bool:
    """By the environment that the worker gave it: the number may belong to another process by now."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except PermissionError:
        return True
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A process that has ended and was not yet waited for has none.
    return f"PREFECT__FLOW_RUN_ID={flow_run_id}".encode() in environment.split(b"\0")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
