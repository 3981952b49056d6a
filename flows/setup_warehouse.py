"""Sets up the warehouse: schemas, tables, ledger, lock, stage. Idempotent; run by an administrator, once per change."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from prefect import flow, get_run_logger, task
from prefect.states import Completed, State

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_settings
from flows.support.command_line import run
from flows.support.run_names import by_minute
from tasks.errors import NeedsPersonError, one_line
from tasks.lines import adding
from tasks.retries import ONCE, RETRIES
from tasks.setup_warehouse.adoption import add_columns, adopt_rows, needs_adoption, refuse_unfit, require_values
from tasks.setup_warehouse.rights import GRANTS, comments_of_roles, left_to_do, take_back_rights
from tasks.setup_warehouse.roles import ANALYST_COMMENT, ANALYST_ROLE, LOAD_COMMENT, check_role, refuse_adoption
from tasks.setup_warehouse.upgrade import forget_lost_past, is_set_up, upgrade_rejected, upgrade_undo
from tasks.setup_warehouse.views import find_view_fault, refuse_names_of_others
from tasks.stopwatch import Say, say_nothing
from tasks.warehouse.lock import SET_UP, lock_held, require_known_tables
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import render, text_literal

TABLES, LEASES, ROWS, STAGE = "02_tables", "03_leases", "04_rows", "08_stage"
"""ROWS changes rows and runs under the lock; the others are DDL, which would end the transaction."""
STORAGE_INTEGRATION = "07_storage_integration"
"""Runs before STAGE where an AWS role is given."""
SCRIPTS = (
    "01_account",
    TABLES,
    LEASES,
    ROWS,
    "05_rejected_rows",
    "06_analysts",
    STAGE,
    GRANTS,
    "10_version",
)


def administrators_block() -> str:
    """The administrator's block, or the loads' block where no administrator is registered."""
    try:
        SnowflakeHostConnector.load(names.WAREHOUSE_ADMIN)
    except ValueError:
        return names.WAREHOUSE
    return names.WAREHOUSE_ADMIN


def refuse_living_runs(session: Session) -> None:
    """Raises NeedsPersonError naming the runs that are alive, whose tables would change under them."""
    known = (
        "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'ANALYTICS' AND TABLE_NAME = 'ETL_BATCHES'"
    )
    if session.query(known) == [(0,)]:
        return
    session.run_script(render(f"setup/{LEASES}"))  # an earlier version has none
    leases = session.query(render("ledger/open_leases"))
    living = sorted({str(flow_run_id) for flow_run_id, _, _, _, is_live, is_open in leases if is_live and is_open})
    if living:
        raise NeedsPersonError(f"runs go on: {', '.join(living)}: set up again when they have ended")


@contextmanager
def location_explained() -> Iterator[None]:
    """Adds what to do where the storage integration of the stage does not know the bucket yet."""
    try:
        yield
    except NeedsPersonError as error:
        if "not allowed by integration" not in str(error):
            raise
        raise NeedsPersonError(
            adding(str(error), "set up again with --storage-aws-role-arn, which allows it")
        ) from error


def set_up(
    session: Session,
    scripts: Sequence[str],
    values: Mapping[str, str],
    say: Say,
    adopt_analyst_role: bool = False,
    adopt_fact_table: bool = False,
) -> None:
    """Runs files of `sql/setup/` in order. Can be killed and repeated.

    Raises ValueError for an existing role and NeedsPersonError for an existing fact table that may not be adopted;
    NeedsPersonError for a view of another tool by the name of one for analysts, and while a run is alive.
    """
    refuse_adoption(values["analyst_role"], comments_of_roles(session, values["analyst_role"]), adopt_analyst_role)
    was_set_up = False
    for script in scripts:
        is_adopted = script == TABLES and needs_adoption(session)
        if script == TABLES:
            refuse_names_of_others(session)
            refuse_living_runs(session)
            was_set_up = is_set_up(session)
            forget_lost_past(session)
        if is_adopted:
            refuse_unfit(session, adopt_fact_table)
            add_columns(session)
        with (
            lock_held(session, 0, say, of_tables="") if script == ROWS else nullcontext(session) as running,
            location_explained() if script == STAGE else nullcontext(),
        ):
            running.run_script(render(f"setup/{script}", **values))
        if script == ROWS:
            upgrade_undo(session, say)
            upgrade_rejected(session, say)
        if is_adopted:
            adopt_rows(session, say)
        if script == TABLES:
            require_values(session)
        if script == GRANTS and was_set_up:
            take_back_rights(session, values)
        say(f"step=setup script={script}")


def find_setup_fault(say: Say = say_nothing) -> str:
    """Returns what loads or analysts lack yet; empty when tables and views exist and are of this version.

    Waiting for the warehouse is logged by `say`. Raises TransientError when it does not answer.
    """
    connector, warehouse = SnowflakeHostConnector.load(names.WAREHOUSE), read_settings().snowflake_watch_warehouse
    try:
        with open_session(connector, warehouse, "retail-sales setup", say) as session:
            require_known_tables(session)
            fault = find_view_fault(session)
    except NeedsPersonError as error:
        return one_line(error)
    return f"{fault}: {SET_UP}" if fault else ""


@task(name="run-setup-scripts", **RETRIES)
def run_setup_scripts(
    scripts: list[str],
    values: dict[str, str],
    admin_block: str,
    load_user: str,
    warehouse: str,
    adopted: dict[str, bool],
) -> list[str]:
    """Sets up as the administrator; returns what an administrator who does not load still has to do. `adopted` are the
    parameters `adopt_...` of `set_up`."""
    connector = SnowflakeHostConnector.load(admin_block)
    logger = get_run_logger()
    with open_session(connector, warehouse, "retail-sales setup", logger.warning) as session:
        set_up(session, scripts, values, logger.info, **adopted)
        return left_to_do(session, values, load_user) if connector.credentials.user != load_user else []


@flow(name="setup-warehouse", flow_run_name=by_minute("setup-warehouse"), **ONCE)
def setup_warehouse(
    load_role: str | None = None,
    analyst_role: str = ANALYST_ROLE,
    adopt_analyst_role: bool = False,
    adopt_fact_table: bool = False,
    storage_aws_role_arn: str | None = None,
    only_if_needed: bool = False,
) -> State:
    """Creates what is missing in Snowflake and grants the rights. Tables, their rows and other grants stay. Connects by
    block `snowflake-host-connector/sales-warehouse-admin`, or without one by the block of the loads.

    Args:
        load_role: Role of the loads, created when it is missing. Empty: the role of the warehouse block.
        analyst_role: Role that may read the sales and their status, and nothing else; created when it is missing.
        adopt_analyst_role: Use an existing role of this name, with everybody who has it. Needed at each set-up.
        adopt_fact_table: Take over the rows of an `ANALYTICS.SALES_FACT` that another tool has loaded, under one run
            that cannot be rolled back. Refused where its columns or rows are not as this pipeline writes them. Needed
            once.
        storage_aws_role_arn: AWS role by which Snowflake reads the staging bucket. Needed the first time, and again for
            another bucket or role. Empty: the stage keeps its storage integration.
        only_if_needed: Do nothing where tables and views exist and are of this version, whether or not a run is alive.
    """
    if only_if_needed and not find_setup_fault():
        return Completed(message="the warehouse has the tables of this version")
    settings, connector = read_settings(), SnowflakeHostConnector.load(names.WAREHOUSE)
    values = {
        "warehouse": settings.snowflake_warehouse,
        "watch_warehouse": settings.snowflake_watch_warehouse,
        "database": connector.database,
        "role": check_role(load_role or connector.credentials.role, "the loads"),
        "load_comment": text_literal(LOAD_COMMENT),
        "analyst_role": check_role(analyst_role, "the analysts"),
        "analyst_comment": text_literal(ANALYST_COMMENT),
        "stage_url": text_literal(f"s3://{settings.s3_staging_bucket}/"),
        "integration": names.STORAGE_INTEGRATION,
        "stage_integration": f"STORAGE_INTEGRATION = {names.STORAGE_INTEGRATION}" if storage_aws_role_arn else "",
        "aws_role_arn": text_literal(storage_aws_role_arn or ""),
    }
    scripts = list(SCRIPTS)
    if storage_aws_role_arn:
        scripts.insert(scripts.index(STAGE), STORAGE_INTEGRATION)
    adopted = {"adopt_analyst_role": adopt_analyst_role, "adopt_fact_table": adopt_fact_table}
    user, warehouse = connector.credentials.user, settings.snowflake_warehouse
    left = run_setup_scripts(scripts, values, administrators_block(), user, warehouse, adopted)
    return Completed(message="the warehouse is set up" + (f". Still to do: {'; '.join(left)}" if left else ""))


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters."""
    parser = argparse.ArgumentParser(prog="python -m flows.setup_warehouse", allow_abbrev=False)
    parser.add_argument("load_role", nargs="?", help="role of the loads; none: that of the warehouse block")
    parser.add_argument("--analyst-role", default=ANALYST_ROLE, help="role that may read the sales")
    parser.add_argument("--adopt-analyst-role", action="store_true", help="take such a role that exists already")
    parser.add_argument("--adopt-fact-table", action="store_true", help="take over the rows that another tool loaded")
    parser.add_argument("--storage-aws-role-arn", metavar="ARN", help="AWS role by which Snowflake reads the bucket")
    parser.add_argument("--only-if-needed", action="store_true", help="nothing where the tables are of this version")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(setup_warehouse, **vars(read_arguments(sys.argv[1:]))))
