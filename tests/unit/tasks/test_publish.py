"""Publish when the answer to COMMIT is lost: the ledger is asked, and what nobody knows stays unknown.

What publishing does to the tables stands in tests/integration/publish, where there is a warehouse.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import snowflake.connector.errors as snowflake_errors

from expectations.thresholds import Thresholds
from tasks.attempt import Attempt
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.publish import Publication, publish_manifest
from tasks.stage import Manifest
from tasks.warehouse import Session

MANIFEST = Manifest(Attempt(42, "flow-run", "20240115", ("EUROPE",)), {}, ())


class FakeConnection:
    """Answers the ledger's question with `ledger` and loses the connection at COMMIT when `loses_commit`."""

    def __init__(self, ledger: list[tuple[str, str]], loses_commit: bool = False) -> None:
        self.ledger, self.loses_commit = ledger, loses_commit
        self.answer: list[tuple[str, str]] = []
        self.statements: list[str] = []

    def cursor(self) -> "FakeConnection":
        return self

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str, values: Any) -> None:
        self.statements.append(statement)
        self.answer = self.ledger if "SELECT REGION, STATUS" in statement else []
        if statement == "COMMIT" and self.loses_commit:
            raise snowflake_errors.OperationalError(msg="connection lost")

    def fetchall(self) -> list[tuple[str, str]]:
        return self.answer

    def execute_string(self, script: str, remove_comments: bool) -> list[Any]:
        return []


def published_with(asking: FakeConnection | SalesEtlError) -> Publication:
    """Publishes over a connection that loses COMMIT; `asking` is the next connection, or why there is none."""

    @contextmanager
    def open_again() -> Iterator[Session]:
        if isinstance(asking, SalesEtlError):
            raise asking
        yield Session(cast(Any, asking))

    session = Session(cast(Any, FakeConnection([], loses_commit=True)))
    return publish_manifest(session, MANIFEST, [], [], [], Thresholds(), open_again, print)


def test_a_lost_commit_that_the_ledger_knows_is_a_publication() -> None:
    asking = FakeConnection([("EUROPE", "PUBLISHED")])
    assert published_with(asking).refused is None
    assert "UPDATE ANALYTICS.ETL_LOCK" in asking.statements[1], "the lock first, so that it cannot land later"


def test_a_lost_commit_that_the_ledger_does_not_know_did_not_take_place() -> None:
    with pytest.raises(NeedsPersonError, match="COMMIT was lost and did not take place; run the date again"):
        published_with(FakeConnection([]))


def test_a_lost_commit_stays_unknown_while_nobody_can_be_asked() -> None:
    """Not the error of the second connection: that one says that a retry may help, or that nothing was published."""
    with pytest.raises(OutcomeUnknownError):
        published_with(TransientError("warehouse account cannot be reached"))
