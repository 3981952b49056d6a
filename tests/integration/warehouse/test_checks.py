"""The data-quality queries of `sql/checks/` find their faults in the fact table."""

from datetime import date

from tasks.warehouse.statements import SQL_DIRECTORY, render
from tests.integration.conftest import World


def test_the_checks_find_nothing_wrong_with_a_published_day(world: World, day: date) -> None:
    world.fill(day, rows=60)
    assert world.run(day).state.name == "Completed"
    assert {path.stem for path in (SQL_DIRECTORY / "checks").glob("*.sql")} == {
        "broken_rules",
        "duplicate_sale_ids",
        "null_percentages",
        "rows_per_batch",
    }
    assert (f"{day:%Y%m%d}", 240) in world.sql(render("checks/rows_per_batch"))
    assert world.sql(render("checks/duplicate_sale_ids")) == []
    assert world.sql(render("checks/broken_rules")) == []
    ((*shares,),) = world.sql(render("checks/null_percentages"))
    assert len(shares) == 19
    assert set(map(float, shares)) == {0.0}


def test_the_checks_find_a_repeated_key_and_a_broken_rule(world: World, day: date) -> None:
    world.fill(day, rows=60)
    world.run(day)
    ((key,),) = world.sql("SELECT MIN(SALE_ID) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))
    with world.session() as session:
        session.query("BEGIN TRANSACTION")
        session.query("INSERT INTO SALES_FACT SELECT * FROM SALES_FACT WHERE SALE_ID = ?", (key,))
        session.query("UPDATE SALES_FACT SET NET_AMOUNT = NET_AMOUNT + 0.01 WHERE SALE_ID = ?", (key,))
        repeated, broken = (
            session.query(render("checks/duplicate_sale_ids")),
            session.query(render("checks/broken_rules")),
        )
        session.query("ROLLBACK")
    assert repeated == [(key, 2)]
    assert [row[0] for row in broken] == [key, key]


BROKEN = {
    "tax-above-total": "TAX_AMOUNT = TOTAL_AMOUNT + 0.01, GROSS_PROFIT = NET_AMOUNT - TOTAL_AMOUNT - 0.01",
    "currency-in-small-letters": "CURRENCY = 'usd'",
    "currency-too-short": "CURRENCY = 'US'",
    "currency-too-long": "CURRENCY = 'USDX'",
    "currency-with-a-line-break": "CURRENCY = 'USD' || CHR(10)",
    "currency-of-other-letters": "CURRENCY = 'ÜSD'",
    "currency-empty": "CURRENCY = ''",
    "currency-blank": "CURRENCY = '   '",
    "key-empty": "SALE_ID = ''",
    "key-blank": "SALE_ID = ' ' || CHR(9) || CHR(10) || CHR(11) || CHR(12) || CHR(13)",
}


def test_the_checks_find_each_rule_that_a_sale_in_the_table_breaks(world: World, day: date) -> None:
    world.fill(day, rows=60)
    world.run(day)
    ((key,),) = world.sql("SELECT MIN(SALE_ID) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))
    found = {}
    with world.session() as session:
        for name, assignments in BROKEN.items():
            session.query("BEGIN TRANSACTION")
            session.query(f"UPDATE SALES_FACT SET {assignments} WHERE SALE_ID = ?", (key,))
            found[name] = len(session.query(render("checks/broken_rules")))
            session.query("ROLLBACK")
    assert found == dict.fromkeys(BROKEN, 1)
