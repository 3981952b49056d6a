"""Publishes at the same time: the table ends as if one had run after the other, and readers see only whole batches."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.publish import Publication, Staged
from tasks.warehouse.session import Session
from tests.integration.conftest import World, good_sale, wait_for
from tests.integration.processes import start_python
from tests.integration.publish.harness import begin, load, publish_staged, stage_attempt

ROWS = 20
TRIALS = [2, 2, 2, 3, 3, 4, 6, 8]
"""Publishes side by side in each trial; two more trials are whole flows."""
WHOLE_FLOWS = [2, 3]


def side_by_side(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Returns the results of calls that all begin when the last one is ready."""
    ready = threading.Barrier(len(calls))

    def call_when_ready(call: Callable[[], Any]) -> Any:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        # Prefect finds its server in the context.
        futures = [pool.submit(copy_context().run, call_when_ready, call) for call in calls]
        return [future.result() for future in futures]


def fill(world: World, day: date, region: str = "EUROPE") -> None:
    world.insert(region, *(good_sale(region, day) | {"sale_id": f"{number}-{day}"} for number in range(ROWS)))


def amounts(asking: Session, day: date) -> list[tuple[Any, ...]]:
    """The number of the day's sales in the table with each amount."""
    return asking.query(
        "SELECT TOTAL_AMOUNT::VARCHAR, COUNT(*), COUNT(DISTINCT SALE_ID) FROM SALES_FACT WHERE SALE_ID LIKE ? "
        "GROUP BY 1 ORDER BY 1",
        (f"%-{day}",),
    )


def assert_as_if_one_had_run(world: World, day: date) -> None:
    """Each sale is there once, one run inserted all of them, and every attempt ended without a failure."""
    batch_id = f"{day:%Y%m%d}"
    assert amounts(world.asking, day) == [("3.00", ROWS, ROWS)]
    ended = world.sql(
        "SELECT RUN_NUMBER, STATUS, INSERTED, UPDATED, UNCHANGED FROM ETL_BATCHES "
        "WHERE BATCH_ID = ? AND REGION = 'EUROPE' AND STATUS <> 'STARTED' ORDER BY INSERTED DESC",
        (batch_id,),
    )
    published = [figures for _, status, *figures in ended if status == "PUBLISHED"]
    assert published == [[ROWS, 0, 0], *([[0, 0, ROWS]] * (len(published) - 1))]
    assert {status for _, status, *_ in ended} <= {"PUBLISHED", "OVERTAKEN"}
    started = world.sql("SELECT COUNT(DISTINCT RUN_NUMBER) FROM ETL_BATCHES WHERE BATCH_ID = ?", (batch_id,))
    assert started == [(len(ended),)]
    (shown,) = world.sql("SELECT STATUS, RUN_NUMBER FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ?", (batch_id,))
    assert shown == ("PUBLISHED", max(run for run, status, *_ in ended if status == "PUBLISHED"))
    undo = world.sql("SELECT COUNT(*) FROM SALES_FACT_UNDO WHERE UNDO_BATCH_ID = ?", (batch_id,))
    assert undo == [(0,)]
    first = "SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ? AND ETL_FIRST_RUN_NUMBER = ETL_RUN_NUMBER"
    assert world.sql(first, (batch_id,)) == [(ROWS,)]


@pytest.mark.account
@pytest.mark.parametrize(("trial", "publishes"), enumerate(TRIALS))
def test_publishes_of_one_date_at_once(world: World, day: date, tmp_path: Path, trial: int, publishes: int) -> None:
    fill(world, day)
    staged = [stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path) for _ in range(publishes)]
    # The numbers are in the order of staging; the order under the lock should differ.
    random.Random(trial).shuffle(staged)
    ended: list[tuple[Publication, Any]] = side_by_side([publisher(world, attempt) for attempt in staged])
    assert all(bool(publication.regions) != bool(publication.overtaken) for publication, _ in ended)
    assert_as_if_one_had_run(world, day)


def publisher(world: World, staged: Staged) -> Callable[[], Any]:
    return lambda: publish_staged(world, staged)


@pytest.mark.account
@pytest.mark.parametrize("flows", WHOLE_FLOWS)
def test_whole_flows_of_one_date_at_once(world: World, day: date, flows: int) -> None:
    fill(world, day)
    programs = [start_python("-m", "flows.daily_sales", str(day), "EUROPE") for _ in range(flows)]
    ends = [program.ended().stdout.splitlines()[-1] for program in programs]
    assert all(end.startswith(("Completed: ", "Overtaken: ")) for end in ends), ends
    assert_as_if_one_had_run(world, day)


@pytest.mark.account
def test_two_dates_at_once_are_both_published(world: World, day: date, tmp_path: Path) -> None:
    days = [day, day + timedelta(days=1)]
    for each in days:
        fill(world, each)
    staged = [stage_attempt(world, begin(world, each, "EUROPE"), each, tmp_path) for each in days]
    side_by_side([publisher(world, attempt) for attempt in staged])
    for each in days:
        assert_as_if_one_had_run(world, each)


@contextmanager
def polled(world: World, day: date) -> Iterator[list[list[tuple[Any, ...]]]]:
    """What a reader sees that queries from before the body until after it."""
    seen: list[list[tuple[Any, ...]]] = [amounts(world.asking, day)]
    done = threading.Event()

    def poll() -> None:
        with world.session() as session:
            while not done.is_set():
                seen.append(amounts(session, day))

    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(copy_context().run, poll)
        try:
            yield seen
        finally:
            done.set()
        polling.result()
    seen.append(amounts(world.asking, day))


def test_a_reader_only_ever_sees_whole_batches(world: World, day: date, tmp_path: Path) -> None:
    fill(world, day)
    nothing: list[tuple[Any, ...]] = []
    first, second = [("3.00", ROWS, ROWS)], [("4.00", ROWS, ROWS)]
    with polled(world, day) as seen:
        load(world, day, tmp_path, "EUROPE")
        wait_for(lambda: first in seen, "the reader to see the first batch")
        world.change(
            "EUROPE",
            "UPDATE sales_transactions SET total_amount = 4, updated_at = updated_at + interval '1 hour' "
            "WHERE sale_id LIKE %s",
            (f"%-{day}",),
        )
        load(world, day, tmp_path, "EUROPE")
    distinct = [now for number, now in enumerate(seen) if number == 0 or now != seen[number - 1]]
    assert distinct == [nothing, first, second]
