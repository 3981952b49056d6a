"""Scratch space: private, removed at the end, and never taken from a run that lives."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import NeedsPersonError
from tasks.files import scratch
from tasks.files.room import ScratchFullError
from tasks.files.scratch import LOCK_NAME, leftovers, remove, scratch_directory, sweep


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftover(root: Path, name: str = "run-dead") -> Path:
    """What a killed run leaves behind."""
    directory = root / name
    directory.mkdir(parents=True)
    (directory / LOCK_NAME).touch()
    (directory / "EUROPE.clean.arrow").write_bytes(b"rows")
    return directory


def test_only_its_owner_can_look_into_it(tmp_path: Path) -> None:
    with scratch_directory(tmp_path / "root") as directory:
        assert mode_of(directory) == mode_of(directory.parent) == 0o700


def test_a_root_that_others_could_look_into_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    with scratch_directory(root):
        assert mode_of(root) == 0o700


def test_a_root_of_another_user_is_refused_and_left_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    dead = leftover(tmp_path)
    owner = os.getuid()
    monkeypatch.setattr(scratch.os, "getuid", lambda: owner + 1)
    with pytest.raises(NeedsPersonError) as caught, scratch_directory(tmp_path):
        pass
    assert str(caught.value) == (
        f"scratch directory {tmp_path} is not a directory of user {owner + 1} (it belongs to user {owner}): "
        "remove it or point TMPDIR at another directory"
    )
    assert mode_of(tmp_path) == 0o755
    assert dead.exists()


@pytest.mark.parametrize("kind", ["link", "broken link", "file"])
def test_a_root_that_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    if kind == "link":
        elsewhere.mkdir(mode=0o755)
    if kind == "file":
        root.touch()
    else:
        root.symlink_to(elsewhere)
    with (
        pytest.raises(NeedsPersonError, match=f"scratch directory {root} is not a directory of user"),
        scratch_directory(root),
    ):
        pass


def test_it_is_removed_at_the_end_with_everything_in_it(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as directory:
        (directory / "sub").mkdir()
        (directory / "sub" / "file").write_text("rows")
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_directory(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_two_runs_have_two_directories(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as first, scratch_directory(tmp_path) as second:
        assert first != second
        assert first.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    dead = leftover(tmp_path)
    with scratch_directory(tmp_path):
        assert not dead.exists()


def test_sweeping_takes_nothing_but_runs(tmp_path: Path) -> None:
    dead, other = leftover(tmp_path), leftover(tmp_path, "somebody-elses")
    assert sweep(tmp_path) == [dead]
    assert other.exists()


def test_leftovers_are_as_old_as_is_asked_for(tmp_path: Path) -> None:
    young, old = leftover(tmp_path, "run-young"), leftover(tmp_path, "run-old")
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert leftovers(tmp_path, older_than_s=1800) == [old]
    assert sorted(leftovers(tmp_path)) == sorted([young, old])
    remove([old])
    assert [path.name for path in tmp_path.iterdir()] == ["run-young"]


HOLD_LOCK = (
    "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
)


def test_a_run_that_lives_in_another_process_is_left_alone_until_it_dies(tmp_path: Path) -> None:
    living = leftover(tmp_path, "run-living")
    holder = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", HOLD_LOCK, str(living / LOCK_NAME)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert sweep(tmp_path) == []
        assert (living / "EUROPE.clean.arrow").exists()
    finally:
        holder.kill()
        holder.communicate()
    assert sweep(tmp_path) == [living]


def test_a_run_that_has_not_locked_its_directory_yet_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new-just-made").mkdir()
    assert sweep(tmp_path) == []


def test_a_run_that_was_killed_before_it_locked_its_directory_is_swept_after_a_while(tmp_path: Path) -> None:
    unfinished = tmp_path / "new-killed"
    unfinished.mkdir()
    long_ago = time.time() - scratch.STARTING_S_MAX - 1
    os.utime(unfinished, (long_ago, long_ago))
    assert sweep(tmp_path) == [unfinished]
    assert not unfinished.exists()


def test_a_run_is_safe_between_making_its_lock_file_and_locking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may sweep at any moment; here it does so just before this one's lock is taken."""
    lock = scratch.fcntl.flock

    def sweep_first(file: Any, operation: int) -> None:
        if operation == scratch.fcntl.LOCK_EX:
            sweep(tmp_path)
        lock(file, operation)

    monkeypatch.setattr(scratch.fcntl, "flock", sweep_first)
    with scratch_directory(tmp_path) as directory:
        assert directory.exists()


def test_the_root_is_below_tmpdir_and_belongs_to_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(tmp_path))
    assert scratch.scratch_root() == tmp_path / f"retail-sales-etl-{os.getuid()}"


def test_a_disk_without_room_for_a_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "tempfile", SimpleNamespace(mkdtemp=full))
    named = pytest.raises(ScratchFullError, match=f"{tmp_path}/new- of the run could not be written")
    with named, scratch_directory(tmp_path):
        pass
