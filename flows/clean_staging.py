"""Removes what is past its retention: staged files, staging tables, scratch, undo log, closed rejected rows, pages of
runs, and flow runs on the Prefect server."""

import argparse
import sys

from prefect import flow
from prefect.states import Completed, Failed, State

from blocks.variables import read_variable
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.run_names import by_minute
from tasks.lines import counted
from tasks.pages.artifacts import write_table
from tasks.retention.old_pages import remove_pages
from tasks.retention.old_runs import STAYS, remove_old_runs
from tasks.retention.staged import Removal, remove_old_rows, remove_scratch, remove_staged
from tasks.retries import ONCE

ARTIFACT_KEY = "clean-staging"


@flow(name="clean-staging", flow_run_name=by_minute("clean-staging"), **ONCE)
def clean_staging(dry_run: bool = False) -> State:
    """Removes staged files, staging tables and scratch directories of runs that are over and older than the variable
    staging_retention_days, undo rows and closed rejected rows older than undo_retention_days, pages of runs older than
    report_retention_days, and this project's flow runs older than prefect_retention_days. Open rejected rows and
    everything that a living run uses stay. Can be killed and run again at any time.

    Args:
        dry_run: Count what would be removed, and remove nothing.

    Ends as Completed with the figures in its message and in the artifact `clean-staging`, or as Failed when something
    could not be removed; the rest is removed anyway.
    """
    staging_days, undo_days = read_variable("staging_retention_days"), read_variable("undo_retention_days")
    run_days, page_days = read_variable("prefect_retention_days"), read_variable("report_retention_days")
    warehouse, bucket = read_variable("snowflake_warehouse"), read_variable("s3_staging_bucket")
    with ended_with_its_engine():
        states = [
            remove_staged(staging_days, dry_run, warehouse, bucket, return_state=True),
            remove_scratch(staging_days, dry_run, return_state=True),
            remove_old_rows(undo_days, dry_run, warehouse, return_state=True),
            remove_pages(page_days, dry_run, bucket, return_state=True),
            remove_old_runs(run_days, dry_run, return_state=True),
        ]
    removals = [removal for state in states if state.is_completed() for removal in state.result()]
    show_table(removals, dry_run)
    return final_state(removals, [state.message or state.name for state in states if not state.is_completed()], dry_run)


def final_state(removals: list[Removal], problems: list[str], dry_run: bool) -> State:
    """Completed with the figures, or Failed with what could not be removed."""
    figures = ", ".join(_counted(removal) for removal in removals if removal.count) or "nothing"
    message = f"{'would remove' if dry_run else 'removed'} {figures}"
    if problems:
        return Failed(message=f"could not remove everything: {'; '.join(problems)} ({message})")
    return Completed(message=message)


def _counted(removal: Removal) -> str:
    """`1 staging table`, `2 scratch directories`."""
    head, blank, rest = removal.what.partition(" in ") if " in " in removal.what else removal.what.partition(" on ")
    one = f"{head[:-3]}y" if head.endswith("ies") else head.removesuffix("s")
    return counted(removal.count, one + blank + rest, removal.what)


def show_table(removals: list[Removal], dry_run: bool) -> None:
    """Writes the artifact with what was removed."""
    rows = [
        {
            "what": removal.what,
            "older than": f"{removal.older_than_days} days",
            "would be removed" if dry_run else "removed": removal.count,
            "MB": "" if removal.bytes is None else round(removal.bytes / 1e6, 1),
        }
        for removal in removals
    ]
    about = f"What was old enough to be removed. Of flow runs, {STAYS}."
    write_table(rows, key=ARTIFACT_KEY, description=about)


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters."""
    parser = argparse.ArgumentParser(prog="python -m flows.clean_staging", allow_abbrev=False)
    parser.add_argument("--dry-run", action="store_true", help="count, remove nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(clean_staging, **vars(read_arguments(sys.argv[1:]))))
