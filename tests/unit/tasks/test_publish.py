"""Publish when a lock, a conflict or a lost answer ends its transaction: the ledger is asked before another try.

What publishing does to the tables stands in tests/integration/publish, where there is a warehouse.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import snowflake.connector.errors as snowflake_errors

from expectations.thresholds import Thresholds
from tasks.batch import Attempt
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.publish import PUBLISH_TRIES_MAX, Publication, Staged, opened, publish_manifest
from tasks.stage import Manifest
from tasks.warehouse.ledger import Entry
from tasks.warehouse.session import Session
from tasks.warehouse.states import Status

MANIFEST = Manifest(Attempt(42, "flow-run", "20240115", ("EUROPE",)), {}, ())
STAGED = Staged(MANIFEST, [], [], [Entry("EUROPE", Status.EMPTY)], Thresholds())

LOST = snowflake_errors.OperationalError(msg="connection lost")
LOCKED = snowflake_errors.ProgrammingError(msg="lock wait", errno=625)
REFUSED = snowflake_errors.ProgrammingError(msg="insufficient privileges", errno=3001)

TOKEN = "UPDATE ANALYTICS.ETL_LOCK\nSET TOKEN = ?"
TAKE = "UPDATE ANALYTICS.ETL_LOCK\nSET RUN_NUMBER"

Failing = dict[str, snowflake_errors.Error]
"""Beginnings of statements, with the errors at which they fail."""


@dataclass
class FakeConnection:
    """Returns `ledger` when the ledger is queried, or what was committed if that `is_durable`; fails the statements
    that begin like a key of `failing`."""

    failing: Failing = field(default_factory=dict)
    ledger: list[tuple[str, str]] = field(default_factory=list)
    answer: list[Any] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    is_durable: bool = True

    def cursor(self) -> "FakeConnection":
        return self

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str, values: Any) -> None:
        bare = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
        self.statements.append(bare)
        for beginning, error in self.failing.items():
            if bare.startswith(beginning):
                raise error
        self.answer = self._answer(bare)

    def _answer(self, bare: str) -> list[Any]:
        if bare.startswith("SELECT REGION, STATUS"):
            is_committed = self.is_durable and self.wrote_ledger() and "COMMIT" in self.statements
            return self.ledger or ([("EUROPE", "EMPTY")] if is_committed else [])
        if bare.startswith("SELECT CURRENT_TRANSACTION"):
            return [("7",)]
        if bare.startswith("SELECT (SELECT COUNT(*)"):
            return [(0, 0)]
        return [(1, 0)] if bare.startswith("UPDATE ANALYTICS.ETL_LOCK") else []

    def fetchall(self) -> list[Any]:
        return self.answer

    def execute_string(self, script: str, remove_comments: bool) -> list[Any]:
        self.statements.append(script)
        return []

    def wrote_ledger(self) -> bool:
        return any(statement.startswith("INSERT INTO ANALYTICS.ETL_BATCHES") for statement in self.statements)


def session_over(connection: FakeConnection) -> Session:
    """A session that opens further ones over the same connection."""
    return Session(cast(Any, connection), again=lambda: nullcontext(session_over(connection)))


def publish_over(first: FakeConnection, *next_ones: FakeConnection | SalesEtlError) -> Publication:
    """Publishes over `first`; each further session is the next of the list, or its error."""
    to_open = iter(next_ones)

    @contextmanager
    def open_again() -> Iterator[Session]:
        match next(to_open):
            case FakeConnection() as connection:
                yield session_over(connection)
            case error:
                raise error

    publication = publish_manifest(session_over(first), STAGED, open_again, print)
    assert next(to_open, None) is None, "fewer sessions were opened than expected"
    return publication


LOSES_COMMIT: Failing = {"COMMIT": LOST}


def test_a_lost_commit_that_the_ledger_knows_is_a_publication() -> None:
    asking = FakeConnection(ledger=[("EUROPE", "EMPTY")])
    assert publish_over(FakeConnection(LOSES_COMMIT), asking).refused is None
    asked = next(place for place, text in enumerate(asking.statements) if text.startswith("SELECT REGION, STATUS"))
    assert any(text.startswith(TAKE) for text in asking.statements[:asked]), "so that the COMMIT cannot land later"
    assert not asking.wrote_ledger()


def test_a_lost_commit_that_the_ledger_does_not_know_is_published_by_another_transaction() -> None:
    asking = FakeConnection()
    publish_over(FakeConnection(LOSES_COMMIT), asking)
    assert asking.wrote_ledger()
    assert asking.statements[-2] == "COMMIT"
    assert asking.statements[-1].startswith("SELECT REGION, STATUS"), "by a session that was opened afterwards"


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param([TransientError("cannot be reached")] * 2, id="no-session"),
        pytest.param([FakeConnection({"UPDATE ANALYTICS.ETL_LOCK": LOCKED})] * 2, id="lock-not-given"),
        pytest.param([FakeConnection({"SELECT REGION, STATUS": LOST})] * 2, id="ledger-does-not-answer"),
        pytest.param([FakeConnection(LOSES_COMMIT)] * 2, id="every-answer-lost"),
        pytest.param([NeedsPersonError("password expired")], id="no-permission-to-ask"),
        pytest.param([FakeConnection({"SELECT REGION, STATUS": REFUSED})], id="ledger-refuses"),
    ],
)
def test_a_lost_commit_stays_unknown_until_the_ledger_is_read(
    lost: list[FakeConnection | SalesEtlError],
) -> None:
    """Not the error of the later session, by which a retry may help or nothing was published."""
    first = FakeConnection(LOSES_COMMIT)
    with pytest.raises(OutcomeUnknownError, match="look for run 42 in ANALYTICS.ETL_BATCHES before the date is run"):
        publish_over(first, *lost)
    assert not any("DROP" in statement for statement in first.statements), "nothing is cleaned up before it is known"


def test_a_lost_answer_is_known_again_when_a_later_session_reaches_the_ledger() -> None:
    asking = FakeConnection(ledger=[("EUROPE", "EMPTY")])
    publish_over(FakeConnection(LOSES_COMMIT), TransientError("cannot be reached"), asking)
    assert not asking.wrote_ledger()


@pytest.mark.parametrize("beginning", [TOKEN, TAKE, "SELECT DISTINCT REGION", "INSERT INTO ANALYTICS"])
def test_a_lock_wait_or_conflict_is_tried_again(beginning: str) -> None:
    second = FakeConnection()
    first = FakeConnection({beginning: LOCKED})
    publish_over(first, second)
    assert ("ROLLBACK" in first.statements) == (beginning != TOKEN)
    assert second.wrote_ledger()


def test_a_run_that_the_ledger_does_not_show_after_commit_is_published_by_another_transaction() -> None:
    """The transaction was aborted from outside, and COMMIT succeeded all the same."""
    first, second = FakeConnection(is_durable=False), FakeConnection()
    publish_over(first, second)
    assert "COMMIT" in first.statements
    assert second.wrote_ledger()


def test_tries_have_an_end_and_then_nothing_was_published() -> None:
    waiting: Failing = {TAKE: LOCKED}
    first, *others = [FakeConnection(waiting) for _ in range(PUBLISH_TRIES_MAX)]
    with pytest.raises(
        TransientError, match="^nothing was published: .*; run the date again. The driver says: .*lock wait"
    ):
        publish_over(first, *others)
    assert all("ROLLBACK" in connection.statements for connection in others)
    assert any("DROP" in statement for statement in first.statements)


@pytest.mark.parametrize("beginning", ["CREATE TRANSIENT TABLE STAGING.CLEAN", "SELECT (SELECT COUNT(*)"])
def test_a_load_whose_session_is_lost_starts_over_in_another_session(beginning: str) -> None:
    first, second = FakeConnection({beginning: LOST}), FakeConnection()
    publish_over(first, second)
    assert not first.wrote_ledger()
    assert [text.split()[0] for text in second.statements[:8]] == ["DROP"] * 4 + ["CREATE"] * 4
    assert second.wrote_ledger()
    assert "COMMIT" in second.statements


def test_loading_and_publishing_have_separate_tries() -> None:
    publish_over(
        FakeConnection({"CREATE": LOST}),
        TransientError("cannot be reached"),
        FakeConnection({TAKE: LOCKED}),
        FakeConnection({TAKE: LOCKED}),
        third := FakeConnection(),
    )
    assert third.wrote_ledger()


def test_loading_is_tried_a_bounded_number_of_times() -> None:
    first, *others = [FakeConnection({"CREATE": LOST}) for _ in range(PUBLISH_TRIES_MAX)]
    with pytest.raises(
        TransientError, match="^nothing was published: .*; run the date again. The driver says: .*connection lost"
    ):
        publish_over(first, *others)


def test_an_error_that_needs_a_person_while_loading_is_not_tried_again() -> None:
    first = FakeConnection({"CREATE": REFUSED})
    with pytest.raises(
        NeedsPersonError,
        match="^nothing was published: .*; run the date again. The driver says: .*insufficient privileges",
    ):
        publish_over(first)
    assert any(text.startswith("DROP") for text in first.statements)


def test_a_session_that_cannot_be_opened_is_tried_again_and_logged() -> None:
    said, sessions = list[str](), iter([TransientError("cannot be reached"), FakeConnection()])

    @contextmanager
    def open_again() -> Iterator[Session]:
        match next(sessions):
            case FakeConnection() as connection:
                yield session_over(connection)
            case error:
                raise cast(SalesEtlError, error)

    with opened(open_again, said.append) as session:
        assert session.query("SELECT 1") == []
    assert said == ["step=publish session, try 1 of 3: cannot be reached; another one is opened"]


def test_an_error_that_needs_a_person_is_not_tried_again() -> None:
    with pytest.raises(
        NeedsPersonError,
        match="^nothing was published: .*; run the date again. The driver says: .*insufficient privileges",
    ):
        publish_over(FakeConnection({"INSERT INTO ANALYTICS.ETL_BATCHES": REFUSED}))
