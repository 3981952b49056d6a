"""Personal data become tokens: keyed, so that nobody without the key can guess back; equal for equal values. Pure."""

import hmac
from collections.abc import Callable

import pyarrow as pa


def token_of(value: str, key: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of the trimmed, lower-cased value, as 64 hex digits."""
    return hmac.digest(key, value.strip().lower().encode(), "sha256").hex()


def tokenizer(key: bytes) -> Callable[[pa.ChunkedArray | pa.Array], pa.Array]:
    """A function that replaces the texts of a column by tokens (NULL stays NULL), each distinct value hashed once."""
    known: dict[str, str] = {}

    def tokenize(column: pa.ChunkedArray | pa.Array) -> pa.Array:
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        encoded = array.dictionary_encode()
        for value in encoded.dictionary.to_pylist():
            if value not in known:
                known[value] = token_of(value, key)
        tokens = pa.array([known[value] for value in encoded.dictionary.to_pylist()], pa.string())
        return tokens.take(encoded.indices)

    return tokenize
