"""Why publish locks first. Under READ COMMITTED another commit may come between two statements of a transaction.

The stand-in reads a snapshot and so hides that. A double of the session shows it: each statement is committed at once
and sees what was committed before it, while the lock is held in a real transaction until the end.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from blocks import waits
from tasks import publish as publish_steps
from tasks.publish import Staged, publish_manifest
from tasks.warehouse.session import OpenSession, Row, Session
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import begin, load, stage_attempt

WAITS = "waiting for the publish lock"
LOCK, MERGE = "UPDATE ANALYTICS.ETL_LOCK", "MERGE INTO ANALYTICS.SALES_FACT"
POLL_S, ENDS_S_MAX = 0.5, 300


class ReadCommitted(Session):
    """Every statement sees what others have committed before it; only the lock is kept until the end."""

    def __init__(self, session: Session, holder: Session, before_merge: Callable[[], None]) -> None:
        super().__init__(session._connection, session._where)
        self._holder = holder
        self._before_merge = before_merge

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._holder.transaction():
            yield

    def transaction_id(self) -> str:
        return self._holder.transaction_id()

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        if LOCK in statement:
            return self._holder.query(statement, values)
        if MERGE in statement:
            self._before_merge()
        self._holder.query("SELECT 1")  # an idle session would lose its lock to the one that waits
        return super().query(statement, values)


class Waiting(Session):
    """A session that waits for the lock and opens such doubles; `open_apart` opens the sessions of other statements."""

    def __init__(
        self, session: Session, open_apart: OpenSession, before_merge: Callable[[Session], Callable[[], None]]
    ) -> None:
        super().__init__(session._connection, session._where, session._again)
        self._open_apart = open_apart
        self._before_merge = before_merge

    @contextmanager
    def again(self) -> Iterator[Session]:
        with super().again() as holder, self._open_apart() as apart:
            yield ReadCommitted(apart, holder, self._before_merge(holder))


@dataclass(frozen=True)
class Race:
    """A sale in three versions: while one publish of the second is between undo log and MERGE, another run publishes
    the third."""

    world: World
    key: str
    second: Staged
    third: Staged

    def run(self) -> bool:
        """Publishes both, the second when the third has ended or waits for the lock; returns which."""
        with ThreadPoolExecutor(1) as pool, self.world.session() as session:
            third: list[Future[Any]] = []
            said: list[str] = []

            def before_merge(holder: Session) -> Callable[[], None]:
                def publish_third() -> None:
                    third.append(pool.submit(copy_context().run, self._publish_third, said.append))
                    give_up = monotonic() + ENDS_S_MAX
                    while not wait(third, POLL_S).done and not any(WAITS in line for line in said):
                        assert monotonic() < give_up, said
                        holder.query("SELECT 1")

                return publish_third

            double = Waiting(session, self.world.session, before_merge)
            publish_manifest(double, self.second, self.world.session, print)
            came_between = third[0].done()
            third[0].result(ENDS_S_MAX)
        return came_between

    def _publish_third(self, say: Callable[[str], None]) -> None:
        with self.world.session() as session:
            publish_manifest(session, self.third, self.world.session, say)

    def amount(self) -> str:
        ((amount,),) = self.world.sql("SELECT TOTAL_AMOUNT::VARCHAR FROM SALES_FACT WHERE SALE_ID = ?", (self.key,))
        return str(amount)

    def undone(self) -> list[tuple[Any, ...]]:
        """The undo log's rows of the sale: the run and the amount that it replaced, in the order of publication."""
        numbers = {self.second.attempt.run_number: "second", self.third.attempt.run_number: "third"}
        rows = self.world.sql(
            "SELECT UNDO_RUN_NUMBER, TOTAL_AMOUNT::VARCHAR FROM SALES_FACT_UNDO "
            "WHERE SALE_ID = ? ORDER BY UNDO_RECORDED_AT",
            (self.key,),
        )
        return [(numbers[run], amount) for run, amount in rows]


@pytest.fixture
def race(world: World, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Race:
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.5)
    key = f"raced-{day}"
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": key})
    load(world, day, tmp_path, "EUROPE")
    versions = []
    for number, amount in ((1, "4.00"), (2, "5.00")):
        changed = day + timedelta(days=number)
        statement = "UPDATE sales_transactions SET total_amount = %s, updated_at = %s WHERE sale_id = %s"
        world.change("EUROPE", statement, (amount, datetime.combine(changed, time(9), UTC), key))
        versions.append(stage_attempt(world, begin(world, changed, "EUROPE"), changed, tmp_path))
    return Race(world, key, *versions)


def test_with_the_lock_the_other_publish_waits_and_the_newest_version_stays(race: Race) -> None:
    assert not race.run()
    assert race.amount() == "5.00"
    assert race.undone() == [("second", "3.00"), ("third", "4.00")]


def test_without_the_lock_an_older_version_replaces_a_newer_one_and_the_undo_log_lies(
    race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def without_lock(session: Session, *_: Any) -> Iterator[Session]:
        with session.again() as writing, writing.transaction():
            yield writing

    monkeypatch.setattr(publish_steps, "lock_held", without_lock)
    assert race.run()
    assert race.amount() == "4.00", "the third version is lost"
    assert race.undone() == [("second", "3.00"), ("third", "3.00")], "nobody could restore the third"
