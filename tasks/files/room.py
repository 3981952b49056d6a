"""Room on the scratch disk: how much a region's rows take, and an error with place and remedy when there is too little.
Knows no Prefect.

All runs on this machine read their regions side by side onto one disk, so each region reserves its room first. A
reservation is a file in the attempt's directory and is removed with it.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path

import pyarrow as pa

from expectations.columns import SOURCE_COLUMNS
from expectations.tables import CLEAN_SCHEMA
from tasks.errors import NeedsPersonError

STAGED_AT_ONCE_BYTES = 160 * 2**20
"""The most that a region's Parquet files take at once: one of `stage.FILE_BYTES` and a row group, removed once it
is uploaded."""
TOKEN_BYTES = 64
"""Of a personal cell, however long its text is at the source."""
MARGIN = 1.2
"""For rows that are wider than the sample."""
WIDTH_BYTES = 4
"""Of a text's offset in an Arrow column."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
REMEDY = "free some space, or start the worker with TMPDIR on a larger disk"

LOCK_NAME, SUFFIX = ".room", ".reserved"
"""The lock for reserving, beside the attempts' directories; and the suffix of a region's reservation (its bytes) in
them."""


class ScratchFullError(NeedsPersonError):
    """Raised when the scratch disk has no room for a region's rows: before they are read, or while they are written."""


def bytes_needed(rows: int, row_text_bytes: float) -> int:
    """Returns the most that a region's rows take on the scratch disk, from extract to stage: twice as Arrow, as read
    and separated, and once as Parquet. `row_text_bytes` is the average length of a row as UTF-8 text.
    """
    contract = [column.arrow_field for column in SOURCE_COLUMNS]
    tokens = TOKEN_BYTES * sum(column.personal for column in SOURCE_COLUMNS)
    per_copy = row_text_bytes + tokens
    as_read = per_copy + _fixed_bytes([*contract, *[pa.field(name, pa.string()) for name in ("extra", "unreadable")]])
    separated = per_copy + _fixed_bytes(CLEAN_SCHEMA)
    staged = min(rows * per_copy, STAGED_AT_ONCE_BYTES)
    return ceil(MARGIN * rows * (as_read + separated) + staged)


def _fixed_bytes(fields: "list[pa.Field] | pa.Schema") -> float:
    """Bytes of a row in these columns, without its texts."""
    widths = (field.type.bit_width / 8 if pa.types.is_primitive(field.type) else WIDTH_BYTES for field in fields)
    return sum(widths) + len(fields) / 8


@contextmanager
def room_reserved(directory: Path, region: str, rows: int, needed: int) -> Iterator[None]:
    """Reserves `needed` bytes for a region in the attempt's directory, and releases them when the body fails. Raises
    ScratchFullError when the disk has less free room than that, after what other regions and runs have reserved."""
    reservation = directory / f"{region}{SUFFIX}"
    with _locked(directory.parent):
        reservation.unlink(missing_ok=True)
        others = sum(map(_unwritten, _reservations(directory.parent)))
        free = shutil.disk_usage(directory).free
        if free - others < needed:
            taken = f", {_in_mib(others)} of them reserved for other regions" if others else ""
            raise ScratchFullError(
                f"the scratch disk of {directory} has {_in_mib(free)} free{taken}: the {rows:,} rows of region "
                f"{region} need {_in_mib(needed)}: {REMEDY}"
            )
        with full_disk_named(f"region {region}", reservation):
            reservation.write_text(str(needed))
    try:
        yield
    except BaseException:
        reservation.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keeps other processes from reserving during the body."""
    with full_disk_named("the run", root / LOCK_NAME), open(root / LOCK_NAME, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _reservations(root: Path) -> Iterator[Path]:
    """Yields the reservations of all attempts; one that ends meanwhile takes its directory with it, and has none."""
    for attempt in root.iterdir():
        with suppress(FileNotFoundError):
            yield from attempt.glob(f"*{SUFFIX}")


def _unwritten(reservation: Path) -> int:
    """Bytes of a reservation that its region has not written yet; 0 when its attempt has just ended."""
    region = reservation.name.removesuffix(SUFFIX)
    try:
        written = sum(path.stat().st_size for path in reservation.parent.glob(f"{region}.*.arrow"))
        return max(0, int(reservation.read_text()) - written)
    except FileNotFoundError:
        return 0


@contextmanager
def full_disk_named(whose: str, *paths: Path) -> Iterator[None]:
    """Raises ScratchFullError when the disk, or the user's quota, is full while the body writes the files `paths` of
    `whose` region or run; removes them then, so that others have their room."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(paths[0].parent).free
        for path in paths:
            path.unlink(missing_ok=True)
        raise ScratchFullError(
            f"the scratch disk is full: {' or '.join(map(str, paths))} of {whose} could not be written "
            f"({os.strerror(error.errno)}, {_in_mib(free)} free): {REMEDY}"
        ) from error


def _in_mib(count: int) -> str:
    return f"{count // 2**20:,} MiB"
