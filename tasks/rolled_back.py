"""What somebody has rolled back stays out of the warehouse: no replay and no heal loads it, until its date is named."""

import json
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import date

from prefect import get_run_logger, task

from blocks.snowflake import SnowflakeHostConnector
from tasks.batch import RolledBack, parse_business_date
from tasks.errors import PublishRefusedError
from tasks.retries import RETRIES
from tasks.statements import StagingTables, render, text_literals
from tasks.warehouse import Session, open_session


def rolled_back(session: Session, regions: Collection[str]) -> dict[str, RolledBack]:
    """What somebody has rolled back of each region, and nobody has loaded since."""
    days: dict[str, set[date]] = {region: set() for region in regions}
    keys: dict[str, set[str]] = {region: set() for region in regions}
    for region, batch_id, key in session.query(render("held_back/rolled_back", regions=text_literals(regions))):
        if key is None:
            days[region].add(parse_business_date(batch_id))
        else:
            keys[region].add(key)
    return {region: RolledBack(frozenset(days[region]), frozenset(keys[region])) for region in regions}


def refuse_held_back(session: Session, tables: StagingTables, known: Mapping[str, Set[date]]) -> None:
    """Under the lock: raises PublishRefusedError when something is staged that stays out, or a day was rolled back that
    was not `known` when its region was read."""
    told = json.dumps([f"{region} {day:%Y%m%d}" for region, days in known.items() for day in sorted(days)])
    statement = render("publish/held_back", regions=text_literals(known), **vars(tables))
    if found := session.query(statement, [told]):
        batches = ", ".join(f"{batch_id} of {region}" for region, batch_id in found)
        raise PublishRefusedError(f"what was rolled back stays out, and it would be loaded or was not known: {batches}")


@task(name="read-rolled-back", **RETRIES)
def read_rolled_back(regions: Sequence[str], connector_block: str, warehouse: str) -> dict[str, RolledBack]:
    """What somebody has rolled back of each region."""
    connector, logger = SnowflakeHostConnector.load(connector_block), get_run_logger()
    with open_session(connector, warehouse, "retail-sales read-rolled-back", logger.warning) as session:
        found = rolled_back(session, regions)
    days, keys = (sum(len(getattr(of, what)) for of in found.values()) for what in ("days", "keys"))
    logger.info("step=read-rolled-back days=%d keys=%d", days, keys)
    return found
