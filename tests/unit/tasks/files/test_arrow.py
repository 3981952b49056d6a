"""Arrow files: the batches come back as they were written, and tables of bounded size hold every row in order."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.files.arrow import in_tables, open_writer, read_batches

SCHEMA = pa.schema([("n", pa.int64())])


def batches_of(*sizes: int) -> list[pa.RecordBatch]:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        pa.record_batch([pa.array(range(start, start + size), pa.int64())], schema=SCHEMA)
        for start, size in zip(starts, sizes, strict=True)
    ]


def test_batches_come_back_as_they_were_written(tmp_path: Path) -> None:
    batches = batches_of(3, 0, 2)
    with open_writer(tmp_path / "x.arrow", SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert list(read_batches(tmp_path / "x.arrow")) == batches


def test_a_file_without_rows_has_no_batches(tmp_path: Path) -> None:
    with open_writer(tmp_path / "x.arrow", SCHEMA):
        pass
    assert list(read_batches(tmp_path / "x.arrow")) == []


@pytest.mark.parametrize(
    ("sizes", "enough_rows", "tables"),
    [
        pytest.param([], 2, [], id="none"),
        pytest.param([0, 0], 2, [], id="no-rows"),
        pytest.param([1], 2, [1], id="too-few-are-the-last"),
        pytest.param([2, 2], 2, [2, 2], id="each-enough"),
        pytest.param([1, 1, 1], 2, [2, 1], id="two-are-enough"),
        pytest.param([1, 5, 1], 2, [6, 1], id="a-batch-is-never-cut"),
    ],
)
def test_a_table_takes_batches_until_it_has_enough(sizes: list[int], enough_rows: int, tables: list[int]) -> None:
    made = list(in_tables(batches_of(*sizes), enough_bytes=8 * enough_rows))
    assert [table.num_rows for table in made] == tables
    assert [n for table in made for n in table["n"].to_pylist()] == list(range(sum(sizes)))
