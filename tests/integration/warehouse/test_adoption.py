"""The fact table of another tool is adopted, in a separate database."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from flows.rollback import rollback
from flows.setup_warehouse import setup_warehouse
from tasks.errors import NeedsPersonError, OutcomeUnknownError
from tasks.setup_warehouse.adoption import needs_adoption
from tasks.warehouse.session import Session
from tasks.warehouse.statements import LOAD_TYPES, render
from tests.integration.conftest import World, good_sale, session_of
from tests.integration.publish.harness import load
from tests.integration.warehouse.test_setup_warehouse import EndedError, count_statements

OTHER = "OTHER_TOOL"
KEYS = ("same", "changed", "gone")


@pytest.fixture
def theirs(world: World, day: date, tmp_path: Path) -> Iterator[Session]:
    """A session in another tool's database, whose fact table has three sales. The source has the same version of the
    first, a newer one of the second, no longer the third, and a new sale."""
    world.tidy()
    for key in KEYS:
        # Without an address, whose token is another one in the plain steps than in a run.
        world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"adopt-{key}-{day}", "customer_email": None})
    load(world, day, tmp_path, "EUROPE")
    definitions = render(
        "load/create_staging_tables", clean_table="W", rejected_table="X", standing_table="Y", fates_table="Z"
    )
    columns = definitions.partition("(\n")[2].partition("    SOURCE_REGION")[0]
    names = ", ".join(row[0] for row in world.sql("DESCRIBE TABLE ANALYTICS.SALES_FACT") if row[0] not in LOAD_TYPES)
    with world.session() as session:
        # A session works in the database that it has just created.
        session.query(f"CREATE DATABASE {OTHER}")
        session.query(f"CREATE SCHEMA {OTHER}.ANALYTICS")
        session.query(f"CREATE TABLE {OTHER}.ANALYTICS.SALES_FACT ({columns.rstrip().removesuffix(',')})")
        session.query(
            f"INSERT INTO {OTHER}.ANALYTICS.SALES_FACT ({names}) SELECT {names} "
            f"FROM {world.environment['SNOWFLAKE_DATABASE']}.ANALYTICS.SALES_FACT WHERE SALE_ID LIKE 'adopt-%-{day}'"
        )
    world.change("EUROPE", "DELETE FROM sales_transactions WHERE sale_id = %s", (f"adopt-gone-{day}",))
    newer = "SET total_amount = 5, updated_at = updated_at + interval '1 hour'"
    world.change("EUROPE", f"UPDATE sales_transactions {newer} WHERE sale_id = %s", (f"adopt-changed-{day}",))
    world.insert("EUROPE", good_sale("EUROPE", day) | {"sale_id": f"adopt-new-{day}"})
    try:
        with (
            world.warehouse_with(SNOWFLAKE_DATABASE=OTHER),
            session_of({**world.environment, "SNOWFLAKE_DATABASE": OTHER}) as session,
        ):
            yield session
    finally:
        world.sql(f"DROP DATABASE {OTHER}")


def shown(session: Session, *columns: str) -> dict[str, tuple[object, ...]]:
    """Cells of each sale, by the distinct part of its key."""
    rows = session.query(f"SELECT SALE_ID, {', '.join(columns)} FROM ANALYTICS.SALES_FACT")
    return {sale_id.split("-")[1]: tuple(cells) for sale_id, *cells in rows}


def test_a_table_of_another_tool_is_taken_over_when_it_is_said(world: World, theirs: Session, day: date) -> None:
    described = theirs.query("DESCRIBE TABLE ANALYTICS.SALES_FACT")
    refused = setup_warehouse(return_state=True)
    assert "ANALYTICS.SALES_FACT is there already, and this pipeline has not loaded it" in str(refused.message)
    assert theirs.query("DESCRIBE TABLE ANALYTICS.SALES_FACT") == described

    assert setup_warehouse(adopt_fact_table=True, return_state=True).is_completed()
    ((batch_id, region, status, extracted, inserted),) = theirs.query(
        "SELECT BATCH_ID, REGION, STATUS, EXTRACTED, INSERTED FROM ANALYTICS.ETL_BATCHES"
    )
    assert (region, status, extracted, inserted) == ("EUROPE", "PUBLISHED", 3, 3)
    assert batch_id.startswith("A")
    assert set(shown(theirs, "ETL_BATCH_ID", "IS_DELETED").values()) == {(batch_id, False)}
    assert setup_warehouse(return_state=True).is_completed(), "it is one of ours now"
    with pytest.raises(Exception, match="NOT NULL|NULL result"):
        theirs.query("UPDATE ANALYTICS.SALES_FACT SET ETL_RUN_NUMBER = NULL")

    run = world.run(day, ["EUROPE"])
    assert run.state.is_completed(), run.state.message
    loaded = run.region("EUROPE")
    assert (loaded.inserted, loaded.updated, loaded.unchanged) == (1, 1, 1)
    batches = {key: batch for key, (batch,) in shown(theirs, "ETL_BATCH_ID").items()}
    today = f"{day:%Y%m%d}"
    assert batches == {"same": batch_id, "gone": batch_id, "changed": today, "new": today}


def test_what_was_taken_over_returns_and_stays(world: World, theirs: Session, day: date) -> None:
    setup_warehouse(adopt_fact_table=True)
    before = shown(theirs, "TOTAL_AMOUNT", "ETL_BATCH_ID")
    ((batch_id, *_),) = {cells[1:] for cells in before.values()}
    assert world.run(day, ["EUROPE"]).state.is_completed()
    assert shown(theirs, "TOTAL_AMOUNT", "ETL_BATCH_ID") != before
    assert rollback(date=f"{day:%Y%m%d}", reason="a trial", return_state=True).is_completed()
    assert shown(theirs, "TOTAL_AMOUNT", "ETL_BATCH_ID") == before
    refused = rollback(date=str(batch_id), reason="a trial", cascade=True, return_state=True)
    assert "cannot be rolled back: it holds the rows that another tool loaded" in str(refused.message)
    assert shown(theirs, "TOTAL_AMOUNT", "ETL_BATCH_ID") == before


COLUMNS = [
    ("DROP COLUMN PRODUCT_CATEGORY", "PRODUCT_CATEGORY VARCHAR is lacking"),
    ("ALTER COLUMN TOTAL_AMOUNT SET DATA TYPE NUMBER(12,4)", "TOTAL_AMOUNT is NUMBER(12,4), not NUMBER(12,2)"),
    ("ADD COLUMN ETL_BATCH_ID VARCHAR", "ETL_BATCH_ID would be overwritten: rename it"),
    ("ADD COLUMN CUSTOMER_EMAIL VARCHAR", "CUSTOMER_EMAIL is not of the contract: keep it in a table of its own"),
]
ROWS = [
    ("STORE_ID = NULL", "1 rows have no STORE_ID"),
    ("EXTRA_ATTRIBUTES = '[1]'", "1 rows have EXTRA_ATTRIBUTES that are no JSON object"),
    ("EXTRA_ATTRIBUTES = 'gold'", "1 rows have EXTRA_ATTRIBUTES that are no JSON object"),
    ("UPDATED_AT = DATEADD('day', 1, CURRENT_TIMESTAMP())", "1 rows are of the future"),
    ("SALE_DAY = SALE_DAY + 1", "1 rows have a year, month or day that is not that of SALE_DATE in UTC"),
    ("SALE_ID = 'EUROPE:' || SALE_ID", "1 rows have a SALE_ID with the prefix of their region, or without it"),
    ("SALE_ID = (SELECT MAX(SALE_ID) FROM ANALYTICS.SALES_FACT)", "1 rows repeat a SALE_ID"),
    ("REGION = 'Mars'", "1 rows are of a REGION that expectations/regions.toml does not name"),
    ("CUSTOMER_EMAIL_TOKEN = 'somebody@example.com'", "1 rows have a CUSTOMER_EMAIL_TOKEN that is no token"),
    ("NET_AMOUNT = NET_AMOUNT + 1", "1 rows break a rule"),
]


@pytest.mark.parametrize(
    ("statement", "message"),
    [(f"ALTER TABLE ANALYTICS.SALES_FACT {change}", message) for change, message in COLUMNS]
    + [(f"UPDATE ANALYTICS.SALES_FACT SET {change} WHERE SALE_ID LIKE 'adopt-gone-%'", says) for change, says in ROWS],
)
def test_a_table_that_is_not_as_ours_is_refused(theirs: Session, statement: str, message: str) -> None:
    for row in theirs.query("DESCRIBE TABLE ANALYTICS.SALES_FACT"):
        if row[3] == "N":
            theirs.query(f"ALTER TABLE ANALYTICS.SALES_FACT ALTER COLUMN {row[0]} DROP NOT NULL")
    theirs.query(statement)
    before = theirs.query("DESCRIBE TABLE ANALYTICS.SALES_FACT"), shown(theirs, "*")
    refused = setup_warehouse(adopt_fact_table=True, return_state=True)
    assert f"ANALYTICS.SALES_FACT cannot be adopted: {message}" in str(refused.message)
    assert (theirs.query("DESCRIBE TABLE ANALYTICS.SALES_FACT"), shown(theirs, "*")) == before


@pytest.mark.more
def test_adoption_may_end_before_any_statement_and_is_repeated(world: World, theirs: Session) -> None:
    sent = 0
    for last in itertools.count():
        # The outcome is unknown when it ends at COMMIT.
        with suppress(EndedError, OutcomeUnknownError):
            sent = count_statements(world, last, OTHER, adopt=True)
        world.end_transactions()
        if sent:
            break
        if last > 0 and needs_adoption(theirs):
            with pytest.raises(NeedsPersonError, match="this pipeline has not loaded it"):
                count_statements(world, None, OTHER)
    assert sent > 40
    assert not needs_adoption(theirs)
    entries = theirs.query("SELECT BATCH_ID, REGION, STATUS, EXTRACTED FROM ANALYTICS.ETL_BATCHES")
    ((batch_id, *entry),) = entries
    assert entry == ["EUROPE", "PUBLISHED", 3]
    assert shown(theirs, "ETL_BATCH_ID") == dict.fromkeys(KEYS, (batch_id,))


def test_numbers_of_runs_that_are_not_ours_are_refused(theirs: Session) -> None:
    theirs.query("ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN ETL_RUN_NUMBER NUMBER(18,0)")
    theirs.query("UPDATE ANALYTICS.SALES_FACT SET ETL_RUN_NUMBER = 7")
    refused = setup_warehouse(adopt_fact_table=True, return_state=True)
    assert "the ETL_RUN_NUMBER of its rows are not of this pipeline" in str(refused.message)
