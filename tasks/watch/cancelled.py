"""Cancelled runs: what became of their batches, by the ledger, as the message of their state in Prefect."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from tasks.statements import render, text_literals
from tasks.stopping import CANCELLED_IN_PREFECT
from tasks.warehouse import Row, Session
from tasks.watch.runs import read_unexplained, set_message_of_cancelled

LOOKED_BACK = timedelta(days=1)
"""Runs that were cancelled before are left as they are."""
BATCHES_NAMED_MAX = 10


def explain_cancelled(session: Session) -> str:
    """Gives the states of cancelled runs their messages, and answers how many."""
    explained = 0
    for run, flow_run_ids in read_unexplained(datetime.now(UTC) - LOOKED_BACK):
        begun = session.query(render("ledger/batches_of_flow_runs", flow_run_ids=text_literals(flow_run_ids)))
        set_message_of_cancelled(run.id, f"{CANCELLED_IN_PREFECT}: {what_became(begun)}")
        explained += 1
    return f"{explained} explained" if explained else ""


def what_became(begun: Iterable[Row]) -> str:
    """Which batches are published, whole or in part, and which are not; from (batch, region, whether it is shown)."""
    shown: dict[str, bool] = {}
    for batch_id, _, is_shown in begun:
        shown[batch_id] = shown.get(batch_id, False) or bool(is_shown)
    published = [batch_id for batch_id, is_shown in shown.items() if is_shown]
    rest = [batch_id for batch_id in shown if batch_id not in published]
    if not published:
        return "nothing was published"
    return f"{_named(published)} published before" + (f", {_named(rest)} not" if rest else "")


def _named(batches: Sequence[str]) -> str:
    more = f" and {len(batches) - BATCHES_NAMED_MAX} more" if len(batches) > BATCHES_NAMED_MAX else ""
    return ", ".join(batches[:BATCHES_NAMED_MAX]) + more
