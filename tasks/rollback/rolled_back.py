"""What was rolled back stays out of the warehouse: no replay or heal loads it until a run names its date."""

import json
from collections.abc import Collection, Mapping, Sequence

from prefect import get_run_logger, task

from tasks.batch import RolledBack, StagingTables
from tasks.errors import PublishRefusedError
from tasks.retries import RETRIES
from tasks.warehouse.session import Session, task_session
from tasks.warehouse.statements import render, text_literals


def rolled_back(session: Session, regions: Collection[str]) -> dict[str, RolledBack]:
    """Returns what was rolled back of each region and was not loaded since."""
    found = session.query(render("rollback/stays_out", regions=text_literals(regions)))
    return {
        region: RolledBack(
            frozenset(batch_id for of, batch_id, _ in found if of == region),
            frozenset(key for of, _, key in found if of == region and key is not None),
        )
        for region in regions
    }


def refuse_held_back(session: Session, tables: StagingTables, known: Mapping[str, RolledBack]) -> None:
    """Raises PublishRefusedError, under the lock, when something is staged that stays out, or when a batch was rolled
    back that was not `known` when its region was read."""
    pairs = [f"{region} {batch_id}" for region, of in known.items() for batch_id in sorted(of.batches)]
    statement = render("publish/held_back", regions=text_literals(known), **vars(tables))
    if found := session.query(statement, [json.dumps(pairs)]):
        batches = ", ".join(f"{batch_id} of {region}" for region, batch_id in found)
        raise PublishRefusedError(f"what was rolled back stays out, and it would be loaded or was not known: {batches}")


@task(name="read-rolled-back", **RETRIES)
def read_rolled_back(regions: Sequence[str], warehouse: str) -> dict[str, RolledBack]:
    """Returns what was rolled back of each region."""
    logger = get_run_logger()
    with task_session(warehouse, "read-rolled-back") as session:
        found = rolled_back(session, regions)
    batches = sum(len(of.batches) for of in found.values())
    keys = sum(len(of.keys) for of in found.values())
    logger.info("step=read-rolled-back batches=%d keys=%d", batches, keys)
    return found
