"""SQLSTATEs: every class of PostgreSQL has its own words, and a cell is blamed only where one can be at fault."""

import re
import traceback

import psycopg2
import pytest
from psycopg2 import errorcodes, errors

from tasks.errors import TRANSIENT_POSTGRES_STATES, RegionUnfitError, may_pass
from tasks.source.snapshot import source_errors_mapped
from tasks.source.sqlstates import MEANINGS, UNKNOWN, meaning_of

DOCUMENTED = frozenset(
    re.findall(
        r"\w+",
        "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 "
        "55 57 58 72 F0 HV P0 XX",
    )
)
"""https://www.postgresql.org/docs/18/errcodes-appendix.html."""
CODES = {code for name, code in vars(errorcodes).items() if name.isupper() and isinstance(code, str) and len(code) == 5}
FAULTS_OF_CELLS = {"22", "23"}
CELL = "find.me@example.com"


def from_server(sqlstate: str) -> psycopg2.Error:
    """An error of psycopg2's own class for the code, as the server sends it."""
    try:
        error: psycopg2.Error = errors.lookup(sqlstate)(f"it quotes {CELL}")
    except KeyError:
        error = psycopg2.DatabaseError(f"it quotes {CELL}")
    error.__setstate__({"pgcode": sqlstate})
    return error


def mapped(error: psycopg2.Error) -> RegionUnfitError:
    with pytest.raises(RegionUnfitError) as caught, source_errors_mapped("sales_transactions"):
        raise error
    return caught.value


def test_every_class_of_postgresql_has_its_own_words() -> None:
    of_driver = {value for name, value in vars(errorcodes).items() if name.startswith("CLASS_")}
    words = [meaning_of(f"{of_class}000").words for of_class in sorted({*DOCUMENTED, *of_driver})]
    assert len(set(words)) == len(words)
    assert UNKNOWN.words not in words


def test_every_entry_is_a_class_or_a_code_that_exists_and_says_something_else() -> None:
    assert {code for code in MEANINGS if len(code) == 2} == DOCUMENTED
    assert {code for code in MEANINGS if len(code) == 5} <= CODES | {"25P04"}
    assert len({meaning.words for meaning in MEANINGS.values()}) == len(MEANINGS)


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_a_cell_is_blamed_only_where_one_can_be_at_fault(code: str) -> None:
    assert ("cell" in re.findall(r"\w+", MEANINGS[code].words)) == (code[:2] in FAULTS_OF_CELLS)


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_words_are_one_line_that_says_what_to_do(code: str) -> None:
    what, _, to_do = MEANINGS[code].words.partition(": ")
    assert what
    assert to_do
    assert "\n" not in MEANINGS[code].words


def test_a_message_that_may_hold_any_text_is_not_quoted() -> None:
    quoted = {code[:2] for code, meaning in MEANINGS.items() if meaning.may_be_quoted}
    assert quoted == {"08", "28", "3D", "40", "42", "53", "55", "57", "58"}
    assert not any(meaning_of(code).may_be_quoted for code in ("42P01", "42703", "58P01", "Y1234"))


def test_a_code_counts_before_its_class() -> None:
    assert "divides" in meaning_of("22012").words
    assert "divides" not in meaning_of("22003").words


@pytest.mark.parametrize("code", sorted(code for code in CODES if not may_pass(from_server(code))))
def test_an_error_that_will_not_pass_is_named_and_quotes_nothing(code: str) -> None:
    error = mapped(from_server(code))
    name = type(from_server(code)).__name__
    assert str(error) == (f"reading sales_transactions failed with {name} (SQLSTATE {code}): {meaning_of(code).words}")
    assert CELL not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("code", ["Y1234", "99999", "U0001"])
def test_a_code_of_no_known_class_is_called_unknown(code: str) -> None:
    assert f"(SQLSTATE {code}): PostgreSQL knows no such class" in str(mapped(from_server(code)))


@pytest.mark.parametrize("code", [*TRANSIENT_POSTGRES_STATES, *sorted(c for c in CODES if may_pass(from_server(c)))])
def test_an_error_that_may_pass_is_raised_unchanged_so_that_it_is_tried_again(code: str) -> None:
    error = from_server(code.ljust(5, "0"))
    with pytest.raises(psycopg2.Error) as caught, source_errors_mapped("sales_transactions"):
        raise error
    assert caught.value is error
    assert may_pass(caught.value)
    assert meaning_of(error.pgcode).may_be_quoted


def test_an_error_of_the_driver_itself_is_raised_unchanged() -> None:
    error = psycopg2.OperationalError("server closed the connection unexpectedly")
    with pytest.raises(psycopg2.OperationalError) as caught, source_errors_mapped("sales_transactions"):
        raise error
    assert caught.value is error
