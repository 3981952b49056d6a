"""Replay reads open rejected rows again by key, loads those that are good now, and records the end of each."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from tests.integration.conftest import World, good_sale
from tests.integration.processes import run_python, start_python
from tests.integration.publish.harness import begin, keys_of, load, publish_staged, stage_attempt, stage_wanted


@dataclass(frozen=True)
class Till:
    """A source of broken sales, and the warehouse's rows of them."""

    world: World
    day: date

    def key(self, name: str) -> str:
        return f"replay-{self.day}-{name}"

    def sell(self, *names: str, region: str = "EUROPE", **cells: Any) -> None:
        day = self.day
        self.world.insert(region, *(good_sale(region, day) | {"sale_id": self.key(name)} | cells for name in names))

    def mend(self, name: str, cells: str) -> None:
        """Without a newer `updated_at`, so that daily runs never see it."""
        self.world.change("EUROPE", f"UPDATE sales_transactions SET {cells} WHERE sale_id = %s", (self.key(name),))

    def statuses(self) -> dict[str, list[str]]:
        found = self.world.sql(
            "SELECT SALE_KEY, STATUS FROM SALES_REJECTED "
            "WHERE SALE_KEY LIKE ? OR (SALE_KEY IS NULL AND ETL_BATCH_ID = ?) ORDER BY ETL_RUN_NUMBER",
            (self.key("%"), f"{self.day:%Y%m%d}"),
        )
        known: dict[str, list[str]] = {}
        for key, status in found:
            known.setdefault((key or "").removeprefix(self.key("")), []).append(status)
        return known

    def sales(self) -> list[Any]:
        return self.world.sql(
            "SELECT SALE_ID, TOTAL_AMOUNT::VARCHAR, LEFT(ETL_BATCH_ID, 1) FROM SALES_FACT "
            "WHERE SALE_ID LIKE ? ORDER BY 1",
            (self.key("%"),),
        )

    def tables(self) -> tuple[list[Any], list[Any]]:
        return (
            self.world.rows("SELECT * FROM SALES_FACT"),
            self.world.rows("SELECT * FROM SALES_REJECTED"),
        )


@pytest.fixture
def till(world: World, day: date) -> Iterator[Till]:
    """A till with no other open rows: other tests leave rejected rows on purpose."""
    world.forget_rejected()
    yield Till(world, day)
    world.tidy()


def broken_day(till: Till, scratch: Path) -> None:
    """Loads a day with a good sale and broken ones, then mends some and deletes one."""
    till.sell("good")
    till.sell("mended", "broken", "removed", quantity=0)
    till.sell("west", region="US_WEST", quantity=-1)
    till.sell("", sale_id=None)
    till.sell("", sale_id="\t ")
    load(till.world, till.day, scratch, "EUROPE", "US_WEST")
    till.mend("mended", "quantity = 2")
    till.world.change("EUROPE", "DELETE FROM sales_transactions WHERE sale_id = %s", (till.key("removed"),))


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
def test_each_row_ends_as_released_still_bad_gone_or_without_key(till: Till, tmp_path: Path) -> None:
    broken_day(till, tmp_path)
    before = till.tables()

    dry = run(dry_run=True)
    assert dry.message == "would be 1 RELEASED, 2 STILL_BAD, 1 GONE, 2 NO_KEY"
    assert counts(dry) == ENDS
    assert till.tables() == before

    state = run()
    assert state.name == "Completed", state.message
    batch_id, _, told = str(state.message).partition(": ")
    assert told == "1 RELEASED, 2 STILL_BAD, 1 GONE, 2 NO_KEY"
    assert counts(state) == ENDS
    assert till.statuses() == STATUSES_AFTER
    assert till.sales() == [(till.key("good"), "3.00", "2"), (till.key("mended"), "3.00", "R")]
    assert till.world.ledger(batch_id) == {"EUROPE": "PUBLISHED", "US_WEST": "PUBLISHED"}
    found: Any = Artifact.get(ARTIFACT_KEY)
    assert "| region | RELEASED | STILL_BAD | GONE | NO_KEY | held back |" in found.data
    assert "| EUROPE | 1 | 1 | 1 | 2 | 0 |" in found.data

    first_seen = "SELECT MIN(FIRST_SEEN_AT) FROM SALES_REJECTED WHERE SALE_KEY = ?"
    seen = till.world.sql(first_seen, (till.key("broken"),))
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1, ("US_WEST", "STILL_BAD"): 1, ("EUROPE", "NO_KEY"): 2}
    assert till.world.sql(first_seen, (till.key("broken"),)) == seen
    assert till.statuses()["broken"] == ["STILL_BAD"], "one entry, of the newest replay"

    ((second,),) = till.world.sql("SELECT MAX(BATCH_ID) FROM ETL_BATCHES WHERE BATCH_ID LIKE 'R%'")
    for batch in (batch_id, second):
        rolled_back = rollback(date=batch, reason="a test", return_state=True)
        assert rolled_back.name == "Completed", rolled_back.message
    assert till.tables() == before


def test_what_an_older_version_at_the_source_has_made_good_is_released(till: Till, tmp_path: Path) -> None:
    """The source takes a broken correction back; the table holds that version already."""
    till.sell("back", customer_email=None)  # the harness has another token key
    load(till.world, till.day, tmp_path, "EUROPE")
    later = till.day + timedelta(days=1)
    when = good_sale("EUROPE", later)["updated_at"]
    till.mend("back", f"quantity = 0, updated_at = '{when}'")
    load(till.world, later, tmp_path, "EUROPE")
    assert till.statuses() == {"back": ["OPEN"]}
    till.mend("back", f"quantity = 2, updated_at = '{good_sale('EUROPE', till.day)['updated_at']}'")
    assert counts(run()) == {("EUROPE", "RELEASED"): 1}
    assert till.statuses() == {"back": ["RELEASED"]}
    assert till.sales() == [(till.key("back"), "3.00", "2")]


def test_a_date_that_is_run_again_takes_over_what_a_replay_has_left(till: Till, tmp_path: Path) -> None:
    broken_day(till, tmp_path)
    run()
    load(till.world, till.day, tmp_path, "EUROPE", "US_WEST")
    assert till.statuses()["broken"] == ["OPEN"]
    assert till.statuses()[""] == ["NO_KEY", "NO_KEY"]


def test_nothing_open_is_nothing_to_do(till: Till) -> None:
    state = run()
    assert (state.name, counts(state)) == ("Completed", {})
    assert str(state.message).startswith("nothing to read again: 0 RELEASED")


def test_a_region_that_is_down_is_left_out_and_its_rows_stay_open(till: Till, tmp_path: Path) -> None:
    broken_day(till, tmp_path)
    till.world.change("US_WEST", "ALTER TABLE sales_transactions RENAME TO sales_elsewhere")
    try:
        state = run()
    finally:
        till.world.change("US_WEST", "ALTER TABLE sales_elsewhere RENAME TO sales_transactions")
    assert state.name == "PartiallyLoaded"
    assert "US_WEST could not be read: table sales_transactions is missing" in str(state.message)
    assert till.statuses()["west"] == ["OPEN"]
    assert till.statuses()["mended"] == ["RELEASED"]


def test_more_keys_than_one_replay_reads_are_told(till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    till.sell("1", "2", "3", quantity=0)
    load(till.world, till.day, tmp_path, "EUROPE")
    monkeypatch.setattr(replay, "KEYS_MAX", 2)
    state = run()
    assert counts(state) == {("EUROPE", "STILL_BAD"): 2}
    assert "run it again for the rest" in str(state.message)
    till.mend("3", "quantity = 2")
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1, ("EUROPE", "RELEASED"): 1}


def test_of_two_versions_of_a_key_the_bad_one_stays_work_to_be_done(till: Till, tmp_path: Path) -> None:
    later = good_sale("EUROPE", till.day)["updated_at"] + timedelta(hours=1)
    till.sell("twice", customer_email=None)
    till.sell("twice", quantity=0, updated_at=later)
    load(till.world, till.day, tmp_path, "EUROPE")
    assert till.statuses() == {"twice": ["OPEN"]}
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 1}
    assert till.statuses() == {"twice": ["STILL_BAD"]}


def test_a_key_of_another_region_stays_work_to_be_done(till: Till, tmp_path: Path) -> None:
    till.sell("owned")
    load(till.world, till.day, tmp_path, "EUROPE")
    till.sell("owned", region="US_WEST")
    load(till.world, till.day, tmp_path, "US_WEST")
    assert counts(run()) == {("US_WEST", "STILL_BAD"): 1}
    assert till.statuses() == {"owned": ["STILL_BAD"]}


def test_a_sale_of_a_date_that_was_rolled_back_stays_out_until_the_date_is_named(till: Till, tmp_path: Path) -> None:
    till.sell("mended", "other", quantity=0)
    load(till.world, till.day, tmp_path, "EUROPE")
    assert counts(run()) == {("EUROPE", "STILL_BAD"): 2}
    till.mend("mended", "quantity = 2")
    following = good_sale("EUROPE", till.day + timedelta(days=1))["updated_at"]
    till.mend("other", f"quantity = 2, updated_at = '{following}'")
    assert rollback(date=str(till.day), reason="a test", return_state=True).name == "Completed"

    for state in (run(dry_run=True), run()):
        assert (state.name, counts(state)) == ("Completed", {})
        assert str(state.message).endswith(
            "0 RELEASED, 0 STILL_BAD, 0 GONE, 0 NO_KEY; 2 held back, their dates or heals were rolled back"
        )
    found: Any = Artifact.get(ARTIFACT_KEY)
    assert "| EUROPE | 0 | 0 | 0 | 0 | 2 |" in found.data
    assert (till.sales(), till.statuses()) == ([], {"mended": ["STILL_BAD"], "other": ["STILL_BAD"]})

    load(till.world, till.day, tmp_path, "EUROPE")
    assert till.sales() == [(till.key("mended"), "3.00", "2"), (till.key("other"), "3.00", "2")]
    assert till.statuses() == {"mended": ["CLOSED"], "other": ["CLOSED"]}


def test_what_a_rolled_back_date_had_mended_waits_and_the_others_are_replayed(till: Till, tmp_path: Path) -> None:
    """The version that the source holds belongs to the date that was rolled back."""
    following = till.day + timedelta(days=1)
    till.sell("corrected", "silent", quantity=0)
    load(till.world, till.day, tmp_path, "EUROPE")
    till.mend("corrected", f"quantity = 2, updated_at = '{good_sale('EUROPE', following)['updated_at']}'")
    load(till.world, following, tmp_path, "EUROPE")
    assert rollback(date=str(following), reason="a test", return_state=True).name == "Completed"
    till.mend("silent", "quantity = 2")

    state = run()
    assert (counts(state), state.result().held_back) == ({("EUROPE", "RELEASED"): 1}, {"EUROPE": 1})
    assert till.sales() == [(till.key("silent"), "3.00", "R")]
    assert till.statuses() == {"corrected": ["OPEN"], "silent": ["RELEASED"]}


def test_what_a_heal_had_loaded_that_was_rolled_back_stays_out_too(till: Till, tmp_path: Path) -> None:
    following = till.day + timedelta(days=1)
    till.sell("corrected", quantity=0)
    for day in (till.day, following):
        load(till.world, day, tmp_path, "EUROPE")
    till.mend("corrected", f"quantity = 2, updated_at = '{good_sale('EUROPE', following)['updated_at']}'")
    days = {"start_date": till.day, "end_date": following}
    heal = reconcile(**days, regions=["EUROPE"], return_state=True).result().heal
    assert (till.sales(), till.statuses()) == ([(till.key("corrected"), "3.00", "H")], {"corrected": ["CLOSED"]})
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"

    state = run()
    assert (counts(state), state.result().held_back) == ({}, {"EUROPE": 1})
    assert (till.sales(), till.statuses()) == ([], {"corrected": ["OPEN"]})
    load(till.world, following, tmp_path, "EUROPE")
    assert till.sales() == [(till.key("corrected"), "3.00", "2")]


def test_a_key_of_a_rolled_back_heal_is_free_when_its_date_has_rejected_it_again(till: Till, tmp_path: Path) -> None:
    till.sell("filler")
    load(till.world, till.day, tmp_path, "EUROPE")
    till.sell("late", quantity=0)
    heal = reconcile(start_date=till.day, end_date=till.day, regions=["EUROPE"], return_state=True).result().heal
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"
    load(till.world, till.day, tmp_path, "EUROPE")
    till.mend("late", "quantity = 2")
    assert counts(run()) == {("EUROPE", "RELEASED"): 1}
    assert till.statuses() == {"late": ["RELEASED"]}


def test_a_replay_that_meets_the_rollback_of_a_heal_says_nothing_of_its_keys(till: Till, tmp_path: Path) -> None:
    following = till.day + timedelta(days=1)
    till.sell("corrected", quantity=0)
    for day in (till.day, following):
        load(till.world, day, tmp_path, "EUROPE")
    attempt = replace(begin(till.world, till.day, "EUROPE"), batch_id="R20160116T091500Z")
    wanted = {"EUROPE": keys_of(till.world, "EUROPE", till.key("corrected"))}
    till.world.change("EUROPE", "DELETE FROM sales_transactions WHERE sale_id = %s", (till.key("corrected"),))
    staged = replace(stage_wanted(till.world, attempt, wanted, tmp_path), gone={"EUROPE": [till.key("corrected")]})
    noon = good_sale("EUROPE", following)["sale_date"]
    till.sell("corrected", sale_date=noon, updated_at=noon)
    heal = reconcile(start_date=till.day, end_date=following, regions=["EUROPE"], return_state=True).result().heal
    assert rollback(date=heal, reason="a test", return_state=True).name == "Completed"
    with pytest.raises(NeedsPersonError, match=f"what was rolled back stays out, .*{heal} of EUROPE"):
        publish_staged(till.world, staged)
    assert till.statuses() == {"corrected": ["OPEN"]}


def test_a_replay_that_meets_a_rollback_loads_nothing(till: Till, tmp_path: Path) -> None:
    till.sell("mended", quantity=0)
    load(till.world, till.day, tmp_path, "EUROPE")
    till.mend("mended", "quantity = 2")
    attempt = begin(till.world, till.day, "EUROPE")
    staged = stage_attempt(till.world, replace(attempt, batch_id="R20240116T091500Z"), till.day, tmp_path)
    assert rollback(date=str(till.day), reason="a test", return_state=True).name == "Completed"
    with pytest.raises(NeedsPersonError, match=f"what was rolled back stays out, .*{till.day:%Y%m%d} of EUROPE"):
        publish_staged(till.world, staged)
    assert till.sales() == []


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


def test_killed_in_the_middle_nothing_has_happened_and_the_next_one_does_it(till: Till, tmp_path: Path) -> None:
    broken_day(till, tmp_path)
    before = till.tables()
    killed = run_python("-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert till.tables() == before
    till.world.end_transactions()
    assert counts(run()) == ENDS


def test_of_two_that_began_in_one_second_the_one_that_has_read_last_counts(till: Till, tmp_path: Path) -> None:
    till.sell("broken", quantity=0)
    load(till.world, till.day, tmp_path, "EUROPE")
    wanted = {"EUROPE": keys_of(till.world, "EUROPE", till.key("broken"))}
    batch = NamedKeys(f"R{till.day:%Y%m%d}T120000Z", wanted)
    with till.world.session() as session:
        first, second = (start_attempt(session, batch, str(uuid4()), lease_minutes=15) for _ in range(2))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    read_first = stage_wanted(till.world, second, wanted, tmp_path / "second")
    read_last = stage_wanted(till.world, first, wanted, tmp_path / "first")
    for staged in (read_last, read_first):
        publish_staged(till.world, staged)
    assert till.statuses() == {"broken": ["STILL_BAD"]}


def test_two_at_once_and_a_daily_run_beside_them(till: Till, tmp_path: Path) -> None:
    broken_day(till, tmp_path)
    other = till.day + timedelta(days=2)
    till.world.fill(other, rows=120, regions=("EUROPE",))
    programs = [
        start_python("-m", "flows.replay_rejected"),
        start_python("-m", "flows.replay_rejected"),
        start_python("-m", "flows.daily_sales", str(other), "EUROPE"),
    ]
    ends = [program.ended() for program in programs]
    assert [end.returncode for end in ends] == [0, 0, 0], "\n".join(end.stderr for end in ends)
    assert till.statuses() == STATUSES_AFTER
    assert till.sales() == [(till.key("good"), "3.00", "2"), (till.key("mended"), "3.00", "R")]
