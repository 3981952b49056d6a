"""The publish lock: a run whose token was overwritten starts over, and nothing is committed without the lock."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from expectations.tables import TABLES_VERSION
from tasks.errors import NeedsPersonError, OutcomeUnknownError, SalesEtlError, TransientError
from tasks.warehouse import lock as module
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session

WRITE, TAKE, CLEAR = (f"UPDATE ANALYTICS.ETL_LOCK\nSET {what}" for what in ("TOKEN = ?", "RUN_NUMBER", "TOKEN = NULL"))
ID = "SELECT CURRENT_TRANSACTION()"
VERSION = "SELECT COALESCE(MAX(TABLES_VERSION)"


class Asked(Session):
    """Returns rows from lists by the beginning of a statement, the last for good; all sessions share what was sent."""

    def __init__(self, sent: list[str] | None = None, **answers: list[Any]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.sent: list[str] = [] if sent is None else sent
        usual: dict[str, list[Any]] = {"write": [1], "take": [1], "id": ["7"], "version": [TABLES_VERSION]}
        self.answers = usual | answers

    def again(self) -> AbstractContextManager[Session]:
        self.sent.append("again")
        return nullcontext(Asked(self.sent, **self.answers))

    def query(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        bare = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
        names = {WRITE: "write", TAKE: "take", CLEAR: "clear", ID: "id", VERSION: "version", "ROLLBACK": "rollback"}
        name = next((name for beginning, name in names.items() if bare.startswith(beginning)), bare)
        self.sent.append(name)
        answers = self.answers.get(name, [None])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(answer, 0)] if name in ("write", "take") else [(answer,)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0)


TAKEN = ["write", "again", "BEGIN TRANSACTION", "take"]


def test_the_lock_is_taken_in_a_session_that_was_opened_after_the_token_was_written() -> None:
    session = Asked()
    with lock_held(session, 42) as writing:
        assert writing is not session
        session.sent.append("body")
    assert session.sent == [*TAKEN, "id", "body", "id", "COMMIT"]


def test_a_fresh_token_of_another_run_is_left_alone() -> None:
    session = Asked(write=[0, 0, 1])
    with lock_held(session, 42):
        pass
    assert session.sent[:5] == ["write", "write", *TAKEN[:3]]


def test_a_run_whose_token_was_overwritten_starts_over() -> None:
    session = Asked(take=[0, 0, 1])
    with lock_held(session, 42):
        session.sent.append("body")
    assert session.sent == [*[*TAKEN, "version", "COMMIT"] * 2, *TAKEN, "id", "body", "id", "COMMIT"]


def test_a_run_starts_over_a_bounded_number_of_times() -> None:
    session = Asked(take=[0])
    with pytest.raises(TransientError, match="went to others 20 times"), lock_held(session, 42):
        pytest.fail("the lock was not taken")
    assert session.sent.count("take") == 20


def test_a_transaction_that_was_ended_from_outside_is_not_committed() -> None:
    session = Asked(id=["7", "8"])
    aborted = pytest.raises(TransientError, match="transaction 7 was ended from outside, and 8 does not hold the lock")
    with aborted, lock_held(session, 42):
        pass
    assert "COMMIT" not in session.sent
    assert session.sent[-2:] == ["rollback", "clear"]


def test_a_run_that_fails_frees_the_lock_for_others() -> None:
    session = Asked()
    with pytest.raises(ValueError, match="bad"), lock_held(session, 42):
        raise ValueError("bad")
    assert session.sent == [*TAKEN, "id", "rollback", "clear"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        pytest.param(
            {"rollback": [TransientError("lost")], "id": ["7", "8"]}, TransientError, id="rollback-unanswered"
        ),
        pytest.param({"COMMIT": [TransientError("lost")]}, OutcomeUnknownError, id="commit-unanswered"),
    ],
)
def test_a_lock_that_may_still_be_held_is_not_waited_for(
    answers: dict[str, list[Any]], error: type[SalesEtlError]
) -> None:
    session = Asked(**answers)
    with pytest.raises(error), lock_held(session, 42):
        pass
    assert "clear" not in session.sent


def test_a_token_that_cannot_be_cleared_hides_no_error() -> None:
    session = Asked(clear=[TransientError("lost")])
    with pytest.raises(NeedsPersonError, match="refused"), lock_held(session, 42):
        raise NeedsPersonError("refused")


@pytest.mark.parametrize(
    ("version", "mend"), [(1, "flows.setup_warehouse"), (TABLES_VERSION + 1, "bring this machine's project up")]
)
def test_tables_of_another_version_are_not_written(version: int, mend: str) -> None:
    session = Asked(take=[0], version=[version])
    with pytest.raises(NeedsPersonError, match=mend), lock_held(session, 42):
        pytest.fail("the lock was not taken")
    assert session.sent == [*TAKEN, "version", "rollback", "clear"]


def test_set_up_writes_tables_of_any_version() -> None:
    session = Asked(take=[0, 1], version=[1])
    with lock_held(session, 42, of_tables=""):
        session.sent.append("body")
    assert "version" not in session.sent
