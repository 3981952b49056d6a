"""Reading one snapshot by several connections side by side, a slice of the wanted rows each.

Slices are ranges of `ctid`, a row's place in its table. Every row has exactly one, whatever its cells hold, and readers
fetch the pages of their ranges alone, with an index or without. Slice after slice, rows have the order of one reader.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg2

from tasks.batch import Keys, Window
from tasks.errors import SalesEtlError, one_line
from tasks.source.snapshot import Snapshot
from tasks.source.statements import bounds_statement
from tasks.source.table import VIEW
from tasks.source.waits import shut_down
from tasks.stopwatch import Say

SLICE_ROWS_MIN = 50_000
"""Fewer rows take less time than one more connection."""
SAMPLED_ROWS = 10_000
"""Rows that are drawn to split the wanted ones into slices of about the same size."""

Place = tuple[int, int]
"""A `ctid`: a page of the table, and the number of a row there."""

Read = TypeVar("Read")


@dataclass(frozen=True)
class Slice:
    """The rows at the place `start` or later, and before the place `end`."""

    start: Place | None = None
    end: Place | None = None

    @property
    def condition(self) -> str:
        """The SQL condition that a row is in the slice; empty for all rows."""
        since = [] if self.start is None else [f"ctid >= '({self.start[0]},{self.start[1]})'::tid"]
        until = [] if self.end is None else [f"ctid < '({self.end[0]},{self.end[1]})'::tid"]
        return " AND ".join(since + until)


WHOLE = Slice()


def slices_between(bounds: Iterable[Place]) -> tuple[Slice, ...]:
    """The slices before, between and after the bounds, by their places: every row is in exactly one of them."""
    ends = sorted(set(bounds))
    return tuple(Slice(start, end) for start, end in zip([None, *ends], [*ends, None], strict=True))


def place_of(ctid: str) -> Place:
    """The place that PostgreSQL writes as `(page,row)`."""
    page, row = re.findall(r"[0-9]+", ctid)
    return int(page), int(row)


def export_snapshot(cursor: Any) -> str:
    """Exports the snapshot of a transaction until its end; PostgreSQL refuses that within a savepoint."""
    cursor.execute("SELECT pg_export_snapshot()")
    ((exported,),) = cursor.fetchall()
    return str(exported)


@contextmanager
def open_slices(
    snapshot: Snapshot, exported: str | None, wanted: Window | Keys, rows: int, slices_max: int, say: Say
) -> Iterator[dict[Slice, Any]]:
    """The slices of the `rows` that are wanted, in their order, each with the cursor that reads it; the snapshot's own
    cursor reads the first.

    There are at most `slices_max`, and fewer when there are few rows or no more connections: that is logged by `say`.
    """
    readers_wanted = min(slices_max, rows // SLICE_ROWS_MIN)
    if exported is None or readers_wanted < 2:
        yield {WHOLE: snapshot.cursor}
    elif not snapshot.table.has_ctid:
        table = snapshot.table
        why = "" if table.relations[0].kind == VIEW else " of which its reader may not read ctid, a row's place"
        say(f"{snapshot.step} is read by one connection: {table.name} is {table.kind}{why}")
        yield {WHOLE: snapshot.cursor}
    else:
        with open_readers(snapshot, exported, readers_wanted, say) as readers:
            slices = _split(snapshot, wanted, rows, len(readers))
            yield dict(zip(slices, readers, strict=False))


@contextmanager
def open_readers(snapshot: Snapshot, exported: str, wanted: int, say: Say) -> Iterator[list[Any]]:
    """Cursors that show the same snapshot, its own first; fewer than wanted when no more can be had, which is logged by
    `say`."""
    readers = [snapshot.cursor]
    with ExitStack() as stack:
        for number in range(2, wanted + 1):
            try:
                readers.append(stack.enter_context(snapshot.join(exported, number)))
            except (psycopg2.Error, SalesEtlError) as error:
                say(f"{snapshot.step} is read by {len(readers)} of {wanted} connections: {one_line(error)}")
                break
        yield readers


def _split(snapshot: Snapshot, wanted: Window | Keys, rows: int, slices: int) -> tuple[Slice, ...]:
    if slices == 1:
        return (WHOLE,)
    share = min(1.0, SAMPLED_ROWS / rows)
    snapshot.cursor.execute(bounds_statement(snapshot.table.sql, wanted, slices, share))
    return slices_between(place_of(ctid) for (ctid,) in snapshot.cursor.fetchall())


def side_by_side(
    read: Callable[[int, Slice, Any], Read], slices: Mapping[Slice, Any], spares_first: Callable[[BaseException], bool]
) -> list[Read]:
    """Calls `read` with the number, the slice and the cursor of each slice, side by side; returns the results in order.

    The first error is raised, and ends all others at once: their connections are shut down. The statement of the first
    cursor is only cancelled after an error for which `spares_first`, so that its transaction can go on.
    """
    readings = [(number, part, cursor) for number, (part, cursor) in enumerate(slices.items())]
    if len(readings) == 1:
        return [read(*readings[0])]
    with ThreadPoolExecutor(len(readings), "slice") as pool:
        futures = [pool.submit(read, *reading) for reading in readings]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            first, *others = (cursor.connection for _, _, cursor in readings)
            for connection in others:
                shut_down(connection)
            if spares_first(error):
                first.cancel()
            else:
                shut_down(first)
            raise
    return [future.result() for future in futures]
