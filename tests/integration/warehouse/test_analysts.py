"""The views for analysts: sales without deleted ones, and the state of each day as grid and backfill know it."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from docs.analysts_pages import semantic_view, sources_file
from expectations.analysts import DATA_STATUS, SALES, VIEWS
from expectations.regions import REGIONS
from flows.reconcile import reconcile
from flows.replay_rejected import replay_rejected
from flows.rollback import rollback
from tasks.backfill.gaps import is_wanted
from tasks.batch import Attempt, Batch, DateRange
from tasks.errors import NeedsPersonError
from tasks.pages.figures import read_ledger_range
from tasks.pages.ledger_grid import FAILED_MARK, IN_PRODUCTION, LEGEND, MISSING, RUNNING_MARK, cell
from tasks.rollback.roll_back import roll_back
from tasks.warehouse import statements
from tasks.warehouse.ledger import Entry, known_states, record, start_attempt
from tasks.warehouse.statements import configured_regions
from tasks.warehouse.states import Status
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import load
from tests.integration.shop import Shop

MARKS = {"running": RUNNING_MARK, "failed": FAILED_MARK, None: ""}
"""The marks of the grid by the view's column RERUN."""
NO_EMAIL = {"customer_email": None}
"""The harness has another token key: what a heal reads again would differ."""


@pytest.fixture
def shop(world: World, day: date) -> Iterator[Shop]:
    world.tidy()
    world.forget_rejected()
    yield Shop(world, day, "analysts", NO_EMAIL)
    world.tidy()


def utc_today() -> date:
    return datetime.now(UTC).date()


# Sales


@pytest.mark.account
def test_sales_have_the_day_and_time_of_their_region(world: World, day: date, tmp_path: Path) -> None:
    world.tidy()
    moments = [datetime.combine(day, time(3, 30, 0, 250_000), UTC), datetime.combine(day, time(23, 59, 59), UTC)]
    for region in REGIONS:
        for number, moment in enumerate(moments):
            key = f"local-{region}-{number}-{day}"
            sale = good_sale(region) | {"sale_id": key, "sale_date": moment, "updated_at": moment}
            world.insert(region, sale)
    load(world, day, tmp_path, *REGIONS)
    query = "SELECT REGION, SALE_DATE, SALE_DATE_LOCAL, UTC_DATE FROM SALES WHERE SALE_ID LIKE ? ORDER BY 1, 2"
    assert world.sql(query, (f"local-%-{day}",)) == [
        (code, moment, moment.astimezone(ZoneInfo(REGIONS[code].time_zone)).replace(tzinfo=None), day)
        for code in sorted(REGIONS)
        for moment in moments
    ]


@pytest.mark.account
def test_a_sale_that_its_source_no_longer_holds_is_not_listed(shop: Shop, tmp_path: Path) -> None:
    shop.sell("stays", "goes")
    shop.load(tmp_path)
    listed = "SELECT SALE_ID FROM SALES WHERE SALE_ID LIKE ? ORDER BY 1"
    assert shop.world.sql(listed, (shop.key("%"),)) == [(shop.key("goes"),), (shop.key("stays"),)]
    shop.remove("goes")
    heal(shop, heal_deleted=True)
    assert shop.amounts() == {"goes": "deleted", "stays": "3.00"}
    assert shop.world.sql(listed, (shop.key("%"),)) == [(shop.key("stays"),)]


def heal(shop: Shop, **options: bool) -> str:
    """Reconciles the shop's day, and returns the batch of the heal."""
    period: dict[str, Any] = {"start_date": str(shop.day), "end_date": str(shop.day), "regions": ["EUROPE"]}
    state = reconcile(**period, **options, return_state=True)
    assert state.is_completed(), state.message
    return str(state.result().heal)


@pytest.mark.account
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_columns_that_its_page_lists(world: World, view: Any) -> None:
    described = {row[0]: row[1].partition("(")[0] for row in world.sql(f"DESCRIBE TABLE ANALYTICS.{view.name}")}
    assert list(described.items()) == [(c.name, c.snowflake_type.partition("(")[0]) for c in view.columns]


# How complete a day is


STATES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "published": (("PUBLISHED",),),
    "published-again": (("PUBLISHED",), ("PUBLISHED",)),
    "published-and-running": (("PUBLISHED",), ()),
    "published-and-failed": (("PUBLISHED",), ("FAILED",)),
    "published-and-died": (("PUBLISHED",), ("DIED",)),
    "published-and-left-out": (("PUBLISHED",), ("MISSING",)),
    "published-and-overtaken": (("PUBLISHED",), ("OVERTAKEN",)),
    "refused-by-the-second-look": (("PUBLISHED", "FAILED"),),
    "empty": (("EMPTY",),),
    "rolled-back": (("PUBLISHED", "ROLLED_BACK"),),
    "rolled-back-and-running": (("PUBLISHED", "ROLLED_BACK"), ()),
    "rolled-back-and-failed": (("PUBLISHED", "ROLLED_BACK"), ("FAILED",)),
    "rolled-back-and-published": (("PUBLISHED", "ROLLED_BACK"), ("PUBLISHED",)),
    "left-out": (("MISSING",),),
    "failed": (("FAILED",),),
    "failed-and-running": (("FAILED",), ()),
    "overtaken": (("OVERTAKEN",),),
    "died": (("DIED",),),
    "running": ((),),
}
"""The attempts at a day, each by the statuses that it went through; DIED is one whose lease has ended."""


def enter(world: World, day: date, *statuses: str, regions: tuple[str, ...] = ("EUROPE",)) -> Attempt:
    """An attempt in the ledger that went through the statuses."""
    with world.session() as session:
        lease = -1 if "DIED" in statuses else 15
        attempt = start_attempt(session, Batch(day, regions), str(uuid.uuid4()), lease_minutes=lease)
        for status in statuses:
            if status != "DIED":
                counts = {"EXTRACTED": 40, "REJECTED": 2}
                record(session, attempt, [Entry(region, Status(status), counts=counts) for region in regions])
    return attempt


def status_rows(world: World) -> dict[tuple[date, str], dict[str, Any]]:
    """DATA_STATUS by day and region."""
    names = [column.name for column in DATA_STATUS.columns]
    rows = world.sql(f"SELECT {', '.join(names)} FROM DATA_STATUS")
    found = {(row[0], row[1]): dict(zip(names, row, strict=True)) for row in rows}
    assert len(found) == len(rows), "a day and region has two rows"
    return found


@pytest.fixture
def every_state(world: World, day: date) -> Iterator[None]:
    """A day in each of STATES, today half loaded, and a region that nobody has configured."""
    world.tidy()
    days = {name: day + timedelta(days=number) for number, name in enumerate(STATES)}
    for name, attempts in STATES.items():
        for statuses in attempts:
            enter(world, days[name], *statuses)
    with world.session() as session:
        snapshot_at = datetime.combine(utc_today(), time(0, 0, 1), UTC)
        half = start_attempt(session, Batch(utc_today(), ("EUROPE",)), str(uuid.uuid4()), lease_minutes=15)
        record(session, half, [Entry("EUROPE", Status.PUBLISHED, counts={}, snapshot_at=snapshot_at)])
    mars = enter(world, day, "PUBLISHED", regions=("MARS",))
    yield
    world.sql("DELETE FROM ETL_BATCHES WHERE RUN_NUMBER IN (?, ?)", (half.run_number, mars.run_number))
    world.tidy()


@pytest.mark.account
@pytest.mark.usefixtures("every_state")
def test_the_view_says_of_every_day_what_grid_and_backfill_say(world: World, day: date) -> None:
    with world.session() as session:
        known, whole = known_states(session, None, utc_today()), read_ledger_range(session)
    shown = status_rows(world)
    assert whole is not None
    states = {(state.date, state.region): state for state in known}
    assert whole.last >= utc_today()
    # A region that is not configured is not expected on days that the ledger lacks.
    expected = {(each, region): cell(states.get((each, region))) for each in whole for region in REGIONS}
    expected |= {key: cell(state) for key, state in states.items()}
    assert {key: row["STATE"] + MARKS[row["RERUN"]] for key, row in shown.items()} == expected
    assert shown[(day, "MARS")]["STATE"] == "published"
    assert (day + timedelta(days=1), "MARS") not in shown
    words = {row["STATE"] for row in shown.values()}
    assert words == {*IN_PRODUCTION.values(), *LEGEND} - {RUNNING_MARK.strip(), FAILED_MARK.strip()}
    assert {row["RERUN"] for row in shown.values()} == {*MARKS}

    for key, row in shown.items():
        state = states.get(key)
        rolled_back = state is not None and state.in_production is Status.ROLLED_BACK
        assert row["IS_COMPLETE"] is (not is_wanted(state, "missing") and not rolled_back), (key, row)


@pytest.mark.account
@pytest.mark.usefixtures("every_state")
def test_a_day_by_the_clock_of_a_region_is_complete_with_the_utc_days_that_hold_it(world: World) -> None:
    shown = status_rows(world)
    ends = {}
    for (day, code), row in shown.items():
        if code not in REGIONS:
            assert row["LOCAL_DATE"] is None
            continue
        zone = ZoneInfo(REGIONS[code].time_zone)
        begins, over = (
            datetime.combine(row["LOCAL_DATE"] + timedelta(days=days), time(), zone).astimezone(UTC) for days in (0, 1)
        )
        midnight = datetime.combine(day, time(), UTC)
        assert midnight < over <= midnight + timedelta(days=1), (day, code)
        assert midnight - timedelta(days=1) <= begins
        ends[(row["LOCAL_DATE"], code)] = day
        before = shown.get((day - timedelta(days=1), code))
        both = row["IS_COMPLETE"] and before is not None and before["IS_COMPLETE"]
        assert row["IS_LOCAL_DATE_COMPLETE"] is both
    assert len(ends) == len([key for key in shown if key[1] in REGIONS]), "each local day ends once"
    assert {row["IS_LOCAL_DATE_COMPLETE"] for row in shown.values()} == {True, False}


@pytest.mark.account
def test_the_view_reaches_from_the_first_day_of_the_ledger_to_yesterday(world: World, day: date) -> None:
    enter(world, day, "PUBLISHED")
    days = {key[0] for key in status_rows(world)}
    yesterday = utc_today() - timedelta(days=1)
    assert {day, yesterday} <= days
    with world.session() as session:
        whole = read_ledger_range(session)
    assert whole is not None
    assert {*DateRange(whole.first, max(whole.last, yesterday))} <= days
    assert status_rows(world)[(yesterday, "US_WEST")]["STATE"] in (MISSING, *IN_PRODUCTION.values())


@pytest.mark.account
@pytest.mark.parametrize("statuses", [("FAILED",), ("MISSING",), ("DIED",)], ids=" ".join)
def test_a_typo_in_a_year_adds_a_row_and_hides_none(world: World, day: date, statuses: tuple[str, ...]) -> None:
    """More than a century back, which is as far as the view counts."""
    enter(world, day, "PUBLISHED")
    before, typo, yesterday = status_rows(world), date(1917, 12, 23), utc_today() - timedelta(days=1)
    with world.session() as session:
        whole = read_ledger_range(session)
    enter(world, typo, *statuses)
    try:
        after = status_rows(world)
        with world.session() as session:
            assert read_ledger_range(session) == whole
    finally:
        world.forget(typo)
    assert after.keys() - before.keys() == {(typo, "EUROPE")}
    assert before.keys() <= after.keys()
    assert (yesterday, "EUROPE") in after


@pytest.mark.account
def test_the_time_before_a_region_opened_is_not_missing_but_what_was_loaded_of_it_is_listed(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tidy()
    world.forget(*(day + timedelta(days=number) for number in range(-1, 7)))
    enter(world, day, "PUBLISHED", regions=("EUROPE", "US_WEST"))
    opened = replace(REGIONS["EUROPE"], first_date=day + timedelta(days=3))
    configured = configured_regions([*(REGIONS[code] for code in REGIONS if code != "EUROPE"), opened])
    monkeypatch.setitem(statements._COLUMN_LISTS, "configured_regions", configured)  # as a new process would read it
    try:
        assert world.set_up().is_completed()
        shown = status_rows(world)
    finally:
        monkeypatch.undo()
        assert world.set_up().is_completed()

    def states(region: str, first: int, last: int) -> list[str | None]:
        days = DateRange(day + timedelta(days=first), day + timedelta(days=last))
        return [shown[(each, region)]["STATE"] if (each, region) in shown else None for each in days]

    assert states("US_WEST", 0, 4) == ["published", *[MISSING] * 4]
    assert states("EUROPE", 0, 4) == ["published", None, None, MISSING, MISSING]
    assert all((opened.first_date, region) in shown for region in REGIONS)
    assert (day + timedelta(days=1), "EUROPE") in status_rows(world)


# Figures of a day


def figures(shop: Shop) -> dict[str, Any]:
    """The row of the shop's day in Europe."""
    ((*cells,),) = shop.world.sql(
        "SELECT * FROM DATA_STATUS WHERE UTC_DATE = ? AND REGION = 'EUROPE'", (shop.day.isoformat(),)
    )
    return dict(zip([column.name for column in DATA_STATUS.columns], cells, strict=True))


@pytest.mark.account
def test_rows_and_rejected_share_are_those_of_the_run_in_production(shop: Shop, tmp_path: Path) -> None:
    shop.sell("1", "2", "3")
    shop.sell("bad", quantity=0)
    shop.load(tmp_path)
    row = figures(shop)
    assert (row["ROWS_EXTRACTED"], row["ROWS_REJECTED"], float(row["REJECTED_SHARE"])) == (4, 1, 0.25)
    ((snapshot_at,),) = shop.world.sql(
        "SELECT SNAPSHOT_AT FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ? AND REGION = 'EUROPE'",
        (f"{shop.day:%Y%m%d}",),
    )
    assert row["AS_OF"] == snapshot_at

    enter(shop.world, shop.day, "FAILED")
    assert figures(shop) == row | {"RERUN": "failed"}
    shop.change("bad", "quantity = 2")
    shop.load(tmp_path)
    mended = figures(shop)
    assert (mended["ROWS_EXTRACTED"], mended["ROWS_REJECTED"], float(mended["REJECTED_SHARE"])) == (4, 0, 0.0)
    assert mended["AS_OF"] > snapshot_at


@pytest.mark.account
def test_a_closed_day_has_no_rows_and_no_share(shop: Shop) -> None:
    with shop.world.session() as session:
        attempt = start_attempt(session, Batch(shop.day, ("EUROPE",)), str(uuid.uuid4()), lease_minutes=15)
        record(session, attempt, [Entry("EUROPE", Status.EMPTY, counts={"EXTRACTED": 0}, cause="closed day")])
    row = figures(shop)
    assert (row["IS_COMPLETE"], row["STATE"]) == (True, "empty")
    assert (row["ROWS_EXTRACTED"], row["ROWS_REJECTED"], row["REJECTED_SHARE"]) == (0, 0, None)
    assert row["LAST_CHANGED_AT"] is None


@pytest.mark.account
def test_the_last_change_of_a_day_is_that_of_its_sales_by_whatever_batch(shop: Shop, tmp_path: Path) -> None:
    """A run that finds all unchanged is no change; another day's batch, a heal, a mark, rollbacks and a replay are."""
    shop.sell("one", "corrected", "late", "goes")
    shop.sell("mended", quantity=0)
    shop.load(tmp_path)
    seen = [figures(shop)["LAST_CHANGED_AT"]]
    shop.load(tmp_path)
    assert figures(shop)["LAST_CHANGED_AT"] == seen[0]

    def changed(what: str) -> None:
        row = figures(shop)
        assert row["LAST_CHANGED_AT"] > seen[-1], what
        assert row["IS_COMPLETE"], what
        seen.append(row["LAST_CHANGED_AT"])

    next_day = shop.on(shop.day + timedelta(days=1))
    shop.change("corrected", f"total_amount = 4, discount_amount = 0, updated_at = '{shop.noon(1)}'")
    next_day.load(tmp_path)
    changed("corrected by the next day's batch")
    with shop.world.session() as session:
        roll_back(session, f"{next_day.day:%Y%m%d}", "a trial", False, 35, "by hand")
    changed("that batch rolled back")

    shop.change("late", "total_amount = 5, discount_amount = 0")
    batch = heal(shop)
    changed("a heal")
    assert rollback(date=batch, reason="a trial", return_state=True).is_completed()
    changed("that heal rolled back")
    shop.remove("goes")
    heal(shop, heal_deleted=True)
    changed("a sale marked as deleted")

    shop.change("mended", "quantity = 2")
    assert replay_rejected(return_state=True).is_completed()
    assert "mended" in shop.amounts()
    changed("a replay")

    assert rollback(date=str(shop.day), reason="a trial", cascade=True, return_state=True).is_completed()
    row = figures(shop)
    assert (row["IS_COMPLETE"], row["STATE"], row["AS_OF"], row["ROWS_EXTRACTED"]) == (False, "rolled back", None, None)
    assert row["LAST_CHANGED_AT"] > seen[-1]


# Set-up


def test_views_that_are_missing_or_older_are_made_by_a_set_up_that_does_only_what_is_needed(world: World) -> None:
    world.tidy()
    world.sql("DROP VIEW ANALYTICS.SALES")
    world.sql(
        "CREATE OR REPLACE VIEW ANALYTICS.DATA_STATUS AS SELECT 'x' AS REGION, TRUE AS IS_COMPLETE, 1 AS UTC_DATE"
    )
    assert world.set_up(only_if_needed=True).message == "the warehouse is set up"
    for view in VIEWS:
        assert [row[0] for row in world.sql(f"DESCRIBE TABLE ANALYTICS.{view.name}")] == [c.name for c in view.columns]
    assert "has the tables of this version" in str(world.set_up(only_if_needed=True).message)


@pytest.mark.parametrize(
    "statement", ["CREATE VIEW ANALYTICS.SALES AS SELECT 1 AS ID", "CREATE TABLE ANALYTICS.SALES (ID INT)"]
)
def test_a_view_or_table_of_another_tool_is_not_replaced(world: World, statement: str) -> None:
    world.tidy()
    world.sql("DROP VIEW ANALYTICS.SALES")
    world.sql(statement)
    try:
        refused = world.set_up()
        assert refused.is_failed()
        assert "ANALYTICS.SALES is there already, and this pipeline did not create it: rename it" in str(
            refused.message
        )
        assert [row[0] for row in world.sql("DESCRIBE TABLE ANALYTICS.SALES")] == ["ID"]
    finally:
        world.sql(f"DROP {statement.split()[1]} ANALYTICS.SALES")
        assert world.set_up().is_completed()
    assert [row[0] for row in world.sql("DESCRIBE TABLE ANALYTICS.SALES")] == [c.name for c in SALES.columns]


# dbt and the semantic view


def end_of_the_region_that_lags_most(world: World) -> datetime:
    """The end of its newest complete day, or the beginning of its first day, by the view's rows."""
    shown = status_rows(world)
    ends = {region: min(day for day, of in shown if of == region) for region in REGIONS}
    for (day, region), row in shown.items():
        if row["IS_COMPLETE"] and region in REGIONS:
            ends[region] = max(ends[region], day + timedelta(days=1))
    return datetime.combine(min(ends.values()), time())


@pytest.mark.account
def test_dbt_measures_freshness_by_the_newest_complete_day_of_the_region_that_lags_most(world: World) -> None:
    (source,) = yaml.safe_load(sources_file())["sources"]
    query = source["tables"][0]["config"]["loaded_at_query"]
    today = datetime.combine(utc_today(), time())
    assert world.sql(query) == [(end_of_the_region_that_lags_most(world),)]
    ahead = utc_today() - timedelta(days=1)
    enter(world, ahead, "PUBLISHED", regions=tuple(REGIONS))
    assert world.sql(query) == [(today,)]
    enter(world, ahead, "ROLLED_BACK")
    assert world.sql(query) == [(end_of_the_region_that_lags_most(world),)]
    assert world.sql(query) < [(today,)]
    world.forget(ahead)
    # A region that has opened yesterday, alone in the view, and of which nothing is loaded yet.
    opened = f"(SELECT * FROM ANALYTICS.DATA_STATUS WHERE UTC_DATE = '{ahead}' AND REGION = 'US_EAST') AS STATUS"
    assert world.sql(query.replace("ANALYTICS.DATA_STATUS", opened)) == [(today - timedelta(days=1),)]


@pytest.mark.account
def test_a_semantic_view_adds_amounts_per_currency_and_never_across(world: World, day: date, tmp_path: Path) -> None:
    """On an account; the stand-in knows no semantic views."""
    world.tidy()
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"semantic-1-{day}", "currency": "EUR"})
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"semantic-2-{day}", "currency": "SEK"})
    load(world, day, tmp_path, "EUROPE")
    statement = semantic_view()
    if world.environment["SNOWFLAKE_PROTOCOL"] == "http":
        with pytest.raises(NeedsPersonError, match="001003"):
            world.asking.run_script(statement)
        return
    world.asking.run_script(statement)
    asked = "SELECT * FROM SEMANTIC_VIEW(ANALYTICS.SALES_SEMANTICS DIMENSIONS {dimensions} METRICS SALES.SALES_COUNT, "
    asked += f"SALES.SUM_OF_TOTAL_AMOUNT WHERE SALES.UTC_DATE = '{day}') ORDER BY 1, 2"
    by_currency = world.sql(asked.format(dimensions="SALES.REGION, SALES.CURRENCY"))
    assert [(region, currency, int(sales), f"{amount}") for region, currency, sales, amount in by_currency] == [
        ("EUROPE", "EUR", 1, "3.00"),
        ("EUROPE", "SEK", 1, "3.00"),
    ]
    ((region, sales, amount),) = world.sql(asked.format(dimensions="SALES.REGION"))
    assert (region, int(sales), amount) == ("EUROPE", 2, None)
    ((incomplete,),) = world.sql(
        "SELECT * FROM SEMANTIC_VIEW(ANALYTICS.SALES_SEMANTICS METRICS DATA_STATUS.INCOMPLETE_DAYS "
        f"WHERE DATA_STATUS.UTC_DATE = '{day}' AND DATA_STATUS.REGION = 'EUROPE')"
    )
    assert int(incomplete) == 0
