"""What a day reads of a fact table that holds years: the keys of all sales at most three times, and the rest only of
the sales that it touches."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS
from flows.reconcile import reconcile
from flows.rollback import rollback
from local.generator import Dirt
from tasks.warehouse.session import Session
from tasks.warehouse.statements import LOAD_TYPES
from tests.integration.conftest import World, session_of

DATABASE = "YEARS"
DAY = date(2021, 6, 15)
SALES, OF_THE_DAY, DAYS = 1_000_000, 500, 730
KEY_COLUMNS = {"SALE_ID", "REGION", "SALE_DATE"}
ROWS_OF_A_PART = 122_880
"""Rows for which DuckDB keeps the least and the greatest values together."""
TOUCHED_PARTS_MAX = 2
"""The newest parts, which may be two: one that is partly filled, and the next."""


@dataclass(frozen=True)
class Scan:
    """One read of the fact table."""

    statement: str
    columns: frozenset[str]
    rows: int


@pytest.fixture(scope="module")
def years(world: World) -> Iterator[Session]:
    """A database with a million sales of two years, day after day as their loads would have left them."""
    environment = {**world.environment, "SNOWFLAKE_DATABASE": DATABASE}
    try:
        with world.warehouse_with(SNOWFLAKE_DATABASE=DATABASE):
            assert world.set_up().is_completed()
            world.fill(DAY, OF_THE_DAY)
            assert world.run(DAY).state.is_completed()
            with session_of(environment) as session:
                write_history(session)
                yield session
    finally:
        world.sql(f"DROP DATABASE IF EXISTS {DATABASE}")


def write_history(session: Session) -> None:
    """Writes the day's sales with other keys, on every day of two years."""
    columns = [*(column.stored_name.upper() for column in CLEAN_COLUMNS), *LOAD_TYPES]
    made = {
        "SALE_ID": "MD5(SALE_ID || '-' || DAYS.N)",
        "SALE_DATE": "DATEADD('day', -DAYS.N, SALE_DATE)",
        "UPDATED_AT": "DATEADD('day', -DAYS.N, UPDATED_AT)",
        "ETL_RUN_NUMBER": "0",
        "ETL_FIRST_RUN_NUMBER": "0",
    }
    copies = SALES // (OF_THE_DAY * len(REGIONS))
    numbers = " UNION ALL ".join(f"SELECT {copy * DAYS // copies + 1} AS N" for copy in range(copies))
    values = ", ".join(made.get(name, name) for name in columns)
    session.query(
        f"INSERT INTO ANALYTICS.SALES_FACT ({', '.join(columns)}) SELECT {values} FROM ANALYTICS.SALES_FACT "
        f"CROSS JOIN ({numbers}) AS DAYS ORDER BY DAYS.N DESC"
    )


@pytest.fixture
def profiles() -> Iterator[Path]:
    """The files in which the stand-in records its reads."""
    file = Path(os.environ["SNOWFLAKE_PROFILES"])
    file.touch()
    yield file
    file.unlink()


def scans_in(profiles: Path) -> list[Scan]:
    """Reads of columns of the fact table; a count of its rows reads none."""
    lines = [json.loads(line) for line in profiles.read_text().splitlines()]
    return [
        Scan(line["statement"], frozenset(scan["columns"]), scan["rows"])
        for line in lines
        for scan in line["scans"]
        if scan["table"] == "SALES_FACT" and any(scan["columns"])
    ]


def assert_whole_reads(profiles: Path, most: int) -> None:
    """At most `most` reads take every sale, and only keys and dates; all others take few parts."""
    scans = scans_in(profiles)
    whole = [scan for scan in scans if scan.rows >= SALES]
    others = [scan for scan in scans if scan.rows < SALES]
    assert {column for scan in whole for column in scan.columns} <= KEY_COLUMNS, whole
    assert len(whole) <= most, whole
    assert max(scan.rows for scan in others) <= TOUCHED_PARTS_MAX * ROWS_OF_A_PART, others


def correct(world: World, sold: date) -> None:
    """Changes some of a day's sales on the next day."""
    changed = (
        f"UPDATE sales_transactions SET quantity = quantity + 1, updated_at = '{DAY + timedelta(days=1)} 12:00+00'"
    )
    for region in REGIONS:
        world.change(region, f"{changed} WHERE sale_date >= %s AND sale_date < %s", (sold, sold + timedelta(days=1)))


def test_a_day_reads_all_keys_three_times_and_otherwise_what_it_touches(
    world: World, years: Session, profiles: Path
) -> None:
    next_day = DAY + timedelta(days=1)
    world.fill(next_day, OF_THE_DAY)
    correct(world, DAY)
    run = world.run(next_day)
    assert run.state.is_completed(), run.state.message
    assert run.region("EUROPE").updated > 0
    assert_whole_reads(profiles, most=3)


def test_a_rollback_reads_all_keys_once(world: World, years: Session, profiles: Path) -> None:
    day = DAY + timedelta(days=2)
    world.fill(day, OF_THE_DAY, dirt=Dirt.of(0.02))
    assert world.run(day).state.is_completed()
    profiles.write_text("")
    assert rollback(date=f"{day:%Y%m%d}", reason="a trial", return_state=True).is_completed()
    assert_whole_reads(profiles, most=1)


def test_reconcile_of_a_day_that_agrees_reads_its_days(world: World, years: Session, profiles: Path) -> None:
    assert reconcile(start_date=f"{DAY}", end_date=f"{DAY}", return_state=True).is_completed()
    assert_whole_reads(profiles, most=0)
