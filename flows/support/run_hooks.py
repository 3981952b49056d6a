"""What happens around a daily run: its name, and the ledger's entry when it fails."""

from typing import Any

from prefect import Flow
from prefect.client.schemas import FlowRun
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run as current
from prefect.states import State

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import read_settings
from flows.support.pages import refresh_history, write_run_page
from flows.support.refusals import REFUSED
from tasks.batch import date_asked
from tasks.errors import one_line
from tasks.prefect_server.stopping import CANCELLED_IN_PREFECT, EndedBySignal
from tasks.warehouse.ledger import record_failure
from tasks.warehouse.session import open_session


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


ENDED_WELL, ENDED_BADLY = "on_completion", ("on_failure", "on_crashed", "on_cancellation")
IN_HISTORY: dict[str, Any] = {end: [refresh_history] for end in (ENDED_WELL, *ENDED_BADLY)}
"""The hooks of flows that change what the history shows."""
IN_LEDGER: dict[str, Any] = IN_HISTORY | {end: [record_failed_run, refresh_history] for end in ENDED_BADLY}
"""The hooks of flows whose failures the ledger records."""
WITH_PAGE: dict[str, Any] = {
    ENDED_WELL: [write_run_page, refresh_history],
    **{end: [record_failed_run, write_run_page, refresh_history] for end in ENDED_BADLY},
}
"""The hooks of daily-sales: a failure is recorded first, and the history links the page."""
