"""`make run`: registers, sets up and runs one day on the running local stack, and prints the outcome."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from expectations.regions import REGIONS
from local import stack
from local.console import log_lines_noted, print_line, sign_of_life
from local.environment import StackError, read_stack_env, state_dir
from local.page import newest_page
from local.register import stack_settings
from tasks.batch import choose_regions, parse_business_date, refuse_future
from tasks.lines import in_one_line

LAST_RUN = "last-run.json"

FATES = ("extracted", "clean", "rejected", "duplicates", "inserted", "updated", "unchanged", "superseded")


def main() -> int:
    """Starts the stack if it is down and runs the day; an error is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description="Runs one day on the local stack.")
    parser.add_argument("date", help="business date, as 2017-12-23 or 20171223")
    parser.add_argument("regions", nargs="*", help="region codes, like EUROPE; none: all")
    parser.add_argument(
        "--engine", default="pandas", choices=("pandas", "spark"), help="what transforms and judges the rows"
    )
    asked = parser.parse_args()
    try:
        refuse_future(parse_business_date(asked.date), datetime.now(UTC))
        regions = parse_regions(asked.regions)
        print_line("step 1 of 4: starting the local stack ...")
        stack.up()
        return run(asked.date, regions, asked.engine)
    except (StackError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse_regions(words: Sequence[str]) -> list[str] | None:
    """Region codes separated by blanks or commas; None if there are none. Raises ValueError for an unknown one."""
    asked = " ".join(words).replace(",", " ").split()
    return list(choose_regions(asked, tuple(REGIONS))) if asked else None


def run(date: str, regions: list[str] | None = None, engine: str = "pandas") -> int:
    """Runs the day on the running stack; returns 0 if it ended as Completed."""
    started = time.monotonic()
    environment = read_stack_env()
    os.environ.update(environment)
    print_line("step 2 of 4: loading Prefect and the flow ...")
    with sign_of_life(print_line, lambda: "loading Prefect and the flow"):
        # Prefect reads its settings when it is imported.
        from prefect import tags

        from blocks.register import register
        from flows.daily_sales import daily_sales
        from flows.setup_warehouse import setup_warehouse
        from flows.support.states import report_of
        from tasks.prefect_server.stopping import EndedBySignal
        from tasks.retention.periods import TAG

    print_line("step 3 of 4: registering blocks and variables ...")
    with sign_of_life(print_line, lambda: "registering blocks and variables"):
        register(stack_settings(environment, os.environ))
    print_line(f"step 4 of 4: running {date} ...")
    with (
        sign_of_life(print_line, lambda: f"running {date}") as output,
        log_lines_noted("prefect", output),
        tags(TAG),
    ):
        setup_warehouse(only_if_needed=True)
        try:
            state = daily_sales(date=date, regions=regions, engine=engine, return_state=True)
        except EndedBySignal as ended:
            print(ended, file=sys.stderr)
            return 130
    report = report_of(state)
    outcome = {
        "date": parse_business_date(date).isoformat(),
        "state": state.name,
        "state_type": state.type.value,
        "message": state.message,
        "seconds_total": round(time.monotonic() - started, 1),
        **(report.to_json() if report else {}),
    }
    keep(outcome)
    show(outcome, environment)
    return 0 if state.is_completed() else 1


def keep(outcome: dict[str, Any]) -> None:
    """Writes last-run.json; a failure is one line on stderr, as the run has ended."""
    file = state_dir() / LAST_RUN
    try:
        file.write_text(json.dumps(outcome, indent=2) + "\n")
    except OSError as error:
        print(f"{file} was not written: {error.strerror}", file=sys.stderr)


def show(outcome: dict[str, Any], environment: dict[str, str]) -> None:
    """Prints the tables of a run and where to look next."""
    # Wide enough for the tables when the output goes to a file or a pipe. Messages and names are printed unchanged:
    # Rich would take square brackets for markup and :words: for emoji.
    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, emoji=False, highlight=False)
    console.print()
    if regions := outcome.get("regions"):
        console.print(fates_table(outcome["date"], regions))
        for table in (rejected_table(regions), money_table(regions), seconds_table(regions, outcome["seconds"])):
            console.print(table)
    style = "green" if outcome["state_type"] == "COMPLETED" else "red"
    message = in_one_line(outcome["message"] or "no message")
    console.print(Text.assemble((outcome["state"], style), f": {message}"), soft_wrap=True)
    console.print(f"{outcome['seconds_total']} seconds with imports, registration and set-up\n")
    console.print("Where to look next", style="bold")
    for what, where in places(outcome, environment).items():
        console.print(f"  {what:14} {where}", soft_wrap=True)


def places(outcome: dict[str, Any], environment: dict[str, str]) -> dict[str, str]:
    """Where to find each result of the run."""
    ui = environment["PREFECT_UI_URL"].rstrip("/")
    run = outcome.get("flow_run_id")
    page = newest_page(run) if run else None
    return {
        **({"page": f"{page}  (make page opens it)"} if page else {}),
        "fact table": 'make sql Q="select * from sales_fact limit 10"',
        "rejected rows": 'make sql Q="select region_code, rules, sale_id from sales_rejected limit 10"',
        "staged files": f"s3://{environment['S3_STAGING_BUCKET']}/{outcome.get('staging_prefix', '')}"
        '  (make sql Q="select count(*) from staged_clean")',
        "ledger": 'make sql Q="select * from etl_batches_in_production"',
        "dashboard": f"{ui}/flow-runs/flow-run/{run}" if run else ui,
        "as JSON": str(state_dir() / LAST_RUN),
    }


def fates_table(date: str, regions: list[dict[str, Any]]) -> Table:
    """Rows per region and fate, and their sum."""
    table = _table(f"Daily sales {date}: rows", ["region", "status", *FATES])
    for region in regions:
        table.add_row(region["region"], region["status"], *(f"{region[fate]:,}" for fate in FATES))
    table.add_section()
    table.add_row("all", "", *(f"{sum(region[fate] for region in regions):,}" for fate in FATES))
    return table


def rejected_table(regions: list[dict[str, Any]]) -> Table:
    """Rejected rows per rule and region; a row with several reasons counts for each."""
    rules = sorted({rule for region in regions for rule in region["rejected_by_rule"]})
    table = _table("Rejected by rule", ["rule", *(region["region"] for region in regions)])
    for rule in rules:
        table.add_row(rule, *(f"{region['rejected_by_rule'].get(rule, 0):,}" for region in regions))
    return table


def money_table(regions: list[dict[str, Any]]) -> Table:
    """Exact totals of the extracted rows per region and currency."""
    cells = [(region["region"], currency, money) for region in regions for currency, money in region["money"].items()]
    columns = sorted({column for _, _, money in cells for column in money}, reverse=True)
    table = _table("Money as extracted", ["region", "currency", *columns])
    for region, currency, money in cells:
        table.add_row(region, in_one_line(currency), *(money.get(column, "") for column in columns))
    return table


def seconds_table(regions: list[dict[str, Any]], shared: dict[str, float]) -> Table:
    """Seconds per step; regions run side by side, the later steps are shared."""
    steps = ["extract", "transform", "stage"]
    table = _table("Seconds per step", ["region", *steps, *shared])
    for region in regions:
        cells = (_seconds(region["seconds"].get(step)) for step in steps)
        table.add_row(region["region"], *cells, *([""] * len(shared)))
    table.add_section()
    # A step that the run did not reach has exactly 0 seconds.
    table.add_row("all", *([""] * len(steps)), *(_seconds(seconds or None) for seconds in shared.values()))
    return table


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column in ("status", "currency") else "right")
    return table


if __name__ == "__main__":
    sys.exit(main())
