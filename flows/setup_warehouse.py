"""Sets up the warehouse: schemas, tables, ledger, lock, stage. Idempotent; run by an administrator, once per change."""

import argparse
import sys
from contextlib import nullcontext

from prefect import flow, get_run_logger, task

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_settings
from flows.command_line import run
from tasks.lock import lock_held
from tasks.retries import RETRIES
from tasks.statements import render, text_literal
from tasks.warehouse import open_session

ROWS = "03_rows"
"""The script that changes rows, so that it runs under the lock; the others are DDL, which would end a transaction."""


@task(name="run-setup-scripts", **RETRIES)
def run_setup_scripts(scripts: list[str], values: dict[str, str], warehouse: str) -> None:
    """Runs files of `sql/setup/` one after the other."""
    connector, logger = SnowflakeHostConnector.load(names.WAREHOUSE), get_run_logger()
    with open_session(connector, warehouse, "retail-sales setup") as session:
        for script in scripts:
            with lock_held(session, 0, logger.info) if script == ROWS else nullcontext(session) as running:
                running.run_script(render(f"setup/{script}", **values))
            logger.info("step=setup script=%s", script)


@flow(name="setup-warehouse")
def setup_warehouse(load_role: str | None = None, storage_aws_role_arn: str | None = None) -> None:
    """Creates what is missing in Snowflake; views and the stage are replaced, tables and their rows stay.

    Args:
        load_role: Role that the loads will have, created when it is missing. Empty: that of the warehouse block.
        storage_aws_role_arn: AWS role by which Snowflake reads the staging bucket, to be given each time. Empty: the
            stage has no storage integration.
    """
    settings, connector = read_settings(), SnowflakeHostConnector.load(names.WAREHOUSE)
    stage_url = text_literal(f"s3://{settings.s3_staging_bucket}/")
    integration = "STORAGE_INTEGRATION = RETAIL_SALES_S3" if storage_aws_role_arn else ""
    values = {
        "warehouse": settings.snowflake_warehouse,
        "database": connector.database,
        "role": load_role or connector.credentials.role or "PUBLIC",
        "stage_url": stage_url,
        "stage_integration": integration,
        "aws_role_arn": text_literal(storage_aws_role_arn or ""),
    }
    scripts = ["01_account", "02_tables", ROWS, "04_stage", "05_grants"]
    if storage_aws_role_arn:
        scripts.insert(0, "00_storage_integration")
    run_setup_scripts(scripts, values, settings.snowflake_warehouse)


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters."""
    parser = argparse.ArgumentParser(prog="python -m flows.setup_warehouse", allow_abbrev=False)
    parser.add_argument("load_role", nargs="?", help="role of the loads; none: that of the warehouse block")
    parser.add_argument("--storage-aws-role-arn", metavar="ARN", help="AWS role by which Snowflake reads the bucket")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(setup_warehouse, **vars(read_arguments(sys.argv[1:]))))
