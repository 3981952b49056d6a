"""The ledger orders events by its own numbers, whatever the clocks that wrote the times."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from tasks.errors import NeedsPersonError
from tasks.publish import publish_manifest
from tasks.rollback.roll_back import roll_back, roll_back_run
from tasks.verify import compare
from tasks.warehouse.ledger import known_states
from tests.integration.conftest import World
from tests.integration.publish.harness import begin, fates, publish_staged, stage_attempt
from tests.integration.shop import Shop

TIMES = {
    "at-the-same-time": "RECORDED_AT = '2024-01-01 00:00:00+00:00'",
    "by-a-clock-that-went-back": "RECORDED_AT = DATEADD('minute', -COALESCE(ORDINAL, 0), '2024-01-01 00:00:00+00:00')",
}


@pytest.fixture(params=TIMES)
def times(request: pytest.FixtureRequest) -> str:
    """The times that all entries of a batch get afterwards."""
    return TIMES[request.param]


@pytest.fixture
def shop(world: World, day: date) -> Shop:
    """A day with one sale."""
    shop = Shop(world, day, "order")
    shop.sell("sale")
    return shop


def date_anew(world: World, day: date, times: str) -> None:
    world.sql(f"UPDATE ETL_BATCHES SET {times} WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",))


def shown(world: World, day: date) -> dict[str, str]:
    """The batch's statuses in production."""
    batch = (f"{day:%Y%m%d}",)
    return dict(world.sql("SELECT REGION, STATUS FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ?", batch))


@pytest.mark.usefixtures("shop")
def test_a_run_that_was_rolled_back_is_not_in_production(world: World, day: date, tmp_path: Path, times: str) -> None:
    attempt = begin(world, day, "EUROPE")
    publish_staged(world, stage_attempt(world, attempt, day, tmp_path))
    assert shown(world, day) == {"EUROPE": "PUBLISHED"}
    with world.session() as session:
        roll_back_run(session, attempt, "a difference")
        date_anew(world, day, times)
        assert shown(world, day) == {}
        assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "FAILED"}
        (state,) = known_states(session, day, day)
        assert (state.status, state.in_production) == ("FAILED", None)


def test_a_rollback_undoes_what_was_published_after_an_earlier_one(
    world: World, day: date, shop: Shop, tmp_path: Path, times: str
) -> None:
    for _ in range(2):
        shop.load(tmp_path)
        with world.session() as session:
            rollback = roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
        assert rollback.changes is not None
        assert [run.inserted for run in rollback.changes.runs] == [1]
        date_anew(world, day, times)
        assert shown(world, day)["EUROPE"] == "ROLLED_BACK"


def test_what_another_run_has_changed_since_is_told_by_the_ledger(
    world: World, day: date, shop: Shop, tmp_path: Path, times: str
) -> None:
    first, next_day = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path), day + timedelta(days=1)
    with world.session() as session:
        publication = publish_manifest(session, first, world.session, print)
        shop.change("sale", f"total_amount = 4, updated_at = '{next_day} 00:00Z'")
        shop.on(next_day).load(tmp_path)
        for dated in (day, next_day):
            date_anew(world, dated, times)
        world.sql(
            "UPDATE SALES_FACT SET ETL_UPDATED_AT = '2024-01-01 00:00:00+00:00' WHERE SALE_ID = ?", (shop.key("sale"),)
        )
        assert compare(session, first.manifest, publication).comparisons[0].holds


def test_what_was_rolled_back_since_is_no_difference(
    world: World, day: date, shop: Shop, tmp_path: Path, times: str
) -> None:
    """The next day's run finds the sale just as the rolled-back one had loaded it."""
    next_day = day + timedelta(days=1)
    shop.change("sale", f"updated_at = '{next_day} 00:00Z'")
    shop.load(tmp_path)
    later = stage_attempt(world, begin(world, next_day, "EUROPE"), next_day, tmp_path)
    with world.session() as session:
        publication = publish_manifest(session, later, world.session, print)
        assert fates(publication) == {"EUROPE": {"unchanged": 1}}
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
        for dated in (day, next_day):
            date_anew(world, dated, times)
        assert shop.sales() == {}
        assert compare(session, later.manifest, publication).comparisons[0].holds


def test_a_second_look_does_not_judge_by_a_past_that_is_no_longer_known(
    world: World, day: date, shop: Shop, tmp_path: Path
) -> None:
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    ((since,),) = world.sql("SELECT PAST_SINCE FROM ETL_LOCK")
    with world.session() as session:
        publication = publish_manifest(session, staged, world.session, print)
        roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
        world.sql("UPDATE ETL_LOCK SET PAST_SINCE = ORDINAL")
        try:
            with pytest.raises(NeedsPersonError, match="is not known: the undo log goes back to"):
                compare(session, staged.manifest, publication)
        finally:
            world.sql("UPDATE ETL_LOCK SET PAST_SINCE = ?", (since,))
    assert shop.sales() == {}
