"""Replay reads open rejected rows again by key, loads those that are good today, and records a status for each."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.artifacts import Artifact
from prefect.states import State

from flows.reconcile import reconcile
from flows.replay_rejected import ARTIFACT_KEY, replay_rejected
from flows.rollback import rollback
from tasks.batch import NamedKeys
from tasks.errors import NeedsPersonError
from tasks.rejected import replay
from tasks.rejected.replay import Replayed
from tasks.warehouse.ledger import start_attempt
from tests.integration.conftest import World
from tests.integration.processes import run_python, start_python
from tests.integration.publish.harness import begin, keys_of, publish_staged, stage_attempt, stage_wanted
from tests.integration.shop import Shop


def tables(shop: Shop) -> tuple[tuple[int, int], tuple[int, int]]:
    """The contents of sales, with since when each version stands, and of rejected rows."""
    return shop.world.contents("SELECT * FROM SALES_FACT"), shop.rejected()


@pytest.fixture
def shop(world: World, day: date) -> Iterator[Shop]:
    """A shop with no other open rows: other tests leave rejected rows on purpose."""
    world.forget_rejected()
    yield Shop(world, day, "replay")
    world.tidy()


def broken_day(shop: Shop, scratch: Path) -> None:
    """A day with a good sale and broken ones, loaded; then some are mended, one is deleted."""
    shop.sell("good")
    shop.sell("mended", "broken", "removed", quantity=0)
    shop.sell("west", region="US_WEST", quantity=-1)
    shop.sell("", sale_id=None)
    shop.sell("", sale_id="\t ")
    shop.load(scratch, "EUROPE", "US_WEST")
    shop.change("mended", "quantity = 2")
    shop.remove("removed")


def run(**parameters: Any) -> State:
    state: State = replay_rejected(**parameters, return_state=True)
    return state


def counts(state: State) -> dict[tuple[str, str], int]:
    replayed = state.result()
    assert isinstance(replayed, Replayed)
    return {key: rows for key, rows in replayed.rows.items() if rows}


STATUSES_AFTER = {
    "broken": ["STILL_BAD"],
    "mended": ["RELEASED"],
    "removed": ["GONE"],
    "west": ["STILL_BAD"],
    "": ["NO_KEY", "NO_KEY"],
}
"""The end of each rejected row of a broken day; ENDS counts them."""

ENDS = {
    ("EUROPE", "RELEASED"): 1,
    ("EUROPE", "STILL_BAD"): 1,
    ("EUROPE", "GONE"): 1,
    ("EUROPE", "NO_KEY"): 2,
    ("US_WEST", "STILL_BAD"): 1,
}


@pytest.mark.account
def test_each_row_ends_as_released_still_bad_gone_or_without_key(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    before = tables(shop)

    dry = run(dry_run=True)
    assert dry.message == "would be 1 RELEASED, 2 STILL_BAD, 1 GONE, 2 NO_KEY"
    assert counts(dry) == ENDS
    assert tables(shop) == before

    state = run()
    assert state.name == "Completed", state.message
    batch_id, _, figures = str(state.message).partition(": ")
    assert figures == "1 RELEASED, 2 STILL_BAD, 1 GONE, 2 NO_KEY"
    assert counts(state) == ENDS
    assert shop.statuses() == STATUSES_AFTER
    assert shop.sales() == {"good": ("3.00", "2"), "mended": ("3.00", "R")}
    assert shop.world.ledger(batch_id) == {"EUROPE": "PUBLISHED", "US_WEST": "PUBLISHED"}
    found: Any = Artifact.get(ARTIFACT_KEY)
    assert "| region | RELEASED | STILL_BAD | GONE | NO_KEY | held back |" in found.data
    assert "| EUROPE | 1 | 1 | 1 | 2 | 0 |" in found.data

    first_seen = "SELECT MIN(FIRST_SEEN_AT) FROM SALES_REJECTED WHERE SALE_KEY = ?"
    seen = shop.world.sql(first_seen, (shop.key("broken"),))
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1, ("US_WEST", "STILL_BAD"): 1, ("EUROPE", "NO_KEY"): 2}
    assert shop.world.sql(first_seen, (shop.key("broken"),)) == seen
    assert shop.statuses()["broken"] == ["STILL_BAD"], "one entry, of the newest replay"

    ((second,),) = shop.world.sql("SELECT MAX(BATCH_ID) FROM ETL_BATCHES WHERE BATCH_ID LIKE 'R%'")
    for batch in (batch_id, second):
        rolled_back = rollback(date=batch, reason="a test", return_state=True)
        assert rolled_back.name == "Completed", rolled_back.message
    assert tables(shop) == before


def test_what_an_older_version_at_the_source_has_made_good_is_released(shop: Shop, tmp_path: Path) -> None:
    """The source takes a broken correction back: the table holds that version already."""
    shop.sell("back", customer_email=None)  # as the harness has another token key
    shop.load(tmp_path)
    later = shop.day + timedelta(days=1)
    shop.change("back", f"quantity = 0, updated_at = '{shop.noon(1)}'")
    shop.on(later).load(tmp_path)
    assert shop.statuses() == {"back": ["OPEN"]}
    shop.change("back", f"quantity = 2, updated_at = '{shop.noon()}'")
    assert counts(run()) == {("EUROPE", "RELEASED"): 1}
    assert shop.statuses() == {"back": ["RELEASED"]}
    assert shop.sales() == {"back": ("3.00", "2")}


def test_a_date_that_is_run_again_takes_over_what_a_replay_has_left(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    run()
    shop.load(tmp_path, "EUROPE", "US_WEST")
    assert shop.statuses()["broken"] == ["OPEN"]
    assert shop.statuses()[""] == ["NO_KEY", "NO_KEY"]


def test_nothing_open_is_nothing_to_do(shop: Shop) -> None:
    state = run()
    assert (state.name, counts(state)) == ("Completed", {})
    assert str(state.message).startswith("nothing to read again: 0 RELEASED")


def test_a_region_that_is_down_is_left_out_and_its_rows_stay_open(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    shop.world.change("US_WEST", "ALTER TABLE sales_transactions RENAME TO sales_elsewhere")
    try:
        state = run()
    finally:
        shop.world.change("US_WEST", "ALTER TABLE sales_elsewhere RENAME TO sales_transactions")
    assert state.name == "PartiallyLoaded"
    assert "US_WEST could not be read: table sales_transactions is missing" in str(state.message)
    assert shop.statuses()["west"] == ["OPEN"]
    assert shop.statuses()["mended"] == ["RELEASED"]


def test_a_region_that_has_no_row_at_all_is_not_believed(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    shop.world.change("EUROPE", "ALTER TABLE sales_transactions RENAME TO sales_elsewhere")
    shop.world.change("EUROPE", "CREATE TABLE sales_transactions (LIKE sales_elsewhere INCLUDING ALL)")
    try:
        shop.world.change("EUROPE", "GRANT SELECT ON sales_transactions TO PUBLIC")
        dry, state = run(dry_run=True), run()
    finally:
        shop.world.change("EUROPE", "DROP TABLE IF EXISTS sales_transactions")
        shop.world.change("EUROPE", "ALTER TABLE sales_elsewhere RENAME TO sales_transactions")
    for ended in (dry, state):
        assert ended.name == "PartiallyLoaded"
        assert "EUROPE could not be read: sales_transactions has no row at all" in str(ended.message)
    assert shop.statuses() == {
        "broken": ["OPEN"],
        "mended": ["OPEN"],
        "removed": ["OPEN"],
        "west": ["STILL_BAD"],
        "": ["NO_KEY", "NO_KEY"],
    }
    run()
    assert shop.statuses() == STATUSES_AFTER


def test_what_a_view_does_not_show_stays_open(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    shown = f"SELECT * FROM sales_elsewhere WHERE sale_id <> '{shop.key('mended')}'"
    shop.world.change("EUROPE", "ALTER TABLE sales_transactions RENAME TO sales_elsewhere")
    try:
        shop.world.change("EUROPE", f"CREATE VIEW sales_transactions AS {shown}")
        shop.world.change("EUROPE", "GRANT SELECT ON sales_transactions TO PUBLIC")
        dry, state = run(dry_run=True), run()
    finally:
        shop.world.change("EUROPE", "DROP VIEW IF EXISTS sales_transactions")
        shop.world.change("EUROPE", "ALTER TABLE sales_elsewhere RENAME TO sales_transactions")
    for ended in (dry, state):
        assert "0 RELEASED, 2 STILL_BAD, 0 GONE, 2 NO_KEY" in str(ended.message)
        assert "EUROPE: 2 not found stay open: sales_transactions is a view, which may show a part" in str(
            ended.message
        )
    assert shop.statuses() == {**STATUSES_AFTER, "mended": ["OPEN"], "removed": ["OPEN"]}
    run()
    assert shop.statuses() == STATUSES_AFTER


def test_keys_beyond_the_limit_of_one_replay_are_reported(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell("1", "2", "3", quantity=0)
    shop.load(tmp_path)
    monkeypatch.setattr(replay, "KEYS_MAX", 2)
    state = run()
    assert counts(state) == {("EUROPE", "STILL_BAD"): 2}
    assert "run it again for the rest" in str(state.message)
    shop.change("3", "quantity = 2")
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1, ("EUROPE", "RELEASED"): 1}


@pytest.mark.parametrize("how", ["date", "heal", "reopened"])
def test_keys_that_are_held_back_do_not_keep_others_from_being_read(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    following = shop.on(shop.day + timedelta(days=1))
    shop.sell("held-1", "held-2", quantity=0)
    shop.load(tmp_path)
    rolled_back = str(shop.day)
    if how == "date":
        assert counts(run()) == {("EUROPE", "STILL_BAD"): 2}
    else:
        following.load(tmp_path)
        for name in ("held-1", "held-2"):
            shop.change(name, f"quantity = 2, updated_at = '{shop.noon(1)}'")
    if how == "heal":
        days = {"start_date": shop.day, "end_date": following.day}
        rolled_back = reconcile(**days, regions=["EUROPE"], return_state=True).result().heal
    if how == "reopened":
        following.load(tmp_path)
        rolled_back = str(following.day)
    assert rollback(date=rolled_back, reason="a test", return_state=True).name == "Completed"
    last = shop.on(shop.day + timedelta(days=2))
    last.sell("mended", quantity=0)
    last.load(tmp_path)
    last.change("mended", "quantity = 2")
    monkeypatch.setattr(replay, "KEYS_MAX", 2)
    state = run()
    assert (counts(state), state.result().held_back) == ({("EUROPE", "RELEASED"): 1}, {"EUROPE": 1})


def test_of_two_versions_of_a_key_the_bad_one_stays_work_to_be_done(shop: Shop, tmp_path: Path) -> None:
    later = shop.noon() + timedelta(hours=1)
    shop.sell("twice", customer_email=None)
    shop.sell("twice", quantity=0, updated_at=later)
    shop.load(tmp_path)
    assert shop.statuses() == {"twice": ["OPEN"]}
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1}
    assert shop.statuses() == {"twice": ["STILL_BAD"]}


def test_a_key_of_another_region_stays_work_to_be_done(shop: Shop, tmp_path: Path) -> None:
    shop.sell("owned")
    shop.load(tmp_path)
    shop.sell("owned", region="US_WEST")
    shop.load(tmp_path, "US_WEST")
    assert counts(run()) == {("US_WEST", "STILL_BAD"): 1}
    assert shop.statuses() == {"owned": ["STILL_BAD"]}


def test_a_sale_of_a_date_that_was_rolled_back_stays_out_until_the_date_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.sell("mended", "other", quantity=0)
    shop.load(tmp_path)
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 2}
    shop.change("mended", "quantity = 2")
    shop.change("other", f"quantity = 2, updated_at = '{shop.noon(1)}'")
    assert rollback(date=str(shop.day), reason="a test", return_state=True).name == "Completed"

    for state in (run(dry_run=True), run()):
        assert (state.name, counts(state)) == ("Completed", {})
        assert str(state.message).endswith(
            "0 RELEASED, 0 STILL_BAD, 0 GONE, 0 NO_KEY; 2 held back, their dates or heals were rolled back"
        )
    found: Any = Artifact.get(ARTIFACT_KEY)
    assert "| EUROPE | 0 | 0 | 0 | 0 | 2 |" in found.data
    assert (shop.sales(), shop.statuses()) == ({}, {"mended": ["STILL_BAD"], "other": ["STILL_BAD"]})

    shop.load(tmp_path)
    assert shop.sales() == {"mended": ("3.00", "2"), "other": ("3.00", "2")}
    assert shop.statuses() == {"mended": ["CLOSED"], "other": ["CLOSED"]}


def test_what_a_rolled_back_date_had_mended_waits_and_the_others_are_replayed(shop: Shop, tmp_path: Path) -> None:
    """The version that the source holds belongs to the date that was rolled back."""
    following = shop.day + timedelta(days=1)
    shop.sell("corrected", "silent", quantity=0)
    shop.load(tmp_path)
    shop.change("corrected", f"quantity = 2, updated_at = '{shop.noon(1)}'")
    shop.on(following).load(tmp_path)
    assert rollback(date=str(following), reason="a test", return_state=True).name == "Completed"
    shop.change("silent", "quantity = 2")

    state = run()
    assert (counts(state), state.result().held_back) == ({("EUROPE", "RELEASED"): 1}, {"EUROPE": 1})
    assert shop.sales() == {"silent": ("3.00", "R")}
    assert shop.statuses() == {"corrected": ["OPEN"], "silent": ["RELEASED"]}


def test_what_a_heal_had_loaded_that_was_rolled_back_stays_out_too(shop: Shop, tmp_path: Path) -> None:
    following = shop.day + timedelta(days=1)
    shop.sell("corrected", quantity=0)
    for day in (shop.day, following):
        shop.on(day).load(tmp_path)
    shop.change("corrected", f"quantity = 2, updated_at = '{shop.noon(1)}'")
    days = {"start_date": shop.day, "end_date": following}
    heal = reconcile(**days, regions=["EUROPE"], return_state=True).result().heal
    assert (shop.sales(), shop.statuses()) == ({"corrected": ("3.00", "H")}, {"corrected": ["CLOSED"]})
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"

    state = run()
    assert (counts(state), state.result().held_back) == ({}, {"EUROPE": 1})
    assert (shop.sales(), shop.statuses()) == ({}, {"corrected": ["OPEN"]})
    shop.on(following).load(tmp_path)
    assert shop.sales() == {"corrected": ("3.00", "2")}


def test_a_key_of_a_rolled_back_heal_is_free_when_its_date_has_rejected_it_again(shop: Shop, tmp_path: Path) -> None:
    shop.sell("filler")
    shop.load(tmp_path)
    shop.sell("late", quantity=0)
    heal = reconcile(start_date=shop.day, end_date=shop.day, regions=["EUROPE"], return_state=True).result().heal
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"
    shop.load(tmp_path)
    shop.change("late", "quantity = 2")
    assert counts(run()) == {("EUROPE", "RELEASED"): 1}
    assert shop.statuses() == {"late": ["RELEASED"]}


def test_a_replay_that_meets_the_rollback_of_a_heal_says_nothing_of_its_keys(shop: Shop, tmp_path: Path) -> None:
    following = shop.day + timedelta(days=1)
    shop.sell("corrected", quantity=0)
    shop.sell("good")
    for day in (shop.day, following):
        shop.on(day).load(tmp_path)
    attempt = replace(begin(shop.world, shop.day, "EUROPE"), batch_id="R20160116T091500Z")
    wanted = {"EUROPE": keys_of(shop.world, "EUROPE", shop.key("corrected"))}
    shop.remove("corrected")
    staged = replace(stage_wanted(shop.world, attempt, wanted, tmp_path), gone={"EUROPE": [shop.key("corrected")]})
    shop.sell("corrected", sale_date=shop.noon(1), updated_at=shop.noon(1))
    heal = reconcile(start_date=shop.day, end_date=following, regions=["EUROPE"], return_state=True).result().heal
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"
    with pytest.raises(NeedsPersonError, match=f"what was rolled back stays out, .*{heal} of EUROPE"):
        publish_staged(shop.world, staged)
    assert shop.statuses() == {"corrected": ["OPEN"]}


def test_a_replay_that_meets_a_rollback_loads_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.sell("mended", quantity=0)
    shop.load(tmp_path)
    shop.change("mended", "quantity = 2")
    attempt = begin(shop.world, shop.day, "EUROPE")
    staged = stage_attempt(shop.world, replace(attempt, batch_id="R20240116T091500Z"), shop.day, tmp_path)
    assert rollback(date=str(shop.day), reason="a test", return_state=True).name == "Completed"
    with pytest.raises(NeedsPersonError, match=f"what was rolled back stays out, .*{shop.day:%Y%m%d} of EUROPE"):
        publish_staged(shop.world, staged)
    assert shop.sales() == {}


KILLED = """
import os, signal
from tasks import publish
real = publish.render
def render(name, **values):
    if name == "publish/release_rejected":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(name, **values)
publish.render = render
from flows.replay_rejected import replay_rejected
replay_rejected()
"""


def test_killed_in_the_middle_nothing_has_happened_and_the_next_one_does_it(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    before = tables(shop)
    killed = run_python("-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert tables(shop) == before
    shop.world.end_transactions()
    assert counts(run()) == ENDS


def test_of_two_that_began_in_one_second_the_one_that_has_read_last_counts(shop: Shop, tmp_path: Path) -> None:
    shop.sell("broken", quantity=0)
    shop.load(tmp_path)
    wanted = {"EUROPE": keys_of(shop.world, "EUROPE", shop.key("broken"))}
    batch = NamedKeys(f"R{shop.day:%Y%m%d}T120000Z", wanted)
    with shop.world.session() as session:
        first, second = (start_attempt(session, batch, str(uuid4()), lease_minutes=15) for _ in range(2))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    read_first = stage_wanted(shop.world, second, wanted, tmp_path / "second")
    read_last = stage_wanted(shop.world, first, wanted, tmp_path / "first")
    for staged in (read_last, read_first):
        publish_staged(shop.world, staged)
    assert shop.statuses() == {"broken": ["STILL_BAD"]}


def test_two_at_once_and_a_daily_run_beside_them(shop: Shop, tmp_path: Path) -> None:
    broken_day(shop, tmp_path)
    other = shop.day + timedelta(days=2)
    shop.world.fill(other, rows=120, regions=("EUROPE",))
    programs = [
        start_python("-m", "flows.replay_rejected"),
        start_python("-m", "flows.replay_rejected"),
        start_python("-m", "flows.daily_sales", str(other), "EUROPE"),
    ]
    ends = [program.ended() for program in programs]
    assert [end.returncode for end in ends] == [0, 0, 0], "\n".join(end.stderr for end in ends)
    assert shop.statuses() == STATUSES_AFTER
    assert shop.sales() == {"good": ("3.00", "2"), "mended": ("3.00", "R")}
