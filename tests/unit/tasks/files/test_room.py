"""Room on the scratch disk: reserved before rows are read, and a full disk is named while they are written."""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from local.environment import CHECKOUT
from tasks import stage
from tasks.files import room
from tasks.files.arrow import open_writer
from tasks.files.room import (
    STAGED_AT_ONCE_BYTES,
    ScratchFullError,
    bytes_needed,
    full_disk_named,
    room_reserved,
)

Usage = namedtuple("Usage", "total used free")
MIB = 2**20
TEXTS = pa.schema([("text", pa.string())])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on a disk with 10 MiB, less what its files take."""

    def usage(path: Path) -> Usage:
        used = sum(file.stat().st_size for file in tmp_path.rglob("*.arrow"))
        return Usage(10 * MIB, used, 10 * MIB - used)

    monkeypatch.setattr(room.shutil, "disk_usage", usage)
    return tmp_path


@pytest.fixture
def disk(root: Path) -> Path:
    """The directory of an attempt on it."""
    (attempt := root / "run-one").mkdir()
    return attempt


def test_too_little_room_names_place_need_and_remedy(disk: Path) -> None:
    with pytest.raises(ScratchFullError) as caught, room_reserved(disk, "EUROPE", 10_000, 12 * MIB):
        pass
    assert str(caught.value) == (
        f"the scratch disk of {disk} has 10 MiB free: the 10,000 rows of region EUROPE need 12 MiB: "
        "free some space, or start the worker with TMPDIR on a larger disk"
    )


def test_room_that_another_region_has_reserved_is_not_given_twice(disk: Path) -> None:
    too_little = pytest.raises(ScratchFullError, match="10 MiB free, 6 MiB of them reserved for other regions: the 20")
    with room_reserved(disk, "EUROPE", 10, 6 * MIB):
        with too_little, room_reserved(disk, "US_EAST", 20, 5 * MIB):
            pass
        with room_reserved(disk, "US_EAST", 20, 4 * MIB):
            pass


def reserve_in_another_process(attempt: Path) -> None:
    reserve = "with room_reserved(Path(sys.argv[1]), 'EUROPE', 10, int(sys.argv[2])): pass"
    program = f"import sys; from pathlib import Path; from tasks.files.room import room_reserved\n{reserve}"
    subprocess.run([sys.executable, "-c", program, attempt, str(6 * MIB)], check=True, cwd=CHECKOUT)


def test_room_that_another_run_has_reserved_is_not_given_twice_until_it_ends(root: Path, disk: Path) -> None:
    (other := root / "run-other").mkdir()
    reserve_in_another_process(other)
    too_little = pytest.raises(ScratchFullError, match="10 MiB free, 6 MiB of them reserved for other regions: the 20")
    with too_little, room_reserved(disk, "EUROPE", 20, 5 * MIB):
        pass
    shutil.rmtree(other)
    with room_reserved(disk, "EUROPE", 20, 10 * MIB):
        pass


def test_a_run_that_ends_while_others_are_counted_holds_no_room(
    root: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other := root / "run-other").mkdir()
    (other / "EUROPE.reserved").write_text(str(6 * MIB))
    scandir = os.scandir

    def scandir_too_late(path: Path) -> Iterator[os.DirEntry[str]]:
        if path == other:
            shutil.rmtree(other)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_too_late)
    with room_reserved(disk, "EUROPE", 20, 10 * MIB):
        assert not other.exists()


def test_what_a_region_has_written_is_not_counted_twice(disk: Path) -> None:
    with room_reserved(disk, "EUROPE", 10, 6 * MIB):
        (disk / "EUROPE.extracted.arrow").write_bytes(bytes(5 * MIB))
    with room_reserved(disk, "US_EAST", 20, 4 * MIB):
        pass


def test_a_region_that_fails_gives_its_room_back(disk: Path) -> None:
    with room_reserved(disk, "EUROPE", 10, 6 * MIB):
        pass
    with pytest.raises(OSError, match="lost"), room_reserved(disk, "EUROPE", 10, 7 * MIB):
        raise OSError("lost")
    with room_reserved(disk, "US_EAST", 20, 9 * MIB):
        pass


def test_more_and_wider_rows_need_more() -> None:
    narrow, wide = bytes_needed(1000, 150), bytes_needed(1000, 1150)
    assert wide - narrow >= 2 * 1000 * 1000
    assert bytes_needed(0, 0) == 0
    assert bytes_needed(10**9, 1000) < 3 * 10**12 + STAGED_AT_ONCE_BYTES


def test_parquet_files_are_removed_one_by_one() -> None:
    assert stage.FILE_BYTES + stage.ROW_GROUP_BYTES <= STAGED_AT_ONCE_BYTES


def test_a_disk_that_is_full_in_the_middle_is_named_and_the_file_removed(tmp_path: Path) -> None:
    """/dev/full refuses every write as a full disk does: with ENOSPC, by the kernel."""
    path = tmp_path / "EUROPE.extracted.arrow"
    path.symlink_to("/dev/full")
    batch = pa.record_batch([pa.array(["x" * 100_000])], schema=TEXTS)
    full = pytest.raises(ScratchFullError)
    with full as caught, full_disk_named("region EUROPE", path), open_writer(path, TEXTS) as writer:
        writer.write_batch(batch)
    assert re.fullmatch(
        rf"the scratch disk is full: {path} of region EUROPE could not be written \(No space left on device, [\d,]+ "
        r"MiB free\): free some space, or start the worker with TMPDIR on a larger disk",
        str(caught.value),
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_is_a_full_disk_too(tmp_path: Path, number: int) -> None:
    with pytest.raises(ScratchFullError), full_disk_named("region EUROPE", tmp_path / "file"):
        raise OSError(number, "as the driver says it")


def test_other_errors_stay_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError), full_disk_named("region EUROPE", tmp_path / "file"):
        raise PermissionError(errno.EACCES, "no right")
    assert (tmp_path / "file").exists()
