"""Finds the sales of a source that stay out because they were rolled back. Knows no Prefect."""

from collections.abc import Sequence
from typing import Any

from expectations.regions import Region
from tasks.batch import RolledBack
from tasks.source.statements import on_days_statement


def held_back(
    cursor: Any, table: str, region: Region, sale_ids: Sequence[str], stays_out: RolledBack
) -> frozenset[str]:
    """Returns the `sale_id`s that stay out: a heal of them was rolled back, or a version in the snapshot of `cursor`
    was sold or changed on a day that was rolled back. `table` is an SQL expression without bad cells."""
    held = {sale_id for sale_id in sale_ids if region.key_of(sale_id) in stays_out.keys}
    if (days := stays_out.days) and sale_ids:
        cursor.execute(on_days_statement(table), {"sale_ids": list(sale_ids), "days": sorted(days)})
        held |= {sale_id for (sale_id,) in cursor.fetchall()}
    return frozenset(held)
