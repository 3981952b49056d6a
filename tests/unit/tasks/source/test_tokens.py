"""Tokens: they cannot be guessed back without the key, and equal addresses stay equal."""

import pyarrow as pa
import pytest

from tasks.source import tokens as tokens_module
from tasks.source.tokens import token_of, tokenizer

KEY = b"Jefe"


def tokens(*texts: str | None, key: bytes = KEY) -> list[str | None]:
    answered: list[str | None] = tokenizer(key)(pa.array(texts, pa.string())).to_pylist()
    return answered


def test_a_token_is_the_hmac_of_rfc_4231() -> None:
    """Test case 2 of RFC 4231; its message is lower-case and trimmed."""
    vector = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert token_of("what do ya want for nothing?", KEY) == vector


@pytest.mark.parametrize(
    "spelling", ["Ann@Example.com", " ann@example.com", "ANN@EXAMPLE.COM\t", "\u00a0ann@example.com\n"]
)
def test_spellings_of_one_address_have_one_token(spelling: str) -> None:
    assert tokens(spelling) == tokens("ann@example.com")


@pytest.mark.parametrize("other", ["anne@example.com", "ann @example.com", "änn@example.com", ""])
def test_other_addresses_have_other_tokens(other: str) -> None:
    assert tokens(other) != tokens("ann@example.com")


def test_another_key_gives_another_token() -> None:
    assert tokens("ann@example.com", key=b"one") != tokens("ann@example.com", key=b"two")


def test_null_stays_null_and_empty_text_gets_a_token() -> None:
    null, empty, blank = tokens(None, "", "  ")
    assert null is None
    assert empty == blank == token_of("", KEY)


def test_unicode_addresses_have_tokens() -> None:
    upper, lower = tokens("KÄSE@EXAMPLE.COM", "käse@example.com")
    assert upper == lower
    assert len(upper or "") == 64


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([], pa.string()), id="empty"),
        pytest.param(pa.nulls(3, pa.string()), id="all-null"),
        pytest.param(pa.array(["x", "a", None, "a"])[1:], id="slice"),
        pytest.param(pa.chunked_array([["a"], [], [None, "A "]], pa.string()), id="chunks"),
    ],
)
def test_any_column_keeps_its_length_and_its_nulls(column: pa.Array) -> None:
    answered = tokenizer(KEY)(column)
    assert answered.type == pa.string()
    assert answered.to_pylist() == [text if text is None else token_of(text, KEY) for text in column.to_pylist()]


def test_what_is_forgotten_has_the_same_token_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def recorded(value: str, key: bytes) -> str:
        hashed.append(value)
        return token_of(value, key)

    monkeypatch.setattr(tokens_module, "KEPT_MAX", 3)
    monkeypatch.setattr(tokens_module, "token_of", recorded)
    tokenize = tokenizer(KEY)
    batches: list[list[str | None]] = [["a", "b"], ["b", "c"], ["c", "d", None], ["a", "b", "e", "f"], ["f"]]
    for batch in batches:
        answered = tokenize(pa.array(batch, pa.string())).to_pylist()
        assert answered == [text if text is None else token_of(text, KEY) for text in batch]
    assert hashed == ["a", "b", "c", "c", "d", "a", "b", "e", "f", "f"]


def test_one_tokenizer_returns_the_same_tokens_in_every_batch() -> None:
    tokenize = tokenizer(KEY)
    first, second = tokenize(pa.array(["a", "b"])).to_pylist(), tokenize(pa.array(["b", "a"])).to_pylist()
    assert first == second[::-1]
