"""Set-up of a warehouse that an earlier version set up and loaded."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect_snowflake import SnowflakeCredentials

from blocks import names
from blocks.register import warehouse_blocks
from blocks.snowflake import SnowflakeHostConnector
from expectations.tables import TABLES_VERSION
from flows.replay_rejected import replay_rejected
from flows.setup_warehouse import SCRIPTS, set_up
from tasks.errors import NeedsPersonError, OutcomeUnknownError
from tasks.rollback.roll_back import roll_back
from tasks.warehouse.ledger import known_states, record_failure
from tasks.watch.late_and_dead import read_leases
from tests.integration.conftest import World
from tests.integration.publish.harness import begin, fates
from tests.integration.publish.statements import stepping_session
from tests.integration.shop import Shop
from tests.unit.tasks.warehouse.test_statements import VALUES

ADDED = {
    "ETL_BATCHES": ("SNAPSHOT_AT", "ORDINAL"),
    "ETL_LOCK": ("ORDINAL", "TOKEN", "TOKEN_AT", "TABLES_VERSION", "PAST_SINCE"),
    "SALES_FACT": ("ETL_PUBLISH_NUMBER",),
    "SALES_FACT_UNDO": ("ETL_PUBLISH_NUMBER", "UNDO_PUBLISH_NUMBER"),
}
"""Columns that came after the first version."""


@pytest.fixture
def quiet(world: World) -> World:
    """A warehouse without a live run."""
    world.tidy()
    return world


@pytest.fixture
def shop(quiet: World, day: date) -> Shop:
    return Shop(quiet, day, "setup")


@pytest.mark.account
def test_what_an_earlier_version_has_loaded_goes_on(quiet: World, day: date, shop: Shop, tmp_path: Path) -> None:
    shop.sell("sale")
    shop.load(tmp_path)
    for table, columns in ADDED.items():
        for column in columns:
            quiet.sql(f"ALTER TABLE ANALYTICS.{table} DROP COLUMN {column}")
    assert "run `python -m flows.setup_warehouse`" in quiet.run(day, ["EUROPE"]).state.message
    assert quiet.set_up().is_completed()

    shown = "SELECT STATUS, ORDINAL FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ?"
    assert quiet.sql(shown, (f"{day:%Y%m%d}",)) == [("PUBLISHED", None)]
    shop.change("sale", "total_amount = 4")
    assert fates(shop.load(tmp_path)) == {"EUROPE": {"updated": 1}}
    ((status, ordinal),) = quiet.sql(shown, (f"{day:%Y%m%d}",))
    assert (status, ordinal is None) == ("PUBLISHED", False)
    # Earlier entries, which have no number, are rolled back together with later ones.
    with quiet.session() as session:
        rollback = roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
    assert rollback.changes is not None
    assert len(rollback.changes.runs) == 2
    assert shop.sales() == {}


def test_where_the_undo_log_was_dropped_the_past_begins_anew(quiet: World) -> None:
    ((before,),) = quiet.sql("SELECT PAST_SINCE FROM ETL_LOCK")
    quiet.sql("ALTER TABLE SALES_FACT_UNDO RENAME TO KEPT")
    try:
        assert quiet.set_up().is_completed()
        ((since, ordinal),) = quiet.sql("SELECT PAST_SINCE, ORDINAL FROM ETL_LOCK")
        assert before < since == ordinal
        assert quiet.set_up().is_completed()
        assert quiet.sql("SELECT PAST_SINCE FROM ETL_LOCK") == [(since,)]
    finally:
        quiet.sql("DROP TABLE IF EXISTS SALES_FACT_UNDO")
        quiet.sql("ALTER TABLE KEPT RENAME TO SALES_FACT_UNDO")
        quiet.sql("UPDATE ETL_LOCK SET PAST_SINCE = ?", (before,))


@pytest.mark.account
def test_rows_are_filled_in_under_the_lock(quiet: World, shop: Shop, tmp_path: Path) -> None:
    shop.sell("sale")
    shop.load(tmp_path)
    quiet.sql("UPDATE SALES_FACT SET IS_DELETED = NULL WHERE SALE_ID = ?", (shop.key("sale"),))
    ((before,),) = quiet.sql("SELECT ORDINAL FROM ETL_LOCK")
    assert quiet.set_up().is_completed()
    assert quiet.sql("SELECT IS_DELETED FROM SALES_FACT WHERE SALE_ID = ?", (shop.key("sale"),)) == [(False,)]
    assert quiet.sql("SELECT ORDINAL, TOKEN FROM ETL_LOCK") == [(before + 1, None)]


@pytest.mark.account
@pytest.mark.parametrize(
    ("tables", "mend"),
    [(1, "run `python -m flows.setup_warehouse`"), (TABLES_VERSION + 1, "bring this machine's project up to date")],
    ids=["older-tables", "newer-tables"],
)
def test_code_of_another_version_writes_nothing(
    quiet: World, day: date, shop: Shop, tmp_path: Path, tables: int, mend: str
) -> None:
    shop.sell("sale")
    shop.load(tmp_path)
    entries = "SELECT COUNT(*) FROM ETL_BATCHES"
    before = quiet.sql(entries)
    quiet.sql("UPDATE ETL_LOCK SET TABLES_VERSION = ?", (tables,))
    try:
        run = quiet.run(day, ["EUROPE"])
        assert run.state.is_failed()
        assert (
            f"the warehouse's tables are of version {tables}, this code writes version {TABLES_VERSION}: {mend}"
            in run.state.message
        )
        with quiet.session() as session, pytest.raises(NeedsPersonError, match=f"of version {tables}"):
            roll_back(session, f"{day:%Y%m%d}", "a trial", False, 35, "by hand")
        assert quiet.sql(entries) == before
    finally:
        quiet.sql(f"UPDATE ETL_LOCK SET TABLES_VERSION = {TABLES_VERSION}, TOKEN = NULL")


# From version 2


VERSION_2 = """
CREATE TABLE ANALYTICS.KEPT AS SELECT * FROM ANALYTICS.SALES_REJECTED;
CREATE TABLE ANALYTICS.SALES_REJECTED_UNDO AS
SELECT ETL_RUN_NUMBER AS UNDO_RUN_NUMBER, ETL_BATCH_ID AS UNDO_BATCH_ID, ETL_SNAPSHOT_AT AS UNDO_RECORDED_AT, *
FROM ANALYTICS.SALES_REJECTIONS_KNOWN
WHERE STATUS = 'REPLACED';
DROP VIEW ANALYTICS.SALES_REJECTED;
DROP VIEW ANALYTICS.SALES_REJECTIONS_KNOWN;
DROP TABLE ANALYTICS.SALES_REJECTIONS;
DROP TABLE ANALYTICS.SALES_REJECTION_CLOSINGS;
ALTER TABLE ANALYTICS.KEPT RENAME TO ANALYTICS.SALES_REJECTED;
ALTER TABLE ANALYTICS.SALES_FACT_UNDO ADD COLUMN UNDO_FATE VARCHAR;
UPDATE ANALYTICS.SALES_FACT_UNDO SET UNDO_FATE = 'updated';
INSERT INTO ANALYTICS.SALES_FACT_UNDO (UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_FATE, UNDO_RECORDED_AT, SALE_ID, REGION)
SELECT ETL_FIRST_RUN_NUMBER, 'any', 'inserted', ETL_INSERTED_AT, SALE_ID, REGION
FROM ANALYTICS.SALES_FACT
WHERE ETL_FIRST_RUN_NUMBER IS NOT NULL;
INSERT INTO ANALYTICS.SALES_FACT_UNDO (
    UNDO_RUN_NUMBER, UNDO_BATCH_ID, UNDO_FATE, UNDO_RECORDED_AT, SALE_ID, REGION, SALE_DATE, UPDATED_AT
)
SELECT RUN_NUMBER, BATCH_ID, 'held_back', HELD_AT, SALE_ID, REGION, SALE_DATE, UPDATED_AT
FROM ANALYTICS.SALES_HELD_BACK;
ALTER TABLE ANALYTICS.SALES_FACT DROP COLUMN ETL_FIRST_RUN_NUMBER;
ALTER TABLE ANALYTICS.SALES_FACT_UNDO DROP COLUMN ETL_FIRST_RUN_NUMBER;
DROP VIEW ANALYTICS.SALES_ROLLED_BACK;
DROP TABLE ANALYTICS.SALES_HELD_BACK;
DROP VIEW ANALYTICS.ETL_LEASES;
DROP TABLE ANALYTICS.ETL_RENEWALS;
INSERT INTO ANALYTICS.ETL_BATCHES (BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, CONTRACT_VERSION)
SELECT BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, 'RENEWED', RECORDED_AT, CONTRACT_VERSION
FROM ANALYTICS.ETL_BATCHES
WHERE STATUS = 'STARTED';
UPDATE ANALYTICS.ETL_LOCK SET TABLES_VERSION = 2;
"""
"""Turns the tables into those of version 2: open and settled rejected rows in one, replaced ones in another; new sales
and held-back keys in the undo log; renewals in the ledger."""


@dataclass(frozen=True)
class Loaded:
    """Rejected rows of each status, one that a replay has replaced, new sales, an updated one, and a held-back key."""

    shop: Shop
    replay: str

    @property
    def world(self) -> World:
        return self.shop.world

    def become_version_2(self) -> None:
        for statement in VERSION_2.split(";"):
            if statement.strip():
                self.world.sql(statement)

    def rows(self) -> list[list[Any]]:
        """The rows that version 2 kept in another way."""
        of_day = self.shop.key("%")
        return [
            self.world.rows("SELECT * FROM SALES_REJECTED"),
            self.world.sql(
                "SELECT SALE_ID, ETL_FIRST_RUN_NUMBER FROM SALES_FACT WHERE SALE_ID LIKE ? ORDER BY 1", (of_day,)
            ),
            self.world.sql(
                "SELECT UNDO_RUN_NUMBER, SALE_ID, TOTAL_AMOUNT, ETL_FIRST_RUN_NUMBER FROM SALES_FACT_UNDO "
                "WHERE SALE_ID LIKE ? ORDER BY 1, 2",
                (of_day,),
            ),
            self.world.sql("SELECT * FROM SALES_HELD_BACK WHERE SALE_ID LIKE ? ORDER BY 1", (of_day,)),
        ]

    def statuses(self) -> dict[str, str]:
        """The status of each rejected row with a key."""
        return {name: status for name, (status,) in self.shop.statuses().items() if name}


@pytest.fixture
def loaded(quiet: World, shop: Shop, tmp_path: Path) -> Loaded:
    quiet.forget_rejected()
    shop.sell("open", "closed", "released", "gone", quantity=0)
    shop.sell("without-a-key", sale_id=None)
    shop.sell("good")
    shop.load(tmp_path)
    shop.change("released", "quantity = 2")
    for name in ("closed", "good"):
        shop.change(name, f"quantity = 2, updated_at = '{shop.noon(1)}'")
    shop.remove("gone")
    shop.on(shop.noon(1).date()).load(tmp_path)
    quiet.sql(
        "INSERT INTO SALES_HELD_BACK SELECT 'H20190101T000000Z', 1, 'EUROPE', ?, CURRENT_TIMESTAMP(), NULL, "
        "CURRENT_TIMESTAMP()",
        (shop.key("held"),),
    )
    replayed = str(replay_rejected(return_state=True).message)
    found = Loaded(shop, replayed.partition(":")[0])
    assert [len(rows) for rows in found.rows()] == [5, 3, 1, 1]
    assert found.statuses() == {"open": "STILL_BAD", "closed": "CLOSED", "released": "RELEASED", "gone": "GONE"}
    return found


def test_what_version_2_has_loaded_is_what_it_was_and_can_be_rolled_back(loaded: Loaded) -> None:
    before = loaded.rows()
    loaded.become_version_2()
    assert loaded.world.set_up().is_completed()
    assert loaded.rows() == before
    with loaded.world.session() as session:
        roll_back(session, loaded.replay, "a trial", False, 35, "by hand")
        assert loaded.statuses() == {"open": "OPEN", "closed": "CLOSED", "released": "OPEN", "gone": "OPEN"}
        roll_back(session, f"{loaded.shop.noon(1):%Y%m%d}", "a trial", False, 35, "by hand")
        assert loaded.statuses() == {"open": "OPEN", "closed": "OPEN", "released": "OPEN", "gone": "OPEN"}
    assert list(loaded.shop.sales()) == ["good"]


def rights(world: World, role: str) -> set[tuple[str, ...]]:
    """Privilege, kind and name of the object of each right of a role."""
    return {tuple(map(str, row[1:4])) for row in world.sql(f"SHOW GRANTS TO ROLE {role}")}


def test_what_version_2_granted_too_much_is_taken_back(loaded: Loaded) -> None:
    world, load = loaded.world, loaded.world.environment["SNOWFLAKE_ROLE"]
    assert world.set_up().is_completed()
    schema = f"{world.environment['SNOWFLAKE_DATABASE']}.ANALYTICS"
    before = rights(world, load)
    assert ("SELECT", "TABLE", f"{schema}.SALES_FACT") in before
    world.sql("CREATE ROLE ANALYST COMMENT = 'Reads the published sales'")
    for right in (
        f"MODIFY ON SCHEMA {schema} TO ROLE {load}",
        f"INSERT ON TABLE {schema}.ETL_LOCK TO ROLE {load}",
        f"SELECT ON TABLE {schema}.SALES_FACT TO ROLE ANALYST",
        f"SELECT ON TABLE {schema}.ETL_LOCK TO ROLE ANALYST",
        f"SELECT ON TABLE {schema}.COSTS TO ROLE ANALYST",
        f"SELECT ON FUTURE TABLES IN SCHEMA {schema} TO ROLE ANALYST",
    ):
        world.sql(f"GRANT {right}")
    try:
        loaded.become_version_2()
        assert world.set_up().is_completed()
        assert rights(world, load) == before
        kept = {("SELECT", "TABLE", f"{schema}.{name}") for name in ("SALES_FACT", "COSTS")}
        assert rights(world, "ANALYST") == kept
        assert world.sql(f"SHOW FUTURE GRANTS IN SCHEMA {schema}") == []
    finally:
        world.sql("DROP ROLE ANALYST")


def test_of_tables_of_an_earlier_version_it_is_said_what_to_do(quiet: World) -> None:
    for statement in ("DROP VIEW ETL_LEASES", f"UPDATE ETL_LOCK SET TABLES_VERSION = {TABLES_VERSION - 1}"):
        quiet.sql(statement)
    try:
        with quiet.session() as session:
            for ask in (partial(known_states, session, None, date(2019, 1, 1)), partial(read_leases, session)):
                with pytest.raises(NeedsPersonError, match="run `python -m flows.setup_warehouse`"):
                    ask()
    finally:
        assert quiet.set_up().is_completed()


def test_a_run_of_an_earlier_version_that_has_renewed_its_lease_is_waited_for(quiet: World, day: date) -> None:
    attempt = begin(quiet, day, "EUROPE")
    quiet.sql("UPDATE ETL_BATCHES SET LEASE_UNTIL = RECORDED_AT WHERE RUN_NUMBER = ?", (attempt.run_number,))
    quiet.sql(
        "INSERT INTO ETL_BATCHES (BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, LEASE_UNTIL, "
        "CONTRACT_VERSION) SELECT BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, 'RENEWED', CURRENT_TIMESTAMP(), "
        "DATEADD('minute', 15, CURRENT_TIMESTAMP()), CONTRACT_VERSION FROM ETL_BATCHES WHERE RUN_NUMBER = ?",
        (attempt.run_number,),
    )
    for statement in ("DROP VIEW ETL_LEASES", "DROP TABLE ETL_RENEWALS"):
        quiet.sql(statement)
    try:
        state = quiet.set_up()
        assert state.is_failed()
        assert f"runs go on: {attempt.flow_run_id}" in str(state.message)
    finally:
        quiet.sql("DELETE FROM ETL_BATCHES WHERE RUN_NUMBER = ?", (attempt.run_number,))
    assert quiet.set_up().is_completed()


@pytest.mark.more
def test_an_upgrade_from_version_2_may_end_before_any_statement_and_is_repeated(loaded: Loaded) -> None:
    before = loaded.rows()
    loaded.become_version_2()
    sent = count_statements(loaded.world, None)
    assert loaded.rows() == before
    for last in range(sent):
        loaded.become_version_2()
        with pytest.raises((EndedError, OutcomeUnknownError)):
            count_statements(loaded.world, last)
        loaded.world.end_transactions()
        assert count_statements(loaded.world, None) > 40
        assert loaded.rows() == before, last


# Roles and rights


def fails(world: World, **parameters: Any) -> str:
    """The message of a set-up that fails."""
    state = world.set_up(**parameters)
    assert state.is_failed()
    return str(state.message)


def test_a_role_of_snowflake_itself_gets_no_rights(quiet: World) -> None:
    assert "role PUBLIC of the loads is one of Snowflake's own" in fails(quiet, load_role="PUBLIC")
    assert "role SYSADMIN of the analysts is one of Snowflake's own" in fails(quiet, analyst_role="SYSADMIN")


def test_a_role_of_others_is_adopted_when_it_is_said(quiet: World) -> None:
    quiet.sql("CREATE ROLE AUDITORS COMMENT = 'of the auditors'")
    quiet.sql("CREATE ROLE SALESXANALYST COMMENT = 'of others, by a name that LIKE takes for that of the analysts'")
    assert quiet.set_up().is_completed()
    assert "role AUDITORS exists, and who has it would read the sales" in fails(quiet, analyst_role="auditors")
    assert quiet.set_up(analyst_role="auditors", adopt_analyst_role=True).is_completed()
    for name in ("AUDITORS", "SALESXANALYST"):
        quiet.sql(f"DROP ROLE {name}")


@pytest.mark.account
def test_set_up_waits_for_no_run_and_disturbs_none(quiet: World, day: date) -> None:
    attempt = begin(quiet, day, "EUROPE")
    assert f"runs go on: {attempt.flow_run_id}" in fails(quiet)
    assert quiet.set_up(only_if_needed=True).is_completed()
    with quiet.session() as session:
        record_failure(session, attempt.flow_run_id, "a trial")
    assert quiet.set_up().is_completed()


def test_set_up_is_done_by_who_is_registered_for_it_and_says_what_is_left(
    quiet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = {"SNOWFLAKE_ADMIN_USER": "boss", "SNOWFLAKE_ADMIN_PASSWORD": "any", "SNOWFLAKE_ADMIN_ROLE": "ACCOUNTADMIN"}
    credentials, connector = warehouse_blocks({**quiet.environment, **admin}, "SNOWFLAKE_ADMIN_")
    credentials.save(names.WAREHOUSE_ADMIN, overwrite=True)
    connector.save(names.WAREHOUSE_ADMIN, overwrite=True)
    users: list[tuple[str, str | None]] = []
    connect = SnowflakeHostConnector.connect

    def note_user(block: SnowflakeHostConnector, **settings: Any) -> Any:
        users.append((block.credentials.user, block.credentials.role))
        return connect(block, **settings)

    monkeypatch.setattr(SnowflakeHostConnector, "connect", note_user)
    role, user = (quiet.environment[f"SNOWFLAKE_{name}"] for name in ("ROLE", "USER"))
    private = "for a private bucket, set up once more with --storage-aws-role-arn"
    try:
        to_grant = f"GRANT ROLE {role} TO USER {user} (unless another role of that user has it)"
        assert quiet.set_up().message == f"the warehouse is set up. Still to do: {to_grant}; {private}"
        quiet.sql(f"GRANT ROLE {role} TO USER {user}")
        assert quiet.set_up().message == f"the warehouse is set up. Still to do: {private}"
        quiet.sql(f"DROP ROLE {role}")
        trusting = str(quiet.set_up(storage_aws_role_arn="arn:aws:iam::1:role/snowflake").message)
        assert "let the AWS role trust what DESC INTEGRATION RETAIL_SALES_S3 returns" in trusting
        assert private not in trusting
    finally:
        SnowflakeHostConnector.delete(names.WAREHOUSE_ADMIN)
        SnowflakeCredentials.delete(names.WAREHOUSE_ADMIN)
    assert set(users) == {("boss", "ACCOUNTADMIN")}


# Ended anywhere and repeated


class EndedError(Exception):
    """Raised in the place of a statement."""


@pytest.mark.more
def test_set_up_may_end_before_any_statement_and_is_repeated(quiet: World, shop: Shop, tmp_path: Path) -> None:
    shop.sell("sale")
    shop.load(tmp_path)
    assert quiet.set_up().is_completed()
    before = tables(quiet)
    sent = count_statements(quiet, None)
    assert sent > 40
    for last in range(sent):
        # The outcome is unknown when it ends at COMMIT.
        with pytest.raises((EndedError, OutcomeUnknownError)):
            count_statements(quiet, last)
        quiet.end_transactions()
    assert count_statements(quiet, None) == sent
    assert tables(quiet) == before
    assert fates(shop.load(tmp_path)) == {"EUROPE": {"unchanged": 1}}


def tables(world: World) -> list[tuple[Any, ...]]:
    """The numbers of rows and columns of each table, and the URL of the stage."""
    counted = []
    for name in (
        "SALES_FACT",
        "SALES_FACT_UNDO",
        "SALES_HELD_BACK",
        "SALES_REJECTIONS",
        "SALES_REJECTION_CLOSINGS",
        "ETL_BATCHES",
    ):
        columns = len(world.sql(f"DESCRIBE TABLE ANALYTICS.{name}"))
        counted.append((name, columns, *world.sql(f"SELECT COUNT(*) FROM {name}")[0]))
    return [*counted, *((row[1], row[4]) for row in world.sql("SHOW STAGES LIKE 'SALES_STAGE' IN SCHEMA STAGING"))]


def count_statements(world: World, last: int | None, database: str | None = None, adopt: bool = False) -> int:
    """Sets up with a session that ends before its statement number `last`, from 0 on; returns how many were sent."""
    sent: list[str] = []

    def before(name: str) -> None:
        if len(sent) == last:
            raise EndedError(name)
        sent.append(name)

    database = database or world.environment["SNOWFLAKE_DATABASE"]
    values = {
        **VALUES,
        "database": database,
        "stage_url": "'s3://retail-sales-staging/'",
        "stage_integration": "",
    }
    with stepping_session({**world.environment, "SNOWFLAKE_DATABASE": database}, before) as session:
        set_up(session, SCRIPTS, values, print, adopt_fact_table=adopt)
    return len(sent)
