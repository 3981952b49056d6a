"""Keys: rows share a code exactly when they share a key, even where hashes collide."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.files.keys import key_codes, key_hashes, repeated, sliced

keys_in_batches = st.lists(st.lists(st.sampled_from(["1", "2", "", "ü", "a", "A", None]), max_size=6), max_size=5)


def batches_of(keys: list[list[str | None]]) -> list[pa.RecordBatch]:
    return [pa.record_batch({"sale_id": pa.array(part, pa.string())}) for part in keys]


@given(st.lists(st.integers(0, 6), max_size=20))
def test_a_hash_is_repeated_when_it_occurs_more_than_once(hashes: list[int]) -> None:
    counted = Counter(hashes)
    answered = repeated(np.array(hashes, np.uint32))
    assert answered.tolist() == [counted[one] > 1 for one in hashes]


@given(keys_in_batches, st.sampled_from([1, 2, 2**31]))
def test_equal_keys_and_no_others_share_a_code(keys: list[list[str | None]], hashes_max: int) -> None:
    """With few hashes, many keys that differ have the same one."""
    batches = batches_of(keys)
    hashes = key_hashes(batches, sum(map(len, keys))) % hashes_max
    codes = key_codes(hashes, batches).tolist()
    flat = [key for part in keys for key in part]
    assert [code == -1 for code in codes] == [key is None for key in flat]
    assert len(set(zip(flat, codes, strict=True))) == len(set(flat)) == len(set(codes))


def test_equal_keys_have_equal_hashes_wherever_they_are() -> None:
    one, other, null, again = key_hashes(batches_of([["1", "2"], [], [None, "1"]]), 4).tolist()
    assert one == again
    assert len({one, other, null}) == 3


@pytest.mark.parametrize(
    "sizes", [pytest.param([], id="none"), pytest.param([2, 0, 3], id="one-empty"), pytest.param([5], id="one")]
)
def test_cells_come_with_their_batches(sizes: list[int]) -> None:
    batches = [pa.record_batch({"n": pa.array(range(size))}) for size in sizes]
    cells = np.arange(sum(sizes))
    parts = list(sliced(batches, cells, -cells))
    assert [(batch.num_rows, len(a), len(b)) for batch, a, b in parts] == [(size, size, size) for size in sizes]
    assert [n for _, part, _ in parts for n in part.tolist()] == cells.tolist()
