"""The ledger's rows: each count in its column, money and seconds as JSON, and only inserts."""

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from expectations.tables import TABLES_VERSION
from tasks.batch import Attempt, Batch
from tasks.errors import NeedsPersonError
from tasks.tally import Tally
from tasks.warehouse.ledger import Entry, record, record_failure, start_attempt
from tasks.warehouse.session import Session
from tasks.warehouse.states import Status
from tests.unit.findings import DAY, euros

ATTEMPT = Attempt(42, "flow-run", "20240115", ("US_EAST", "EUROPE"))


class FakeSession:
    """Records statements with their values; returns the rows that it is given."""

    def __init__(self, answer: Sequence[tuple[Any, ...]] = ()) -> None:
        self.answer = list(answer)
        self.asked: list[tuple[str, list[Any]]] = []

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.asked.append((statement, list(values)))
        return self.answer

    @property
    def inserted(self) -> list[list[Any]]:
        return [values for statement, values in self.asked if "INSERT INTO ANALYTICS.ETL_BATCHES" in statement]


def session_of(fake: FakeSession) -> Session:
    return cast(Session, fake)


def test_an_entry_has_a_value_for_every_placeholder() -> None:
    fake = FakeSession()
    counts = {
        "EXTRACTED": 100,
        "REJECTED": 2,
        "DUPLICATES": 1,
        "INSERTED": 97,
        "UPDATED": 0,
        "UNCHANGED": 0,
        "SUPERSEDED": 0,
    }
    money = euros(100, "220.00")
    record(session_of(fake), ATTEMPT, [Entry("EUROPE", Status.PUBLISHED, counts, money, {"load": 0.5})])
    ((statement, values),) = fake.asked
    assert statement.count("?") == len(values)
    assert values[:14] == ["20240115", "EUROPE", 42, "flow-run", "PUBLISHED", None, None, 100, 2, 1, 97, 0, 0, 0]
    assert Tally.from_json(json.loads(values[14])) == money
    assert json.loads(values[15]) == {"load": 0.5}
    assert values[16] is None


def test_an_entry_without_figures_holds_nulls() -> None:
    fake = FakeSession()
    record(session_of(fake), ATTEMPT, [Entry("EUROPE", Status.MISSING, cause="refused")])
    assert fake.inserted[0][5:17] == [None] * 11 + ["refused"]


def test_all_entries_are_one_statement_and_those_that_end_a_run_have_an_ordinal() -> None:
    fake = FakeSession()
    record(
        session_of(fake), ATTEMPT, [Entry("EUROPE", Status.STARTED, lease_minutes=15), Entry("US_EAST", Status.EMPTY)]
    )
    ((statement, values),) = fake.asked
    started, ended = statement.split("UNION ALL")
    assert "ORDINAL FROM ANALYTICS.ETL_LOCK" not in started
    assert "(SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)" in ended
    assert [(values[1], values[5]), (values[19], values[23])] == [("EUROPE", 15), ("US_EAST", None)]


def test_without_entries_no_statement_is_sent() -> None:
    fake = FakeSession()
    record(session_of(fake), ATTEMPT, [])
    assert fake.asked == []


def test_an_attempt_takes_the_next_number_and_starts_every_region() -> None:
    fake = FakeSession([(43, TABLES_VERSION)])
    attempt = start_attempt(session_of(fake), Batch(DAY, ("US_EAST", "EUROPE")), "flow-run", lease_minutes=15)
    assert attempt == Attempt(43, "flow-run", "20240115", ("US_EAST", "EUROPE"))
    (values,) = fake.inserted
    assert [values[1], values[4], values[19], values[22]] == ["US_EAST", "STARTED", "EUROPE", "STARTED"]


def test_tables_of_another_version_get_no_attempt() -> None:
    fake = FakeSession([(43, TABLES_VERSION - 1)])
    with pytest.raises(NeedsPersonError, match="tables are of version"):
        start_attempt(session_of(fake), Batch(DAY, ("US_EAST", "EUROPE")), "flow-run", lease_minutes=15)
    assert fake.inserted == []


def test_a_run_that_has_ended_in_the_ledger_gets_no_failure() -> None:
    fake = FakeSession([])
    assert record_failure(session_of(fake), "flow-run", "it broke") == []
    assert fake.inserted == []
