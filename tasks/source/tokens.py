"""Tokens for personal data: keyed, so that only the key lets one guess back; equal for equal values. Pure."""

import hmac
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

KEPT_MAX = 200_000
"""Distinct values whose tokens a tokenizer remembers (about 20 MB) before it starts over."""


def token_of(value: str, key: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of the trimmed, lower-cased value, as 64 hex digits."""
    return hmac.digest(key, value.strip().lower().encode(), "sha256").hex()


def token_of_bytes(value: bytes, key: bytes) -> str:
    """The same for a value that is not UTF-8; only its ASCII letters are lower-cased."""
    return hmac.digest(key, value.strip().lower(), "sha256").hex()


def tokenizer(key: bytes) -> Callable[[pa.ChunkedArray | pa.Array], pa.Array]:
    """Returns a function that replaces the texts of a column by tokens (NULL stays NULL); each distinct value is hashed
    once while it is remembered."""
    values = tokens = pa.array([], pa.string())

    def tokenize(column: pa.ChunkedArray | pa.Array) -> pa.Array:
        nonlocal values, tokens
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        distinct = pc.drop_null(pc.unique(array))
        new = distinct.filter(pc.invert(pc.is_in(distinct, values)))
        if len(values) + len(new) > KEPT_MAX:
            values, tokens, new = values[:0], tokens[:0], distinct
        values = pa.concat_arrays([values, new])
        tokens = pa.concat_arrays([tokens, pa.array([token_of(value, key) for value in new.to_pylist()], pa.string())])
        return tokens.take(pc.index_in(array, values))

    return tokenize
