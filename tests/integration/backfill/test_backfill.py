"""Backfill finds and loads what the ledger lacks, and nothing else."""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from prefect.client.schemas import StateType
from prefect.states import AwaitingRetry, Cancelled

from blocks import names
from expectations.regions import REGIONS
from flows.backfill import backfill, load_dates, load_left
from tasks.alerts.published import read_unpublished
from tasks.batch import Attempt, Batch
from tasks.publish import Publication, publish_manifest
from tasks.warehouse.ledger import Entry, record, start_attempt
from tasks.warehouse.states import Status
from tests.integration.backfill.harness import (
    JOB_VARIABLES,
    execute,
    queue_with_one_slot,
    read,
    running,
    set_state,
    table,
    wait_for_child,
)
from tests.integration.conftest import World, good_sale, wait_for
from tests.integration.processes import run_python
from tests.integration.server import PatientClient, concurrency_limit

OTHERS = ("US_EAST", "US_WEST", "ASIA_PACIFIC")


def days_from(first: date, number: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(number)]


def rows_of(world: World, days: Iterable[date]) -> dict[str, int]:
    """Rows per date in the fact table."""
    batches = ", ".join(f"'{day:%Y%m%d}'" for day in days)
    return dict(
        world.sql(
            f"SELECT ETL_BATCH_ID, COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID IN ({batches}) GROUP BY 1 ORDER BY 1"
        )
    )


def test_after_an_outage_of_five_days_one_call_without_dates_loads_all_five(world: World) -> None:
    today = datetime.now(UTC).date()
    days = days_from(today - timedelta(days=5), 5)
    world.tidy()
    world.forget(*days)
    for day in days:
        world.fill(day, rows=30)
    with world.variable("first_date", str(days[0])):
        state = backfill(max_active=2, return_state=True)
        assert (state.name, state.message) == ("Completed", "5 dates loaded")
        assert rows_of(world, days) == {f"{day:%Y%m%d}": 120 for day in days}
        assert [(row["date"], row["regions"], row["state"]) for row in table()] == [
            (str(day), "all", "Completed") for day in days
        ]

        again = backfill(return_state=True)
    assert again.message == f"nothing to load in mode missing from {days[0]} to {days[-1]}"


def test_dates_side_by_side_keep_within_a_limit_on_the_warehouse(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = days_from(date(2013, 6, 1), 3)
    world.forget(*days)
    for day in days:
        world.fill(day, rows=30)
    refused = f"Concurrency limit for the {names.WAREHOUSE} tag has been reached: the task asks again in 2 s"
    begun: list[float] = []
    spans: list[tuple[float, float]] = []

    def publish_timed(*arguments: Any) -> Publication:
        start = monotonic()
        begun.append(start)
        if len(begun) == 1:
            wait_for(lambda: refused in caplog.text, "a publish that asks for the slot meanwhile")
        publication = publish_manifest(*arguments)
        spans.append((start, monotonic()))
        return publication

    # Clocked from inside: the server dates a state before it waits for its database, so two states can seem to overlap.
    monkeypatch.setattr("tasks.publish.publish_manifest", publish_timed)
    with (
        PatientClient(base_url=world.environment["PREFECT_API_URL"]) as api,
        concurrency_limit(api, names.WAREHOUSE, 1) as holders,
    ):
        state = backfill(str(days[0]), str(days[-1]), max_active=3, return_state=True)
        assert holders() == []
    assert (state.name, state.message) == ("Completed", "3 dates loaded")
    assert len(spans) == 3
    assert all(end <= start for (_, end), (start, _) in pairwise(sorted(spans))), "no two publishes at once"


def test_a_slip_in_a_date_does_not_load_for_days(world: World) -> None:
    first = date(2013, 3, 1)
    period: dict[str, Any] = {"start_date": str(first), "end_date": str(first + timedelta(days=31)), "mode": "missing"}
    state = backfill(**period, return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, "Refused")
    assert "nothing was loaded: 32 dates from 2013-03-01 to 2013-04-01" in str(state.message)
    assert "or give max_dates=32" in str(state.message)
    assert world.sql("SELECT COUNT(*) FROM ETL_BATCHES WHERE BATCH_ID BETWEEN '20130301' AND '20130401'") == [(0,)]
    assert "dry run: would load 32 dates" in str(backfill(**period, dry_run=True, return_state=True).message)


def test_a_typo_in_a_year_is_one_date_of_a_backfill_without_dates(world: World, day: date) -> None:
    typo = date(1917, 12, 23)
    enter(world, day, "PUBLISHED")
    enter(world, typo, "FAILED")
    try:
        message = str(backfill(dry_run=True, return_state=True).message)
    finally:
        world.forget(typo)
    assert re.search(rf"would load [\d,]+ dates: {typo} \(all\), 20", message), message


def enter(
    world: World, day: date, *statuses: str, regions: tuple[str, ...] = tuple(REGIONS), lease: int = 15
) -> Attempt:
    """An attempt in the ledger that went through the statuses."""
    with world.session() as session:
        attempt = start_attempt(session, Batch(day, regions), str(uuid.uuid4()), lease_minutes=lease)
        for status in statuses:
            record(session, attempt, [Entry(region, status, {"EXTRACTED": 40}) for region in regions])  # type: ignore[arg-type]
    return attempt


def fail(world: World, attempt: Attempt) -> None:
    """Ends an attempt at all regions."""
    with world.session() as session:
        record(session, attempt, [Entry(region, Status.FAILED) for region in REGIONS])


def would_load(first: date, last: date, mode: str) -> list[tuple[str, str, str]]:
    state = backfill(start_date=str(first), end_date=str(last), mode=mode, dry_run=True, return_state=True)
    assert state.is_completed()
    return [(row["date"], row["regions"], row["state"]) for row in table()]


def test_a_dry_run_lists_what_each_mode_takes_and_changes_nothing(world: World, day: date) -> None:
    published, empty, rolled_back, failed, left_out, under_way, died = days = days_from(day, 7)
    enter(world, published, "PUBLISHED")
    enter(world, published, "FAILED")
    enter(world, empty, "EMPTY")
    enter(world, rolled_back, "PUBLISHED", "ROLLED_BACK")
    enter(world, failed, "FAILED", regions=OTHERS)
    enter(world, left_out, "PUBLISHED", regions=OTHERS)
    enter(world, left_out, "MISSING", regions=("EUROPE",))
    alive, dead = enter(world, under_way), enter(world, died, lease=-1)
    entries = world.sql("SELECT COUNT(*) FROM ETL_BATCHES")

    busy = (str(under_way), "all", "under way")
    assert would_load(day, days[-1], "missing") == [
        busy,
        (str(failed), "all", "not started"),
        (str(left_out), "EUROPE", "not started"),
        (str(died), "all", "not started"),
    ]
    assert would_load(day, days[-1], "failed") == [
        busy,
        (str(failed), " ".join(region for region in REGIONS if region in OTHERS), "not started"),
        (str(left_out), "EUROPE", "not started"),
        (str(died), "all", "not started"),
    ]
    assert would_load(day, days[-1], "all") == [
        busy,
        *((str(other), "all", "not started") for other in days if other != under_way),
    ]
    assert world.sql("SELECT COUNT(*) FROM ETL_BATCHES") == entries
    for attempt in (alive, dead):
        fail(world, attempt)


def test_a_date_that_was_loaded_before_it_was_over_is_a_gap(world: World) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    world.forget(yesterday)
    early = enter(world, yesterday, "PUBLISHED")
    assert would_load(yesterday, yesterday, "missing") == []
    a_day_ago = "UPDATE ETL_BATCHES SET RECORDED_AT = DATEADD('day', -1, RECORDED_AT) WHERE RUN_NUMBER = ?"
    world.sql(a_day_ago, (early.run_number,))
    with world.session() as session:
        assert read_unpublished(session, [yesterday]) == {yesterday: sorted(REGIONS)}
    assert would_load(yesterday, yesterday, "missing") == [(str(yesterday), "all", "not started")]
    enter(world, yesterday, "PUBLISHED")
    with world.session() as session:
        assert read_unpublished(session, [yesterday]) == {}
    assert would_load(yesterday, yesterday, "missing") == []


def test_a_date_that_its_source_did_not_show_whole_is_a_gap_of_that_region(world: World, day: date) -> None:
    midnight = datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=1)
    shown = {"EUROPE": midnight - timedelta(microseconds=1), "US_EAST": midnight}
    with world.session() as session:
        attempt = start_attempt(session, Batch(day, tuple(REGIONS)), str(uuid.uuid4()), lease_minutes=15)
        entries = [Entry(region, Status.PUBLISHED, snapshot_at=shown.get(region)) for region in REGIONS]
        record(session, attempt, entries)
    assert would_load(day, day, "missing") == [(str(day), "EUROPE", "not started")]


@pytest.mark.account
def test_a_missing_region_is_healed_and_a_failing_date_stops_no_other(world: World, day: date) -> None:
    healed, too_few, good = days = days_from(day, 3)
    world.fill(healed, rows=40, regions=OTHERS)
    assert world.run(healed).state.name == "PartiallyLoaded"
    before = written_by(world, healed)
    world.fill(healed, rows=40, regions=("EUROPE",))
    world.insert("EUROPE", good_sale("EUROPE", too_few) | {"sale_id": f"alone-{too_few}"})
    world.fill(good, rows=40)

    with queue_with_one_slot() as queue:
        run = queue.add_backfill(start_date=str(day), end_date=int(f"{good:%Y%m%d}"))
        state = execute(run)
        assert state.is_failed()
        assert state.message.startswith(f"2 of 3 dates loaded; failed: {too_few} (QualityFailed: nothing was loaded")
        assert [(row["regions"], row["state"]) for row in table()] == [
            ("EUROPE", "Completed"),
            ("all", "QualityFailed"),
            ("all", "Completed"),
        ]
        assert rows_of(world, days) == {f"{healed:%Y%m%d}": 160, f"{good:%Y%m%d}": 160}
        after = written_by(world, healed)
        assert {region: after[region] for region in OTHERS} == before

        # Tried again from the dashboard: the same run begins anew.
        world.fill(too_few, rows=40)
        set_state(run, AwaitingRetry())
        state = execute(run)
        assert (state.name, state.message) == ("Completed", "1 date loaded")
        assert rows_of(world, [too_few]) == {f"{too_few:%Y%m%d}": 161}


@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        pytest.param(["2024-01-10"], "start_date is given without end_date: give both, or neither", id="half-a-range"),
        pytest.param(["2024-01-14", "2024-01-10"], "start_date 2024-01-14 is later than end_date", id="reversed"),
    ],
)
def test_a_mistake_on_the_command_line_is_its_last_line(world: World, arguments: list[str], last_line: str) -> None:
    ended = run_python("-m", "flows.backfill", *arguments)
    assert ended.returncode == 1
    assert last_line in ended.stderr.splitlines()[-1]


def written_by(world: World, day: date) -> dict[str, Any]:
    """The run that wrote each region's rows of a date."""
    return dict(
        world.sql(
            "SELECT REGION, MIN(ETL_RUN_NUMBER) || '-' || MAX(ETL_RUN_NUMBER) FROM SALES_FACT WHERE ETL_BATCH_ID = ? "
            "GROUP BY 1",
            (f"{day:%Y%m%d}",),
        )
    )


@contextmanager
def reads_held(world: World, region: str) -> Iterator[None]:
    """Reads of a region's sales wait within the body."""
    connection = world.source(region)
    try:
        connection.cursor().execute("LOCK TABLE sales_transactions IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


def test_a_waiting_daily_run_is_let_through_and_the_rest_goes_on_behind_it(world: World, day: date) -> None:
    theirs, no_rows, good = days = days_from(day, 3)
    for each in (theirs, good):
        world.fill(each, rows=40)
    attempt = enter(world, theirs)
    with queue_with_one_slot() as queue:
        run = queue.add_backfill(start_date=str(theirs), end_date=str(good), mode="all")
        with ExitStack() as held:
            held.enter_context(reads_held(world, "EUROPE"))  # the first date is not over before the daily run waits
            with running(run):
                wait_for_child(run)
                daily = queue.add_daily()
                held.close()
        state = read(run).state
        assert (state.type, state.name) == (StateType.COMPLETED, "Yielded")
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        assert state.message.startswith(f"made room for daily-sales-{yesterday} after 1 date: ")
        begun = f"it also tries what another run has begun: {theirs} (all)"
        assert f"goes on with {good} to {good}; {begun}; failed: {no_rows} (" in state.message

        assert [waiting.id for waiting in queue.next_runs()] == [daily.id]
        set_state(daily, Cancelled())
        (rest,) = queue.next_runs()
        assert rest.parameters["mode"] == "all"
        assert rest.job_variables == JOB_VARIABLES
        fail(world, attempt)
        assert f": backfill-{good}-all (run {rest.id}) goes on" in state.message
        assert rest.name == f"backfill-{good}-all"
        state = execute(rest)
        assert state.is_failed()
        assert state.message.startswith(f"2 of 3 dates loaded; failed: {no_rows} (")
        assert rows_of(world, days) == {f"{loaded:%Y%m%d}": 160 for loaded in (theirs, good)}


def test_a_date_that_another_run_had_begun_is_loaded_once_that_has_ended_and_named_until_then(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, good = days = days_from(day, 2)
    for each in days:
        world.fill(each, rows=40)
    attempt = enter(world, theirs)
    state = backfill(str(theirs), str(good), return_state=True)
    assert state.name == "PartiallyLoaded"
    assert state.message.startswith("1 date loaded; left alone, because another run has begun it")
    assert state.message.endswith(f": {theirs} (all)")

    def end_and_load_left(*given: Any) -> Any:
        fail(world, attempt)
        return load_left(*given)

    monkeypatch.setattr("flows.backfill.load_left", end_and_load_left)
    state = backfill(str(theirs), str(good), return_state=True)
    assert (state.name, state.message) == ("Completed", "1 date loaded")
    assert rows_of(world, days) == {f"{each:%Y%m%d}": 160 for each in days}


@pytest.mark.parametrize(
    ("mode", "message", "rows"),
    [
        ("missing", "1 date loaded; settled meanwhile: {} (rolled back)", [40]),
        ("failed", "1 date loaded; settled meanwhile: {} (rolled back)", [40]),
        ("all", "2 dates loaded", [160, 160]),
    ],
)
def test_what_was_rolled_back_since_the_plan_was_made_is_loaded_only_in_mode_all(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch, mode: Any, message: str, rows: list[int]
) -> None:
    whole, partly = days = days_from(day, 2)
    for each in days:
        world.fill(each, rows=40)
        enter(world, each, Status.FAILED)

    def roll_back_and_load(*given: Any) -> Any:
        enter(world, whole, Status.ROLLED_BACK)
        enter(world, partly, Status.ROLLED_BACK, regions=OTHERS)
        return load_dates(*given)

    monkeypatch.setattr("flows.backfill.load_dates", roll_back_and_load)
    state = backfill(str(whole), str(partly), mode=mode, return_state=True)
    assert (state.name, state.message) == ("Completed", message.format(whole))
    assert list(rows_of(world, days).values()) == rows
    assert [(row["date"], row["regions"]) for row in table()] == [
        (str(whole), "all"),
        (str(partly), "all" if mode == "all" else "EUROPE"),
    ]
