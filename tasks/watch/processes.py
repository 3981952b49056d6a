"""Finds out whether the process of a flow run still runs, on this machine only. Knows no Prefect."""

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
    """Looks up the process that a worker started for the run.

    `infrastructure_pid` is the worker's `host:pid`; None for a run that no worker has started. Workers of container
    pools write other texts (`http+docker://localhost:<id>`, `<cluster>::<task>`, `<cluster>:<namespace>:<job>`): such a
    run is ELSEWHERE. A process that cannot be inspected counts as the run's: a held slot is better than a living run
    taken for dead.
    """
    host, _, pid = (infrastructure_pid or "").rpartition(":")
    if not pid.isdecimal() or host != socket.gethostname():
        return Process.ELSEWHERE
    is_there = _is_of_run(int(pid), flow_run_id) if PROC.exists() else _exists(int(pid))
    return Process.RUNS if is_there else Process.ENDED


def _is_of_run(pid: int, flow_run_id: str) -> bool:
    """Compares the environment that the worker set: the pid may belong to another process by now."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except PermissionError:
        return True
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A zombie has an empty environment.
    return f"PREFECT__FLOW_RUN_ID={flow_run_id}".encode() in environment.split(b"\0")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
