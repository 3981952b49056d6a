"""A rollback, and marks of deleted sales, whose process gets a signal to end, or whose run is cancelled, at any
statement."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flows.reconcile import reconcile
from tasks.prefect_server import stopping
from tasks.prefect_server.stopping import EndedBySignal, StoppedError, finished_first, signals_in_order
from tasks.reconcile.deleted import mark
from tasks.rollback.roll_back import roll_back
from tasks.warehouse.session import Session
from tests.integration.conftest import World
from tests.integration.publish.statements import stepping_session
from tests.integration.publish.test_stopping import told_at
from tests.integration.shop import Shop
from tests.signals import signals_forgotten

LOCK = ("lock/write_token", "BEGIN TRANSACTION", "lock/take", "SELECT CURRENT_TRANSACTION()", "ledger/next_run_number")
FROM_COMMIT = ("SELECT CURRENT_TRANSACTION() #2", "COMMIT")
"""The statements after the last check whether the run may commit."""
ROLLBACK = (
    *LOCK,
    "rollback/newest_entries",
    "rollback/runs_in_effect",
    "rollback/later_batches",
    "rollback/count_changes",
    "rollback/count_rejected",
    "rollback/changed_sales",
    "rollback/count_standing",
    "rollback/hold_back",
    "rollback/insert_undo",
    "rollback/delete_sales",
    "rollback/restore_sales",
    "rollback/count_standing #2",
    "rollback/count_left",
    "SELECT DISTINCT REGION FROM ANALYTICS.ETL_BATCHES",
    "ledger/insert_entries",
    "publish/close_rejected",
    "rollback/count_left_rejected",
)
MARKS = (
    *LOCK,
    "reconcile/count_fact",
    "reconcile/insert_undo",
    "reconcile/mark_deleted",
    "reconcile/count_marked",
    "reconcile/count_fact #2",
    "ledger/insert_entries",
)
"""The statements of each before that, in order."""


Repair = Callable[[Session, str], Any]
"""A repair that is due; takes a session and the id of a flow run."""


@pytest.fixture(autouse=True)
def _told_anew() -> Iterator[None]:
    with signals_forgotten():
        yield


def rollback_due(world: World, day: date, scratch: Path) -> Repair:
    """A batch to roll back, with a new sale, a correction and a rejected row."""
    shop = Shop(world, day, "stopped-repair")
    shop.sell("corrected")
    shop.load(scratch)
    following = shop.on(day + timedelta(days=1))
    following.sell("new")
    following.sell("bad", quantity=0)
    shop.change("corrected", f"updated_at = '{following.noon()}', total_amount = 2.20")
    following.load(scratch)

    def do(session: Session, flow_run_id: str) -> None:
        roll_back(session, f"{following.day:%Y%m%d}", "a test", False, 35, flow_run_id, print)

    return do


def marks_due(world: World, day: date, scratch: Path) -> Repair:
    """A sale to mark, which its source no longer holds."""
    shop = Shop(world, day, "stopped-marks")
    shop.sell("stays", "gone")
    shop.load(scratch)
    shop.remove("gone")
    state = reconcile(start_date=str(day), end_date=str(day), regions=["EUROPE"], dry_run=True, return_state=True)
    compared = state.result().compared

    def do(session: Session, flow_run_id: str) -> None:
        mark(session, "H20140601T000000Z", flow_run_id, compared, print)

    return do


def tables(world: World) -> list[tuple[int, int]]:
    """The contents of the tables that repairs change: sales, current rejected rows, the undo log, and the ledger."""
    names = ("SALES_FACT", "SALES_REJECTED", "SALES_FACT_UNDO", "SALES_HELD_BACK", "ETL_BATCHES")
    return [world.contents(f"SELECT * FROM {name}") for name in names]


def repaired(world: World, repair: Repair, before: Callable[[str], None]) -> list[str]:
    """Repairs in a thread, as Prefect runs tasks, and returns the statements; `before` is called before each."""
    flow_run_id = str(uuid4())
    with (
        stepping_session(dict(world.environment), before) as session,
        ThreadPoolExecutor(1) as thread,
        signals_in_order(),
        finished_first(flow_run_id),
    ):
        thread.submit(repair, session, flow_run_id).result()
    return session.sent


@pytest.fixture(scope="module")
def due(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Repair]]:
    """Repairs for all attempts that must change nothing; at the end each is made, and sends the listed statements."""
    scratch = tmp_path_factory.mktemp("due")
    repairs = {
        "rollback": rollback_due(world, date(2014, 7, 1), scratch),
        "marks": marks_due(world, date(2014, 7, 4), scratch),
    }
    yield repairs
    for name, statements in UNTIL_COMMIT.items():
        assert repaired(world, repairs[name], lambda _: None) == [*statements, *FROM_COMMIT]


UNTIL_COMMIT = {"rollback": ROLLBACK, "marks": MARKS}
EACH = [
    pytest.param(name, statement, id=f"{name}-{statement}") for name in UNTIL_COMMIT for statement in UNTIL_COMMIT[name]
]
INTERRUPTED = [("rollback", "rollback/restore_sales"), ("marks", "reconcile/mark_deleted")]


@pytest.mark.parametrize(("name", "statement"), EACH)
def test_told_to_end_before_commit_a_repair_changes_nothing(
    world: World, due: dict[str, Repair], name: str, statement: str
) -> None:
    before = tables(world)
    with pytest.raises(EndedBySignal, match="nothing was changed$"):
        repaired(world, due[name], told_at(statement, signal.SIGTERM))
    assert tables(world) == before


@pytest.mark.parametrize(("name", "statement"), INTERRUPTED)
def test_after_ctrl_c_a_repair_changes_nothing(world: World, due: dict[str, Repair], name: str, statement: str) -> None:
    before = tables(world)
    with pytest.raises(EndedBySignal, match="^Ctrl-C ended its process: nothing was changed$"):
        repaired(world, due[name], told_at(statement, signal.SIGINT))
    assert tables(world) == before


@pytest.mark.parametrize(("name", "statement"), INTERRUPTED)
def test_cancelled_in_prefect_a_repair_changes_nothing(
    world: World, due: dict[str, Repair], monkeypatch: pytest.MonkeyPatch, name: str, statement: str
) -> None:
    before, cancelled = tables(world), list[str]()
    # The check itself is tested on a Prefect server by tests/integration/deployments/test_cancelled_runs.py.
    monkeypatch.setattr(stopping, "is_cancelled", lambda *_: statement in cancelled)
    with pytest.raises(StoppedError, match="the run was cancelled in Prefect"):
        repaired(world, due[name], cancelled.append)
    assert tables(world) == before


@pytest.mark.parametrize("statement", FROM_COMMIT)
@pytest.mark.parametrize("name", UNTIL_COMMIT)
def test_told_to_end_from_commit_on_a_repair_is_made_whole(
    world: World, day: date, tmp_path: Path, name: str, statement: str
) -> None:
    repair = {"rollback": rollback_due, "marks": marks_due}[name](world, day, tmp_path)
    before = tables(world)
    with pytest.raises(EndedBySignal, match="what it had changed stays$"):
        repaired(world, repair, told_at(statement, signal.SIGTERM))
    assert tables(world) != before
