"""The queries of docs/analysts.md, unchanged, return the rows that plain Python finds in days of the real year."""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from docs.analysts_pages import EXAMPLES, YESTERDAY
from expectations.regions import REGIONS
from local import generator, sample_data
from local.environment import CHECKOUT
from tasks.batch import Batch
from tasks.warehouse.ledger import Entry, record, start_attempt
from tasks.warehouse.states import Status
from tests.integration.conftest import World
from tests.integration.publish.harness import load

WEEK_BEFORE, FIRST, LAST = date(2017, 12, 16), date(2017, 12, 21), date(2017, 12, 23)
LOADED = (WEEK_BEFORE, FIRST, date(2017, 12, 22), LAST)
CLOSED = date(2017, 12, 25)
PERIOD = [WEEK_BEFORE + timedelta(days=number) for number in range(10)]
"""The days that the queries ask for."""
ZONES = {code: ZoneInfo(region.time_zone) for code, region in REGIONS.items()}

Sale = dict[str, Any]
Key = tuple[Any, ...]
PAGE = (CHECKOUT / "docs" / "analysts.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.+?);\n```$", PAGE, re.MULTILINE | re.DOTALL)


def rows_of_the_year(code: str) -> pa.Table:
    """The region's real rows of the loaded days."""
    frame = sample_data.year(code)
    return pa.Table.from_pandas(frame[frame["sale_date"].dt.date.isin(LOADED)], preserve_index=False)


@contextmanager
def real_days(world: World) -> Iterator[dict[str, pa.Table]]:
    """The loaded days at the sources, as the year has them, and nothing of the period in the warehouse. Both are then
    what they were, as other tests use the year."""
    tables = {code: rows_of_the_year(code) for code in REGIONS}
    held = "FROM sales_transactions WHERE (sale_date AT TIME ZONE 'UTC')::date = ANY(%s)"
    had = False
    for code in REGIONS:
        with world.source(code) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT {held})", (list(LOADED),))
            had = had or cursor.fetchone()[0]
        connection.close()

    def reset(is_filled: bool) -> None:
        world.forget(*PERIOD, yesterday())
        for code, table in tables.items():
            world.change(code, f"DELETE {held}", (list(LOADED),))
            if is_filled:
                generator.load(world.environment[f"PG_{code}_OWNER_URL"], [table])

    world.tidy()
    reset(is_filled=True)
    try:
        yield tables
    finally:
        world.tidy()
        reset(is_filled=had)


@pytest.fixture(scope="module")
def read(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sale]]:
    """The rows of the source, of which one was corrected a week later; loaded are four days and a closed one."""
    scratch = tmp_path_factory.mktemp("analysts")
    rows: list[Sale] = []
    with real_days(world) as tables:
        for code, table in tables.items():
            rows += [row | {"region": code, "batch": f"{row['sale_date']:%Y%m%d}"} for row in table.to_pylist()]
        for day in LOADED[:-1]:
            load(world, day, scratch, *REGIONS)
        correct(world, rows)
        load(world, LAST, scratch, *REGIONS)
        with world.session() as session:
            attempt = start_attempt(session, Batch(CLOSED, tuple(REGIONS)), str(uuid.uuid4()), lease_minutes=15)
            record(session, attempt, [Entry(code, Status.EMPTY, counts={"EXTRACTED": 0}) for code in REGIONS])
        world.fill(yesterday(), rows=30, regions=("US_EAST", "US_WEST", "EUROPE"))
        load(world, yesterday(), scratch, "US_EAST", "US_WEST", "EUROPE")
        yield rows


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def correct(world: World, rows: list[Sale]) -> None:
    """Corrects a sale of the week before, on the last day, at the source and in `rows`."""
    corrected = next(row for row in rows if is_good(row) and row["region"] == "EUROPE" and row["batch"] == "20171216")
    corrected |= {"total_amount": corrected["total_amount"] + Decimal("0.01"), "batch": f"{LAST:%Y%m%d}"}
    world.change(
        "EUROPE",
        "UPDATE sales_transactions SET total_amount = total_amount + 0.01, updated_at = %s WHERE sale_id = %s",
        (datetime(LAST.year, LAST.month, LAST.day, 9, tzinfo=UTC), corrected["sale_id"]),
    )


def is_good(row: Sale) -> bool:
    """The real year breaks these rules and no others (docs/sample-data.md)."""
    return row["quantity"] > 0 and row["total_amount"] > 0


@pytest.fixture
def sales(read: list[Sale]) -> list[Sale]:
    """The rows that are published."""
    return [row for row in read if is_good(row)]


def net(rows: Iterable[Sale]) -> Decimal:
    return sum((row["total_amount"] - row["discount_amount"] for row in rows), Decimal(0))


def grouped(rows: Iterable[Sale], key: Callable[[Sale], Key]) -> list[tuple[Key, list[Sale]]]:
    groups: dict[Key, list[Sale]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return sorted(groups.items())


def asked(world: World, words: str) -> list[tuple[Any, ...]]:
    """The rows of the page's query whose question begins with these words."""
    (number,) = [n for n, example in enumerate((YESTERDAY, *EXAMPLES)) if example.question.startswith(words)]
    return world.sql(QUERIES[number])


def test_the_page_has_the_queries_in_their_order() -> None:
    assert [example.query for example in (YESTERDAY, *EXAMPLES)] == QUERIES
    assert len(QUERIES) == 8


@pytest.mark.account
@pytest.mark.usefixtures("read")
def test_yesterday_is_complete_where_it_was_loaded(world: World) -> None:
    found = {row[0]: row[1:] for row in asked(world, "Is yesterday complete")}
    assert list(found) == sorted(REGIONS)
    assert found.pop("ASIA_PACIFIC")[:4] == (False, "missing", None, None)
    for is_complete, state, rerun, as_of, changed_at in found.values():
        assert (is_complete, state, rerun) == (True, "published", None)
        assert datetime.now(UTC) > changed_at > as_of > datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.account
@pytest.mark.usefixtures("read")
def test_days_that_are_lacking_are_listed_and_a_closed_one_is_not(world: World) -> None:
    lacking = [date(2017, 12, day) for day in (17, 18, 19, 20, 24)]
    assert asked(world, "Which days are lacking") == [
        (day, code, "missing") for day in lacking for code in sorted(REGIONS)
    ]


@pytest.mark.account
def test_the_revenue_of_a_day_is_exact_per_region_and_currency(world: World, sales: list[Sale]) -> None:
    of_day = [row for row in sales if row["sale_date"].date() == LAST]
    assert len(of_day) == 7064, "as the README says"
    assert asked(world, "Revenue of a day") == [
        (region, True, currency, len(rows), net(rows))
        for (region, currency), rows in grouped(of_day, lambda row: (row["region"], row["currency"]))
    ]


@pytest.mark.account
def test_the_revenue_of_a_local_day_is_that_of_the_stores_clocks(world: World, sales: list[Sale]) -> None:
    def key(row: Sale) -> Key:
        return row["sale_date"].astimezone(ZONES[row["region"]]).date(), row["region"], row["currency"]

    # 20 December lacks its UTC day; of the 21st and 23rd, a part of the local day lies in a UTC day that lacks.
    complete = {(date(2017, 12, day), code) for code in REGIONS for day in (21, 22, 23)}
    complete -= {(date(2017, 12, 21), code) for code in ("EUROPE", "ASIA_PACIFIC")}
    complete -= {(date(2017, 12, 23), code) for code in ("US_EAST", "US_WEST")}
    expected = [(*k, len(rows), net(rows)) for k, rows in grouped(sales, key) if k[:2] in complete]
    assert len(expected) == 8
    assert asked(world, "Revenue per region, currency and day") == expected


@pytest.mark.account
def test_a_day_is_compared_with_the_same_weekday_before(world: World, sales: list[Sale]) -> None:
    both = [row for row in sales if row["sale_date"].date() in (WEEK_BEFORE, LAST)]
    assert asked(world, "How does a day compare") == [
        (
            *key,
            net(row for row in rows if row["sale_date"].date() == LAST),
            net(row for row in rows if row["sale_date"].date() == WEEK_BEFORE),
        )
        for key, rows in grouped(both, lambda row: (row["region"], row["currency"]))
    ]


@pytest.mark.account
def test_a_correction_is_listed_with_the_batch_that_brought_it(world: World, sales: list[Sale]) -> None:
    (late,) = [row for row in sales if row["batch"] != f"{row['sale_date']:%Y%m%d}"]
    assert asked(world, "Which sales came or changed after") == [
        (WEEK_BEFORE, "20171223", "EUROPE", "EUR", 1, late["total_amount"] - late["discount_amount"])
    ]


@pytest.mark.account
@pytest.mark.usefixtures("read")
def test_days_that_have_changed_since_are_listed(world: World) -> None:
    found = [(day, region) for day, region, _ in asked(world, "Which days have changed since")]
    # Other tests load other days.
    assert [row for row in found if row[0] in LOADED] == [(day, code) for day in LOADED for code in sorted(REGIONS)]


@pytest.mark.account
def test_the_rejected_share_is_that_of_the_rows_that_were_read(world: World, read: list[Sale]) -> None:
    shares = []
    # The correction was read with both days.
    late = [row for row in read if row["batch"] != f"{row['sale_date']:%Y%m%d}"]
    again = [row | {"sale_date": datetime.combine(LAST, row["sale_date"].timetz())} for row in late]
    for (day, code), rows in grouped([*read, *again], lambda row: (row["sale_date"].date(), row["region"])):
        bad = len([row for row in rows if not is_good(row)])
        share = (Decimal(bad) / len(rows)).quantize(Decimal("0.000001"))
        if share > Decimal("0.005"):
            shares.append((day, code, len(rows), bad, share))
    assert shares
    assert asked(world, "Of which days was more") == sorted(shares, key=lambda row: (-row[4], row[0], row[1]))
