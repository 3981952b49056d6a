"""A region that cannot be read is left out whole; the others are published."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterName
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.register import database_block
from expectations.regions import REGIONS
from tasks import extract as extract_module
from tasks.files import scratch as scratch_module
from tasks.files.room import bytes_needed
from tests.integration.conftest import Run, World, good_sale
from tests.integration.publish.harness import begin, stage_attempt

NEXT_STEP = f"its database cannot be read: check block {REGIONS['EUROPE'].block} and the database. The driver says: "
OTHERS = ("US_EAST", "US_WEST", "ASIA_PACIFIC")


@contextmanager
def europe_reached_by(world: World, **changes: str) -> Iterator[None]:
    """Gives Europe's block another port or password during the body."""
    url = world.environment["PG_EUROPE_URL"]
    for old, new in changes.items():
        url = url.replace(old, new)
    assert url != world.environment["PG_EUROPE_URL"]
    block = REGIONS["EUROPE"].block
    database_block({**world.environment, "PG_EUROPE_URL": url}, "EUROPE").save(block, overwrite=True)
    try:
        yield
    finally:
        database_block(world.environment, "EUROPE").save(block, overwrite=True)


def port_of(world: World, region: str) -> str:
    return str(SqlAlchemyConnector.load(REGIONS[region].block).connection_info.port)


async def times_tried(run: Run, name: str) -> int:
    """How often the task run of a name was tried, by the Prefect server's count."""
    assert run.report is not None
    async with get_client() as client:
        (task_run,) = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.report.flow_run_id])),
            task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=[name])),
        )
    return task_run.run_count


def assert_only_europe_is_missing(world: World, run: Run, day: date, cause: str) -> None:
    assert run.state.name == "PartiallyLoaded", run.state.message
    assert run.state.is_completed()
    assert run.state.message.startswith("EUROPE left out: ")
    assert run.state.message.count("EUROPE") == 1
    assert cause in run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(OTHERS, "PUBLISHED") | {"EUROPE": "MISSING"}
    assert world.sql(
        "SELECT REGION, COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ? GROUP BY 1 ORDER BY 1", (f"{day:%Y%m%d}",)
    ) == [(region, 40) for region in sorted(OTHERS)]


def test_an_unreachable_region_is_tried_four_times_and_left_out(world: World, day: date) -> None:
    world.fill(day, rows=40)
    with europe_reached_by(world, **{f":{port_of(world, 'EUROPE')}/": ":1/"}):
        run = world.run(day)
    assert_only_europe_is_missing(world, run, day, "refused")
    assert run.state.message.startswith(f"EUROPE left out: {NEXT_STEP}")
    assert asyncio.run(times_tried(run, "extract-EUROPE")) == 4

    healed = world.run(day, regions=["EUROPE"])
    assert healed.state.name == "Completed", healed.state.message
    assert healed.region("EUROPE").inserted == 40


@contextmanager
def on_a_full_disk(name: str) -> Iterator[None]:
    """Puts one file of each scratch directory on a full disk: /dev/full refuses writes with ENOSPC."""
    made = tempfile.mkdtemp

    def with_the_file(prefix: str, dir: Path) -> str:
        directory: str = made(prefix=prefix, dir=dir)
        (Path(directory) / name).symlink_to("/dev/full")
        return directory

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            scratch_module, "tempfile", SimpleNamespace(mkdtemp=with_the_file, gettempdir=tempfile.gettempdir)
        )
        yield


def test_a_disk_that_is_full_in_the_middle_leaves_one_region_out_and_names_the_disk(world: World, day: date) -> None:
    world.fill(day, rows=40)
    with on_a_full_disk("EUROPE.extracted.arrow"):
        run = world.run(day)
    assert run.state.name == "PartiallyLoaded", run.state.message
    assert run.state.message.startswith("EUROPE left out: the scratch disk is full: ")
    assert "EUROPE.extracted.arrow of region EUROPE could not be written (No space left on device, " in (
        run.state.message
    )
    assert run.state.message.endswith(" MiB free): free some space, or start the worker with TMPDIR on a larger disk")
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(OTHERS, "PUBLISHED") | {"EUROPE": "MISSING"}
    assert asyncio.run(times_tried(run, "extract-EUROPE")) == 1


def test_a_disk_that_is_full_later_fails_the_run_by_name_and_nothing_is_published(world: World, day: date) -> None:
    world.fill(day, rows=40)
    with on_a_full_disk("EUROPE.clean.arrow"):
        run = world.run(day)
    assert run.state.name == "Failed"
    assert "ScratchFullError: the scratch disk is full: " in str(run.state.message)
    assert "of region EUROPE could not be written (No space left on device, " in str(run.state.message)
    assert set(world.ledger(f"{day:%Y%m%d}").values()) == {"FAILED"}


def test_room_is_asked_for_by_the_real_width_of_rows_and_suffices(
    world: World, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never less than the rows take, and at most three times as much."""
    noon = good_sale("EUROPE", day)
    world.insert("EUROPE", *(noon | {"sale_id": f"wide-{n}", "product_category": "B" * 5000} for n in range(50)))
    asked: list[int] = []

    def needed(rows: int, width: float) -> int:
        asked.append(bytes_needed(rows, width))
        return asked[-1]

    monkeypatch.setattr(extract_module, "bytes_needed", needed)
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    taken = sum(path.stat().st_size for path in tmp_path.glob("*.arrow"))
    assert staged.extracts[0].read.rows == 50
    assert taken < asked[0] < 3 * taken


def test_a_wrong_password_is_not_tried_again(world: World, day: date) -> None:
    world.fill(day, rows=40)
    with europe_reached_by(world, **{"sales_reader:": "sales_reader:wrong"}):
        run = world.run(day)
    assert_only_europe_is_missing(world, run, day, "password authentication failed")
    assert run.state.message.startswith(f"EUROPE left out: {NEXT_STEP}")
    assert "wrong" not in run.state.message
    assert asyncio.run(times_tried(run, "extract-EUROPE")) == 1


UNFIT = {
    "US_WEST": (
        "ALTER TABLE sales_transactions RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO sales_transactions",
        "table sales_transactions is missing",
    ),
    "EUROPE": (
        "ALTER TABLE sales_transactions RENAME tax_amount TO vat",
        "ALTER TABLE sales_transactions RENAME vat TO tax_amount",
        "column sales_transactions.tax_amount is missing",
    ),
    "ASIA_PACIFIC": (
        "ALTER TABLE sales_transactions ADD old numeric(12,2), ADD bad double precision; "
        "ALTER TABLE sales_transactions RENAME tax_amount TO kept; "
        "ALTER TABLE sales_transactions RENAME bad TO tax_amount",
        "ALTER TABLE sales_transactions DROP tax_amount, DROP old; "
        "ALTER TABLE sales_transactions RENAME kept TO tax_amount",
        "column sales_transactions.tax_amount is double precision, which does not fit",
    ),
}
"""How the table of a region is broken, how it is mended, and the cause that is reported."""


def test_regions_whose_tables_do_not_fit_are_left_out_each_with_its_cause(world: World, day: date) -> None:
    world.fill(day, rows=120)
    for region, (break_it, _, _) in UNFIT.items():
        world.change(region, break_it)
    try:
        run = world.run(day)
    finally:
        for region, (_, mend_it, _) in UNFIT.items():
            world.change(region, mend_it)
    assert run.state.name == "PartiallyLoaded", run.state.message
    left_out = dict(part.split(" left out: ", 1) for part in run.state.message.split("; "))
    assert left_out.keys() == UNFIT.keys()
    for region, (_, _, cause) in UNFIT.items():
        assert cause in left_out[region]
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(UNFIT, "MISSING") | {"US_EAST": "PUBLISHED"}
    loaded = "SELECT REGION, COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ? GROUP BY 1"
    assert world.sql(loaded, (f"{day:%Y%m%d}",)) == [("US_EAST", 120)]


def test_a_region_without_rows_is_missing(world: World, day: date) -> None:
    world.fill(day, rows=40, regions=OTHERS)
    run = world.run(day)
    assert_only_europe_is_missing(world, run, day, "answered with 0 rows, min_region_record_count is 1")


def test_a_required_region_that_is_missing_fails_the_run(world: World, day: date) -> None:
    world.fill(day, rows=40, regions=OTHERS)
    with world.variable("regions_required", '["EUROPE"]'):
        run = world.run(day)
    assert run.state.is_failed()
    assert "a required region is missing: EUROPE left out" in run.state.message
    assert set(world.ledger(f"{day:%Y%m%d}").values()) == {"FAILED"}


def test_no_region_left_fails_the_run_and_loads_nothing(world: World, day: date) -> None:
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"no-region-left-{day}"})
    with europe_reached_by(world, **{f":{port_of(world, 'EUROPE')}/": ":1/"}):
        run = world.run(day, regions=["EUROPE"])
    assert run.state.is_failed()
    assert "no region left: EUROPE left out" in run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "FAILED"}
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",)) == [(0,)]


def test_a_closed_day_is_empty_and_rows_that_came_all_the_same_are_published(world: World, day: date) -> None:
    closed = "{" + ", ".join(f'"{region}": ["{day}"]' for region in REGIONS) + "}"
    with world.variable("closed_days", closed):
        empty = world.run(day)
        assert empty.state.name == "Completed", empty.state.message
        assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(REGIONS, "EMPTY")

        world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"closed-{day}"})
        some = world.run(day)
    assert some.state.name == "Completed", some.state.message
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(REGIONS, "EMPTY") | {"EUROPE": "PUBLISHED"}


def test_a_bad_row_on_a_closed_day_is_rejected_and_the_other_regions_are_empty(world: World, day: date) -> None:
    closed = "{" + ", ".join(f'"{region}": ["{day}"]' for region in REGIONS) + "}"
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"return-{day}", "quantity": 0})
    with world.variable("closed_days", closed):
        run = world.run(day)
    assert run.state.name == "Completed", run.state.message
    assert world.ledger(f"{day:%Y%m%d}") == dict.fromkeys(OTHERS, "EMPTY") | {"EUROPE": "PUBLISHED"}
    found = run.region("EUROPE")
    assert (found.extracted, found.clean, found.rejected) == (1, 0, 1)
    assert found.rejected_by_rule["quantity_not_positive"] == 1
