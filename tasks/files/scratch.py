"""Scratch space of one attempt: a private directory that lasts as long as its process. Knows no Prefect."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.errors import NeedsPersonError
from tasks.files.room import full_disk_named

LOCK_NAME = ".in-use"

STARTING_S_MAX = 60
"""A directory that is not locked after this time belongs to a run that was killed while it started."""


def scratch_root() -> Path:
    """The directory of all attempts' files, below TMPDIR and private to this user."""
    return Path(tempfile.gettempdir()) / f"retail-sales-etl-{os.getuid()}"


@contextmanager
def scratch_directory(root: Path | None = None) -> Iterator[Path]:
    """A new directory (mode 0700) for one attempt, removed at the end.

    The process keeps it locked, so that the next run recognizes what a killed one has left, and removes it.
    Raises NeedsPersonError when `root` belongs to another user, ScratchFullError when its disk is full.
    """
    root = root or scratch_root()
    _make_private(root)
    sweep(root)
    with full_disk_named("the run", root / "new-"):
        new = Path(tempfile.mkdtemp(prefix="new-", dir=root))
    with open(new / LOCK_NAME, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Other runs sweep directories of this name, so it is locked first.
        directory = new.rename(new.with_name(new.name.replace("new-", "run-", 1)))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _make_private(root: Path) -> None:
    with suppress(FileExistsError):
        root.mkdir(mode=0o700, parents=True)
    # Any user can create a directory or a link below /tmp, under a name that is easy to guess.
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise NeedsPersonError(
            f"scratch directory {root} is not a directory of user {os.getuid()} (it belongs to user {found.st_uid}): "
            "remove it or point TMPDIR at another directory"
        )
    root.chmod(0o700)


def sweep(root: Path) -> list[Path]:
    """Removes the directories of dead processes, and returns them."""
    dead = leftovers(root)
    remove(dead)
    return dead


def leftovers(root: Path, older_than_s: float = 0) -> list[Path]:
    """The directories of dead processes that were last changed at least `older_than_s` ago."""
    unfinished = (directory for directory in root.glob("new-*") if _age_s(directory) > STARTING_S_MAX)
    dead = [*(directory for directory in root.glob("run-*") if not _in_use(directory)), *unfinished]
    return [directory for directory in dead if _age_s(directory) >= older_than_s]


def remove(directories: Iterable[Path]) -> None:
    """Removes directories with their contents; another process may be doing the same."""
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _in_use(directory: Path) -> bool:
    try:
        with open(directory / LOCK_NAME) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def _age_s(directory: Path) -> float:
    try:
        return time.time() - directory.stat().st_mtime
    except FileNotFoundError:
        return 0.0
