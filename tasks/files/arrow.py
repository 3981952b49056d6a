"""Arrow IPC files between steps, read and written batch by batch, so that no step holds a region's rows. Knows no
Prefect."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

# Of Arrow's allocators the default, mimalloc, keeps the most memory that the threads of four regions have freed.
if "jemalloc" in pa.supported_memory_backends():
    pa.set_memory_pool(pa.jemalloc_memory_pool())


def read_batches(*paths: Path) -> Iterator[pa.RecordBatch]:
    """The batches of Arrow IPC files, one file after the other, one batch at a time, as they were written."""
    for path in paths:
        # Not memory-mapped: pages of a mapped file count as this process's memory.
        with pa.OSFile(str(path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
    # Gives freed memory back to the system: the next step allocates by other means.
    pa.default_memory_pool().release_unused()


@contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """A writer of an Arrow IPC file with `schema`; the file is complete when the body has ended."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        yield writer
    pa.default_memory_pool().release_unused()


def in_tables(batches: Iterable[pa.RecordBatch], enough_bytes: int) -> Iterator[pa.Table]:
    """The batches in tables: each takes batches until it has `enough_bytes` of Arrow memory."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.nbytes for part in held) >= enough_bytes:
            yield _take(held)
    if sum(part.num_rows for part in held):
        yield _take(held)


def _take(held: list[pa.RecordBatch]) -> pa.Table:
    """Returns the table of `held` and empties it: a suspended generator must not keep what it has yielded."""
    table = pa.Table.from_batches(held)
    held.clear()
    return table


def to_frame(rows: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """The rows as a pandas frame on the same Arrow memory: exact decimals, NULL stays NULL."""
    return rows.to_pandas(types_mapper=pd.ArrowDtype)
