"""Rolls a batch back: restores its sales and rejected rows to their state before it, and records that in the ledger."""

import argparse
import sys
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, State

from blocks.variables import read_variable
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.parameters import BatchName, Reason
from flows.support.refusals import refused_dates
from flows.support.run_hooks import IN_HISTORY
from flows.support.run_names import naming, rollback_name
from tasks.lines import counted
from tasks.pages.artifacts import write_table
from tasks.prefect_server.stopping import finished_first, signals_in_order
from tasks.retries import ONCE
from tasks.rollback.roll_back import SAMPLE_ROWS_MAX, Changes, Rollback, roll_back_batch

TOTALS_KEY, SALES_KEY = "rollback", "rollback-sales"
"""Keys of the artifacts: the changes per region and currency, and the first changed sales."""


@flow(name="rollback", flow_run_name=naming(rollback_name), **IN_HISTORY, **ONCE)
def rollback(date: BatchName, reason: Reason, cascade: bool = False, dry_run: bool = False) -> State:
    """Restores sales and rejected rows to their state before a batch and records that in the ledger, in one
    transaction, or changes nothing.

    Args:
        date: Business date of the batch, as 2024-01-15 or 20240115, or a batch id like H20240116T091500Z.
        reason: Why it is rolled back, for the ledger.
        cascade: Also roll back the later batches that have changed the same sales. Off, such batches fail the rollback.
        dry_run: Report what would change, and change nothing.

    Ends as Completed with the figures in its message and in the artifacts `rollback` and `rollback-sales`. The ledger
    records ROLLED_BACK, so that backfills in mode missing or failed do not load the date again. Ends as Failed when the
    batch is not in production, was published longer ago than undo_retention_days, or a later batch has changed its
    sales and `cascade` is off, and as Refused when the date is in the future.
    """
    if in_future := refused_dates(date):
        return in_future
    undo_days, warehouse = read_variable("undo_retention_days"), read_variable("snowflake_warehouse")
    with ended_with_its_engine(), signals_in_order(), finished_first(str(flow_run.id)):
        rolled_back = roll_back_batch(date, reason, cascade, dry_run, undo_days, str(flow_run.id), warehouse)
    show_tables(rolled_back, dry_run)
    return Completed(message=in_words(rolled_back, dry_run))


def in_words(rolled_back: Rollback, dry_run: bool) -> str:
    """The result in one line, for the state's message."""
    changes = rolled_back.changes
    if rolled_back.batches:
        batches = ", ".join(rolled_back.batches)
        return f"rolled back {batches} as run {rolled_back.run_number}, in an earlier try, whose figures are lost"
    if changes is None:
        return f"batch {rolled_back.batch_id} was rolled back before, {rolled_back.earlier_rollback}: nothing to do"
    now = sum(of_currency.rows_now for of_currency in changes.totals)
    after = sum(of_currency.rows_after for of_currency in changes.totals)
    verb = "would roll" if dry_run else "rolled"
    reopened = changes.rejected.replaced + changes.rejected.closed
    return (
        f"{verb} back {', '.join(changes.batches)}: {counted(now - after, 'sale')} removed, {after:,} restored, "
        f"{counted(changes.rejected.brought, 'rejected row')} removed, {reopened:,} reopened"
    )


def show_tables(rolled_back: Rollback, dry_run: bool) -> None:
    """Writes the changes as artifacts; none for a batch that was rolled back before or in an earlier try."""
    if changes := rolled_back.changes:
        what = f"What {'a rollback would change' if dry_run else 'the rollback has changed'}"
        batches = ", ".join(changes.batches)
        write_table(to_totals(changes), key=TOTALS_KEY, description=f"{what}: {batches}")
        sample = f"Up to {SAMPLE_ROWS_MAX} of the sales that the rollback changes, now and before the batch: {batches}"
        write_table(to_sales(changes), key=SALES_KEY, description=sample)


def to_totals(changes: Changes) -> list[dict[str, Any]]:
    """The rows of the artifact `rollback`: sales and exact money per region and currency, then the rejected rows."""
    rejected = changes.rejected
    return [
        *(
            {
                "region": of_currency.region,
                "currency": of_currency.currency,
                "rows now": of_currency.rows_now,
                "rows after": of_currency.rows_after,
                "total_amount now": of_currency.amount_now,
                "total_amount after": of_currency.amount_after,
            }
            for of_currency in changes.totals
        ),
        {
            "region": "rejected rows",
            "currency": "",
            "rows now": rejected.brought,
            "rows after": rejected.replaced + rejected.closed,
            "total_amount now": "",
            "total_amount after": "",
        },
    ]


def to_sales(changes: Changes) -> list[dict[str, Any]]:
    """The rows of the artifact `rollback-sales`; a sale that the batches inserted has no values before."""
    return [
        {
            "region": sale.region,
            "sale_id": sale.sale_id,
            "currency": sale.currency or "",
            "updated_at now": str(sale.updated_at_now or ""),
            "updated_at before": str(sale.updated_at_before or ""),
            "total_amount now": "" if sale.amount_now is None else sale.amount_now,
            "total_amount before": "" if sale.amount_before is None else sale.amount_before,
        }
        for sale in changes.sales
    ]


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters. An unknown flag is an error, not a rollback."""
    parser = argparse.ArgumentParser(prog="python -m flows.rollback", allow_abbrev=False)
    parser.add_argument("date", help="business date, or batch id")
    parser.add_argument("reason", help="why, for the ledger")
    parser.add_argument("--cascade", action="store_true", help="later batches that changed the same sales, too")
    parser.add_argument("--dry-run", action="store_true", help="show what would change")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(rollback, **vars(read_arguments(sys.argv[1:]))))
