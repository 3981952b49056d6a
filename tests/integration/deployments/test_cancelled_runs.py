"""A load that is cancelled: what Prefect, the ledger and the table say of it agree."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest

from tasks.prefect_server.stopping import CANCELLED_IN_PREFECT, SIGNALS
from tasks.watch.cancelled import explain_cancelled
from tests.integration.conftest import World, wait_for
from tests.integration.deployments.conftest import Operator
from tests.integration.deployments.test_kills import assert_next_load_completes, end_lease, told, worker_process
from tests.integration.processes import run_python

DAILY, BACKFILL, WATCHDOG = "daily-sales/production", "backfill/production", "watchdog/production"
ROLLBACK = "rollback/production"
NOTHING = f"{CANCELLED_IN_PREFECT}: nothing was published"
TOLD = f"{SIGNALS[signal.SIGTERM]}: nothing was changed"
STAYS_BUSY_S = 0.5
"""Far shorter than the stand-in lets a transaction idle that blocks another."""


@contextmanager
def fact_table_held(world: World) -> Iterator[threading.Event]:
    """Another transaction has locked the fact table until the event is set: a publish waits in its MERGE."""
    released, locked = threading.Event(), threading.Event()

    def hold() -> None:
        with world.session() as session:
            session.query("BEGIN TRANSACTION")
            session.query("UPDATE SALES_FACT SET STORE_ID = STORE_ID WHERE 1 = 0")
            locked.set()
            while not released.wait(STAYS_BUSY_S):
                session.query("SELECT 1")
            session.query("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        locked.wait()
        yield released
    finally:
        released.set()
        holder.join()


def publishing(world: World) -> str | None:
    """The transaction that publishes, if a run is within one: another look shows the same."""
    with world.session() as session:
        found = {str(row[2]) for row in session.query("SHOW LOCKS IN ACCOUNT") if str(row[0]).endswith("ETL_LOCK")}
    return next(iter(found), None)


def wait_until_publishing(world: World) -> None:
    """Returns when a run waits for the fact table, within its transaction."""
    seen: list[str | None] = [None]

    def is_within() -> bool:
        seen.append(publishing(world))
        return seen[-1] is not None and seen[-1] == seen[-2]

    wait_for(is_within, "the publish")


@pytest.fixture
def filled(world: World, operator: Operator, day: date) -> date:
    """A business date with sales, and no other run in the way."""
    operator.clear_the_way()
    world.fill(day)
    return day


def in_ledger(world: World, day: date) -> set[tuple[str, str]]:
    """Status and cause of the date's regions."""
    return set(world.sql("SELECT STATUS, CAUSE FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ?", (f"{day:%Y%m%d}",)))


def sales_of(world: World, day: date) -> int:
    ((rows,),) = world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))
    return int(rows)


def cancel(operator: Operator, flow_run_id: str) -> None:
    assert operator.prefect("flow-run", "cancel", flow_run_id).returncode == 0
    wait_for(lambda: operator.flow_run(flow_run_id)["state_type"] in ("CANCELLING", "CANCELLED"), "cancelling")


def message_after_watchdog(operator: Operator, flow_run_id: str) -> str:
    """What the state says when the watchdog has looked."""
    operator.finished(operator.start(WATCHDOG))
    return str(operator.flow_run(flow_run_id)["state"]["message"])


def test_cancelled_while_it_publishes_a_run_publishes_nothing(world: World, operator: Operator, filled: date) -> None:
    with worker_process(operator):
        with fact_table_held(world) as released:
            flow_run_id = operator.start(DAILY, "-p", f"date={filled}")
            wait_until_publishing(world)
            cancel(operator, flow_run_id)
            released.set()
        assert operator.finished(flow_run_id)["state_name"] == "Cancelled"
        wait_for(lambda: in_ledger(world, filled) == {("FAILED", NOTHING)}, "the end in the ledger")
        assert sales_of(world, filled) == 0
        assert message_after_watchdog(operator, flow_run_id) == NOTHING
        assert_next_load_completes(operator, filled)
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}


@pytest.mark.more
def test_cancelled_and_killed_because_it_does_not_end_a_run_publishes_nothing(
    world: World, operator: Operator, filled: date
) -> None:
    """Prefect kills the process 30 seconds after it was told to end."""
    with worker_process(operator):
        with fact_table_held(world):
            flow_run_id = operator.start(DAILY, "-p", f"date={filled}")
            wait_until_publishing(world)
            cancel(operator, flow_run_id)
            assert operator.finished(flow_run_id)["state_name"] == "Cancelled"
        assert sales_of(world, filled) == 0
        world.end_transactions()
        assert message_after_watchdog(operator, flow_run_id) == NOTHING
        assert_next_load_completes(operator, filled)
    assert set(world.ledger(f"{filled:%Y%m%d}").values()) == {"PUBLISHED"}


def test_a_run_whose_process_is_told_to_end_says_so_and_what_became_of_its_batch(
    world: World, operator: Operator, filled: date
) -> None:
    with worker_process(operator):
        with fact_table_held(world) as released:
            flow_run_id = operator.start(DAILY, "-p", f"date={filled}")
            wait_until_publishing(world)
            _, _, pid = operator.flow_run(flow_run_id)["infrastructure_pid"].rpartition(":")
            os.kill(int(pid), signal.SIGTERM)
            released.set()
        ended = operator.finished(flow_run_id)
        assert (ended["state_name"], TOLD in ended["state"]["message"]) == ("Crashed", True), ended["state"]
        wait_for(lambda: in_ledger(world, filled) == {("FAILED", TOLD)}, "the end in the ledger")
    assert sales_of(world, filled) == 0


@pytest.mark.parametrize("max_active", [1, pytest.param(2, marks=pytest.mark.more)])
def test_cancelled_a_backfill_keeps_what_it_has_published_and_publishes_no_more(
    world: World, operator: Operator, filled: date, max_active: int
) -> None:
    days = [filled + timedelta(days=number) for number in range(4)]
    for day in days[1:]:
        world.fill(day)
    batches = ", ".join(f"'{day:%Y%m%d}'" for day in days)
    period = ("-p", f"start_date={days[0]}", "-p", f"end_date={days[-1]}", "-p", f"max_active={max_active}")
    with worker_process(operator):
        flow_run_id = operator.start(BACKFILL, *period)
        wait_for(lambda: sales_of(world, days[0]) > 0, "the first date")
        with fact_table_held(world) as released:
            wait_until_publishing(world)
            cancel(operator, flow_run_id)
            released.set()
        assert operator.finished(flow_run_id)["state_name"] == "Cancelled"
        published = [day for day in days if sales_of(world, day)]
        rest = [day for day in days if day not in published]
        assert days[0] in published
        assert days[-1] in rest
        for day in published:
            assert set(world.ledger(f"{day:%Y%m%d}").values()) == {"PUBLISHED"}
        # A date that was loaded in another thread than the one that receives the signal dies with the process.
        for (left,) in world.sql(f"SELECT DISTINCT FLOW_RUN_ID FROM ETL_BATCHES WHERE BATCH_ID IN ({batches})"):
            end_lease(world, left)
        message = message_after_watchdog(operator, flow_run_id)
        assert f"{', '.join(f'{day:%Y%m%d}' for day in published)} published before" in message
        for day in rest:
            assert {status for status, _ in in_ledger(world, day)} <= {"FAILED"}
    assert [day for day in days if sales_of(world, day)] == published


def test_a_cancelled_rollback_is_explained_too(world: World, operator: Operator, filled: date) -> None:
    flow_run_id = operator.start(ROLLBACK, "-p", f"date={filled}", "-p", "reason=a test")
    for state in ("RUNNING", "CANCELLED"):
        operator.post(f"/flow_runs/{flow_run_id}/set_state", {"state": {"type": state}, "force": True})
    with world.session() as session:
        assert explain_cancelled(session) == "1 explained"
    assert operator.flow_run(flow_run_id)["state"]["message"] == f"{CANCELLED_IN_PREFECT}: nothing was changed"


ENDED_IN_SECOND_LOOK = """
import os, signal, sys
from flows.daily_sales import daily_sales
from tasks import verify
real = verify.compare
def told(*arguments):
    os.kill(os.getpid(), signal.{signal})
    return real(*arguments)
verify.compare = told
daily_sales(date=sys.argv[1])
"""


def run_ended_in_second_look(operator: Operator, day: date, by: str) -> str:
    """A daily run whose process gets the signal when it begins its second look; returns the id of its flow run."""
    run_python("-c", ENDED_IN_SECOND_LOOK.format(signal=by), str(day), environment=operator.environment)
    (run,) = operator.filter("flow_runs", flow_runs={"name": {"any_": [f"daily-sales-{day}"]}})
    return str(run["id"])


def staging_tables(world: World) -> list[str]:
    found = world.sql("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STAGING'")
    return [str(name) for (name,) in found]


@pytest.fixture
def _nothing_staged(world: World) -> None:
    world.forget_staged()


@pytest.mark.usefixtures("_nothing_staged")
def test_told_to_end_in_its_second_look_a_run_takes_it_first(world: World, operator: Operator, filled: date) -> None:
    flow_run_id = run_ended_in_second_look(operator, filled, "SIGTERM")
    state = operator.flow_run(flow_run_id)["state"]
    assert state["name"] == "Crashed"
    assert state["message"].strip().endswith(": what it had changed stays")
    assert staging_tables(world) == [], "dropped when it was taken"
    assert {status for status, _ in in_ledger(world, filled)} == {"PUBLISHED"}


CANCELLED_AFTER_COMMIT = """
import sys
from prefect import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelling
from flows.daily_sales import daily_sales
from tasks import publish
real = publish._find_in_ledger
def cancelled(*arguments):
    real(*arguments)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Cancelling(), force=True)
publish._find_in_ledger = cancelled
daily_sales(date=sys.argv[1])
"""


@pytest.mark.usefixtures("_nothing_staged")
def test_cancelled_after_its_commit_a_run_takes_its_second_look(world: World, operator: Operator, filled: date) -> None:
    """Prefect starts no task any more in a run that is cancelled."""
    run_python("-c", CANCELLED_AFTER_COMMIT, str(filled), environment=operator.environment)
    (run,) = operator.filter("flow_runs", flow_runs={"name": {"any_": [f"daily-sales-{filled}"]}})
    assert run["state_type"] in ("CANCELLING", "CANCELLED")
    assert staging_tables(world) == [], "dropped when it was taken"
    assert {status for status, _ in in_ledger(world, filled)} == {"PUBLISHED"}


@pytest.mark.usefixtures("_nothing_staged")
@pytest.mark.parametrize("spoilt", [False, True])
def test_a_second_look_that_was_left_is_taken_by_the_watchdog_and_mailed(
    world: World, operator: Operator, filled: date, spoilt: bool
) -> None:
    flow_run_id = run_ended_in_second_look(operator, filled, "SIGKILL")
    assert len(staging_tables(world)) == 4
    if spoilt:
        world.sql("UPDATE SALES_FACT SET STORE_ID = 'spoilt' WHERE ETL_BATCH_ID = ?", (f"{filled:%Y%m%d}",))
    with worker_process(operator):
        operator.finished(operator.start(WATCHDOG))
        assert len(staging_tables(world)) == 4, "its lease is not over, and nobody said that it is dead"
        end_lease(world, flow_run_id)
        operator.finished(operator.start(WATCHDOG))
    assert staging_tables(world) == []
    status = "FAILED" if spoilt else "PUBLISHED"
    assert {status for status, _ in in_ledger(world, filled)} == {status}
    assert (sales_of(world, filled) == 0) is spoilt
    wait_for(lambda: told(filled, "second look") == 1, "the mail")
