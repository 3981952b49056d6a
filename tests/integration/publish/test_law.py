"""The law and the other guards catch each deliberate bug of bugs.py, and pass the same batch without one."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import Attempt, Keys
from tasks.errors import NeedsPersonError, PublishRefusedError
from tasks.publish import Staged
from tasks.rollback.roll_back import roll_back
from tasks.stage import Manifest, StagedFile, load_bucket, stage_files
from tasks.warehouse.session import Row, Session
from tests.integration.conftest import World, good_sale, in_order
from tests.integration.publish.bugs import (
    AFTER_COMMIT,
    HEAL,
    IN_PUBLISH,
    IN_READING,
    IN_READING_KEYS,
    IN_STAGING,
    Bug,
    Guard,
)
from tests.integration.publish.harness import (
    KINDS,
    begin,
    fates,
    keys_of,
    load,
    publish_staged,
    stage_attempt,
    stage_wanted,
)

REGIONS = ("EUROPE", "US_WEST")
DAY, CONTROL_DAY, HELD_DAY = date(2016, 5, 4), date(2016, 6, 8), date(2016, 7, 6)
LARGE: dict[str, Any] = {"quantity": 70_000, "unit_price": "17.636684", "total_amount": "1234567.89", "currency": "EUR"}
GUARDS = {
    Guard.EXTRACT: "the rows read are not those that the database counted",
    Guard.TRANSFORM: "EUROPE: ",
    Guard.LOAD: "the manifest says",
    Guard.HELD_BACK: "what was rolled back stays out",
    Guard.LAW: "the law does not hold for",
    Guard.SECOND_LOOK: "the fact table does not show the published batch",
}
"""The common part of each guard's messages."""
WHOLE_TABLE = re.compile(r"(SALES_FACT|SALES_REJECTIONS): rows (\d+) against (\d+)")
CHANGES = "UPDATE sales_transactions SET {} WHERE sale_id = %s"


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@dataclass(frozen=True)
class Batch:
    """A business date whose rows have every fate. Keys end in the date, as two days are planted."""

    world: World
    day: date

    def key(self, name: str) -> str:
        return f"law-{name}-{self.day}"

    def sell(self, region: str, name: str, sold: datetime, updated: datetime | None = None, **changes: Any) -> None:
        times = {"sale_id": self.key(name), "sale_date": sold, "updated_at": updated or sold}
        self.world.insert(region, good_sale(region) | times | changes)

    def change(self, name: str, assignments: str, *values: Any) -> None:
        self.world.change("EUROPE", CHANGES.format(assignments), (*values, self.key(name)))


def plant_what_stands(batch: Batch, scratch: Path) -> None:
    """Publishes sales of the day before and, by an earlier run, of the day itself."""
    day, before = batch.day, batch.day - timedelta(days=1)
    batch.sell("EUROPE", "moved", at(before, 9))
    batch.sell("EUROPE", "owned", at(before, 9))
    batch.sell("EUROPE", "bystander", at(before, 9))
    batch.sell("EUROPE", "mended", at(before, 9), quantity=0)
    batch.sell("EUROPE", "broken-before", at(before, 9), quantity=0)
    load(batch.world, before, scratch, "EUROPE")
    batch.sell("EUROPE", "changed", at(day, 9))
    batch.sell("EUROPE", "same", at(day, 8))
    batch.sell("EUROPE", "newer", at(day, 7), at(day, 20))
    batch.sell("EUROPE", "shared", at(day, 7))
    batch.sell("EUROPE", "broken", at(day, 9), quantity=0)
    batch.sell("US_WEST", "steady-west", at(day, 9), total_amount="2.20")
    batch.sell("US_WEST", "same-west", at(day, 8))
    load(batch.world, day, scratch, *REGIONS)
    # As left by a run that read a column beyond the contract.
    tier = "UPDATE SALES_FACT SET EXTRA_ATTRIBUTES = ? WHERE SALE_ID = ?"
    batch.world.sql(tier, ('{"loyalty_tier": "gold"}', batch.key("changed")))


def plant_what_comes(batch: Batch) -> None:
    """Changes the sources to their state when the day is read again."""
    day = batch.day
    batch.change("moved", "sale_date = %s, updated_at = %s", at(day, 10), at(day, 10))
    batch.change("mended", "quantity = 2, updated_at = %s", at(day, 12))
    batch.change("changed", "total_amount = 2.20, updated_at = %s", at(day, 11))
    batch.change("newer", "total_amount = 2.50, updated_at = %s", at(day, 10))
    batch.change("shared", "updated_at = %s", at(day, 11))
    batch.sell("EUROPE", "fresh-large", at(day, 13), **LARGE)
    batch.sell("EUROPE", "fresh-null", at(day, 14), product_category=None, customer_email=None)
    batch.sell("EUROPE", "fresh-empty", at(day, 15), product_category="", total_amount="3.33", currency="EUR")
    for hour, total in ((9, "2.00"), (10, "2.10")):
        batch.sell("EUROPE", "twice", at(day, 9), at(day, hour), total_amount=total)
    batch.sell("EUROPE", "keyless", at(day, 9), sale_id=None)
    batch.sell("EUROPE", "worse", at(day, 9), quantity=0, total_amount=None)
    batch.sell("US_WEST", "fresh-west", at(day, 16), total_amount="2.70", discount_amount="0.35")
    batch.sell("US_WEST", "broken-west", at(day, 9), quantity=-1)
    batch.sell("US_WEST", "owned", at(day, 9))
    batch.sell("US_WEST", "shared", at(day, 9))
    for region in REGIONS:
        batch.sell(region, "nobodys", at(day, 9))


@pytest.fixture(scope="module")
def plant(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[date], Batch]:
    def plant(day: date) -> Batch:
        batch = Batch(world, day)
        plant_what_stands(batch, tmp_path_factory.mktemp("before"))
        plant_what_comes(batch)
        return batch

    return plant


@pytest.fixture(scope="module")
def batch(plant: Callable[[date], Batch]) -> Batch:
    return plant(DAY)


@pytest.fixture(scope="module")
def staged(batch: Batch, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """The batch staged once, without a bug; a refused publish leaves it unchanged."""
    attempt = begin(batch.world, batch.day, *REGIONS)
    return stage_attempt(batch.world, attempt, batch.day, tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="module")
def looking(world: World) -> Iterator[Session]:
    """A session that looks at the tables and never writes."""
    with world.session() as session:
        yield session


def standing(looking: Session, batch: Batch) -> list[list[Row]]:
    """Every cell of the batch's rows, and the numbers of all rows in the tables."""
    batches = f"IN ('{batch.day:%Y%m%d}', '{batch.day - timedelta(days=1):%Y%m%d}')"
    return [
        in_order(looking.query(f"SELECT * FROM SALES_FACT WHERE SALE_ID LIKE 'law-%{batch.day}'")),
        in_order(looking.query(f"SELECT * FROM SALES_REJECTED WHERE ETL_BATCH_ID {batches}")),
        in_order(looking.query(f"SELECT * FROM SALES_FACT_UNDO WHERE UNDO_BATCH_ID {batches}")),
        looking.query(
            "SELECT (SELECT COUNT(*) FROM SALES_FACT), (SELECT COUNT(*) FROM SALES_REJECTIONS), "
            "(SELECT COUNT(*) FROM SALES_FACT_UNDO), (SELECT COUNT(*) FROM SALES_REJECTION_CLOSINGS)"
        ),
    ]


@dataclass(frozen=True)
class Watched:
    """A batch, and the contents of the tables before a bug."""

    batch: Batch
    looking: Session
    stood: list[list[Row]]

    def assert_nothing_changed(self, run_number: int) -> None:
        assert standing(self.looking, self.batch) == self.stood
        statuses = self.looking.query("SELECT DISTINCT STATUS FROM ETL_BATCHES WHERE RUN_NUMBER = ?", [run_number])
        assert statuses == [("STARTED",)]


@pytest.fixture
def watched(batch: Batch, looking: Session) -> Watched:
    return Watched(batch, looking, standing(looking, batch))


def kind_of_error(guard: Guard) -> type[NeedsPersonError]:
    return PublishRefusedError if guard in (Guard.LAW, Guard.HELD_BACK) else NeedsPersonError


def assert_says(bug: Bug, caught: pytest.ExceptionInfo[NeedsPersonError]) -> None:
    assert GUARDS[bug.guard] in str(caught.value)
    assert bug.says in WHOLE_TABLE.sub(without_other_rows, str(caught.value))


def without_other_rows(figures: re.Match[str]) -> str:
    """Replaces the figures of a whole table, in which other tests have rows too, by their difference."""
    return f"{figures[1]}: rows N against N{int(figures[3]) - int(figures[2]):+d}"


def as_ids(bug: Bug) -> str:
    return bug.name.replace(" ", "-")


@pytest.mark.parametrize("bug", IN_READING, ids=as_ids)
def test_a_bug_in_reading_is_caught_and_nothing_changes(
    bug: Bug, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = watched.batch
    attempt = begin(batch.world, batch.day, *REGIONS)
    bug.put(monkeypatch)
    with pytest.raises(kind_of_error(bug.guard)) as caught:
        publish_staged(batch.world, stage_attempt(batch.world, attempt, batch.day, tmp_path))
    assert_says(bug, caught)
    watched.assert_nothing_changed(attempt.run_number)


@pytest.mark.parametrize("bug", IN_STAGING, ids=as_ids)
def test_a_bug_in_staging_is_caught_and_nothing_changes(
    bug: Bug, watched: Watched, staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = watched.batch
    attempt = begin(batch.world, batch.day, *REGIONS)
    bug.put(monkeypatch)
    with pytest.raises(kind_of_error(bug.guard)) as caught:
        publish_staged(batch.world, stage_again(batch.world, staged, attempt, tmp_path))
    assert_says(bug, caught)
    watched.assert_nothing_changed(attempt.run_number)


def stage_again(world: World, staged: Staged, attempt: Attempt, scratch: Path) -> Staged:
    """The rows that were read for `staged`, as files of another attempt."""
    bucket = load_bucket(world.environment["S3_STAGING_BUCKET"])
    files: list[StagedFile] = []
    for of_region in staged.transformed:
        files += stage_files(of_region, KINDS, attempt.staging_prefix, scratch, bucket)
    return replace(staged, manifest=Manifest(attempt, staged.manifest.snapshots, tuple(files)))


@pytest.mark.parametrize("bug", IN_PUBLISH, ids=as_ids)
def test_a_bug_in_publish_is_caught_and_nothing_changes(
    bug: Bug, watched: Watched, staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug.put(monkeypatch)
    with pytest.raises(kind_of_error(bug.guard)) as caught:
        publish_staged(watched.batch.world, staged)
    assert_says(bug, caught)
    watched.assert_nothing_changed(staged.attempt.run_number)


@pytest.fixture(scope="module")
def rolled_back_keys(world: World, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A sale of a date that was rolled back, and one changed by a heal that was rolled back."""
    batch, scratch = Batch(world, HELD_DAY), tmp_path_factory.mktemp("rolled-back")
    following = HELD_DAY + timedelta(days=1)
    batch.sell("EUROPE", "dated", at(HELD_DAY, 9))
    batch.sell("EUROPE", "healed", at(following, 9))
    for day in (HELD_DAY, following):
        load(world, day, scratch, "EUROPE")
    batch.change("healed", "total_amount = 2.50")
    heal = replace(begin(world, following, "EUROPE"), batch_id=HEAL)
    publish_staged(world, stage_wanted(world, heal, {"EUROPE": keys_of(world, "EUROPE", batch.key("healed"))}, scratch))
    with world.session() as session:
        for rolled in (f"{HELD_DAY:%Y%m%d}", HEAL):
            roll_back(session, rolled, "a test", False, 35, "by hand")
    return keys_of(world, "EUROPE", batch.key("dated"), batch.key("healed"))


@pytest.mark.parametrize("bug", IN_READING_KEYS, ids=as_ids)
def test_a_bug_that_brings_back_what_was_rolled_back_is_caught(
    bug: Bug, world: World, rolled_back_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales = f"SELECT SALE_ID, TOTAL_AMOUNT, ETL_RUN_NUMBER FROM SALES_FACT WHERE SALE_ID LIKE 'law-%{HELD_DAY}'"
    stood = world.sql(sales)
    attempt = replace(begin(world, HELD_DAY, "EUROPE"), batch_id="R20160708T000000Z")
    bug.put(monkeypatch)
    with pytest.raises(kind_of_error(bug.guard)) as caught:
        publish_staged(world, stage_wanted(world, attempt, {"EUROPE": rolled_back_keys}, tmp_path))
    assert_says(bug, caught)
    assert world.sql(sales) == stood


def test_without_a_bug_what_was_rolled_back_is_not_read(world: World, rolled_back_keys: Keys, tmp_path: Path) -> None:
    attempt = replace(begin(world, HELD_DAY, "EUROPE"), batch_id="R20160709T000000Z")
    staged = stage_wanted(world, attempt, {"EUROPE": rolled_back_keys}, tmp_path)
    ((held_back, rows),) = [(of.held_back, of.read.rows) for of in staged.extracts]
    assert (held_back, rows) == (frozenset(rolled_back_keys.sale_ids), 0)
    assert not publish_staged(world, staged)[0].refused


@pytest.mark.parametrize("bug", AFTER_COMMIT, ids=as_ids)
def test_what_no_control_total_shows_is_caught_by_the_second_look(
    bug: Bug, world: World, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Batch(world, day)
    changed.sell("EUROPE", "second-look", at(day, 9), store_id="7001", customer_email="a@example.com")
    load(world, day, tmp_path, "EUROPE")
    changed.change("second-look", "store_id = '7002', customer_email = 'b@example.com'")
    bug.put(monkeypatch)
    with pytest.raises(kind_of_error(bug.guard)) as caught:
        load(world, day, tmp_path, "EUROPE")
    assert_says(bug, caught)
    world.sql("DELETE FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))  # it is wrong


def test_without_a_bug_the_batch_is_published(plant: Callable[[date], Batch], tmp_path: Path) -> None:
    batch = plant(CONTROL_DAY)
    attempt = begin(batch.world, batch.day, *REGIONS)
    staged = stage_attempt(batch.world, attempt, batch.day, tmp_path)
    publication, verification = publish_staged(batch.world, staged)
    assert fates(publication) == {
        "EUROPE": {"inserted": 5, "updated": 3, "unchanged": 1, "superseded": 1, "cross_region": 1},
        "US_WEST": {"inserted": 1, "unchanged": 2, "cross_region": 3},
    }
    assert [(t.duplicates.rows, t.rejected.rows) for t in staged.transformed] == [(1, 3), (0, 1)]
    assert verification is not None
    assert all(comparison.holds for comparison in verification.comparisons)
    entries = batch.world.sql(
        "SELECT REGION, STATUS, EXTRACTED, REJECTED, DUPLICATES, INSERTED, UPDATED, UNCHANGED, SUPERSEDED "
        "FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ? ORDER BY REGION",
        (attempt.batch_id,),
    )
    assert entries == [
        ("EUROPE", "PUBLISHED", 15, 4, 1, 5, 3, 1, 1),
        ("US_WEST", "PUBLISHED", 7, 4, 0, 1, 0, 2, 0),
    ]
