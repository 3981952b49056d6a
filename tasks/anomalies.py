"""Anomalies: what is loaded but should be looked at by a person. Each is emitted as an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from prefect import get_run_logger, task
from prefect.events import emit_event

from blocks import names
from tasks.batch import Batch
from tasks.extract import Extracted
from tasks.law import Fate
from tasks.lines import counted, in_one_line
from tasks.publish import Publication
from tasks.retries import ONCE
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render

WEEKDAYS_JUDGED_BY = 4
WEEKS_BACK_MAX = 8
"""Weeks that are searched for those weekdays, as some may be missing or closed."""
USUAL_SHARE_MIN, USUAL_SHARE_MAX = 0.5, 2.0


@dataclass(frozen=True)
class Anomaly:
    """Something unusual about one region. `what` is `cross-region`, `new-column`, `lacking-column`, `standby` or
    `row-count`."""

    region: str
    what: str
    message: str


def find_anomalies(
    present: Sequence[Extracted], publication: Publication, usual: Mapping[str, Sequence[int]]
) -> tuple[Anomaly, ...]:
    """Returns cross-region keys, new and lacking columns, lagging standbys and unusual row counts of the regions read.

    `usual` are the rows extracted on earlier same weekdays, per region.
    """
    collided = {published.region: published.of(Fate.CROSS_REGION).rows for published in publication.regions}
    found = []
    for extracted in present:
        region, rows = extracted.region, extracted.read.rows
        if keys := collided.get(region, 0):
            found.append(
                Anomaly(
                    region,
                    "cross-region",
                    f"{counted(keys, 'sale carries', 'sales carry')} a sale_id of another region",
                )
            )
        if extracted.new_columns:
            columns = ", ".join(f"{column.name} ({column.declared_type})" for column in extracted.new_columns)
            found.append(Anomaly(region, "new-column", f"new columns in the source: {in_one_line(columns)}"))
        # One anomaly per column, so that each is mailed once, whatever happens to the others.
        for name in extracted.lacking_columns:
            found.append(Anomaly(region, "lacking-column", f"column of extra_columns that the source lacks: {name}"))
        if extracted.behind:
            found.append(Anomaly(region, "standby", f"{extracted.behind}; the date is a gap until it is loaded again"))
        if message := _unusual_count(rows, usual.get(region, ())):
            found.append(Anomaly(region, "row-count", message))
    return tuple(found)


def _unusual_count(rows: int, usual: Sequence[int]) -> str | None:
    """Judges by `WEEKDAYS_JUDGED_BY` counts, or not at all."""
    if len(usual) < WEEKDAYS_JUDGED_BY:
        return None
    middle = median(usual)
    if USUAL_SHARE_MIN * middle <= rows <= USUAL_SHARE_MAX * middle:
        return None
    word = "below half" if rows < middle else "above twice"
    return f"{rows} rows, {word} the median {middle:g} of its last {len(usual)} same weekdays"


def usual_rows(session: Session, batch: Batch) -> dict[str, tuple[int, ...]]:
    """Rows extracted per region on the last `WEEKDAYS_JUDGED_BY` published same weekdays before the batch."""
    weeks = range(1, WEEKS_BACK_MAX + 1)
    before = [Batch(batch.date - timedelta(weeks=week), ()).batch_id for week in weeks]
    places = ", ".join("?" for _ in before)
    counts: dict[str, tuple[int, ...]] = {}
    for region, rows in session.query(render("ledger/rows_of_batches", places=places), before):
        counts[region] = (*counts.get(region, ()), int(rows))[:WEEKDAYS_JUDGED_BY]
    return counts


@task(name="announce-anomalies", **ONCE)
def announce_anomalies(
    batch: Batch, present: list[Extracted], publication: Publication, warehouse: str
) -> tuple[Anomaly, ...]:
    """Emits an event for each anomaly. Never raises: the batch is published."""
    logger = get_run_logger()
    usual: Mapping[str, Sequence[int]] = {}
    try:
        with task_session(warehouse, f"anomalies {batch.batch_id}") as session:
            usual = usual_rows(session, batch)
    except Exception as error:  # noqa: BLE001 (whatever it is, the batch is published)
        logger.warning("step=anomalies row counts are not judged: %s", error)
    found = find_anomalies(present, publication, usual)
    for anomaly in found:
        logger.warning("step=anomalies region=%s %s", anomaly.region, anomaly.message)
        try:
            emit_anomaly(batch, anomaly)
        except Exception as error:  # noqa: BLE001 (the report lists it anyway)
            logger.warning("step=anomalies region=%s no event was sent: %s", anomaly.region, error)
    return found


def emit_anomaly(batch: Batch, anomaly: Anomaly) -> None:
    """Emits the event that automations mail."""
    resource = {
        "prefect.resource.id": f"{names.REGION_RESOURCE}.{anomaly.region}",
        "prefect.resource.name": anomaly.region,
    }
    payload = {
        "date": batch.date.isoformat(),
        "region": anomaly.region,
        "what": anomaly.what,
        "message": anomaly.message,
    }
    emit_event(names.EVENT, resource, payload=payload)
