"""Gives cancelled runs a message in Prefect: what became of their batches, by the ledger."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from tasks.prefect_server.stopping import CANCELLED_IN_PREFECT
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render, text_literals
from tasks.watch.runs import read_unexplained, set_message_of_cancelled

LOOKED_BACK = timedelta(days=1)
"""Runs that were cancelled earlier stay without a message."""
BATCHES_NAMED_MAX = 10


def explain_cancelled(session: Session) -> str:
    """Sets the messages of cancelled runs; returns their number, in words."""
    explained = 0
    for run, flow_run_ids in read_unexplained(datetime.now(UTC) - LOOKED_BACK):
        touched = session.query(render("ledger/batches_of_flow_runs", flow_run_ids=text_literals(flow_run_ids)))
        set_message_of_cancelled(run.id, f"{CANCELLED_IN_PREFECT}: {what_became(touched)}")
        explained += 1
    return f"{explained} explained" if explained else ""


def what_became(touched: Iterable[Row]) -> str:
    """Returns which batches are published, whole or in part, which are not, and which were rolled back; from (batch,
    region, is shown, is rolled back)."""
    batches: dict[str, tuple[bool, bool]] = {}
    for batch_id, _, is_shown, is_undone in touched:
        shown, undone = batches.get(batch_id, (False, False))
        batches[batch_id] = shown or bool(is_shown), undone or bool(is_undone)
    rolled_back = [batch_id for batch_id, (_, undone) in batches.items() if undone]
    published = [batch_id for batch_id, (shown, undone) in batches.items() if shown and not undone]
    rest = [batch_id for batch_id in batches if batch_id not in published and batch_id not in rolled_back]
    if not batches:
        return "nothing was changed"
    if rolled_back:
        return f"{_named(rolled_back)} rolled back before"
    if not published:
        return "nothing was published"
    return f"{_named(published)} published before" + (f", {_named(rest)} not" if rest else "")


def _named(batches: Sequence[str]) -> str:
    more = f" and {len(batches) - BATCHES_NAMED_MAX} more" if len(batches) > BATCHES_NAMED_MAX else ""
    return ", ".join(batches[:BATCHES_NAMED_MAX]) + more
