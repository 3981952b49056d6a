"""Which rows share a key, in a few bytes per row: by hashes first, by the keys' texts where hashes collide. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def key_hashes(batches: Iterable[pa.RecordBatch], rows: int) -> np.ndarray:
    """Returns a uint32 hash per `sale_id` of the batches, which have `rows` rows; hashes differ between processes.

    Equal texts have equal hashes, and so have NULLs. Of five million different texts a few thousand collide.
    """
    hashes = np.empty(rows, np.uint32)
    for batch, part in sliced(batches, hashes):
        part[:] = np.fromiter(map(hash, batch["sale_id"].to_pylist()), np.int64, batch.num_rows)
    return hashes


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Returns one bool per hash: it occurs more than once. Sorts, which takes less memory than a hash table."""
    ordered = np.sort(hashes)
    return pd.Series(hashes).isin(ordered[1:][ordered[1:] == ordered[:-1]]).to_numpy()


def key_codes(hashes: np.ndarray, batches: Iterable[pa.RecordBatch]) -> np.ndarray:
    """Returns an int32 number per row: equal for equal keys, different for different keys, -1 for NULL.

    `hashes` are those of the column `sale_id` of `batches`. Texts are compared only where hashes are equal: a unique
    hash means a unique key, and two keys with the same hash get two numbers.
    """
    codes = np.arange(len(hashes), dtype=np.int32)
    is_repeated = repeated(hashes)
    first: dict[str | None, int] = {None: -1}
    for batch, codes_of_batch, repeated_of_batch in sliced(batches, codes, is_repeated):
        mask = repeated_of_batch | batch["sale_id"].is_null().to_numpy(zero_copy_only=False)
        keys = batch["sale_id"].filter(pa.array(mask)).to_pylist()
        places = codes_of_batch[mask].tolist()
        codes_of_batch[mask] = [first.setdefault(key, place) for key, place in zip(keys, places, strict=True)]
    return codes


def sliced(batches: Iterable[pa.RecordBatch], *cells: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Yields each batch with its slice of every array of `cells`, which have an element per row of all batches."""
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        yield batch, *(array[start:end] for array in cells)
        start = end
