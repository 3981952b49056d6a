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
from tasks.errors import OutcomeUnknownError
from tasks.rollback import roll_back as rollback_task
from tasks.rollback.roll_back import Rollback
from tasks.warehouse import session as warehouse
from tasks.warehouse.ledger import Entry, record
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render
from tasks.warehouse.states import Status
from tests.integration.conftest import World
from tests.integration.processes import run_python, start_python
from tests.integration.proxy import Loss, proxy_to
from tests.integration.publish.harness import begin, publish_staged, stage_attempt
from tests.integration.publish.statements import stepping_session
from tests.integration.shop import Shop

REASON = "the till sent test sales"


@pytest.fixture
def shop(world: World, day: date) -> Shop:
    return Shop(world, day, "back")


def touched(shop: Shop) -> tuple[Any, ...]:
    """The contents of the tables that a rollback changes: sales, rejected rows with their statuses, undo rows."""
    undo = shop.world.sql(
        "SELECT UNDO.UNDO_RUN_NUMBER, UNDO.SALE_ID FROM SALES_FACT_UNDO AS UNDO "
        "INNER JOIN ETL_RUNS_IN_EFFECT AS RUNS "
        "ON RUNS.RUN_NUMBER = UNDO.UNDO_RUN_NUMBER AND RUNS.REGION = UNDO.REGION ORDER BY 1, 2"
    )
    return *shop.tables(), undo


def correct(shop: Shop, name: str, cells: str) -> None:
    """A correction at the source, made at noon of the next day."""
    shop.change(name, f"updated_at = '{shop.noon(1)}', {cells}")


def two_days(shop: Shop, scratch: Path) -> date:
    """Loads the day, and fills the sources for the next one, which changes, mends, breaks and adds sales of the first.

    Returns the next day.
    """
    following = shop.day + timedelta(days=1)
    shop.sell("same", "changed", "later")
    shop.sell("mended", "broken-still", quantity=0)
    shop.sell("west", region="US_WEST")
    shop.load(scratch, "EUROPE", "US_WEST")
    correct(shop, "changed", "total_amount = 2.20")
    correct(shop, "mended", "quantity = 2")
    next_day = shop.on(following)
    next_day.sell("new-1", "new-2")
    next_day.sell("bad", quantity=-1)
    next_day.sell("west", region="US_WEST", sale_id=shop.key("same"))
    return following


def run(day: date | str, reason: str = REASON, **options: bool) -> State:
    state: State = rollback(date=str(day), reason=reason, **options, return_state=True)
    return state


def artifact(key: str) -> str:
    found: Any = Artifact.get(key)
    assert found is not None
    return str(found.data)


@pytest.mark.account
def test_the_tables_are_what_they_were_before_the_batch(shop: Shop, tmp_path: Path) -> None:
    world = shop.world
    following = two_days(shop, tmp_path)
    before = touched(shop)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    after_first = touched(shop)
    assert after_first[:2] != before[:2]
    # Again, with other rejected rows in place of the first run's, and a second replaced version.
    shop.on(following).sell("bad-too", quantity=-1)
    correct(shop, "changed", "total_amount = 2.30")
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    after_second = touched(shop)

    dry = run(following, dry_run=True)
    assert dry.message == (
        f"would roll back {following:%Y%m%d}: 3 sales removed, 1 restored, 3 rejected rows removed, 1 reopened"
    )
    assert touched(shop) == after_second
    assert "| 11.30 |" in artifact(TOTALS_KEY)
    assert shop.key("changed") in artifact(SALES_KEY)

    state = run(following)
    assert (state.name, state.message) == ("Completed", str(dry.message).replace("would roll", "rolled"))
    assert touched(shop) == before
    known = world.sql(
        "SELECT REGION, STATUS, CAUSE FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ? ORDER BY 1", (f"{following:%Y%m%d}",)
    )
    assert known == [(region, "ROLLED_BACK", REASON) for region in sorted(REGIONS)], "also what nobody has loaded"

    again = run(following)
    assert again.name == "Completed"
    assert "was rolled back before, by run" in str(again.message)
    assert touched(shop) == before


def test_a_date_that_was_rolled_back_is_loaded_only_when_it_is_named(shop: Shop, day: date, tmp_path: Path) -> None:
    world = shop.world
    shop.sell("1", "2")
    shop.load(tmp_path)
    rows = f"SELECT {', '.join(column.stored_name for column in CLEAN_COLUMNS)} FROM SALES_FACT"
    loaded = world.contents(rows)
    assert run(day).name == "Completed"
    period: dict[str, Any] = {"start_date": str(day), "end_date": str(day), "dry_run": True}
    for mode, message in (("missing", "nothing to load"), ("failed", "nothing to load"), ("all", "would load 1 date")):
        state = backfill(**period, mode=mode, return_state=True)
        assert message in str(state.message)
    shop.load(tmp_path)
    assert world.contents(rows) == loaded
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(REGIONS, "ROLLED_BACK") | {"EUROPE": "PUBLISHED"}


def test_a_second_rollback_wins_over_a_run_that_has_begun_since_the_first(
    shop: Shop, day: date, tmp_path: Path
) -> None:
    world = shop.world
    shop.sell("1")
    shop.load(tmp_path)
    before = shop.amounts()
    assert run(day).name == "Completed"
    begun = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    again = run(day)
    assert (
        again.message == f"rolled back {day:%Y%m%d}: 0 sales removed, 0 restored, 0 rejected rows removed, 0 reopened"
    )
    publication, _ = publish_staged(world, begun)
    assert (publication.regions, publication.overtaken) == ((), ("EUROPE",))
    assert before != shop.amounts() == {}


def test_a_second_rollback_keeps_out_what_a_run_since_the_first_has_left_as_a_gap(
    shop: Shop, day: date, tmp_path: Path
) -> None:
    world = shop.world
    shop.sell("1")
    shop.load(tmp_path)
    assert run(day).name == "Completed"
    failed = begin(world, day, "EUROPE")
    with world.session() as session:
        record(session, failed, [Entry("EUROPE", Status.FAILED)])
    period: dict[str, Any] = {"start_date": str(day), "end_date": str(day), "dry_run": True}
    assert "would load 1 date" in str(backfill(**period, return_state=True).message)
    assert run(day).name == "Completed"
    assert "nothing to load" in str(backfill(**period, return_state=True).message)
    assert "was rolled back before, by run" in str(run(day).message)


@pytest.mark.account
def test_a_later_change_of_the_same_sales_is_a_refusal_and_cascade_takes_it_along(
    shop: Shop, day: date, tmp_path: Path
) -> None:
    world = shop.world
    before = touched(shop)
    following = two_days(shop, tmp_path)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    after = touched(shop)

    refused = run(day)
    assert refused.is_failed()
    assert f"later batches have changed its sales: {following:%Y%m%d} (1)" in str(refused.message)
    assert touched(shop) == after

    state = run(day, cascade=True)
    assert state.name == "Completed", state.message
    assert f"rolled back {day:%Y%m%d}, {following:%Y%m%d}: " in str(state.message)
    assert touched(shop) == before
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
    shop: Shop, day: date, tmp_path: Path
) -> None:
    world = shop.world
    shop.sell("1")
    shop.load(tmp_path)
    world.sql(
        "UPDATE ETL_BATCHES SET RECORDED_AT = DATEADD('day', -36, RECORDED_AT) WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",)
    )
    after = touched(shop)
    state = run(day)
    assert state.is_failed()
    ((since,),) = world.sql("SELECT TO_VARCHAR(DATEADD('hour', 2 - 35 * 24, CURRENT_TIMESTAMP()), 'YYYY-MM-DD')")
    assert f"longer ago than undo_retention_days (35); only batches published since {since}" in str(state.message)
    assert touched(shop) == after


@pytest.mark.parametrize(
    ("asked", "old", "new", "says"),
    [
        ("rollback/restore_sales", "ETL_RUN_NUMBER NOT IN", "ETL_RUN_NUMBER IN", "SALES_FACT: expected"),
        ("rollback/restore_sales", "SELECT ", "SELECT DISTINCT ", None),
        ("rollback/delete_sales", " IN (", " NOT IN (", "SALES_FACT: expected"),
    ],
)
def test_a_rollback_that_would_lose_a_row_is_refused(
    shop: Shop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    old: str,
    new: str,
    says: Any,
) -> None:
    following = two_days(shop, tmp_path)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    after = touched(shop)

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
        assert f"the rollback was refused and changed nothing: {says}" in str(state.message)
        assert touched(shop) == after


def test_a_batch_that_the_table_does_not_show_is_rolled_back_and_is_a_gap(
    shop: Shop, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = shop.world
    world.fill(day, rows=120, regions=("EUROPE",))
    before = shop.fact(), shop.rejected()
    real = verify.compare

    def spoil(session: Any, *arguments: Any) -> Any:
        session.query("UPDATE SALES_FACT SET STORE_ID = 'spoilt' WHERE ETL_BATCH_ID = ?", [f"{day:%Y%m%d}"])
        return real(session, *arguments)

    monkeypatch.setattr(verify, "compare", spoil)
    state = world.run(day, ["EUROPE"]).state
    assert state.is_failed()
    assert "the fact table does not show the published batch" in str(state.message)
    assert "the batch was rolled back to its state before this run" in str(state.message)
    assert (shop.fact(), shop.rejected()) == before
    assert set(world.ledger(f"{day:%Y%m%d}").values()) == {"FAILED"}
    monkeypatch.setattr(verify, "compare", real)
    gaps = backfill(start_date=str(day), end_date=str(day), mode="failed", return_state=True)
    assert "1 date loaded" in str(gaps.message)


def test_a_rejected_row_is_open_again_when_the_version_that_closed_it_goes(
    shop: Shop, day: date, tmp_path: Path
) -> None:
    """The newer version came first, so the run that rejected the older one closed it at once."""
    following = day + timedelta(days=1)
    shop.sell("late", quantity=0)
    shop.on(following).sell("late", sale_id=shop.key("late"))
    shop.on(following).load(tmp_path)
    shop.load(tmp_path)
    assert shop.statuses()["late"] == ["CLOSED"]
    assert run(following).name == "Completed"
    assert shop.statuses()["late"] == ["OPEN"]


def test_a_date_whose_rejected_rows_were_released_goes_only_with_the_replay(
    shop: Shop, day: date, tmp_path: Path
) -> None:
    shop.world.forget_rejected()
    before = touched(shop)
    shop.sell("good")
    shop.sell("mended", "bad", quantity=0)
    shop.load(tmp_path)
    shop.change("mended", "quantity = 2")
    replayed = replay_rejected(return_state=True)
    batch_id = str(replayed.message).partition(":")[0]
    refused = run(day)
    assert f"later batches have changed its sales: {batch_id} (1)" in str(refused.message)
    state = run(day, cascade=True)
    assert state.name == "Completed", state.message
    assert touched(shop) == before


@dataclass(frozen=True)
class StillBad:
    """A date with a row that a replay has found bad again: the tables before it, the replay's batch."""

    shop: Shop
    before: tuple[list[Any], ...]
    batch_id: str

    def rows(self) -> list[Any]:
        """Batch and status of the row, once for each that is there."""
        of_key = "SELECT LEFT(ETL_BATCH_ID, 1), STATUS FROM SALES_REJECTED WHERE SALE_KEY = ?"
        return self.shop.world.sql(of_key, (self.shop.key("bad"),))


@pytest.fixture
def still_bad(shop: Shop, tmp_path: Path) -> StillBad:
    shop.world.forget_rejected()
    before = touched(shop)
    shop.sell("bad", quantity=0)
    shop.sell("good")
    shop.load(tmp_path)
    return StillBad(shop, before, str(replay_rejected(return_state=True).message).partition(":")[0])


def test_a_rejected_row_that_a_replay_has_replaced_never_returns_without_its_date(still_bad: StillBad) -> None:
    assert run(still_bad.shop.day).name == "Completed"
    assert still_bad.rows() == [("R", "STILL_BAD")]
    assert run(still_bad.batch_id).name == "Completed"
    assert touched(still_bad.shop) == still_bad.before


def test_a_rejected_row_does_not_return_beside_that_of_a_newer_run_of_its_date(
    still_bad: StillBad, tmp_path: Path
) -> None:
    """The date is run again after the replay, and then the replay is rolled back."""
    still_bad.shop.load(tmp_path)
    assert run(still_bad.batch_id).name == "Completed"
    assert still_bad.rows() == [("2", "OPEN")]
    assert run(still_bad.shop.day).name == "Completed"
    assert touched(still_bad.shop) == still_bad.before


def test_a_row_that_is_open_again_waits_although_its_date_was_run_again_meanwhile(shop: Shop, tmp_path: Path) -> None:
    """The date found its sale unchanged, as a replay had loaded it; without the replay the table lacks it."""
    shop.world.forget_rejected()
    shop.sell("mended", quantity=0, customer_email=None)
    shop.sell("good")
    shop.load(tmp_path)
    shop.change("mended", "quantity = 2")
    batch_id = str(replay_rejected(return_state=True).message).partition(":")[0]
    shop.load(tmp_path)
    assert run(batch_id).name == "Completed"
    assert shop.statuses()["mended"] == ["OPEN"]
    shop.load(tmp_path)
    assert shop.statuses()["mended"] == ["CLOSED"]


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


def test_killed_in_the_middle_nothing_has_happened_and_the_next_one_does_it(shop: Shop, tmp_path: Path) -> None:
    following = two_days(shop, tmp_path)
    before = touched(shop)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    after = touched(shop)
    killed = run_python("-c", KILLED, str(following))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert touched(shop) == after
    shop.world.end_transactions()
    assert run(following).name == "Completed"
    assert touched(shop) == before


def test_after_a_lost_answer_to_commit_the_next_try_says_what_the_first_has_rolled_back(
    shop: Shop, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "RESEND_DELAYS_S", (0, 0, 0))
    world, before = shop.world, touched(shop)
    following = two_days(shop, tmp_path)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
    batches = (f"{day:%Y%m%d}", f"{following:%Y%m%d}")

    def once_more(session: Session) -> Rollback:
        return rollback_task.roll_back(session, batches[0], REASON, True, 35, "a flow run")

    with proxy_to(int(world.environment["SNOWFLAKE_PORT"])) as proxy:

        def lose_commit(name: str) -> None:
            if name == "COMMIT":
                proxy.lose_next(Loss.ANSWER_FOR_GOOD)

        with (
            stepping_session(dict(world.environment), lose_commit, proxy.port) as session,
            pytest.raises(OutcomeUnknownError),
        ):
            once_more(session)
    with world.session() as another:
        settled = once_more(another)
    assert (settled.batches, settled.changes) == (batches, None)
    assert touched(shop) == before
    rolled_back = "SELECT DISTINCT BATCH_ID, STATUS FROM ETL_BATCHES WHERE RUN_NUMBER = ? ORDER BY 1"
    assert world.sql(rolled_back, (settled.run_number,)) == [(batch, "ROLLED_BACK") for batch in batches]


def test_two_at_once_and_a_daily_run_beside_them(shop: Shop, tmp_path: Path) -> None:
    world = shop.world
    following = two_days(shop, tmp_path)
    before = touched(shop)
    shop.on(following).load(tmp_path, "EUROPE", "US_WEST")
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
    assert shop.fact(f"ETL_BATCH_ID <> '{batch}'") == before[0]
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


def test_the_command_line_takes_date_and_reason(shop: Shop, day: date, tmp_path: Path) -> None:
    shop.sell("1")
    shop.load(tmp_path)
    after = touched(shop)
    for wrong in ([str(day), "--dry-run"], [str(day), REASON, "--dryrun"]):
        done = run_python("-m", "flows.rollback", *wrong)
        assert done.returncode == 2, done.stderr
        assert touched(shop) == after, "a slip of the pen is no rollback"
    done = run_python("-m", "flows.rollback", "--dry-run", str(day), REASON)
    assert done.returncode == 0, done.stderr
    assert f"Completed: would roll back {day:%Y%m%d}: 1 sale removed" in done.stdout
    assert touched(shop) == after
