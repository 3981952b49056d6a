"""Memory of a process and its descendants while it runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SAMPLE_EVERY_S = 0.25


@dataclass
class Peak:
    """The largest sum of proportional set sizes (PSS: shared pages are split among their users), in bytes."""

    pss: int = 0


@contextmanager
def peak_of(pid: int) -> Iterator[Peak]:
    """Samples the tree of processes below `pid` until the block ends."""
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            peak.pss = max(peak.pss, _pss_of_tree(pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


def _pss_of_tree(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_pss(process) for process in tree)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
