"""Phrases that a reader has to turn round first: code, comments, messages and pages do without them."""

import re
import subprocess

import pytest

from local.environment import CHECKOUT

PHRASES = (
    *("answers a", "answers how many", "answers its", "answers one", "answers rows", "answers the", "answers what"),
    *("answers whether", "answers which", "and its fellows", "as they stand there", "for so long", "for who"),
    *("has no say", "hears of", "is told", "its word", "'s word", "keep house", "least lately", "nobody else's"),
    *("batch was put back", "not put back", "puts a batch back", "puts the batch back", "was put back already"),
    *("so many of", "what becomes of", "what cannot be removed", "whoever", "whosever"),
)
"""Found as whole words, in any case, also across a line break."""

LEFT_OUT = ("tests/golden", "docs/performance.md", "benchmarks/results", "tests/unit/test_words.py")
TEXTS = re.compile(r"\.(py|sql|md)$|(^|/)(Makefile|prefect\.yaml)$")

_BETWEEN_WORDS = r"(?:\s|#|--|f?\")+"
"""Blanks, and at a line break the signs of a comment or of a text literal."""


def pattern_of(phrase: str) -> re.Pattern[str]:
    words = _BETWEEN_WORDS.join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<!\w){words}\b" if phrase[0].isalpha() else rf"{words}\b", re.IGNORECASE)


PATTERNS = {phrase: pattern_of(phrase) for phrase in PHRASES}


def found_in(text: str) -> list[tuple[int, str]]:
    """Returns the line and the phrase of each match."""
    return sorted(
        (text.count("\n", 0, match.start()) + 1, phrase)
        for phrase, pattern in PATTERNS.items()
        for match in pattern.finditer(text)
    )


def tracked_texts() -> list[str]:
    command = ["git", "ls-files", "-z", "--", ".", *(f":(exclude){path}" for path in LEFT_OUT)]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if TEXTS.search(path)]


def test_no_text_has_a_phrase_of_the_list() -> None:
    texts = {path: (CHECKOUT / path).read_text(encoding="utf-8") for path in tracked_texts()}
    assert len(texts) > 50
    assert [f"{path}:{line}: {phrase}" for path, text in texts.items() for line, phrase in found_in(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("# a\n# It answers how many.", [(2, "answers how many")], id="comment"),
        pytest.param("Whoever reads", [(1, "whoever")], id="capital"),
        pytest.param("    # it is\n    # told", [(1, "is told")], id="broken-comment"),
        pytest.param("-- it has no\n-- say", [(1, "has no say")], id="broken-sql"),
        pytest.param('"it is "\nf"told"', [(1, "is told")], id="broken-message"),
        pytest.param("the ledger's word", [(1, "'s word")], id="possessive"),
        pytest.param("this told, for whom, its words, is_told", [], id="other-words"),
    ],
)
def test_a_phrase_is_found_with_its_line(text: str, found: list[tuple[int, str]]) -> None:
    assert found_in(text) == found
