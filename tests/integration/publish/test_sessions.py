"""Sessions that do not see what others have committed since they were opened, and a long wait for the lock."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from datetime import date
from pathlib import Path

import pytest

from blocks import waits
from flows.reconcile import reconcile
from tasks.publish import publish_manifest
from tasks.reconcile.deleted import mark
from tasks.retention.staged import old_rows
from tasks.rollback.roll_back import roll_back
from tasks.warehouse import session as warehouse
from tasks.warehouse.session import Session
from tests.integration.conftest import World
from tests.integration.proxy import Loss, proxy_to
from tests.integration.publish.harness import begin, fates, publish_staged, stage_attempt
from tests.integration.publish.statements import stepping_session
from tests.integration.shop import Shop


@pytest.fixture(autouse=True)
def _resent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "RESEND_DELAYS_S", (0, 0, 0))


MODE = "ALTER ACCOUNT SET READ_CONSISTENCY_MODE = '{}'"
IDLE_HOLDER_S = 8
"""Seconds after which the tests' stand-in ends an idle transaction that blocks another."""
SLOW = ("publish/insert_fates", "publish/insert_rejected", "publish/insert_undo", "publish/merge_sales_fact")
"""Statements with pauses before them, which together are longer than a transaction may idle."""


@pytest.fixture
def old_session(world: World) -> Iterator[Session]:
    """A session opened before everything that the test does, of which it sees nothing."""
    world.sql(MODE.format("SESSION"))
    try:
        with world.session() as session:
            yield session
    finally:
        world.sql(MODE.format("GLOBAL"))


@pytest.fixture
def shop(world: World, day: date) -> Shop:
    """A day with one sale."""
    shop = Shop(world, day, "session")
    shop.sell("sale")
    return shop


def rows(session: Session, day: date) -> int:
    ((count,),) = session.query("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", [f"{day:%Y%m%d}"])
    return int(count)


def test_an_old_session_shows_nothing_of_what_others_commit_and_a_new_one_all_of_it(
    day: date, shop: Shop, tmp_path: Path, old_session: Session
) -> None:
    shop.load(tmp_path)
    assert rows(old_session, day) == 0
    with old_session.again() as new:
        assert rows(new, day) == 1


@pytest.mark.usefixtures("shop")
def test_a_run_that_was_overtaken_while_it_waited_leaves_the_table_alone(
    world: World, day: date, tmp_path: Path, old_session: Session
) -> None:
    older = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    newer = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    publish_staged(world, newer)
    publication = publish_manifest(old_session, older, world.session, print)
    assert (publication.regions, publication.overtaken) == ((), ("EUROPE",))


def test_a_newer_version_is_not_written_over_by_a_session_that_does_not_show_it(
    world: World, day: date, shop: Shop, tmp_path: Path, old_session: Session
) -> None:
    read_before = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    shop.change("sale", "total_amount = 4")
    shop.load(tmp_path)
    publish_manifest(old_session, read_before, world.session, print)
    assert shop.amounts() == {"sale": "4.00"}


@pytest.mark.usefixtures("shop")
def test_a_lost_commit_is_asked_for_in_a_session_that_can_show_it(
    world: World, day: date, tmp_path: Path, old_session: Session
) -> None:
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    with proxy_to(int(world.environment["SNOWFLAKE_PORT"])) as proxy:

        def lose_commit(name: str) -> None:
            if name == "COMMIT":
                proxy.lose_next(Loss.ANSWER_FOR_GOOD)

        with stepping_session(dict(world.environment), lose_commit, proxy.port) as session:
            publication = publish_manifest(session, staged, lambda: nullcontext(old_session), print)
    assert fates(publication) == {"EUROPE": {"inserted": 1}}
    published = "SELECT COUNT(*) FROM ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED'"
    assert world.sql(published, (f"{day:%Y%m%d}",)) == [(1,)]


def test_a_rollback_finds_what_was_published_since_its_session_was_opened(
    day: date, shop: Shop, tmp_path: Path, old_session: Session
) -> None:
    shop.load(tmp_path)
    rollback = roll_back(old_session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
    assert rollback.changes is not None
    assert shop.sales() == {}


def test_marks_and_retention_are_told_by_a_new_session_too(world: World, old_session: Session) -> None:
    before = world.sql("SELECT ORDINAL FROM ETL_LOCK")[0][0]
    mark(old_session, "H20240101T000000Z", "by hand", [])
    old_rows(old_session, days=10_000, dry_run=True)
    assert world.sql("SELECT ORDINAL, TOKEN FROM ETL_LOCK") == [(before + 2, None)]


def test_whole_flows_of_such_an_account_miss_nothing(world: World, day: date, old_session: Session) -> None:
    del old_session  # here for the mode that it sets
    world.fill(day, rows=120, regions=("EUROPE",))
    for inserted in (120, 0):
        run = world.run(day, ["EUROPE"])
        assert run.state.name == "Completed", run.state.message
        assert run.region("EUROPE").inserted == inserted
    world.change("EUROPE", f"DELETE FROM sales_transactions WHERE sale_date::date = '{day}' AND quantity = 1")
    given = {"start_date": str(day), "end_date": str(day), "regions": ["EUROPE"], "heal_deleted": True}
    marked = reconcile(**given, return_state=True).result().marked
    assert marked > 0
    gone = "SELECT COUNT(*) FROM SALES_FACT WHERE IS_DELETED AND SALE_DATE::DATE = ?"
    assert world.sql(gone, (str(day),)) == [(marked,)]


def test_a_publish_that_lasts_longer_than_an_idle_one_may_is_waited_for(
    world: World, day: date, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.5)
    first = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    shop.change("sale", "total_amount = 4")
    second = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    said: list[str] = []

    def be_slow(name: str) -> None:
        if name in SLOW:
            time.sleep(0.35 * IDLE_HOLDER_S)

    def publish_second() -> None:
        with world.session() as session:
            publish_manifest(session, second, world.session, said.append)

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[None]] = []

        def start_second(name: str) -> None:
            if name == "publish/overtaken" and not waiting:
                waiting.append(pool.submit(copy_context().run, publish_second))
            be_slow(name)

        with stepping_session(dict(world.environment), start_second) as session:
            publication = publish_manifest(session, first, world.session, print)
        waiting[0].result()
    assert fates(publication) == {"EUROPE": {"inserted": 1}}
    assert any("waiting for the publish lock" in line for line in said)
    assert shop.amounts() == {"sale": "4.00"}
