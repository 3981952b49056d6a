"""Rolls a batch back: every sale is again what it was before the batch, and so are rejected rows and ledger."""

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
from tasks.rollback.roll_back import SAMPLE_ROWS_MAX, Difference, Rollback, roll_back_batch

TOTALS_KEY, SALES_KEY = "rollback", "rollback-sales"
"""Artifacts: what changes per region and currency, and the first sales that change."""


@flow(name="rollback", flow_run_name=naming(rollback_name), **IN_HISTORY)
def rollback(date: BatchName, reason: Reason, cascade: bool = False, dry_run: bool = False) -> State:
    """Restores every row to its state before a batch: sales, rejected rows and ledger, in one transaction, or changes
    nothing.

    Args:
        date: Business date of the batch, as 2024-01-15 or 20240115, or a batch id like H20240116T091500Z.
        reason: Why it is rolled back, for the ledger.
        cascade: Also roll back the later batches that have changed the same sales. Off, such batches are a refusal.
        dry_run: Report what would change, and change nothing.

    Ends as Completed with the figures in its message and in the artifacts `rollback` and `rollback-sales`. The ledger
    records ROLLED_BACK, so that backfills in mode missing or failed do not load the date again. Ends as Failed when the
    batch is not in production, was published longer ago than undo_retention_days, or a later batch has changed its
    sales, and as Refused when the date is in the future.
    """
    if in_future := refused_dates(date):
        return in_future
    undo_days, warehouse = read_variable("undo_retention_days"), read_variable("snowflake_warehouse")
    with ended_with_its_engine(), signals_in_order(), finished_first(str(flow_run.id)):
        rolled_back = roll_back_batch(date, reason, cascade, dry_run, undo_days, str(flow_run.id), warehouse)
    show_difference(rolled_back, dry_run)
    return Completed(message=in_words(rolled_back, dry_run))


def in_words(rolled_back: Rollback, dry_run: bool) -> str:
    """What was done, or would be, in one line."""
    difference = rolled_back.difference
    if difference is None:
        return f"batch {rolled_back.batch_id} was rolled back before, {rolled_back.earlier}: nothing to do"
    now = sum(change.rows_now for change in difference.changes)
    after = sum(change.rows_after for change in difference.changes)
    verb = "would roll" if dry_run else "rolled"
    reopened = difference.rejected.replaced + difference.rejected.closed
    return (
        f"{verb} back {', '.join(difference.batches)}: {counted(now - after, 'sale')} removed, {after:,} restored, "
        f"{counted(difference.rejected.brought, 'rejected row')} removed, {reopened:,} reopened"
    )


def show_difference(rolled_back: Rollback, dry_run: bool) -> None:
    """Writes the artifacts with what changes; none when nothing does."""
    if difference := rolled_back.difference:
        what = f"What {'a rollback would change' if dry_run else 'the rollback has changed'}"
        batches = ", ".join(difference.batches)
        write_table(to_totals(difference), key=TOTALS_KEY, description=f"{what}: {batches}")
        sample = f"Up to {SAMPLE_ROWS_MAX} of the sales, with the rollback and before it: {batches}"
        write_table(to_sales(difference), key=SALES_KEY, description=sample)


def to_totals(difference: Difference) -> list[dict[str, Any]]:
    """Sales and exact money per region and currency, and a line for the rejected rows."""
    rejected = difference.rejected
    return [
        *(
            {
                "region": change.region,
                "currency": change.currency,
                "rows now": change.rows_now,
                "rows after": change.rows_after,
                "total_amount now": change.amount_now,
                "total_amount after": change.amount_after,
            }
            for change in difference.changes
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


def to_sales(difference: Difference) -> list[dict[str, Any]]:
    """The sample of sales; a sale that the batch inserted has no values before."""
    return [
        {
            "region": region,
            "sale_id": sale_id,
            "currency": currency or "",
            "updated_at now": str(updated_now or ""),
            "updated_at before": str(updated_before or ""),
            "total_amount now": "" if amount_now is None else amount_now,
            "total_amount before": "" if amount_before is None else amount_before,
        }
        for region, sale_id, currency, updated_now, amount_now, updated_before, amount_before in difference.sales
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
