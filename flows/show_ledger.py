"""`make ledger`: prints the newest dates of the ledger x regions as a grid. Not a flow, so it leaves no run behind."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from blocks import names
from blocks.server import NoPrefectServerError, speaking_to_prefect
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import BadVariableError, read_variable
from tasks.errors import SalesEtlError, one_line
from tasks.pages.ledger_grid import Grid
from tasks.pages.ledger_page import read_grid
from tasks.warehouse.session import open_session

TAG = "retail-sales ledger"
WIDTH_OF_FILES = 120
"""Line length where the output is no terminal."""


def print_grid(grid: Grid) -> None:
    """Prints the grid and its legend."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES, markup=False, emoji=False, highlight=False)
    console.print(grid.headline())
    if rows := grid.rows():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*row.values())
        console.print(table)
    for line in grid.legend():
        console.print(line)


def main() -> int:
    """Reads by the small warehouse. An error is one line, and the exit code 1."""
    try:
        with speaking_to_prefect():
            connector, warehouse = (
                SnowflakeHostConnector.load(names.WAREHOUSE),
                read_variable("snowflake_watch_warehouse"),
            )
        with open_session(connector, warehouse, TAG, lambda line: print(line, file=sys.stderr)) as session:
            grid = read_grid(session)
    except (NoPrefectServerError, BadVariableError, SalesEtlError) as error:
        print(f"ledger: {one_line(error)}", file=sys.stderr)
        return 1
    print_grid(grid)
    return 0


if __name__ == "__main__":
    sys.exit(main())
