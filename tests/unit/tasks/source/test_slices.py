"""Slices of a table: every row is in exactly one of them, and an error of one reader ends the others."""

import random
import socket
from collections.abc import Callable
from threading import Event

import pytest

from tasks.source.slices import WHOLE, Place, Slice, place_of, side_by_side, slices_between

LAST = (2**32 - 2, 2**16 - 1)
"""The last place that a table can have."""


def has(part: Slice, place: Place) -> bool:
    """Whether the slice's condition holds at a place: PostgreSQL compares places as Python compares pairs."""
    return all(
        place >= place_of(bound) if comparison == ">=" else place < place_of(bound)
        for comparison, bound in (term.split()[1:] for term in part.condition.split(" AND ") if term)
    )


@pytest.mark.parametrize("seed", range(50))
def test_every_place_is_in_exactly_one_slice_whatever_the_bounds(seed: int) -> None:
    draw = random.Random(seed)
    pages = draw.choice([1, 3, 1000, 2**32 - 2])
    places = [(draw.randint(0, pages), draw.randint(1, 300)) for _ in range(200)]
    bounds = draw.choices(places, k=draw.randint(0, 9))
    slices = slices_between(bounds)
    beside = [(page, row + step) for page, row in bounds for step in (-1, 0, 1)]
    for place in [*places, *beside, (0, 0), (0, 1), LAST]:
        assert [has(part, place) for part in slices].count(True) == 1, (bounds, place)


@pytest.mark.parametrize("seed", range(20))
def test_slices_follow_the_order_of_the_table(seed: int) -> None:
    draw = random.Random(seed)
    bounds = [(draw.randint(0, 9), draw.randint(1, 9)) for _ in range(7)]
    slices = slices_between(bounds)
    places = [(page, row) for page in range(10) for row in range(10)]
    assert [place for part in slices for place in places if has(part, place)] == places


def test_without_bounds_one_slice_has_all_rows() -> None:
    assert slices_between([]) == (WHOLE,)
    assert WHOLE.condition == ""


def test_bounds_that_are_equal_make_one_slice_less() -> None:
    assert slices_between([(5, 1), (2, 3), (5, 1)]) == (
        Slice(None, (2, 3)),
        Slice((2, 3), (5, 1)),
        Slice((5, 1), None),
    )


def test_the_conditions_are_those_of_ranges_of_ctid() -> None:
    conditions = [part.condition for part in slices_between([(2, 3), (40, 7)])]
    assert conditions == [
        "ctid < '(2,3)'::tid",
        "ctid >= '(2,3)'::tid AND ctid < '(40,7)'::tid",
        "ctid >= '(40,7)'::tid",
    ]


class Connection:
    """A connection on which somebody waits, until it is shut down or cancelled."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair()
        self.is_cancelled = Event()

    def fileno(self) -> int:
        return self.ours.fileno()

    def cancel(self) -> None:
        self.is_cancelled.set()
        self._theirs.close()

    def wait(self) -> None:
        """Returns when it has ended."""
        assert self.ours.recv(1) == b""


class Cursor:
    def __init__(self) -> None:
        self.connection = Connection()


Reading = Callable[[int, Slice, Cursor], int]


def failing(number: int, error: Exception) -> Reading:
    """The reader of this number fails; the others wait for their databases."""

    def read(at: int, part: Slice, cursor: Cursor) -> int:
        if at == number:
            raise error
        cursor.connection.wait()
        return at

    return read


@pytest.fixture
def slices() -> dict[Slice, Cursor]:
    return {part: Cursor() for part in slices_between([(1, 1), (2, 1), (3, 1)])}


def test_results_are_in_the_order_of_the_slices(slices: dict[Slice, Cursor]) -> None:
    turns = [Event() for _ in slices]
    turns[-1].set()

    def read(number: int, part: Slice, cursor: Cursor) -> tuple[int, Slice]:
        assert turns[number].wait(60)
        turns[number - 1].set()
        return number, part

    assert side_by_side(read, slices, lambda error: False) == list(enumerate(slices))


@pytest.mark.parametrize("number", range(4))
def test_an_error_of_one_reader_ends_all_others(number: int, slices: dict[Slice, Cursor]) -> None:
    with pytest.raises(ConnectionResetError, match="went away"):
        side_by_side(failing(number, ConnectionResetError("went away")), slices, lambda error: False)
    assert not any(cursor.connection.is_cancelled.is_set() for cursor in slices.values())


def test_the_first_reader_is_cancelled_where_it_can_go_on(slices: dict[Slice, Cursor]) -> None:
    with pytest.raises(ValueError, match="a cell"):
        side_by_side(failing(2, ValueError("a cell")), slices, lambda error: isinstance(error, ValueError))
    assert [cursor.connection.is_cancelled.is_set() for cursor in slices.values()] == [True, False, False, False]
