"""An alert is mailed once, whatever noticed it; one that could not be mailed is not lost."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.alerts.book import (
    CLAIM_AGE_MAX,
    ENTRY_AGE_MAX,
    AlertEntry,
    Stage,
    confirm,
    find_unsent,
    forget_old,
    new_entry,
    plain_name,
    release,
    renew,
    take,
)
from tasks.alerts.file_book import FileBook
from tasks.alerts.request import AlertRequest

NOW = datetime(2024, 1, 16, 8, tzinfo=UTC)
SLOT = "20240115 all failed"
REQUEST = AlertRequest("failed", "run", "2024-01-15", None, "it failed")


@pytest.fixture
def book(tmp_path: Path) -> FileBook:
    return FileBook(tmp_path / "alerts")


def never(entry: AlertEntry) -> bool:
    return False


def taken(book: FileBook, at: datetime = NOW, is_over: Callable[[AlertEntry], bool] = never) -> AlertEntry | None:
    return take(book, new_entry(SLOT, REQUEST, at), at, is_over)


def test_a_second_sender_does_not_send(book: FileBook) -> None:
    entry = taken(book)
    assert entry is not None
    assert taken(book) is None
    confirm(book, entry, NOW)
    assert taken(book) is None
    assert book.entries() == [AlertEntry(SLOT, REQUEST, NOW, entry.holder, Stage.SENT, entry.key)]


def test_of_many_at_once_one_sends(book: FileBook) -> None:
    with ThreadPoolExecutor(16) as pool:
        taken_by = [entry for entry in pool.map(lambda _: taken(book), range(64)) if entry]
    assert len(taken_by) == 1


def test_a_mail_that_could_not_be_sent_is_free_for_the_next(book: FileBook) -> None:
    entry = taken(book)
    assert entry is not None
    release(book, entry, NOW)
    assert [unsent.request for unsent in find_unsent(book, NOW)] == [REQUEST]
    with ThreadPoolExecutor(16) as pool:
        assert len([entry for entry in pool.map(lambda _: taken(book), range(64)) if entry]) == 1


def test_a_lasting_anomaly_renews_its_entry(book: FileBook) -> None:
    renew(book, SLOT, NOW)
    assert book.entries() == []
    entry = taken(book)
    assert entry is not None
    renew(book, SLOT, NOW + timedelta(minutes=1))
    assert [(held.stage, held.at) for held in book.entries()] == [(Stage.SENDING, NOW)]
    confirm(book, entry, NOW)
    long_after = NOW + 2 * ENTRY_AGE_MAX
    renew(book, SLOT, long_after)
    assert forget_old(book, long_after) == 0
    assert taken(book, long_after) is None


def test_a_sender_that_died_is_replaced(book: FileBook) -> None:
    assert taken(book)
    later = NOW + CLAIM_AGE_MAX
    assert taken(book, later) is None
    assert find_unsent(book, later) == []
    later += timedelta(seconds=1)
    assert len(find_unsent(book, later)) == 1
    assert taken(book, later)
    assert find_unsent(book, later) == []


class LosingAnswers(FileBook):
    """Does what it is asked to, and returns what the repeated request of a client gets whose first answer was lost."""

    def claim(self, entry: AlertEntry) -> bool:
        super().claim(entry)
        return super().claim(entry)

    def remove(self, entry: AlertEntry) -> bool:
        super().remove(entry)
        return super().remove(entry)


def test_a_claim_whose_answer_was_lost_still_holds(book: FileBook) -> None:
    entry = new_entry(SLOT, REQUEST, NOW)
    mine = take(LosingAnswers(book.directory), entry, NOW, never)
    assert mine is not None
    assert mine.holder == entry.holder
    assert taken(book) is None


def test_a_mail_that_could_not_be_sent_is_taken_over_although_answers_are_lost(book: FileBook) -> None:
    before = taken(book)
    assert before is not None
    release(book, before, NOW)
    mine = taken(LosingAnswers(book.directory))
    assert mine is not None
    assert mine.holder != before.holder
    assert book.entries() == [mine]
    assert taken(book) is None


def test_a_failure_after_the_first_was_mended_is_mailed_again(book: FileBook) -> None:
    entry = taken(book)
    assert entry is not None
    confirm(book, entry, NOW)
    assert taken(book, NOW, lambda sent: sent.at < NOW) is None
    assert taken(book, NOW, lambda sent: sent.at <= NOW)


def test_an_entry_that_came_later_is_not_removed_for_an_older_one(book: FileBook) -> None:
    old = taken(book)
    assert old is not None
    assert book.remove(old)
    assert not book.remove(old)
    assert taken(book)
    assert not book.remove(old)
    assert book.find(SLOT)


def test_entries_are_forgotten_after_sixty_days(book: FileBook) -> None:
    taken(book)
    assert forget_old(book, NOW + ENTRY_AGE_MAX) == 0
    assert forget_old(book, NOW + ENTRY_AGE_MAX + timedelta(seconds=1)) == 1
    assert book.entries() == []


def test_an_entry_fits_into_a_variable_and_comes_back_as_it_was() -> None:
    request = AlertRequest("anomaly", "r" * 36, "2024-01-15", "EUROPE", 'ä"\n' * 10_000)
    entry = replace(new_entry(SLOT, request, NOW), refused="recipient 1 with 550, " * 1_000)
    text = entry.to_text()
    assert len(text) <= 5_000
    again = AlertEntry.from_text(text, "key")
    assert (again.slot, again.at, again.holder, again.stage) == (SLOT, NOW, entry.holder, Stage.SENDING)
    assert again.refused.startswith("recipient 1 with 550")
    assert AlertEntry.from_text(again.to_text(), "key") == again


def test_an_entry_of_an_older_version_is_read() -> None:
    fields = json.loads(new_entry(SLOT, REQUEST, NOW).to_text())
    del fields["refused"]
    assert AlertEntry.from_text(json.dumps(fields), "key").refused == ""


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        pytest.param("20240115 US_EAST,EUROPE failed", "20240115_us_east_europe_failed", id="regions"),
        pytest.param("../../etc x", "etc_x", id="odd"),
    ],
)
def test_a_slot_becomes_a_plain_name(slot: str, name: str) -> None:
    assert plain_name(slot) == name


@pytest.mark.parametrize(
    ("slot", "other"),
    [
        pytest.param("EUROPE new column 税区分", "EUROPE new column 割引区分", id="other-letters"),
        pytest.param("EUROPE anomaly new column größe", "EUROPE anomaly new column grüße", id="some-other-letters"),
        pytest.param("x" * 300, "x" * 301, id="long"),
    ],
)
def test_slots_that_differ_in_letters_that_names_cannot_have_have_two_names(slot: str, other: str) -> None:
    names = {plain_name(slot), plain_name(other)}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z0-9_]{1,213}", name) for name in names)
