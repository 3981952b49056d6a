"""The ledger's rows: every count in its place, money and seconds as JSON, and nothing but inserts."""

import json
from collections.abc import Sequence
from typing import Any, cast

from tasks.attempt import Attempt
from tasks.batch import Batch
from tasks.ledger import Entry, Status, record, record_failure, start_attempt
from tasks.tally import Tally
from tasks.warehouse import Session
from tests.unit.findings import DAY, euros

ATTEMPT = Attempt(42, "flow-run", "20240115", ("US_EAST", "EUROPE"))


class FakeSession:
    """Remembers statements with their values; answers what it is given."""

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
    assert values[:12] == ["20240115", "EUROPE", 42, "flow-run", "PUBLISHED", 100, 2, 1, 97, 0, 0, 0]
    assert Tally.from_json(json.loads(values[12])) == money
    assert json.loads(values[13]) == {"load": 0.5}
    assert values[14] is None


def test_an_entry_without_figures_holds_nulls() -> None:
    fake = FakeSession()
    record(session_of(fake), ATTEMPT, [Entry("EUROPE", Status.MISSING, cause="refused")])
    assert fake.inserted[0][5:15] == [None] * 9 + ["refused"]


def test_a_lease_is_counted_by_the_warehouses_clock() -> None:
    fake = FakeSession()
    record(
        session_of(fake), ATTEMPT, [Entry("EUROPE", Status.RENEWED, lease_minutes=15), Entry("EUROPE", Status.EMPTY)]
    )
    with_lease, without = (statement for statement, _ in fake.asked)
    assert "DATEADD('minute', 15, CURRENT_TIMESTAMP())" in with_lease
    assert "DATEADD" not in without


def test_an_attempt_takes_the_next_number_and_starts_every_region() -> None:
    fake = FakeSession([(43,)])
    attempt = start_attempt(session_of(fake), Batch(DAY, ("US_EAST", "EUROPE")), "flow-run", lease_minutes=15)
    assert attempt == Attempt(43, "flow-run", "20240115", ("US_EAST", "EUROPE"))
    assert [(values[1], values[4]) for values in fake.inserted] == [("US_EAST", "STARTED"), ("EUROPE", "STARTED")]


def test_a_run_that_ended_in_the_ledger_is_not_failed() -> None:
    fake = FakeSession([])
    assert record_failure(session_of(fake), "flow-run", "it broke") == []
    assert fake.inserted == []
