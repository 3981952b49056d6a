"""What happens around a run: its name, the ledger's entry when it fails, and the history of all dates at its end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar

from prefect import Flow
from prefect.client.schemas import FlowRun
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run as current
from prefect.states import State

from blocks import names
from blocks.project import reports_directory
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_settings
from flows.support.refusals import REFUSED
from tasks.batch import date_asked
from tasks.errors import one_line
from tasks.prefect_server.stopping import CANCELLED_IN_PREFECT, EndedBySignal
from tasks.warehouse.ledger import record_failure
from tasks.warehouse.session import open_session

PAGE_S_MAX, ENDING_S_MAX = 20, 5
"""The most seconds for a page, and for that of a run which was told to end; then the process goes on without it."""
Result = TypeVar("Result")

Log = Logger | LoggerAdapter


def name_of_run() -> str:
    """`daily-sales-2017-12-23`."""
    return f"daily-sales-{date_asked((current.parameters or {}).get('date'), current.scheduled_start_time)}"


def name_of_waiting(run: FlowRun) -> str:
    """The name that a waiting daily run will get when it begins; until then it has a random one of Prefect's."""
    date, due = (run.parameters or {}).get("date"), run.expected_start_time or run.created
    try:
        return f"daily-sales-{date_asked(date, due)}"
    except ValueError:
        return f"the daily run due at {due:%Y-%m-%d %H:%M} UTC"


def record_failed_run(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State) -> None:
    """Records FAILED for every region of the run that has no end in the ledger. A refused run has not begun."""
    if state.name == REFUSED:
        return
    connector = SnowflakeHostConnector.load(names.WAREHOUSE)
    cause = one_line(ValueError(how_it_ended(state)))
    logger, warehouse = flow_run_logger(flow_run, flow), read_settings().snowflake_watch_warehouse
    with open_session(connector, warehouse, f"retail-sales failed {flow_run.name}", logger.warning) as session:
        regions = record_failure(session, str(flow_run.id), cause)
    if regions:
        logger.info("step=record-failure regions=%s", ",".join(regions))


def how_it_ended(state: State) -> str:
    """The cause of a run's end: Prefect's message without its preamble."""
    if state.is_cancelling() or state.is_cancelled():
        return f"{CANCELLED_IN_PREFECT}: nothing was published"
    _, by_signal, words = (state.message or "").partition(f"{EndedBySignal.__name__}: ")
    return words.strip() if by_signal else f"{state.name}: {state.message}"


def refresh_history(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State) -> None:
    """Writes the history anew, unless the run is part of another one, which does so at its own end."""
    directory = reports_directory()
    if directory and state.name != REFUSED and flow_run.parent_task_run_id is None:
        # Rollbacks and heals start without charts and templates.
        from flows.support import history

        logger = flow_run_logger(flow_run, flow)
        bounded("history", partial(history.write_history, directory, logger), seconds_for_pages(state), logger)


def seconds_for_pages(state: State) -> float:
    """The seconds that a page may take: a process that was told to end is killed after 30."""
    return ENDING_S_MAX if state.is_crashed() or state.is_cancelling() or state.is_cancelled() else PAGE_S_MAX


def bounded(step: str, write: Callable[[], None], seconds: float, logger: Log) -> None:
    """Writes pages in a thread, for at most so many seconds. They never fail a run: a failure is logged."""
    try:
        within(seconds, write)
    except TimeoutError:
        logger.warning("step=%s not written within %g s, given up", step, seconds)
    except Exception as error:  # noqa: BLE001 (a page is not worth a run)
        logger.warning("step=%s not written: %s", step, one_line(error))


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Returns the result of the work, which runs in a thread. Raises what it raises, or TimeoutError after so many
    seconds; the thread is then left to its own limits."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            done.set_exception(error)

    # The settings of Prefect are in the context.
    threading.Thread(target=copy_context().run, args=(run,), name="page", daemon=True).start()
    return done.result(seconds)


ENDED_WELL, ENDED_BADLY = ("on_completion",), ("on_failure", "on_crashed", "on_cancellation")
IN_HISTORY: dict[str, Any] = {end: [refresh_history] for end in (*ENDED_WELL, *ENDED_BADLY)}
"""The hooks of flows that change what the history shows."""
IN_LEDGER: dict[str, Any] = IN_HISTORY | {end: [record_failed_run, refresh_history] for end in ENDED_BADLY}
"""The hooks of flows whose failures the ledger records."""
