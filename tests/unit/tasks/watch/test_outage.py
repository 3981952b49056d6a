"""The books before, in and after an outage of the Prefect server: no mail is sent twice, and none is lost."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from tasks.alerts.book import AlertEntry, Stage, new_entry
from tasks.alerts.file_book import FileBook
from tasks.alerts.request import AlertRequest
from tasks.watch.outage import MIRRORED, OUTAGE_SLOT, sync_books

NOW = datetime(2024, 1, 16, 8, tzinfo=UTC)
BEFORE, DURING = "20240114 all failed", "20240115 all sla"


@dataclass(frozen=True)
class ServerBook(FileBook):
    """The server's book, which raises after its `answers`."""

    answers: Iterator[int] = field(default_factory=count)

    def entries(self) -> list[AlertEntry]:
        if next(self.answers, None) is None:
            raise ConnectionError("the database is down")
        return super().entries()


@pytest.fixture
def files(tmp_path: Path) -> FileBook:
    """The book at the end of an outage: a mail of before, the outage's own, one that was sent in it."""
    files = FileBook(tmp_path / "files")
    for slot, holder in ((BEFORE, MIRRORED), (OUTAGE_SLOT, "watchdog"), (DURING, "watchdog")):
        entry = new_entry(slot, AlertRequest("failed", None), NOW)
        files.claim(replace(entry, holder=holder, stage=Stage.SENT))
    return files


def slots(book: FileBook) -> set[str]:
    return {entry.slot for entry in book.entries()}


def test_after_an_outage_the_server_knows_its_mails_and_the_next_outage_is_news(
    files: FileBook, tmp_path: Path
) -> None:
    server = ServerBook(tmp_path / "server")
    sync_books(files, server)
    assert slots(server) == slots(files) == {DURING}
    assert {entry.holder for entry in files.entries()} == {MIRRORED}


@pytest.mark.parametrize("answers", [0, 1])
def test_a_server_that_fails_again_leaves_the_files_as_they_are(files: FileBook, tmp_path: Path, answers: int) -> None:
    before = files.entries()
    with pytest.raises(ConnectionError):
        sync_books(files, ServerBook(tmp_path / "server", iter(range(answers))))
    assert files.entries() == before
