"""Lists the open rejected rows by rule, region and age: `make rejected`, and a table in the dashboard."""

import sys

from prefect import flow
from prefect.states import Completed, State
from rich.console import Console
from rich.table import Table

from blocks.variables import read_variable
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.run_names import by_minute
from tasks.lines import counted, in_one_line
from tasks.pages.artifacts import write_table
from tasks.rejected.queue import OpenRejections, queue_rows, read_rejected
from tasks.retries import ONCE

ARTIFACT_KEY = "rejected-rows"
WIDTH_OF_FILES = 140
"""Line length where the output is no terminal."""


@flow(name="list-rejected", flow_run_name=by_minute("list-rejected"), **ONCE)
def list_rejected() -> State:
    """Counts the open rejected rows by rule, region and days since their key was first rejected. Changes nothing.

    Each needs somebody to mend the source or the rule, and its date run again. Ends as Completed with the counts in the
    artifact `rejected-rows`.
    """
    with ended_with_its_engine():
        queue = read_rejected(read_variable("snowflake_watch_warehouse"))
    write_table(queue_rows(queue), key=ARTIFACT_KEY, description=summary(queue))
    return Completed(message=summary(queue), data=queue)


def summary(queue: OpenRejections) -> str:
    """The queue in one line."""
    if not queue.rows:
        return "no rejected row is open"
    are_open = counted(queue.rows, "rejected row is open", "rejected rows are open")
    return f"{are_open}, the oldest for {counted(queue.oldest_days, 'day')}"


def print_table(queue: OpenRejections) -> None:
    """Prints the queue as a table; nothing for an empty one."""
    if rows := queue_rows(queue):
        table = Table()
        for name in rows[0]:
            table.add_column(name, overflow="fold")  # a rule is never shortened
        for row in rows:
            table.add_row(*map(in_one_line, row.values()))
        Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES).print(table)


if __name__ == "__main__":
    sys.exit(run(list_rejected, show=print_table))
