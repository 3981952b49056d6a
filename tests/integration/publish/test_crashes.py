"""A publish that ends at any of its statements, in any way, and the run after it: nothing lost, doubled or torn."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import OutcomeUnknownError, TransientError
from tasks.publish import Staged, publish_manifest
from tasks.warehouse import session as warehouse
from tasks.warehouse.ledger import Entry, record
from tasks.warehouse.session import Row, Session
from tasks.warehouse.states import Status
from tests.integration.conftest import World, good_sale
from tests.integration.processes import end_of, start_process
from tests.integration.proxy import Loss, proxy_to
from tests.integration.publish.harness import begin, load, stage_attempt
from tests.integration.publish.statements import (
    AFTER_COMMIT,
    BEFORE_COMMIT,
    LOAD,
    STATEMENTS,
    TRANSACTION,
    Stepping,
    stepping_session,
)

REGIONS = ("EUROPE", "US_WEST")
DAYS = 90
REPLAY = "R20150101T000000Z"
BASE = date(2015, 1, 1)
"""Before the days of all other tests; the case days follow it."""


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@dataclass(frozen=True)
class Scene:
    """A batch of a separate day: a sale to update, which an older run of the batch had rejected, one that stays, new
    ones, and a rejected one, which a replay had found bad before."""

    world: World
    day: date

    @property
    def batch_id(self) -> str:
        return f"{self.day:%Y%m%d}"

    @property
    def old(self) -> list[tuple[str, str, str]]:
        """The day's sales in the fact table before: key, amount, batch."""
        return [(f"{name}-{self.day}", "3.00", f"{BASE:%Y%m%d}") for name in ("kept", "mended")]

    @property
    def new(self) -> list[tuple[str, str, str]]:
        """And after."""
        kept, (mended, *_) = self.old
        added = [(f"{name}-{self.day}", "3.00", self.batch_id) for name in ("new", "west")]
        return [kept, (mended, "4.00", self.batch_id), *added]

    def table(self) -> list[tuple[Any, ...]]:
        return self.world.sql(
            "SELECT SALE_ID, TOTAL_AMOUNT::VARCHAR, ETL_BATCH_ID FROM SALES_FACT WHERE SALE_ID LIKE ? ORDER BY SALE_ID",
            (f"%-{self.day}",),
        )

    @property
    def old_rejected(self) -> list[tuple[str, str, str]]:
        """The day's rejected rows before: key, batch, status."""
        return [(f"bad-{self.day}", REPLAY, "STILL_BAD"), (f"mended-{self.day}", self.batch_id, "OPEN")]

    @property
    def new_rejected(self) -> list[tuple[str, str, str]]:
        """And after."""
        return [(f"bad-{self.day}", self.batch_id, "OPEN")]

    def rejected(self) -> list[tuple[Any, ...]]:
        return self.world.sql(
            "SELECT SALE_KEY, ETL_BATCH_ID, STATUS FROM SALES_REJECTED WHERE SALE_KEY LIKE ? ORDER BY SALE_KEY",
            (f"%-{self.day}",),
        )

    def undo(self) -> list[tuple[Any, ...]]:
        """The undo log's rows of the day, repeated ones included."""
        return self.world.sql(
            "SELECT SALE_ID, TOTAL_AMOUNT::VARCHAR FROM SALES_FACT_UNDO WHERE UNDO_BATCH_ID = ? ORDER BY 1",
            (self.batch_id,),
        )

    def inserted(self) -> list[tuple[Any, ...]]:
        """The sales that runs of the batch have first inserted."""
        return self.world.sql(
            "SELECT SALE_ID FROM SALES_FACT AS FACT INNER JOIN ETL_BATCHES AS ENTRY "
            "ON ENTRY.RUN_NUMBER = FACT.ETL_FIRST_RUN_NUMBER AND ENTRY.REGION = FACT.REGION "
            "WHERE ENTRY.STATUS = 'PUBLISHED' AND ENTRY.BATCH_ID = ? ORDER BY 1",
            (self.batch_id,),
        )

    def published(self) -> list[tuple[Any, ...]]:
        """The sums of the batch's PUBLISHED entries in the ledger: region, inserted, updated."""
        return self.world.sql(
            "SELECT REGION, SUM(INSERTED), SUM(UPDATED) FROM ETL_BATCHES "
            "WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED' GROUP BY REGION ORDER BY REGION",
            (self.batch_id,),
        )

    def is_published(self) -> bool:
        """Whether the batch is in the table; fails when it is there in part, or when the ledger differs."""
        is_new = self.table() == self.new
        assert is_new or self.table() == self.old, "torn"
        assert self.rejected() == (self.new_rejected if is_new else self.old_rejected)
        assert (len(self.undo()), len(self.inserted())) == ((1, 2) if is_new else (0, 0))
        assert self.published() == ([("EUROPE", 1, 1), ("US_WEST", 1, 0)] if is_new else [])
        return is_new

    def assert_whole(self) -> None:
        """The batch's work is done exactly once, and the ledger's entries together agree."""
        assert self.is_published()
        assert self.undo() == [(f"mended-{self.day}", "3.00")]
        assert self.inserted() == [(f"{name}-{self.day}",) for name in ("new", "west")]
        assert self.world.ledger(self.batch_id) == dict.fromkeys(REGIONS, "PUBLISHED")


@pytest.fixture(scope="module")
def days(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[date]:
    """Days whose older sales are in the fact table already, by one batch: they arrived late."""
    all_days = [BASE + timedelta(days=number) for number in range(1, DAYS)]
    changed = {"updated_at": at(BASE, 12)}
    for name in ("kept", "mended"):
        world.insert(
            "EUROPE",
            *(
                good_sale("EUROPE", day) | {"sale_id": f"{name}-{day}", "sale_date": at(day, 9)} | changed
                for day in all_days
            ),
        )
    load(world, BASE, tmp_path_factory.mktemp("base"), "EUROPE")
    return iter(all_days)


def set_scene(world: World, day: date) -> Scene:
    scene = Scene(world, day)
    changed = f"UPDATE sales_transactions SET total_amount = 4, updated_at = '{at(scene.day, 9)}' WHERE sale_id = %s"
    world.change("EUROPE", changed, (f"mended-{scene.day}",))
    for region, name, quantity in (("EUROPE", "new", 2), ("EUROPE", "bad", 0), ("US_WEST", "west", 2)):
        world.insert(region, good_sale(region, scene.day) | {"sale_id": f"{name}-{scene.day}", "quantity": quantity})
    for key, batch, _ in scene.old_rejected:
        world.sql(
            # No version in the fact table closes it: its own time is newer.
            "INSERT INTO SALES_REJECTIONS (REGION_CODE, SALE_KEY, RULES, VERSION_AT, ETL_BATCH_ID, ETL_RUN_NUMBER, "
            "ETL_SNAPSHOT_AT, FIRST_SEEN_AT) SELECT 'EUROPE', ?, 'quantity_not_positive', CURRENT_TIMESTAMP(), "
            "?, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()",
            (key, batch),
        )
    return scene


@pytest.fixture
def scene(world: World, days: Iterator[date]) -> Scene:
    """A batch for one test."""
    return set_scene(world, next(days))


@pytest.fixture
def staged(scene: Scene, tmp_path: Path) -> Staged:
    return stage(scene, tmp_path)


@pytest.fixture(scope="module")
def tried(world: World, days: Iterator[date], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One batch for all attempts that must not publish, each the run after the one before; then one that does."""
    scene = set_scene(world, next(days))
    yield scene
    load(world, scene.day, tmp_path_factory.mktemp("last"), *REGIONS)
    scene.assert_whole()


@pytest.fixture
def another_try(tried: Scene, tmp_path: Path) -> Staged:
    return stage(tried, tmp_path)


def stage(scene: Scene, scratch: Path) -> Staged:
    return stage_attempt(scene.world, begin(scene.world, scene.day, *REGIONS), scene.day, scratch)


@pytest.fixture(autouse=True)
def _resent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "RESEND_DELAYS_S", (0, 0, 0))


@pytest.mark.account
def test_a_publish_sends_these_statements(scene: Scene, staged: Staged) -> None:
    seen: list[str] = []
    with stepping_session(dict(scene.world.environment), seen.append) as session:
        publish_manifest(session, staged, scene.world.session, print)
    assert seen == list(STATEMENTS)
    scene.assert_whole()


class BugError(Exception):
    """Raised in the middle of a publish."""


def publish_raising(scene: Scene, staged: Staged, statement: str, error: type[Exception]) -> None:
    """Publishes; in the first session `error` is raised in the place of `statement`."""

    def raise_at(name: str) -> None:
        if name == statement:
            raise error(name)

    with stepping_session(dict(scene.world.environment), raise_at) as session:
        publish_manifest(session, staged, scene.world.session, print)


@pytest.mark.parametrize("statement", [name for name in BEFORE_COMMIT if name != "COMMIT"])
def test_an_error_at_any_statement_publishes_nothing(tried: Scene, another_try: Staged, statement: str) -> None:
    with pytest.raises(BugError):
        publish_raising(tried, another_try, statement, BugError)
    assert not tried.is_published()


@pytest.mark.parametrize("statement", ["lock/take", "publish/merge_sales_fact", "ledger/insert_entries", "COMMIT"])
def test_an_error_that_may_pass_is_made_good_by_another_try(scene: Scene, staged: Staged, statement: str) -> None:
    publish_raising(scene, staged, statement, TransientError)
    scene.assert_whole()


def publish_until_killed(environment: dict[str, str], staged: Staged, statement: str) -> None:
    """Publishes in a process that is killed before `statement`."""

    def kill_at(name: str) -> None:
        if name == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    with stepping_session(environment, kill_at) as session:
        publish_manifest(session, staged, lambda: stepping_session(environment, kill_at), print)


def kill_in_publish(scene: Scene, staged: Staged, statement: str) -> None:
    process = start_process(publish_until_killed, dict(scene.world.environment), staged, statement)
    assert end_of(process) == -signal.SIGKILL


@pytest.mark.account
@pytest.mark.parametrize("statement", BEFORE_COMMIT)
def test_a_kill_at_any_statement_publishes_nothing(tried: Scene, another_try: Staged, statement: str) -> None:
    kill_in_publish(tried, another_try, statement)
    assert not tried.is_published()
    tried.world.end_transactions()


@pytest.mark.account
def test_a_publish_waits_until_the_warehouse_gives_up_the_transaction_of_a_killed_one(
    scene: Scene, staged: Staged, tmp_path: Path
) -> None:
    kill_in_publish(scene, staged, "publish/merge_sales_fact")
    load(scene.world, scene.day, tmp_path, *REGIONS)
    scene.assert_whole()


@pytest.mark.account
def test_a_kill_after_commit_changes_nothing(scene: Scene, staged: Staged, tmp_path: Path) -> None:
    kill_in_publish(scene, staged, *AFTER_COMMIT)
    scene.assert_whole()
    load(scene.world, scene.day, tmp_path, *REGIONS)
    scene.assert_whole()


def publish_losing(scene: Scene, staged: Staged, statement: str) -> None:
    """Publishes over a network that fails while the warehouse runs the statement, and is back for the next session."""

    def open_again() -> AbstractContextManager[Session]:
        scene.world.end_transactions()
        return scene.world.session()

    with proxy_to(int(scene.world.environment["SNOWFLAKE_PORT"])) as proxy:

        def lose_at(name: str) -> None:
            if name == statement:
                proxy.lose_next(Loss.ANSWER_FOR_GOOD)

        with stepping_session(dict(scene.world.environment), lose_at, proxy.port) as session:
            publish_manifest(session, staged, open_again, print)
        assert proxy.losses == [Loss.ANSWER_FOR_GOOD]


@pytest.mark.parametrize("statement", LOAD)
def test_an_answer_lost_for_good_before_the_transaction_is_followed_by_another_load(
    scene: Scene, staged: Staged, statement: str
) -> None:
    publish_losing(scene, staged, statement)
    scene.assert_whole()


@pytest.mark.parametrize("statement", TRANSACTION)
def test_an_answer_lost_for_good_in_the_transaction_is_settled_by_asking_the_ledger(
    scene: Scene, staged: Staged, statement: str
) -> None:
    publish_losing(scene, staged, statement)
    scene.assert_whole()


def test_a_commit_that_was_lost_before_the_warehouse_saw_it_is_published_in_another_session(
    scene: Scene, staged: Staged
) -> None:
    with proxy_to(int(scene.world.environment["SNOWFLAKE_PORT"])) as proxy:
        seen: list[str] = []

        def cut_at_commit(name: str) -> None:
            if name == "COMMIT":
                proxy.cut()

        with stepping_session(dict(scene.world.environment), cut_at_commit, proxy.port) as session:
            publish_manifest(session, staged, scene.world.session, seen.append)
    assert any("the ledger is asked before the next" in line for line in seen)
    scene.assert_whole()


def test_a_failed_that_others_wrote_meanwhile_is_not_taken_for_an_answer_to_commit(
    scene: Scene, staged: Staged
) -> None:
    with proxy_to(int(scene.world.environment["SNOWFLAKE_PORT"])) as proxy:

        def cut_at_commit(name: str) -> None:
            if name == "COMMIT":
                proxy.cut()
                with scene.world.session() as watchdog:
                    record(watchdog, staged.attempt, [Entry(region, Status.FAILED) for region in REGIONS])

        def open_again() -> AbstractContextManager[Session]:
            scene.world.end_transactions()
            return scene.world.session()

        with stepping_session(dict(scene.world.environment), cut_at_commit, proxy.port) as session:
            publish_manifest(session, staged, open_again, print)
    scene.assert_whole()


def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown_and_nothing_is_cleaned_up(
    scene: Scene, staged: Staged, tmp_path: Path
) -> None:
    run_number = staged.attempt.run_number
    with proxy_to(int(scene.world.environment["SNOWFLAKE_PORT"])) as proxy:
        environment = dict(scene.world.environment)

        def lose_commit(name: str) -> None:
            if name == "COMMIT":
                proxy.lose_next(Loss.ANSWER_FOR_GOOD)

        def through_proxy() -> Any:
            return stepping_session(environment, lose_commit, proxy.port)

        message = (
            f"no answer to COMMIT: look for run {run_number} in ANALYTICS.ETL_BATCHES before the date is run again"
        )
        with pytest.raises(OutcomeUnknownError, match=message), through_proxy() as session:
            publish_manifest(session, staged, through_proxy, print)
    tables = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME LIKE ?"
    assert scene.world.sql(tables, (f"%_{run_number:06d}",)) == [(4,)]
    load(scene.world, scene.day, tmp_path, *REGIONS)
    scene.assert_whole()


@pytest.mark.account
@pytest.mark.parametrize("statement", TRANSACTION)
def test_a_transaction_that_is_aborted_from_outside_is_made_good_by_another_try(
    scene: Scene, staged: Staged, statement: str
) -> None:
    """Only the next statement gets the error; those after it would run without lock and transaction."""

    def abort_at(name: str) -> None:
        if name == statement:
            scene.world.end_transactions()

    with stepping_session(dict(scene.world.environment), abort_at) as session:
        publish_manifest(session, staged, scene.world.session, print)
    scene.assert_whole()


def test_an_abort_that_is_not_told_is_found_before_commit(
    scene: Scene, staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When that error is lost on its way, the statements after it run in a transaction that is never committed."""
    aborted: list[str] = []

    def abort_at(name: str) -> None:
        if name == "SELECT CURRENT_TRANSACTION() #2" and not aborted:
            aborted.append(name)
            scene.world.end_transactions()

    ask = Stepping.query

    def query(session: Stepping, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            return ask(session, statement, values)
        except TransientError as error:
            if "was aborted" not in str(error):
                raise
            return Session.query(session, statement, values)

    monkeypatch.setattr(Stepping, "query", query)
    said: list[str] = []
    with stepping_session(dict(scene.world.environment), abort_at) as session:
        publish_manifest(session, staged, scene.world.session, said.append)
    assert any("was ended from outside" in line for line in said), said
    scene.assert_whole()


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.ANSWER])
def test_a_loss_at_every_statement_is_made_good_by_sending_it_again(scene: Scene, staged: Staged, loss: Loss) -> None:
    """No statement runs twice: the warehouse knows a request by its id."""
    with proxy_to(int(scene.world.environment["SNOWFLAKE_PORT"])) as proxy:

        def lose(name: str) -> None:
            proxy.lose_next(loss)

        with stepping_session(dict(scene.world.environment), lose, proxy.port) as session:
            publish_manifest(session, staged, scene.world.session, print)
        assert proxy.losses == [loss] * len(STATEMENTS)
    scene.assert_whole()
