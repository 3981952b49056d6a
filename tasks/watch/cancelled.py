"""Cancelled runs: what became of their batches, by the ledger, as the message of their state in Prefect."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from tasks.statements import render, text_literals
from tasks.stopping import CANCELLED_IN_PREFECT
from tasks.warehouse import Row, Session
from tasks.watch.runs import read_unexplained, say_of_cancelled

LOOKED_BACK = timedelta(days=1)
"""Runs that were cancelled before are left as they are."""
IN_PRODUCTION = ("PUBLISHED", "EMPTY")
BATCHES_NAMED_MAX = 10


def explain_cancelled(session: Session) -> str:
    """Gives the states of cancelled runs their messages, and answers how many."""
    explained = 0
    for run, flow_run_ids in read_unexplained(datetime.now(UTC) - LOOKED_BACK):
        ends = session.query(render("ledger/ends_of_flow_runs", flow_run_ids=text_literals(flow_run_ids)))
        say_of_cancelled(run.id, f"{CANCELLED_IN_PREFECT}: {what_became(ends)}")
        explained += 1
    return f"{explained} explained" if explained else ""


def what_became(ends: Iterable[Row]) -> str:
    """Which batches are published, whole or in part, and which are not, from (batch, region, status) of each region."""
    regions: dict[str, dict[str, bool]] = {}
    for batch_id, region, status in ends:
        regions.setdefault(batch_id, {})[region] = status in IN_PRODUCTION
    shown = [batch_id for batch_id, of_batch in regions.items() if any(of_batch.values())]
    if not shown:
        return "nothing was published"
    rest = [batch_id for batch_id in regions if batch_id not in shown]
    return f"{_named(shown)} published before" + (f", {_named(rest)} not" if rest else "")


def _named(batches: Sequence[str]) -> str:
    more = f" and {len(batches) - BATCHES_NAMED_MAX} more" if len(batches) > BATCHES_NAMED_MAX else ""
    return ", ".join(batches[:BATCHES_NAMED_MAX]) + more
