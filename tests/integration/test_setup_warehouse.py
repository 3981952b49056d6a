"""Set-up of a warehouse that an earlier version has set up and loaded."""

from datetime import UTC, date, datetime
from pathlib import Path

from flows.setup_warehouse import setup_warehouse
from tasks.rollback import roll_back
from tests.integration.conftest import World
from tests.integration.publish.harness import fates, load

ADDED = {
    "ETL_BATCHES": ("SNAPSHOT_AT", "ORDINAL"),
    "ETL_LOCK": ("ORDINAL", "TOKEN", "TOKEN_AT"),
    "SALES_REJECTED": ("CLOSED_BY_RUN_NUMBER",),
}
"""Columns that came after the first version."""


def sell(world: World, day: date, amount: str) -> str:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    key = f"setup-{day}"
    world.insert("EUROPE", {"sale_id": key, "sale_date": noon, "updated_at": noon, "total_amount": amount})
    return key


def test_what_an_earlier_version_has_loaded_goes_on(world: World, day: date, tmp_path: Path) -> None:
    key = sell(world, day, "3.00")
    load(world, day, tmp_path, "EUROPE")
    for table, columns in ADDED.items():
        for column in columns:
            world.sql(f"ALTER TABLE ANALYTICS.{table} DROP COLUMN {column}")
    setup_warehouse()

    shown = "SELECT STATUS, ORDINAL FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ?"
    assert world.sql(shown, (f"{day:%Y%m%d}",)) == [("PUBLISHED", None)]
    world.change("EUROPE", "UPDATE sales_transactions SET total_amount = 4 WHERE sale_id = %s", (key,))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"updated": 1}}
    ((status, ordinal),) = world.sql(shown, (f"{day:%Y%m%d}",))
    assert (status, ordinal is None) == ("PUBLISHED", False)
    # Entries of before, which have no number, are put back together with those of after.
    with world.session() as session:
        rollback = roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
    assert rollback.difference is not None
    assert len(rollback.difference.runs) == 2
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE SALE_ID = ?", (key,)) == [(0,)]


def test_rows_are_filled_in_under_the_lock(world: World, day: date, tmp_path: Path) -> None:
    key = sell(world, day, "3.00")
    load(world, day, tmp_path, "EUROPE")
    world.sql("UPDATE SALES_FACT SET IS_DELETED = NULL WHERE SALE_ID = ?", (key,))
    ((before,),) = world.sql("SELECT ORDINAL FROM ETL_LOCK")
    setup_warehouse()
    assert world.sql("SELECT IS_DELETED FROM SALES_FACT WHERE SALE_ID = ?", (key,)) == [(False,)]
    assert world.sql("SELECT ORDINAL, TOKEN FROM ETL_LOCK") == [(before + 1, None)]
