"""Checks of the warehouse: connection, tables and views with the contract's columns, stage, rights, clock."""

import io
import re
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_variable
from expectations.analysts import VIEWS as FOR_ANALYSTS
from expectations.regions import REGIONS, expected_on
from expectations.rules import CROSS_REGION_RULE
from expectations.tables import TABLES_VERSION
from tasks.batch import day_before
from tasks.errors import SalesEtlError
from tasks.lines import adding, counted
from tasks.setup_checks.bucket import BUCKET_VARIABLE, probe_file
from tasks.setup_checks.check import Check, SetupFaultError, compare_clocks
from tasks.setup_checks.sources import PREFIX_ADVICE
from tasks.warehouse.lock import require_known_tables
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import render, text_literal, text_literals

WAREHOUSE_VARIABLES = ("variable snowflake_warehouse", "variable snowflake_watch_warehouse")
CONNECTION = "warehouse connection"
COLLISIONS = "sale ids across regions, as loaded"
TAG = "retail-sales check-setup"
RUNNING_STATES = ("STARTED", "RESIZING")

SETUP = f"run `{names.HERE}python -m flows.setup_warehouse` with a role that may create it"
MEND_CONNECTION = (
    f"check blocks snowflake-host-connector/{names.WAREHOUSE} and snowflake-credentials/{names.WAREHOUSE_CREDENTIALS}"
)

VIEWS = {
    "ETL_BATCHES_LATEST": "ETL_BATCHES",
    "ETL_BATCHES_IN_PRODUCTION": "ETL_BATCHES",
    "ETL_BATCHES_WHOLE_IN_PRODUCTION": "ETL_BATCHES",
    "ETL_RUNS_IN_EFFECT": "ETL_BATCHES",
    "SALES_REJECTIONS_KNOWN": "SALES_REJECTIONS",
    "SALES_REJECTED": "SALES_REJECTIONS",
}
"""Views, each with all columns of a table."""
VIEWS_OF_SOME = {
    "ETL_LEASES": ("ETL_RENEWALS", ("RUN_NUMBER", "LEASE_UNTIL")),
    "ETL_RUNS_PUT_BACK": ("ETL_BATCHES", ("REGION", "RUN_NUMBER")),
    "SALES_ROLLED_BACK": ("SALES_HELD_BACK", ("REGION", "BATCH_ID", "SALE_ID")),
}
"""Views, each with some columns of a table."""
RESTS_ON = {
    "SALES": ("table SALES_FACT",),
    "DATA_STATUS": (
        *("table SALES_FACT", "table SALES_FACT_UNDO", "table ETL_BATCHES", "view ETL_LEASES"),
        *("view ETL_BATCHES_LATEST", "view ETL_BATCHES_IN_PRODUCTION", "view ETL_BATCHES_WHOLE_IN_PRODUCTION"),
    ),
}
"""The checks of what the views for analysts read."""

WRITES: Mapping[str, tuple[str, ...]] = {
    "SALES_FACT": ("INSERT", "UPDATE", "DELETE"),
    "SALES_FACT_UNDO": ("INSERT", "DELETE"),
    "SALES_HELD_BACK": ("INSERT",),
    "SALES_REJECTIONS": ("INSERT", "DELETE"),
    "SALES_REJECTION_CLOSINGS": ("INSERT", "DELETE"),
    "ETL_BATCHES": ("INSERT",),
    "ETL_RENEWALS": ("INSERT", "DELETE"),
    "ETL_LOCK": ("UPDATE",),
}
"""The statements of loads, rollbacks and clean-staging per table."""

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS ANALYTICS\.(\w+) \(\n(.*?)\n\)", re.DOTALL)
_COLUMN = re.compile(r"^ {4}(\w+) (\w+(?:\(\d+,\d+\))?)", re.MULTILINE)


def warehouse_checks() -> list[Check]:
    """The connection first: all others need it."""
    tables = declared_tables(render("setup/02_tables") + render("setup/03_leases"))
    of_some = {view: {name: tables[table][name] for name in names} for view, (table, names) in VIEWS_OF_SOME.items()}
    of_analysts = {view.name: {column.name: column.snowflake_type for column in view.columns} for view in FOR_ANALYSTS}
    described = tables | {view: tables[table] for view, table in VIEWS.items()} | of_some
    after = (CONNECTION,)
    return [
        Check(CONNECTION, _connect, MEND_CONNECTION, needs=WAREHOUSE_VARIABLES, time_limit_s=120),
        Check("warehouse clock", _compare_clock, needs=after),
        Check("warehouse account", _look_at_account, "look at the parameters of the account", needs=after),
        *(
            Check(
                f"{'table' if name in tables else 'view'} {name}", partial(_look_at_table, name, columns), needs=after
            )
            for name, columns in described.items()
        ),
        *(
            Check(f"view {name}", partial(_look_at_table, name, columns), needs=RESTS_ON[name])
            for name, columns in of_analysts.items()
        ),
        Check("version of the tables", _look_at_version, SETUP, needs=("table ETL_LOCK",)),
        *(
            Check(
                f"rights on {table}",
                partial(_try_writes, table, verbs, next(iter(tables[table]))),
                needs=(f"table {table}",),
            )
            for table, verbs in WRITES.items()
        ),
        Check("regions of the views for analysts", _look_for_regions, needs=("view SALES", "view DATA_STATUS")),
        Check(COLLISIONS, _count_collisions, "look at SALES_REJECTED", needs=("view SALES_REJECTED",)),
        Check("run numbers", _take_number, needs=after),
        Check("right to create in STAGING", _create, needs=after),
        Check("stage SALES_STAGE", _look_at_stage, needs=(CONNECTION, BUCKET_VARIABLE)),
        Check(
            "copy from stage",
            _copy,
            needs=("stage SALES_STAGE", "right to create in STAGING", "bucket rights"),
            time_limit_s=120,
        ),
    ]


def declared_tables(script: str) -> dict[str, dict[str, str]]:
    """Columns and types of each table that the set-up script creates."""
    return {name: dict(_COLUMN.findall(columns)) for name, columns in _TABLE.findall(script)}


@contextmanager
def _session() -> Iterator[Session]:
    try:
        connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    except ValueError as error:
        raise SetupFaultError(
            f"block snowflake-host-connector/{names.WAREHOUSE} is missing or unreadable: set SNOWFLAKE_ACCOUNT and "
            f"the others, run `{names.HERE}python -m blocks.register`"
        ) from error
    with open_session(connector, read_variable("snowflake_watch_warehouse"), TAG) as session:
        yield session


def _connect() -> str:
    used = [read_variable(name) for name in ("snowflake_warehouse", "snowflake_watch_warehouse")]
    with _session() as session:
        for name in used:
            mend = f"create warehouse {name}, or GRANT USAGE on it to the role"
            _query_with_advice(session, f"USE WAREHOUSE {name}", mend)
            for row in session.query_named(f"SHOW WAREHOUSES LIKE '{name}'"):
                if row["name"] == name.upper():  # in LIKE, _ stands for any character
                    require_resuming(row)
    return f"uses {' and '.join(used)}"


def require_resuming(row: Mapping[str, object]) -> None:
    """Raises SetupFaultError for a warehouse, by its row of SHOW WAREHOUSES, that is suspended, or will be, and does
    not start by itself when a load comes."""
    runs_on = str(row["state"]) in RUNNING_STATES and str(row["auto_suspend"] or 0) == "0"
    if str(row["auto_resume"]).lower() == "false" and not runs_on:
        raise SetupFaultError(
            f"warehouse {row['name']} is {row['state']} and does not resume by itself when a load comes: "
            f"ALTER WAREHOUSE {row['name']} SET AUTO_RESUME = TRUE"
        )


def _count_collisions() -> str:
    """Counts the collisions that loads have met. The databases themselves are compared by their newest keys only."""
    with _session() as session:
        statement = (
            "SELECT COUNT(*), MIN(REGION_CODE || ' ' || SALE_KEY), MIN(ETL_BATCH_ID) FROM ANALYTICS.SALES_REJECTED "
            f"WHERE STATUS = 'OPEN' AND CONTAINS(RULES, {text_literal(CROSS_REGION_RULE)})"
        )
        ((rows, key, batch_id),) = session.query(statement)
    if rows:
        raise SetupFaultError(
            f"{counted(int(rows), 'row was', 'rows were')} rejected because another region owns the sale_id, {key} "
            f"among them: correct them at the source and run their dates again, from batch {batch_id}. {PREFIX_ADVICE}"
        )
    return "none rejected"


def _look_for_regions() -> str:
    """A region that was added since set-up is not in the views, nor is a first date that was."""
    known = text_literals(REGIONS)
    with _session() as session:
        expected = session.query(
            "SELECT REGION FROM ANALYTICS.DATA_STATUS WHERE UTC_DATE = DATEADD('day', -1, SYSDATE()::DATE)"
        )
        missing = session.query(
            "SELECT REGION, MIN(UTC_DATE) FROM ANALYTICS.DATA_STATUS WHERE STATE = 'missing' GROUP BY REGION"
        )
        ((without_zone,),) = session.query(
            f"SELECT MIN(REGION) FROM ANALYTICS.SALES WHERE SALE_DATE_LOCAL IS NULL AND REGION IN ({known})"
        )
    return describe_regions({str(region) for (region,) in expected}, without_zone, dict(missing))


def describe_regions(expected: Set[str], without_zone: str | None, missing: Mapping[str, date]) -> str:
    """Returns which regions DATA_STATUS expects; none before the first load. `missing` has the first date that it calls
    missing, by region. Raises SetupFaultError for a region, or a first date, that the views do not know."""
    wanted = expected_on(day_before(datetime.now(UTC)), REGIONS)
    lacking = sorted({*wanted} - expected) if expected else []
    if early := [code for code, day in missing.items() if code in REGIONS and not expected_on(day, [code])]:
        raise SetupFaultError(f"the view DATA_STATUS does not know the first_date of region {early[0]}: {SETUP}")
    if unknown := [*lacking, *([without_zone] if without_zone else [])]:
        raise SetupFaultError(f"the views SALES and DATA_STATUS do not know region {unknown[0]}: {SETUP}")
    return ", ".join(sorted(expected)) or "no date yet"


def _query_with_advice(session: Session, statement: str, mend: str) -> list[tuple[object, ...]]:
    try:
        return session.query(statement)
    except SalesEtlError as error:
        raise SetupFaultError(adding(str(error), mend)) from error


def _compare_clock() -> str:
    with _session() as session:
        asked_at = datetime.now(UTC)
        ((theirs,),) = session.query("SELECT CURRENT_TIMESTAMP()")
        answered_at = datetime.now(UTC)
    return compare_clocks(asked_at, theirs, answered_at, "the warehouse")


def _look_at_account() -> str:
    with _session() as session:
        consistency = session.query("SHOW PARAMETERS LIKE 'READ_CONSISTENCY_MODE' IN ACCOUNT")
        collation = session.query("SHOW PARAMETERS LIKE 'DEFAULT_DDL_COLLATION' IN SCHEMA ANALYTICS")
    return describe_account(*(str(rows[0][1] or "") if rows else "" for rows in (consistency, collation)))


def describe_account(consistency: str, collation: str) -> str:
    """Returns when a session sees the commits of others. Raises SetupFaultError for a collation that would change how
    keys compare."""
    if collation:
        raise SetupFaultError(
            f"DEFAULT_DDL_COLLATION of schema ANALYTICS is {collation}, so that keys that differ may count as one: "
            "ALTER SCHEMA ANALYTICS SET DEFAULT_DDL_COLLATION = '', and make the tables again that were made with it"
        )
    if consistency == "GLOBAL":
        return "READ_CONSISTENCY_MODE is GLOBAL"
    return (
        f"READ_CONSISTENCY_MODE is {consistency or 'unknown'}: an open session of a reader may show a batch late. "
        "Loads do not rest on it; for readers, ALTER ACCOUNT SET READ_CONSISTENCY_MODE = 'GLOBAL' by ACCOUNTADMIN"
    )


def _look_at_table(name: str, expected: Mapping[str, str]) -> str:
    with _session() as session:
        rows = _query_with_advice(session, f"DESCRIBE TABLE ANALYTICS.{name}", SETUP)
    return compare_columns(name, expected, {str(row[0]): str(row[1]) for row in rows})


def _look_at_version() -> str:
    with _session() as session:
        require_known_tables(session)
    return f"{TABLES_VERSION}"


def compare_columns(name: str, expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Returns the number of expected columns. Raises SetupFaultError naming the first that is missing or differs."""
    for column, kind in expected.items():
        if column not in found:
            raise SetupFaultError(f"column {name}.{column} is missing: add it as {kind}, or drop {name} and {SETUP}")
        if _compared(found[column]) != _compared(kind):
            raise SetupFaultError(
                f"column {name}.{column} is {found[column]} and has to be {kind}: change it, or drop {name} and {SETUP}"
            )
    return f"{len(expected)} columns"


def _compared(kind: str) -> str:
    """The type as it is compared: text may be longer, and seconds more precise, than asked for."""
    base = kind.upper().partition("(")[0]
    return kind.upper().replace(" ", "") if base == "NUMBER" else {"TEXT": "VARCHAR"}.get(base, base)


def _try_writes(table: str, verbs: tuple[str, ...], column: str) -> str:
    """Runs statements that touch no row: the server checks the right before it looks for rows."""
    statements = {
        "INSERT": f"INSERT INTO ANALYTICS.{table} SELECT * FROM ANALYTICS.{table} WHERE FALSE",
        "UPDATE": f"UPDATE ANALYTICS.{table} SET {column} = {column} WHERE FALSE",
        "DELETE": f"DELETE FROM ANALYTICS.{table} WHERE FALSE",
    }
    with _session() as session:
        for verb in verbs:
            mend = f"GRANT {', '.join(verbs)} ON TABLE ANALYTICS.{table} to the role, or {SETUP}"
            _query_with_advice(session, statements[verb], mend)
    return ", ".join(verbs)


def _take_number() -> str:
    with _session() as session:
        ((number,),) = _query_with_advice(session, "SELECT ANALYTICS.ETL_RUN_NUMBER.NEXTVAL", SETUP)
    return f"{number} taken, and not used"


def _create() -> str:
    with _session() as session, _probe_table(session):
        return "a table was made and dropped"


@contextmanager
def _probe_table(session: Session) -> Iterator[str]:
    table = f"STAGING.PROBE_{uuid4().hex.upper()}"
    mend = f"GRANT USAGE, CREATE TABLE ON SCHEMA STAGING to the role, or {SETUP}"
    _query_with_advice(session, f"CREATE TRANSIENT TABLE {table} (N NUMBER(18,0))", mend)
    try:
        yield table
    finally:
        session.query(f"DROP TABLE IF EXISTS {table}")


def _look_at_stage() -> str:
    expected = f"s3://{read_variable('s3_staging_bucket')}/"
    with _session() as session:
        rows = _query_with_advice(session, "SHOW STAGES LIKE 'SALES_STAGE' IN SCHEMA STAGING", SETUP)
    urls = [str(row[4]) for row in rows]
    if not urls:
        raise SetupFaultError(f"stage STAGING.SALES_STAGE is missing: {SETUP}")
    if urls[0] != expected:
        raise SetupFaultError(f"stage STAGING.SALES_STAGE points at {urls[0]} and not at {expected}: {SETUP}")
    return expected


def _copy() -> str:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"N": pa.array([7], pa.int64())}), buffer)
    set_up = f"{names.HERE}python -m flows.setup_warehouse <role> --storage-aws-role-arn <ARN>"
    mend = f"let the stage read the bucket: `{set_up}`"
    with (
        probe_file(buffer.getvalue(), "probe.parquet") as (_, _, key),
        _session() as session,
        _probe_table(session) as table,
    ):
        path, _, file = key.rpartition("/")
        _query_with_advice(session, render("load/copy_files", table=table, path=path, files=text_literal(file)), mend)
        rows = session.query(f"SELECT N FROM {table}")
    if [int(n) for (n,) in rows] != [7]:
        raise SetupFaultError(f"COPY of one row from the stage brought {len(rows)} rows: {mend}")
    return "one row was copied"
