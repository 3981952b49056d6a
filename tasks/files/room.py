"""Room on the scratch disk: what a region's rows take there, and an error with place and remedy when there is none.
Knows no Prefect.

Regions are read side by side onto one disk, by the runs of this machine too: what one has reserved, no other one
counts on. A reservation is a file in the attempt's directory, which goes with it.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import pyarrow as pa

from expectations.columns import SOURCE_COLUMNS
from expectations.tables import CLEAN_SCHEMA
from tasks.errors import NeedsPersonError

STAGED_AT_ONCE_BYTES = 160 * 2**20
"""The most that a region's Parquet files take at once: one of `stage.FILE_BYTES` and a row group, removed when S3 has
it."""
TOKEN_BYTES = 64
"""Of a personal cell, whatever its text is at the source."""
MARGIN = 1.2
"""For rows that are wider than those that were looked at."""
WIDTH_BYTES = 4
"""Of a text's place in an Arrow column."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
REMEDY = "free some space, or start the worker with TMPDIR on a larger disk"

LOCK_NAME, SUFFIX = ".room", ".reserved"
"""Beside the attempts' directories: whoever reserves locks it. In them: a region's reservation, in bytes."""


class ScratchFullError(NeedsPersonError):
    """Raised when the scratch disk has no room for a region's rows: before they are read, or while they are written."""


def bytes_needed(rows: int, row_text_bytes: float) -> int:
    """What a region's rows take on the scratch disk at most, from extract to stage: twice as Arrow, as read and
    separated, and once as Parquet. `row_text_bytes` is the length of a row as text in UTF-8, on average.
    """
    contract = [column.arrow_field for column in SOURCE_COLUMNS]
    tokens = TOKEN_BYTES * sum(column.personal for column in SOURCE_COLUMNS)
    per_copy = row_text_bytes + tokens
    as_read = per_copy + _beside_texts([*contract, *[pa.field(name, pa.string()) for name in ("extra", "unreadable")]])
    separated = per_copy + _beside_texts(CLEAN_SCHEMA)
    staged = min(rows * per_copy, STAGED_AT_ONCE_BYTES)
    return ceil(MARGIN * rows * (as_read + separated) + staged)


def _beside_texts(fields: "list[pa.Field] | pa.Schema") -> float:
    """Bytes of a row in these columns, without the texts themselves."""
    widths = (field.type.bit_width / 8 if pa.types.is_primitive(field.type) else WIDTH_BYTES for field in fields)
    return sum(widths) + len(fields) / 8


@contextmanager
def room_reserved(directory: Path, region: str, rows: int, needed: int) -> Iterator[None]:
    """Reserves `needed` bytes for a region in the attempt's directory, and gives them back when the body fails. Raises
    ScratchFullError when the disk has less that is free and not reserved for other regions, of this run or others."""
    reservation = directory / f"{region}{SUFFIX}"
    with _alone(directory.parent):
        reservation.unlink(missing_ok=True)
        others = sum(map(_not_written_yet, directory.parent.glob(f"*/*{SUFFIX}")))
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
def _alone(root: Path) -> Iterator[None]:
    """Nobody else looks and reserves meanwhile."""
    with full_disk_named("the run", root / LOCK_NAME), open(root / LOCK_NAME, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _not_written_yet(reservation: Path) -> int:
    """Bytes of a reservation that its region has not used; 0 when its attempt ends just now."""
    region = reservation.name.removesuffix(SUFFIX)
    try:
        written = sum(path.stat().st_size for path in reservation.parent.glob(f"{region}.*.arrow"))
        return max(0, int(reservation.read_text()) - written)
    except FileNotFoundError:
        return 0


@contextmanager
def full_disk_named(whose: str, *paths: Path) -> Iterator[None]:
    """Lets the body write the files of a region, or of the run. Raises ScratchFullError when the disk, or the user's
    share of it, is full; the files are removed then, which leaves their room to others."""
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
