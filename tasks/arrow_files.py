"""Arrow IPC files between steps: memory-mapped, so that a step reads without copying. Pure."""

from pathlib import Path

import pandas as pd
import pyarrow as pa


def read_table(path: Path) -> pa.Table:
    """The table of an Arrow IPC file, memory-mapped."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write_table(table: pa.Table, path: Path) -> None:
    """Writes `table` as an Arrow IPC file."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a pandas frame on the same Arrow memory: exact decimals, NULL stays NULL."""
    return table.to_pandas(types_mapper=pd.ArrowDtype)
