"""Clean-staging removes what is old and finished, and nothing that a live run, a reader or a person may still need."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact
from prefect.logging import disable_run_logger
from prefect.states import State

from blocks.register import storage_blocks
from flows.clean_staging import ARTIFACT_KEY, clean_staging
from tasks.batch import Attempt
from tasks.errors import OutcomeUnknownError
from tasks.retention import staged as retention
from tasks.retention.staged import Removal, old_rows
from tasks.warehouse import lease as warehouse_lease
from tasks.warehouse.lease import lease_kept
from tests.integration.conftest import World, wait_for
from tests.integration.processes import run_python, start_python
from tests.integration.publish.harness import begin, fates, publish_staged, stage_attempt
from tests.integration.shop import Shop

OLD, YOUNG, DAILY = date(2016, 9, 1), date(2016, 9, 2), date(2016, 9, 3)


@dataclass(frozen=True)
class Leftovers:
    """The leftovers of runs in the warehouse and on S3."""

    world: World

    def files(self, attempt: Attempt) -> list[str]:
        _, bucket = storage_blocks(self.world.environment)
        found = bucket.credentials.get_s3_client().list_objects_v2(
            Bucket=bucket.bucket_name, Prefix=f"{attempt.staging_prefix}/"
        )
        return [item["Key"].removeprefix(f"{attempt.staging_prefix}/") for item in found.get("Contents", ())]

    def tables(self, attempt: Attempt) -> list[str]:
        name = f"%\\_{attempt.run_number:06d}"
        found = self.world.sql(
            "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STAGING' "
            "AND TABLE_NAME LIKE ? ESCAPE '\\\\'",
            (name,),
        )
        return sorted(table for (table,) in found)

    def undo_rows(self, attempt: Attempt) -> int:
        ((rows,),) = self.world.sql(
            "SELECT COUNT(*) FROM SALES_FACT_UNDO WHERE UNDO_RUN_NUMBER = ?", (attempt.run_number,)
        )
        return int(rows)

    def rejected(self, day: date) -> list[str]:
        found = self.world.sql(
            "SELECT SALE_KEY FROM SALES_REJECTED WHERE ETL_BATCH_ID = ? ORDER BY 1", (f"{day:%Y%m%d}",)
        )
        return [key for (key,) in found]


@pytest.fixture
def left(world: World) -> Leftovers:
    return Leftovers(world)


def staged(world: World, day: date, scratch: Path, *, publish: bool) -> Attempt:
    """An attempt at one region that did not drop its tables; a published one was killed before the second look."""
    attempt = begin(world, day, "EUROPE")
    rows = stage_attempt(world, attempt, day, scratch)
    if publish:
        publish_staged(world, rows)
    else:
        world.sql(f"CREATE TRANSIENT TABLE {attempt.staging_tables.clean_table} (SALE_ID VARCHAR)")
    return attempt


def age(world: World, attempt: Attempt, days: int, *, lease: bool = True) -> None:
    """Makes the ledger's entries of a run older; without `lease` its lease stays live."""
    until = f", LEASE_UNTIL = DATEADD('day', -{days}, LEASE_UNTIL)" if lease else ""
    world.sql(
        f"UPDATE ETL_BATCHES SET RECORDED_AT = DATEADD('day', -{days}, RECORDED_AT){until} WHERE RUN_NUMBER = ?",
        (attempt.run_number,),
    )
    world.sql(
        f"UPDATE SALES_FACT_UNDO SET UNDO_RECORDED_AT = DATEADD('day', -{days}, UNDO_RECORDED_AT) "
        "WHERE UNDO_RUN_NUMBER = ?",
        (attempt.run_number,),
    )


def shop_on(world: World, day: date) -> Shop:
    return Shop(world, day, "clean")


def load_and_change(shop: Shop, scratch: Path) -> None:
    """Loads the sales and changes them, so that the next publish replaces versions."""
    shop.load(scratch)
    changed = "UPDATE sales_transactions SET total_amount = total_amount + 0.1 WHERE sale_id LIKE %s"
    shop.world.change("EUROPE", changed, (shop.key("%"),))


def run_to_end(dry_run: bool = False) -> State:
    state: State = clean_staging(dry_run=dry_run, return_state=True)
    assert state.name == "Completed", state.message
    return state


@pytest.fixture(autouse=True)
def _without_old_things(world: World) -> Iterator[None]:
    """Removes the old runs that other tests leave."""
    run_to_end()
    yield
    world.tidy()


def test_what_is_old_goes_and_everything_else_stays(left: Leftovers, tmp_path: Path) -> None:
    world = left.world
    for day in (OLD, YOUNG):
        shop_on(world, day).sell("1", "2")
        load_and_change(shop_on(world, day), tmp_path)
    shop = shop_on(world, OLD)
    shop.sell("closed-long-ago", "closed-lately", "open", quantity=0)
    finished = staged(world, OLD, tmp_path, publish=True)
    dead = staged(world, OLD, tmp_path, publish=False)
    young = staged(world, YOUNG, tmp_path, publish=True)
    for attempt, days in ((finished, 36), (dead, 15), (young, 13)):
        age(world, attempt, days)
    for name, days in (("closed-long-ago", 36), ("closed-lately", 34)):
        world.sql(
            "INSERT INTO SALES_REJECTION_CLOSINGS (REJECTED_BY_RUN_NUMBER, REGION_CODE, SALE_KEY, VERSION_AT, STATUS, "
            "CLOSED_AT) SELECT ETL_RUN_NUMBER, REGION_CODE, SALE_KEY, VERSION_AT, 'CLOSED', "
            f"DATEADD('day', -{days}, CURRENT_TIMESTAMP()) FROM SALES_REJECTED WHERE SALE_KEY = ?",
            (shop.key(name),),
        )
    world.sql(
        "UPDATE SALES_REJECTIONS SET FIRST_SEEN_AT = DATEADD('day', -400, FIRST_SEEN_AT) WHERE SALE_KEY = ?",
        (shop.key("open"),),
    )
    fact = world.contents("SELECT * FROM SALES_FACT")
    files, tables = [*left.files(finished), *left.files(dead)], [*left.tables(finished), *left.tables(dead)]
    of_young = left.files(young), left.tables(young), left.undo_rows(young)

    dry = run_to_end(dry_run=True)
    assert dry.message == (
        f"would remove {len(files)} staged files, {len(tables)} staging tables, 2 undo rows, 1 closed rejected row"
    )
    assert [*left.files(finished), *left.files(dead)] == files
    assert [*left.tables(finished), *left.tables(dead)] == tables
    assert left.undo_rows(finished) == 2

    done = run_to_end()
    assert done.message == (dry.message or "").replace("would remove", "removed")
    for attempt in (finished, dead):
        assert (left.files(attempt), left.tables(attempt), left.undo_rows(attempt)) == ([], [], 0)
    assert (left.files(young), left.tables(young), left.undo_rows(young)) == of_young
    assert of_young[2] == 2
    assert left.rejected(OLD) == [shop.key("closed-lately"), shop.key("open")]
    assert world.contents("SELECT * FROM SALES_FACT") == fact
    assert run_to_end().message == "removed nothing"


def test_a_running_attempt_is_left_alone_and_publishes(left: Leftovers, tmp_path: Path) -> None:
    world, day = left.world, date(2016, 9, 5)
    shop_on(world, day).sell("1")
    attempt = begin(world, day, "EUROPE")
    rows = stage_attempt(world, attempt, day, tmp_path)
    age(world, attempt, 20, lease=False)
    files = left.files(attempt)
    with world.variable("staging_retention_days", "2"), world.variable("undo_retention_days", "2"):
        run_to_end()
    assert files
    assert left.files(attempt) == files
    publication, _ = publish_staged(world, rows)
    assert fates(publication) == {"EUROPE": {"inserted": 1}}


def test_a_lease_that_is_renewed_goes_on_and_its_renewals_go_later(
    left: Leftovers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, day = left.world, date(2016, 9, 7)
    shop_on(world, day).sell("1")
    attempt = begin(world, day, "EUROPE")
    stage_attempt(world, attempt, day, tmp_path)
    renewals = f"SELECT LEASE_UNTIL > CURRENT_TIMESTAMP() FROM ETL_RENEWALS WHERE RUN_NUMBER = {attempt.run_number}"
    monkeypatch.setattr(warehouse_lease, "RENEWAL_INTERVAL", timedelta(seconds=0.1))
    with disable_run_logger(), lease_kept(attempt, "ETL_WATCH_WH", lease_minutes=15):
        wait_for(lambda: world.sql(renewals), "a renewal")
    assert set(world.sql(renewals)) == {(True,)}
    age(world, attempt, 20)
    run_to_end()
    assert left.files(attempt), "its first lease alone is over"
    assert world.sql(renewals)

    world.sql("UPDATE ETL_RENEWALS SET LEASE_UNTIL = DATEADD('day', -36, LEASE_UNTIL)")
    assert re.search(r"\d+ renewals of leases", str(run_to_end().message))
    assert (left.files(attempt), world.sql(renewals)) == ([], [])


def test_an_answer_to_commit_that_is_lost_is_followed_by_another_try(
    left: Leftovers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_on(left.world, date(2016, 9, 8))
    shop.sell("1")
    load_and_change(shop, tmp_path)
    attempt = staged(left.world, shop.day, tmp_path, publish=True)
    age(left.world, attempt, 36)
    tries: list[list[Removal]] = []

    def lose_the_first_answer(*given: Any) -> list[Removal]:
        tries.append(old_rows(*given))
        if len(tries) == 1:
            raise OutcomeUnknownError("no answer to COMMIT")
        return tries[-1]

    monkeypatch.setattr(retention, "old_rows", lose_the_first_answer)
    monkeypatch.setattr(retention.remove_old_rows, "retry_delay_seconds", 1)
    run_to_end()
    assert [removals[0].count for removals in tries] == [1, 0]
    assert left.undo_rows(attempt) == 0


def test_the_artifact_shows_what_was_removed(left: Leftovers, tmp_path: Path) -> None:
    shop_on(left.world, date(2016, 9, 6)).sell("1")
    attempt = staged(left.world, date(2016, 9, 6), tmp_path, publish=True)
    age(left.world, attempt, 15)
    run_to_end()
    artifact = Artifact.get(ARTIFACT_KEY)
    assert artifact is not None
    assert [row in str(artifact.data) for row in ("staged files", "staging tables", "undo rows")] == [True] * 3
    assert "| staging tables | 14 days | " in str(artifact.data)


KILLED = """
import os, signal
from flows.clean_staging import clean_staging
from tasks.retention import staged as retention
remove = retention.remove_files
def remove_one_and_die(bucket, keys):
    remove(bucket, keys[:1])
    os.kill(os.getpid(), signal.SIGKILL)
retention.remove_files = remove_one_and_die
clean_staging()
"""


def test_killed_in_the_middle_it_goes_on_when_it_is_run_again(left: Leftovers, tmp_path: Path) -> None:
    day = date(2016, 9, 7)
    shop = shop_on(left.world, day)
    shop.sell("1")
    load_and_change(shop, tmp_path)
    shop.sell("bad", quantity=0)
    attempt = staged(left.world, day, tmp_path, publish=True)
    files = left.files(attempt)
    age(left.world, attempt, 36)
    killed = run_python("-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(left.files(attempt)) == len(files) - 1 > 0
    run_to_end()
    assert (left.files(attempt), left.tables(attempt), left.undo_rows(attempt)) == ([], [], 0)


def test_two_at_once_and_a_daily_run_beside_them(left: Leftovers, tmp_path: Path) -> None:
    world = left.world
    shop = shop_on(world, OLD)
    shop.sell("again", updated_at=f"{OLD} 15:00+00")
    load_and_change(shop, tmp_path)
    attempt = staged(world, OLD, tmp_path, publish=True)
    age(world, attempt, 36)
    world.fill(DAILY, rows=120, regions=("EUROPE",))
    programs = [
        start_python("-m", "flows.clean_staging"),
        start_python("-m", "flows.daily_sales", str(DAILY), "EUROPE"),
        start_python("-m", "flows.clean_staging"),
    ]
    ends = [program.ended() for program in programs]
    assert [end.returncode for end in ends] == [0, 0, 0], "\n".join(end.stderr for end in ends)
    assert set(world.ledger(f"{DAILY:%Y%m%d}").values()) == {"PUBLISHED"}
    assert (left.files(attempt), left.tables(attempt), left.undo_rows(attempt)) == ([], [], 0)
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{DAILY:%Y%m%d}",)) == [(120,)]
