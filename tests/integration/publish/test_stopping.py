"""A publish whose process gets a signal to end, or whose run is cancelled, at any of its statements."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tasks.prefect_server import stopping
from tasks.prefect_server.stopping import EndedBySignal, StoppedError, finished_first, refuse_stopped, signals_in_order
from tasks.publish import Staged, publish_manifest
from tasks.verify import compare
from tasks.warehouse.second_look import refuse_differences
from tests.integration.conftest import World, good_sale, wait_for
from tests.integration.publish.harness import begin, load, stage_attempt
from tests.integration.publish.statements import AFTER_COMMIT, LOAD, LOCK, STATEMENTS, TRANSACTION, stepping_session
from tests.signals import signals_forgotten

REGIONS = ("EUROPE", "US_WEST")
LAST_BEFORE_COMMIT = "SELECT CURRENT_TRANSACTION() #2"
UNTIL_COMMIT = [name for name in (*LOAD, *LOCK, *TRANSACTION) if name not in ("COMMIT", LAST_BEFORE_COMMIT)]
"""The statements before the last check whether the run may commit."""
FROM_COMMIT = (LAST_BEFORE_COMMIT, "COMMIT", *AFTER_COMMIT)


@pytest.fixture(autouse=True)
def _told_anew() -> Iterator[None]:
    with signals_forgotten():
        yield


def sell(world: World, day: date) -> None:
    """A sale for each region, and one that is rejected."""
    for region in REGIONS:
        world.insert(region, good_sale(region, day) | {"sale_id": f"stopped-{region}-{day}"})
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"stopped-bad-{day}", "quantity": 0})


@pytest.fixture
def sold(world: World, day: date) -> date:
    """A day for one test."""
    sell(world, day)
    return day


@pytest.fixture(scope="module")
def never_published(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[date]:
    """A day for all attempts that must not publish, one run after another; at the end one does."""
    day = date(2014, 6, 1)
    sell(world, day)
    yield day
    load(world, day, tmp_path_factory.mktemp("last"), *REGIONS)
    assert published(world, day) == len(REGIONS)


def published(world: World, day: date) -> int:
    """The number of the day's sales in the table; fails when only a part is there, or when the ledger differs."""
    ((rows,),) = world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))
    known = [status for status in world.ledger(f"{day:%Y%m%d}").values() if status == "PUBLISHED"]
    assert int(rows) == len(known)
    assert rows in (0, len(REGIONS)), "torn"
    return int(rows)


def publish_and_look(world: World, staged: Staged, before: Callable[[str], None], looked: list[bool]) -> None:
    """Publishes in a thread, as Prefect runs tasks, then takes the second look; calls `before` for each statement."""
    attempt = staged.attempt
    may_commit = partial(refuse_stopped, attempt.flow_run_id, attempt.run_number, print)
    with (
        stepping_session(dict(world.environment), before) as session,
        ThreadPoolExecutor(1) as thread,
        signals_in_order(),
        finished_first(attempt.run_number),
    ):
        publish = partial(publish_manifest, session, staged, world.session, print, may_commit)
        publication = thread.submit(publish).result()
        with world.session() as asking:
            verification = compare(asking, staged.manifest, publication)
        refuse_differences(verification.comparisons, verification.repeated_keys)
        looked.append(True)


def told_at(statement: str, number: signal.Signals) -> Callable[[str], None]:
    """Sends this process the signal before the statement, and waits until its main thread has handled it."""

    def tell(name: str) -> None:
        if name == statement:
            os.kill(os.getpid(), number)
            wait_for(lambda: stopping.STOP._asked is not None, "the main thread")

    return tell


def test_every_statement_is_before_the_last_question_or_after_it() -> None:
    assert sorted([*UNTIL_COMMIT, *FROM_COMMIT]) == sorted(STATEMENTS)


INTERRUPTED = ("load/copy_files", "publish/merge_sales_fact", "ledger/published_entries")
TOLD = [
    *(pytest.param(name, signal.SIGTERM, id=f"SIGTERM-{name}") for name in UNTIL_COMMIT),
    *(pytest.param(name, signal.SIGINT, id=f"SIGINT-{name}") for name in INTERRUPTED),
]


@pytest.mark.parametrize(("statement", "number"), TOLD)
def test_told_to_end_before_commit_nothing_is_published(
    world: World, never_published: date, tmp_path: Path, statement: str, number: signal.Signals
) -> None:
    attempt = begin(world, never_published, *REGIONS)
    staged, looked = stage_attempt(world, attempt, never_published, tmp_path), list[bool]()
    with pytest.raises(EndedBySignal, match="nothing was changed$"):
        publish_and_look(world, staged, told_at(statement, number), looked)
    assert (published(world, never_published), looked) == (0, [])


@pytest.mark.parametrize("statement", FROM_COMMIT)
def test_told_to_end_from_commit_on_the_second_look_comes_first(
    world: World, sold: date, tmp_path: Path, statement: str
) -> None:
    staged, looked = stage_attempt(world, begin(world, sold, *REGIONS), sold, tmp_path), list[bool]()
    with pytest.raises(EndedBySignal, match="what it had changed stays$"):
        publish_and_look(world, staged, told_at(statement, signal.SIGTERM), looked)
    assert (published(world, sold), looked) == (len(REGIONS), [True])


def test_a_second_look_that_takes_too_long_is_not_waited_for(
    world: World, sold: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "SECOND_LOOK_S_MAX", 0.0)
    staged, looked = stage_attempt(world, begin(world, sold, *REGIONS), sold, tmp_path), list[bool]()
    with pytest.raises(EndedBySignal, match="whether its batch was published stands in the ledger$"):
        publish_and_look(world, staged, told_at("COMMIT", signal.SIGTERM), looked)
    assert (published(world, sold), looked) == (len(REGIONS), [])


@pytest.mark.parametrize("statement", INTERRUPTED)
def test_cancelled_in_prefect_before_any_signal_has_come(
    world: World, never_published: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    attempt = begin(world, never_published, *REGIONS)
    staged, looked, cancelled = stage_attempt(world, attempt, never_published, tmp_path), list[bool](), list[str]()
    # The check itself is tested on a Prefect server by tests/integration/deployments/test_cancelled_runs.py.
    monkeypatch.setattr(stopping, "is_cancelled", lambda *_: statement in cancelled)
    with pytest.raises(StoppedError, match="the run was cancelled in Prefect"):
        publish_and_look(world, staged, cancelled.append, looked)
    assert (published(world, never_published), looked) == (0, [])
