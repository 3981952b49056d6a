"""The result of a reconcile, in one line and in tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.batch import KEYS_MAX, DateRange
from tasks.lines import counted
from tasks.pages.artifacts import write_table
from tasks.reconcile.compare import DayCompared, DaySums, RegionCompared
from tasks.reconcile.discrepancies import Discrepancy

DAYS_KEY, SALES_KEY = "reconcile", "reconcile-sales"
"""Artifacts: the compared days, and the first sales that differ."""
SALES_SHOWN_MAX = 100
_COUNTS = ("at the source", "in the table", "rejected and open", *(str(kind) for kind in Discrepancy))
EMPTY_ROW: dict[str, Any] = dict.fromkeys(
    ("region", "date", *_COUNTS, "total at the source", "total in the table", "note"), ""
)
HEALED = (Discrepancy.MISSING, Discrepancy.DIFFERS)
"""The kinds that a heal loads again."""


@dataclass(frozen=True)
class Reconciled:
    """The result of a reconcile. `loaded` counts the sales of batch `heal` by fate, `marked` those that were marked by
    batch `deletion`; all are None when not asked for or not needed. `held_since` counts the sales that were rolled back
    between the comparison and their second reading."""

    days: DateRange
    compared: tuple[RegionCompared, ...]
    unread: Mapping[str, str]
    heal: str | None = None
    loaded: Mapping[str, int] | None = None
    deletion: str | None = None
    marked: int | None = None
    held_since: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether a region has more sales to load, or to mark, than one run takes."""
        healed = (sum(region.count(kind) for kind in HEALED) for region in self.compared)
        gone = (region.count(Discrepancy.GONE) for region in self.compared)
        return any(rows > KEYS_MAX for rows in (*healed, *gone))

    def count(self, kind: Discrepancy) -> int:
        return sum(region.count(kind) for region in self.compared)


def in_words(reconciled: Reconciled, heal: bool, heal_deleted: bool, dry_run: bool) -> str:
    """What was found and done, in one line. `heal` and `heal_deleted` are the run's parameters."""
    counts = {kind: reconciled.count(kind) for kind in Discrepancy}
    compared = counted(sum(len(region.days) for region in reconciled.compared), "day of regions", "days of regions")
    found = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    parts = [f"{reconciled.days}, {compared}: {found}"]
    if reconciled.loaded is not None:
        fates = ", ".join(f"{rows:,} {fate}" for fate, rows in reconciled.loaded.items() if rows)
        parts.append(f"{reconciled.heal}: {fates or 'nothing to load any more'}")
    elif to_load := sum(counts[kind] for kind in HEALED):
        parts.append(f"{to_load:,} {'would be loaded' if heal else 'not loaded'}")
    if reconciled.marked is not None:
        parts.append(f"{reconciled.deletion}: {reconciled.marked:,} marked as deleted")
    elif gone := counts[Discrepancy.GONE]:
        parts.append(f"{gone:,} would be marked as deleted" if heal_deleted else "heal_deleted=true marks what is gone")
    if heal_deleted:
        parts += [
            f"{region.region} is not marked: {region.why_not_whole}"
            for region in reconciled.compared
            if region.why_not_whole and region.count(Discrepancy.GONE)
        ]
    parts += [f"{region.region}: {region.behind}" for region in reconciled.compared if region.behind]
    parts += [f"{region.region}: {region.outside}" for region in reconciled.compared if region.outside.rows]
    if reconciled.is_cut:
        taken = "a run takes" if dry_run else "this run has taken"
        parts.append(f"{taken} {KEYS_MAX:,} sales of a region, run it again for the rest")
    held_back = sum(sum(region.held_back.values()) + region.held_sales for region in reconciled.compared)
    if held_back := held_back + reconciled.held_since:
        parts.append(f"{held_back:,} held back, their dates or heals were rolled back")
    parts += [f"{region} could not be read: {cause}" for region, cause in reconciled.unread.items()]
    return "; ".join(parts)


def show_tables(found: Reconciled) -> None:
    """Writes the artifacts: the days, and a sample of the sales that differ."""
    write_table(to_days(found), key=DAYS_KEY, description=f"Sources and fact table, {found.days}")
    rows = [
        {"region": region.region, "date": str(sale.day), "sale_id": sale.sale_id, "how": str(sale.kind)}
        for region in found.compared
        for sale in region.differing[:SALES_SHOWN_MAX]
    ]
    about = f"The first {SALES_SHOWN_MAX} sales of each region that differ"
    write_table(rows, key=SALES_KEY, description=about)


def to_days(found: Reconciled) -> list[dict[str, Any]]:
    """A row per compared region and day, then those of days held back, sales in no window, and unread regions."""
    compared = [_to_row(region.region, day) for region in found.compared for day in region.days]
    held_back = [
        EMPTY_ROW | {"region": region.region, "date": str(day), "at the source": rows, "note": "held back: rolled back"}
        for region in found.compared
        for day, rows in region.held_back.items()
    ]
    unread = [EMPTY_ROW | {"region": code, "note": f"could not be read: {why}"} for code, why in found.unread.items()]
    outside = [
        EMPTY_ROW | {"region": of.region, "at the source": of.outside.rows, "note": str(of.outside)}
        for of in found.compared
        if of.outside.rows
    ]
    return [*compared, *held_back, *outside, *unread]


def _to_row(region: str, day: DayCompared) -> dict[str, Any]:
    return EMPTY_ROW | {
        "region": region,
        "date": str(day.day),
        "at the source": day.at_source.rows,
        "in the table": day.in_table.rows,
        "rejected and open": day.accounted.rows,
        **{str(kind): day.found.get(kind, 0) for kind in Discrepancy},
        "total at the source": _totals(day.at_source),
        "total in the table": _totals(day.in_table),
    }


def _totals(sums: DaySums) -> str:
    return ", ".join(f"{total:,} {currency}" for currency, total in sorted(sums.totals.items()))
