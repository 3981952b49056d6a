"""Rollback restores every row to its version before a batch, or changes nothing; the ledger records it."""

import signal
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact
from prefect.states import State

from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS
from flows.backfill import backfill
from flows.replay_rejected import replay_rejected
from flows.rollback import SALES_KEY, TOTALS_KEY, rollback
from tasks import verify
from tasks.rollback import roll_back as rollback_task
from tasks.warehouse.statements import render
from tests.integration.conftest import World, good_sale
from tests.integration.processes import run_python, start_python
from tests.integration.publish.harness import load

REASON = "the till sent test sales"


@dataclass(frozen=True)
class Tables:
    """The tables that a rollback changes, whole: sales, statuses of the rejected rows, undo log."""

    world: World

    def fact(self) -> list[Any]:
        """Without the publish since which a version stands, which is new for a restored one."""
        return self.world.rows("SELECT * EXCLUDE (ETL_PUBLISH_NUMBER) FROM SALES_FACT")

    def rejected(self) -> list[Any]:
        return self.world.rows("SELECT * FROM SALES_REJECTED")

    def undo(self) -> list[Any]:
        """The versions that can be put back."""
        return self.world.sql(
            "SELECT UNDO.UNDO_RUN_NUMBER, UNDO.SALE_ID FROM SALES_FACT_UNDO AS UNDO "
            "INNER JOIN ETL_RUNS_IN_EFFECT AS RUNS "
            "ON RUNS.RUN_NUMBER = UNDO.UNDO_RUN_NUMBER AND RUNS.REGION = UNDO.REGION ORDER BY 1, 2"
        )

    def all(self) -> tuple[list[Any], ...]:
        return self.fact(), self.rejected(), self.undo()


@pytest.fixture
def tables(world: World) -> Tables:
    return Tables(world)


def sell(world: World, day: date, *names: str, region: str = "EUROPE", **cells: Any) -> None:
    sales = (good_sale(region, day) | {"sale_id": f"back-{day}-{name}"} | cells for name in names)
    world.insert(region, *sales)


def change(world: World, first: date, name: str, on: date, cells: str) -> None:
    """A correction at the source, made at noon of a day."""
    world.change(
        "EUROPE",
        f"UPDATE sales_transactions SET updated_at = %s, {cells} WHERE sale_id = %s",
        (good_sale("EUROPE", on)["updated_at"], f"back-{first}-{name}"),
    )


def two_days(world: World, day: date, scratch: Path) -> date:
    """A loaded day, and the next one at the sources, which changes, mends, breaks and adds sales of the first."""
    following = day + timedelta(days=1)
    sell(world, day, "same", "changed", "later")
    sell(world, day, "mended", "broken-still", quantity=0)
    sell(world, day, "west", region="US_WEST")
    load(world, day, scratch, "EUROPE", "US_WEST")
    change(world, day, "changed", following, "total_amount = 2.20")
    change(world, day, "mended", following, "quantity = 2")
    sell(world, following, "new-1", "new-2")
    sell(world, following, "bad", quantity=-1)
    sell(world, following, "west", region="US_WEST", sale_id=f"back-{day}-same")
    return following


def run(day: date | str, reason: str = REASON, **options: bool) -> State:
    state: State = rollback(date=str(day), reason=reason, **options, return_state=True)
    return state


def artifact(key: str) -> str:
    found: Any = Artifact.get(key)
    assert found is not None
    return str(found.data)


@pytest.mark.account
def test_the_tables_are_what_they_were_before_the_batch(tables: Tables, day: date, tmp_path: Path) -> None:
    world = tables.world
    following = two_days(world, day, tmp_path)
    before = tables.all()
    load(world, following, tmp_path, "EUROPE", "US_WEST")
    after_first = tables.all()
    assert after_first[:2] != before[:2]
    # Again, with other rejected rows in place of the first run's, and a second replaced version.
    sell(world, following, "bad-too", quantity=-1)
    change(world, day, "changed", following, "total_amount = 2.30")
    load(world, following, tmp_path, "EUROPE", "US_WEST")
    after_second = tables.all()

    dry = run(following, dry_run=True)
    assert dry.message == (
        f"would roll back {following:%Y%m%d}: 3 sales go, 1 is what it was before, 3 rejected rows go, 1 is open again"
    )
    assert tables.all() == after_second
    assert "| 11.30 |" in artifact(TOTALS_KEY)
    assert f"back-{day}-changed" in artifact(SALES_KEY)

    state = run(following)
    assert (state.name, state.message) == ("Completed", str(dry.message).replace("would roll", "rolled"))
    assert tables.all() == before
    known = world.sql(
        "SELECT REGION, STATUS, CAUSE FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ? ORDER BY 1", (f"{following:%Y%m%d}",)
    )
    assert known == [(region, "ROLLED_BACK", REASON) for region in sorted(REGIONS)], "also what nobody has loaded"

    again = run(following)
    assert again.name == "Completed"
    assert "was rolled back before, by run" in str(again.message)
    assert tables.all() == before


def test_a_date_that_was_rolled_back_is_loaded_only_when_it_is_named(tables: Tables, day: date, tmp_path: Path) -> None:
    world = tables.world
    sell(world, day, "1", "2")
    load(world, day, tmp_path, "EUROPE")
    loaded = [row[: len(CLEAN_COLUMNS)] for row in tables.fact()]
    assert run(day).name == "Completed"
    period: dict[str, Any] = {"start_date": str(day), "end_date": str(day), "dry_run": True}
    for mode, message in (("missing", "nothing to load"), ("failed", "nothing to load"), ("all", "would load 1 date")):
        state = backfill(**period, mode=mode, return_state=True)
        assert message in str(state.message)
    load(world, day, tmp_path, "EUROPE")
    assert [row[: len(CLEAN_COLUMNS)] for row in tables.fact()] == loaded
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(REGIONS, "ROLLED_BACK") | {"EUROPE": "PUBLISHED"}


@pytest.mark.account
def test_a_later_change_of_the_same_sales_is_a_refusal_and_cascade_takes_it_along(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    world = tables.world
    before = tables.all()
    following = two_days(world, day, tmp_path)
    load(world, following, tmp_path, "EUROPE", "US_WEST")
    after = tables.all()

    refused = run(day)
    assert refused.is_failed()
    assert f"later batches have changed its sales: {following:%Y%m%d} (1)" in str(refused.message)
    assert tables.all() == after

    state = run(day, cascade=True)
    assert state.name == "Completed", state.message
    assert f"rolled back {day:%Y%m%d}, {following:%Y%m%d}: " in str(state.message)
    assert tables.all() == before
    for one in (day, following):
        assert world.ledger(f"{one:%Y%m%d}") == dict.fromkeys(REGIONS, "ROLLED_BACK")


@pytest.mark.parametrize("status", [None, "FAILED"])
def test_what_is_not_in_production_cannot_be_rolled_back(world: World, day: date, status: str | None) -> None:
    if status:
        world.sql(
            "INSERT INTO ETL_BATCHES (BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, CONTRACT_VERSION)"
            " SELECT ?, 'EUROPE', ETL_RUN_NUMBER.NEXTVAL, '-', ?, CURRENT_TIMESTAMP(), '1'",
            (f"{day:%Y%m%d}", status),
        )
    state = run(day)
    assert state.is_failed()
    knows = "only runs that published nothing" if status else "no run of it"
    assert f"batch {day:%Y%m%d} is not in production, there is nothing to roll back: the ledger knows {knows}" in str(
        state.message
    )


def test_what_is_older_than_the_undo_log_is_refused_with_the_date_since_when_it_can_be(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    world = tables.world
    sell(world, day, "1")
    load(world, day, tmp_path, "EUROPE")
    world.sql(
        "UPDATE ETL_BATCHES SET RECORDED_AT = DATEADD('day', -36, RECORDED_AT) WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",)
    )
    after = tables.all()
    state = run(day)
    assert state.is_failed()
    ((since,),) = world.sql("SELECT TO_VARCHAR(DATEADD('hour', 2 - 35 * 24, CURRENT_TIMESTAMP()), 'YYYY-MM-DD')")
    assert f"longer ago than undo_retention_days (35): what was published since {since}" in str(state.message)
    assert tables.all() == after


@pytest.mark.parametrize(
    ("asked", "old", "new", "says"),
    [
        ("rollback/restore_sales", "ETL_RUN_NUMBER NOT IN", "ETL_RUN_NUMBER IN", "SALES_FACT: rows"),
        ("rollback/restore_sales", "SELECT ", "SELECT DISTINCT ", None),
        ("rollback/delete_sales", " IN (", " NOT IN (", "SALES_FACT: rows"),
    ],
)
def test_a_rollback_that_would_lose_a_row_is_refused(
    tables: Tables,
    day: date,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    old: str,
    new: str,
    says: Any,
) -> None:
    following = two_days(tables.world, day, tmp_path)
    load(tables.world, following, tmp_path, "EUROPE", "US_WEST")
    after = tables.all()

    def altered(name: str, **values: str) -> str:
        text = render(name, **values)
        assert name != asked or old in text
        return text.replace(old, new, 1) if name == asked else text

    monkeypatch.setattr(rollback_task, "render", altered)
    state = run(following)
    if says is None:
        assert state.name == "Completed", "the altered statement is run"
    else:
        assert state.is_failed()
        assert f"the rollback does not hold for {says}" in str(state.message).replace("rejected rows ", "")
        assert tables.all() == after


def test_a_batch_that_the_table_does_not_show_is_put_back_and_is_a_gap(
    tables: Tables, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = tables.world
    world.fill(day, rows=120, regions=("EUROPE",))
    before = tables.fact(), tables.rejected()
    real = verify.compare

    def spoil(session: Any, *arguments: Any) -> Any:
        session.query("UPDATE SALES_FACT SET STORE_ID = 'spoilt' WHERE ETL_BATCH_ID = ?", [f"{day:%Y%m%d}"])
        return real(session, *arguments)

    monkeypatch.setattr(verify, "compare", spoil)
    state = world.run(day, ["EUROPE"]).state
    assert state.is_failed()
    assert "the fact table does not show the published batch" in str(state.message)
    assert "the batch was put back as it was before this run" in str(state.message)
    assert (tables.fact(), tables.rejected()) == before
    assert set(world.ledger(f"{day:%Y%m%d}").values()) == {"FAILED"}
    monkeypatch.setattr(verify, "compare", real)
    gaps = backfill(start_date=str(day), end_date=str(day), mode="failed", return_state=True)
    assert "1 date loaded" in str(gaps.message)


def test_a_rejected_row_is_open_again_when_the_version_that_closed_it_goes(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    """The newer version came first, so the run that rejected the older one closed it at once."""
    world, following = tables.world, day + timedelta(days=1)
    sell(world, day, "late", quantity=0)
    sell(world, following, "late", sale_id=f"back-{day}-late")
    load(world, following, tmp_path, "EUROPE")
    load(world, day, tmp_path, "EUROPE")
    of_key = "SELECT STATUS FROM SALES_REJECTED WHERE SALE_KEY = ?"
    assert world.sql(of_key, (f"back-{day}-late",)) == [("CLOSED",)]
    assert run(following).name == "Completed"
    assert world.sql(of_key, (f"back-{day}-late",)) == [("OPEN",)]


def test_a_date_whose_rejected_rows_were_released_goes_only_with_the_replay(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    world = tables.world
    world.forget_rejected()
    before = tables.all()
    sell(world, day, "good")
    sell(world, day, "mended", "bad", quantity=0)
    load(world, day, tmp_path, "EUROPE")
    world.change("EUROPE", "UPDATE sales_transactions SET quantity = 2 WHERE sale_id = %s", (f"back-{day}-mended",))
    replayed = replay_rejected(return_state=True)
    batch_id = str(replayed.message).partition(":")[0]
    refused = run(day)
    assert f"later batches have changed its sales: {batch_id} (1)" in str(refused.message)
    state = run(day, cascade=True)
    assert state.name == "Completed", state.message
    assert tables.all() == before


@dataclass(frozen=True)
class StillBad:
    """A date with a row that a replay has found bad again: the tables before it, the replay's batch."""

    tables: Tables
    day: date
    before: tuple[list[Any], ...]
    batch_id: str

    def rows(self) -> list[Any]:
        """Batch and status of the row, once for each that is there."""
        of_key = "SELECT LEFT(ETL_BATCH_ID, 1), STATUS FROM SALES_REJECTED WHERE SALE_KEY = ?"
        return self.tables.world.sql(of_key, (f"back-{self.day}-bad",))


@pytest.fixture
def still_bad(tables: Tables, day: date, tmp_path: Path) -> StillBad:
    world = tables.world
    world.forget_rejected()
    before = tables.all()
    sell(world, day, "bad", quantity=0)
    sell(world, day, "good")
    load(world, day, tmp_path, "EUROPE")
    return StillBad(tables, day, before, str(replay_rejected(return_state=True).message).partition(":")[0])


def test_a_rejected_row_that_a_replay_has_replaced_never_returns_without_its_date(still_bad: StillBad) -> None:
    assert run(still_bad.day).name == "Completed"
    assert still_bad.rows() == [("R", "STILL_BAD")]
    assert run(still_bad.batch_id).name == "Completed"
    assert still_bad.tables.all() == still_bad.before


def test_a_rejected_row_does_not_return_beside_that_of_a_newer_run_of_its_date(
    still_bad: StillBad, tmp_path: Path
) -> None:
    """The date is run again after the replay, and then the replay is rolled back."""
    load(still_bad.tables.world, still_bad.day, tmp_path, "EUROPE")
    assert run(still_bad.batch_id).name == "Completed"
    assert still_bad.rows() == [("2", "OPEN")]
    assert run(still_bad.day).name == "Completed"
    assert still_bad.tables.all() == still_bad.before


def test_a_row_that_is_open_again_waits_although_its_date_was_run_again_meanwhile(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    """The date found its sale unchanged, as a replay had loaded it; without the replay the table lacks it."""
    world = tables.world
    world.forget_rejected()
    sell(world, day, "mended", quantity=0, customer_email=None)
    sell(world, day, "good")
    load(world, day, tmp_path, "EUROPE")
    world.change("EUROPE", "UPDATE sales_transactions SET quantity = 2 WHERE sale_id = %s", (f"back-{day}-mended",))
    batch_id = str(replay_rejected(return_state=True).message).partition(":")[0]
    load(world, day, tmp_path, "EUROPE")
    assert run(batch_id).name == "Completed"
    of_key = "SELECT STATUS FROM SALES_REJECTED WHERE SALE_KEY = ?"
    assert world.sql(of_key, (f"back-{day}-mended",)) == [("OPEN",)]
    load(world, day, tmp_path, "EUROPE")
    assert world.sql(of_key, (f"back-{day}-mended",)) == [("CLOSED",)]


KILLED = """
import os, signal, sys
from tasks.rollback import roll_back as rollback
real = rollback.render
def render(name, **values):
    if name == "rollback/count_left_rejected":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(name, **values)
rollback.render = render
from flows.replay_rejected import replay_rejected
from flows.rollback import rollback as flow
flow(date=sys.argv[1], reason="killed")
"""


def test_killed_in_the_middle_nothing_has_happened_and_the_next_one_does_it(
    tables: Tables, day: date, tmp_path: Path
) -> None:
    following = two_days(tables.world, day, tmp_path)
    before = tables.all()
    load(tables.world, following, tmp_path, "EUROPE", "US_WEST")
    after = tables.all()
    killed = run_python("-c", KILLED, str(following))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert tables.all() == after
    tables.world.end_transactions()
    assert run(following).name == "Completed"
    assert tables.all() == before


def test_two_at_once_and_a_daily_run_beside_them(tables: Tables, day: date, tmp_path: Path) -> None:
    world = tables.world
    following = two_days(world, day, tmp_path)
    before = tables.all()
    load(world, following, tmp_path, "EUROPE", "US_WEST")
    other = following + timedelta(days=1)
    world.fill(other, rows=120, regions=("EUROPE",))
    programs = [
        start_python("-m", "flows.rollback", str(following), REASON),
        start_python("-m", "flows.rollback", str(following), REASON),
        start_python("-m", "flows.daily_sales", str(other), "EUROPE"),
    ]
    ends = [program.ended() for program in programs]
    assert [end.returncode for end in ends] == [0, 0, 0], "\n".join(end.stderr for end in ends)
    said = sorted("was rolled back before" in output for output in (ends[0].stdout, ends[1].stdout))
    assert said == [False, True]
    batch = f"{other:%Y%m%d}"
    left = [row for row in tables.fact() if batch not in row]
    assert left == before[0]
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (batch,)) == [(120,)]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"date": "yesterday", "reason": REASON}, "or give a batch id like H20240116T091500Z"),
        ({"date": "2999-01-01", "reason": REASON}, "in the future"),
        ({"date": "2024-01-15", "reason": "  "}, "says nothing or too much: write why"),
        ({"date": True, "reason": REASON}, "date True is not understood"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(world: World, parameters: dict[str, Any], says: str) -> None:
    del world
    state = rollback(**parameters, return_state=True)
    assert state.is_failed()
    assert says in str(state.message)


def test_the_command_line_takes_date_and_reason(tables: Tables, day: date, tmp_path: Path) -> None:
    sell(tables.world, day, "1")
    load(tables.world, day, tmp_path, "EUROPE")
    after = tables.all()
    for wrong in ([str(day), "--dry-run"], [str(day), REASON, "--dryrun"]):
        done = run_python("-m", "flows.rollback", *wrong)
        assert done.returncode == 2, done.stderr
        assert tables.all() == after, "a slip of the pen is no rollback"
    done = run_python("-m", "flows.rollback", "--dry-run", str(day), REASON)
    assert done.returncode == 0, done.stderr
    assert f"Completed: would roll back {day:%Y%m%d}: 1 sale goes" in done.stdout
    assert tables.all() == after
