"""Backfill: loads the missing or failed dates of a range, or all of them, each by the daily run."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
from prefect import Task, flow, get_run_logger
from prefect.client.schemas import FlowRun
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, State

from blocks.variables import read_settings
from expectations.regions import REGIONS
from flows.daily_sales import daily_sales
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.outcomes import (
    SETTLED,
    DateOutcome,
    carried_over,
    ended_state,
    outcome_of,
    outcome_table,
    planned_state,
    refused_state,
    to_carry_over,
    yielded_state,
)
from flows.support.parameters import BusinessDate, Engine, MaxActive, MaxDates, RegionCodes, choose_range
from flows.support.queue import find_waiting, queue_behind
from flows.support.refusals import refused_range
from flows.support.run_hooks import IN_HISTORY, name_of_waiting
from flows.support.run_names import backfill_name, naming
from flows.support.usual_time import usual_seconds
from tasks.backfill.gaps import (
    BackfillPlan,
    Gap,
    Mode,
    Order,
    is_wanted,
    plan_again,
    plan_backfill,
    range_since,
    rest_of,
    tried_before,
    unloaded,
)
from tasks.backfill.known import read_first_date, read_ledger
from tasks.batch import choose_regions
from tasks.errors import one_line
from tasks.pages.artifacts import write_table
from tasks.prefect_server.stopping import CANCELLED_IN_PREFECT, StoppedError, is_cancelled, signals_in_order
from tasks.progress.work import Work, progressing
from tasks.retries import ONCE
from tasks.stopwatch import Stopwatch
from tasks.warehouse.states import Status

Load = Callable[[Gap], DateOutcome]
"""Loads one date."""
SIDE_BY_SIDE = 0.75
"""What a date takes beside others, of its time alone, as measured on two cores (docs/performance.md)."""
SUBFLOWS_MAX = 10_000
"""Above the number of subflows of any run; see `number_subflows_anew`."""


@flow(name="backfill", flow_run_name=naming(backfill_name), **IN_HISTORY, **ONCE)
def backfill(
    start_date: BusinessDate = None,
    end_date: BusinessDate = None,
    regions: RegionCodes = None,
    mode: Mode = "missing",
    max_active: MaxActive = 1,
    max_dates: MaxDates = 31,
    order: Order = "oldest",
    engine: Engine = "pandas",
    dry_run: bool = False,
    not_loaded_before: dict[str, str] | None = None,
) -> State:
    """Loads the missing dates of a range, each by a daily run. A date that fails does not stop the others.

    Args:
        start_date: First business date (UTC day), as 2024-01-10 or 20240110. Empty, like end_date: the variable
            first_date, or without one the first date that was ever loaded, and what was only tried before it.
        end_date: Last business date, included. Empty, like start_date: the day before the scheduled start.
        regions: Region codes to load: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all.
        mode: missing: what was never loaded, was left out or failed. failed: only what was tried before. all: every
            date and region again. In the first two, dates that were empty or rolled back are not loaded.
        max_active: Dates that are loaded side by side, 1 to 8; they publish one after the other.
        max_dates: Refuse to load more dates than this, 1 to 10000: a slip in a date could block the queue for days.
        order: Which date comes first, the oldest or the newest.
        engine: What transforms and judges the rows: pandas in the worker, or spark, at the variable `spark_remote`.
        dry_run: List what would be loaded, and change nothing.
        not_loaded_before: Leave it empty. A backfill that makes room for a daily run passes on here the dates that it
            could not load, and how they ended.

    Ends as Completed, PartiallyLoaded (a region was left out, or another run has begun a date), Yielded (it made room
    for a daily run, a new run goes on with the rest), Refused (more dates than max_dates, or an impossible range;
    nothing was loaded) or Failed. The message names the dates that went wrong, the artifact `backfill` lists all.
    """
    if senseless := refused_range(start_date, end_date):
        return senseless
    logger, settings = get_run_logger(), read_settings()
    asked, yesterday = choose_range(start_date, end_date)
    with ended_with_its_engine():
        last, warehouse = asked.last if asked else yesterday, settings.snowflake_watch_warehouse
        first = asked.first if asked else settings.first_date
        before = carried_over(not_loaded_before)
        days_before = [outcome.date for outcome in before]
        known = read_ledger(first and min([first, *days_before]), max([last, *days_before]), warehouse)
        days = asked or range_since(first or read_first_date(warehouse), yesterday)
    wanted_regions = choose_regions(regions, tuple(REGIONS))
    also = [outcome.date for outcome in before if outcome.is_left_to_the_rest]
    if first is None:
        also += tried_before(days.first, known)
    plan = plan_backfill(days, known, wanted_regions, tuple(REGIONS), mode, order, also)
    logger.info("step=plan days=%s mode=%s dates=%d under_way=%d", days, mode, len(plan.gaps), len(plan.under_way))
    if dry_run:
        show_table([], plan)
        return planned_state(plan, mode, usual_backfill_seconds(len(plan.gaps), max_active))

    if len(plan.gaps) > max_dates:
        show_table([], plan)
        return refused_state(plan, max_dates, usual_seconds(daily_sales.name))

    lost = unloaded(days_before, known, wanted_regions, mode)
    before = [outcome for outcome in before if outcome.date in lost and not outcome.is_left_to_the_rest]
    number_subflows_anew()
    load = partial(load_date, engine=engine, mode=mode, warehouse=warehouse)
    with signals_in_order():
        usual_s = usual_backfill_seconds(len(plan.gaps), max_active)
        loaded, waiting = load_dates(plan.gaps, max_active, load, usual_s)
        if plan.under_way and not waiting:
            more, plan = load_left(plan, mode, max_active, load, warehouse)
            loaded += more
    outcomes = [*before, *loaded]
    show_table(outcomes, plan)
    if waiting is None:
        return ended_state(outcomes, plan, mode)
    not_begun = plan.gaps[len(loaded) :]
    rest = rest_of(days, not_begun, order)
    carried = to_carry_over(outcomes, [gap for gap in not_begun if gap.date not in days], plan.under_way)
    changed = {"start_date": str(rest.first), "end_date": str(rest.last), "not_loaded_before": carried}
    goes_on = {**flow_run.parameters, **changed}
    queued = queue_behind(flow_run.id, backfill_name(goes_on, flow_run.scheduled_start_time), goes_on)
    waiting_name = name_of_waiting(waiting)
    logger.info("step=yield waiting=%s queued=%s days=%s", waiting_name, queued.id, rest)
    return yielded_state(outcomes, len(loaded), plan, waiting_name, rest, f"{queued.name} (run {queued.id})")


def load_left(
    plan: BackfillPlan, mode: Mode, max_active: int, load: Load, warehouse: str
) -> tuple[list[DateOutcome], BackfillPlan]:
    """Loads what other runs had begun and have left by now, as those that were killed do. Returns the outcomes, and the
    plan with what they still have."""
    days = [gap.date for gap in plan.under_way]
    with ended_with_its_engine():
        known = read_ledger(min(days), max(days), warehouse)
    left = plan_again(plan, known, tuple(REGIONS), mode)
    loaded, _ = load_dates(left.gaps, max_active, load, makes_room=False)
    return loaded, replace(plan, under_way=left.under_way)


def usual_backfill_seconds(dates: int, max_active: int) -> float | None:
    """Seconds that so many daily runs usually take; None for one, and where no run has completed."""
    if dates > 1:
        with suppress(Exception):  # an estimate fails no backfill
            usual_s = usual_seconds(daily_sales.name)
            return usual_s and usual_s * dates * (1 if max_active == 1 else SIDE_BY_SIDE)
    return None


def load_dates(
    gaps: Sequence[Gap], max_active: int, load: Load, usual_s: float | None = None, makes_room: bool = True
) -> tuple[list[DateOutcome], FlowRun | None]:
    """Loads the dates in their order, `max_active` side by side, until a daily run waits (if it `makes_room`).

    `usual_s`: the seconds that all of them usually take. Returns the outcomes of the dates that were begun, all of them
    ended, and the waiting run. Raises StoppedError when the backfill was cancelled.
    """
    running: set[Future[DateOutcome]] = set()
    begun: list[Future[DateOutcome]] = []
    waiting = None
    say = get_run_logger().info
    steady_from = 1 if max_active == 1 else 2 * max_active  # the first dates end together
    with (
        progressing(say, "backfill", "dates", len(gaps), usual_s, steady_from) as work,
        InTurn() if max_active == 1 else LeftAtOnce(max_active, "backfill") as executor,
    ):
        for gap in gaps:
            if len(running) == max_active:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()  # raises what stops the others
            if makes_room and (waiting := find_waiting_daily_run()):
                break
            begun.append(executor.submit(copy_context().run, load_counted, gap, load, work))
            running.add(begun[-1])
    return [future.result() for future in begun], waiting


def find_waiting_daily_run() -> FlowRun | None:
    """The daily run that waits in the queue of this one; none where the server cannot be asked just now."""
    try:
        return find_waiting(flow_run.id, daily_sales.name)
    except httpx.HTTPError as error:
        get_run_logger().warning("step=yield cannot see whether a daily run waits: %s", _named(error))
        return None


def _named(error: httpx.HTTPError) -> str:
    # Many have no text of their own.
    return f"{type(error).__name__}: {one_line(error)}"


def load_counted(gap: Gap, load: Load, work: Work) -> DateOutcome:
    """Loads one date, and counts it as done."""
    outcome = load(gap)
    work.add(failed=not outcome.completed)
    return outcome


def load_date(gap: Gap, engine: str, mode: Mode, warehouse: str) -> DateOutcome:
    """Runs the daily flow for what is left of a date; a failed run is an outcome like any other, and so is one that the
    Prefect server has not let begin or go on.

    Raises StoppedError when it failed because the backfill was cancelled.
    """
    watch = Stopwatch()
    try:
        gap, state = (gap, None) if mode == "all" else left_of(gap, mode, warehouse)
        if state is None:
            regions = None if gap.whole else list(gap.regions)
            state = daily_sales(date=gap.date.isoformat(), regions=regions, engine=engine, return_state=True)
    except httpx.HTTPError as error:
        state = Crashed(message=f"the Prefect server was lost: {_named(error)}")
    outcome, logger = outcome_of(gap, state, watch.seconds()), get_run_logger()
    logger.info(
        "step=backfill date=%s regions=%s state=%s seconds=%.1f", gap.date, outcome.regions, state.name, outcome.seconds
    )
    if not state.is_completed() and is_cancelled(str(flow_run.id), logger.warning):
        raise StoppedError(CANCELLED_IN_PREFECT)
    return outcome


def left_of(gap: Gap, mode: Mode, warehouse: str) -> tuple[Gap, State | None]:
    """Asks the ledger again, as somebody may have rolled the date back since the plan was made. Returns what is left to
    load, and the date's state when that is nothing or when the ledger cannot be read."""
    read = read_ledger(gap.date, gap.date, warehouse, return_state=True)
    if not read.is_completed():
        return gap, read
    known = {state.region: state for state in read.result()}
    regions = tuple(region for region in gap.regions if is_wanted(known.get(region), mode))
    if regions:
        return replace(gap, regions=regions, whole=gap.whole and regions == gap.regions), None
    rolled_back = any(known[region].in_production is Status.ROLLED_BACK for region in gap.regions)
    return gap, Completed(name=SETTLED, message="rolled back" if rolled_back else "loaded by another run")


class LeftAtOnce(ThreadPoolExecutor):
    """Threads that are abandoned on a signal or a cancellation: their commits are refused from then on."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        stops = kind is not None and (issubclass(kind, StoppedError) or not issubclass(kind, Exception))
        self.shutdown(wait=not stops, cancel_futures=kind is not None)


class InTurn(Executor):
    """Runs each call at once in the caller's thread, where signals reach it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def number_subflows_anew() -> None:
    """Makes a second try of this run load its dates.

    Prefect numbers the subflows of a run, and reuses the state of the n-th of the first try for the n-th of the second,
    whatever their dates.
    """
    context = FlowRunContext.get()
    context.task_run_dynamic_keys[Task(daily_sales.fn).task_key] = context.flow_run.run_count * SUBFLOWS_MAX


def show_table(outcomes: Sequence[DateOutcome], plan: BackfillPlan) -> None:
    """Writes the artifact with all dates."""
    write_table(outcome_table(outcomes, plan), key="backfill", description=f"Backfill of {plan.days}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.backfill", allow_abbrev=False)
    parser.add_argument("start_date", nargs="?")
    parser.add_argument("end_date", nargs="?")
    parser.add_argument("regions", nargs="*", help="region codes; none: all")
    parser.add_argument("--max-active", type=int, default=1, help="dates that are loaded side by side, 1 to 8")
    parser.add_argument("--engine", default="pandas", help="pandas or spark")
    parser.add_argument("--max-dates", type=int, default=31, help="refuse to load more dates than this")
    given = vars(parser.parse_args())
    sys.exit(run(backfill, **{**given, "regions": given["regions"] or None}))
