"""Compares the sources with the fact table, loads what is missing or differs, and marks what is gone when asked to."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, State

from blocks import names
from blocks.variables import read_settings, read_variable
from expectations.regions import REGIONS
from flows.command_line import run
from flows.lost_engine import ended_with_its_engine
from flows.named_keys import LoadedAgain, load_again
from flows.parameters import BusinessDate, RegionCodes, choose_range
from flows.run_hooks import record_failed_run
from flows.states import PARTIALLY_LOADED
from tasks.batch import HEAL, Keys, NamedKeys, choose_regions, name_batch_of_keys
from tasks.errors import RegionUnfitError, SalesEtlError
from tasks.gaps import DateRange
from tasks.ledger import read_ledger
from tasks.plan import unread_regions
from tasks.ready import check_ready
from tasks.reconcile.compare import KEYS_MAX, DayCompared, Kind, RegionCompared, compare
from tasks.reconcile.days import days_of_regions, last_days
from tasks.reconcile.deleted import mark_deleted
from tasks.scratch import scratch_directory

DAYS_KEY, SALES_KEY = "reconcile", "reconcile-sales"
"""Artifacts: the days that were compared, and the first sales that differ."""
SALES_SHOWN_MAX = 100
HEALED = (Kind.MISSING, Kind.DIFFERS)
"""What is loaded again."""


@dataclass(frozen=True)
class Reconciled:
    """How a reconcile ended. `loaded` are numbers of sales of the batch `batch_id` by what became of them; `marked` of
    those that were marked as deleted; both None when that was not asked for or not needed."""

    days: DateRange
    compared: tuple[RegionCompared, ...]
    unread: Mapping[str, str]
    batch_id: str
    loaded: Mapping[str, int] | None = None
    marked: int | None = None

    def count(self, kind: Kind) -> int:
        return sum(region.count(kind) for region in self.compared)


@flow(
    name="reconcile",
    on_failure=[record_failed_run],
    on_crashed=[record_failed_run],
    on_cancellation=[record_failed_run],
)
def reconcile(
    start_date: BusinessDate = None,
    end_date: BusinessDate = None,
    regions: RegionCodes = None,
    heal: bool = True,
    heal_deleted: bool = False,
    dry_run: bool = False,
) -> State:
    """Compares sources and fact table, day by day, for the dates that the ledger calls published or empty: by counts,
    exact sums and fingerprints of the sales, and sale by sale where these differ. May be killed and run again at any
    time.

    Args:
        start_date: First date to look at (UTC day), as 2024-01-10 or 20240110. Empty, like end_date: the last
            reconcile_days (a variable) up to the day before the scheduled start.
        end_date: Last date to look at, included. Empty, like start_date.
        regions: Region codes to look at: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all.
        heal: Load the sales that are missing or differ, as a batch of their own (H and the time).
        heal_deleted: Mark the sales that their source does not hold any more (is_deleted, deleted_at), in that batch.
        dry_run: Compare and show, and change nothing.

    Gaps are left to backfill; the sales of dates that were rolled back are counted as held back. Ends as Completed with
    the figures in its message and in the artifacts `reconcile` and `reconcile-sales`, or as PartiallyLoaded when a
    region could not be read.
    """
    settings = read_settings()
    asked, yesterday = choose_range(start_date, end_date)
    days = asked or last_days(yesterday, read_variable("reconcile_days"))
    warehouse = {"connector_block": names.WAREHOUSE, "warehouse": settings.snowflake_warehouse}
    bucket = {"bucket_block": names.STAGING_BUCKET, "bucket_name": settings.s3_staging_bucket}
    with ended_with_its_engine():
        known = read_ledger(days.first, days.last, **warehouse)
        wanted = days_of_regions(known, choose_regions(regions, tuple(REGIONS)))
        futures = compare.map(wanted, **warehouse)
        outcomes = {
            of.region: future.result(raise_on_failure=False) for of, future in zip(wanted, futures, strict=True)
        }
        raise_unless_a_regions_own(outcomes.values())
        compared = tuple(outcome for outcome in outcomes.values() if isinstance(outcome, RegionCompared))
        batch = NamedKeys(name_batch_of_keys(HEAL, datetime.now(UTC)), keys_to_heal(compared) if heal else {})
        found = Reconciled(days, compared, unread_regions(outcomes), batch.batch_id)
        show_tables(found)

        loaded = marked = None
        if batch.regions and not dry_run:
            check_ready(batch, names.TOKEN_KEY, **bucket)
            with scratch_directory() as scratch:
                loaded = load_again(batch, settings, scratch, warehouse, bucket)
        if heal_deleted and found.count(Kind.GONE) and not dry_run:
            marked = mark_deleted(batch.batch_id, str(flow_run.id), compared, **warehouse)
    return end(found, loaded, marked, dry_run)


def raise_unless_a_regions_own(outcomes: Iterable[RegionCompared | BaseException]) -> None:
    """Raises the first error that the warehouse, not a source, has given."""
    for outcome in outcomes:
        if isinstance(outcome, SalesEtlError) and not isinstance(outcome, RegionUnfitError):
            raise outcome


def keys_to_heal(compared: Sequence[RegionCompared]) -> dict[str, Keys]:
    """The keys to load again, of the regions that have any."""
    keys = {region.region: Keys(tuple(of.sale_id for of in region.of(*HEALED)[:KEYS_MAX])) for region in compared}
    return {region: of_region for region, of_region in keys.items() if of_region.sale_ids}


def end(found: Reconciled, loaded: LoadedAgain | None, marked: int | None, dry_run: bool) -> State:
    """The state with all figures; its data is the Reconciled."""
    ended = replace(found, marked=marked)
    if loaded:
        ended = replace(ended, loaded=count_fates(loaded), unread={**found.unread, **loaded.read.unread})
    return Completed(name=PARTIALLY_LOADED if ended.unread else None, message=in_words(ended, dry_run), data=ended)


def count_fates(loaded: LoadedAgain) -> dict[str, int]:
    """What became of the sales that were read again."""
    regions = loaded.publication.regions
    fates = {fate: sum(p.of(fate).rows for p in regions) for fate in ("inserted", "updated", "unchanged", "superseded")}
    rejected = sum(of_region.rejected.rows for of_region in loaded.read.transformed)
    return {**fates, "rejected": rejected + sum(p.cross_region.rows for p in regions)}


def in_words(reconciled: Reconciled, dry_run: bool) -> str:
    """What was found and done, in a line."""
    counts = {kind: reconciled.count(kind) for kind in Kind}
    days = sum(len(region.days) for region in reconciled.compared)
    parts = [
        f"{reconciled.days}, {days} days of regions: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"
    ]
    if reconciled.loaded is not None:
        fates = ", ".join(f"{rows} {fate}" for fate, rows in reconciled.loaded.items() if rows)
        parts.append(f"{reconciled.batch_id}: {fates or 'nothing to load any more'}")
    elif to_load := sum(counts[kind] for kind in HEALED):
        parts.append(f"{to_load} {'would be loaded' if dry_run else 'not loaded'}")
    if reconciled.marked is not None:
        parts.append(f"{reconciled.marked} marked as deleted")
    elif counts[Kind.GONE]:
        parts.append("heal_deleted=true marks what is gone")
    if any(counts[kind] > KEYS_MAX for kind in Kind):
        parts.append(f"{KEYS_MAX} sales of a region and kind are taken, run it again for the rest")
    held_back = sum(rows for region in reconciled.compared for rows in region.held_back.values())
    if held_back:
        parts.append(f"{held_back} held back, their dates were rolled back")
    parts += [f"{region} could not be read: {cause}" for region, cause in reconciled.unread.items()]
    return "; ".join(parts)


def show_tables(found: Reconciled) -> None:
    """Writes the days, and a sample of the sales that differ."""
    create_table_artifact(to_days(found), key=DAYS_KEY, description=f"Sources and fact table, {found.days}")
    rows = [
        {"region": region.region, "date": str(of.day), "sale_id": of.sale_id, "how": str(of.kind)}
        for region in found.compared
        for of in region.findings[:SALES_SHOWN_MAX]
    ]
    about = f"The first {SALES_SHOWN_MAX} sales of each region that differ"
    create_table_artifact(rows, key=SALES_KEY, description=about)


def to_days(found: Reconciled) -> list[dict[str, Any]]:
    """A row per region and day, those that are held back last, and one for each region that could not be read."""
    compared = [_to_row(region.region, day) for region in found.compared for day in region.days]
    held_back = [
        _empty_row(region.region, str(day)) | {"at the source": rows, "note": "held back: rolled back"}
        for region in found.compared
        for day, rows in region.held_back.items()
    ]
    unread = [_empty_row(region, "") | {"note": f"could not be read: {why}"} for region, why in found.unread.items()]
    return [*compared, *held_back, *unread]


def _to_row(region: str, day: DayCompared) -> dict[str, Any]:
    totals = {
        side: ", ".join(f"{total} {currency}" for currency, total in of.items())
        for side, of in (("total at the source", day.total_at_source), ("total in the table", day.total_in_table))
    }
    return {
        "region": region,
        "date": str(day.day),
        "at the source": day.at_source,
        "in the table": day.in_table,
        "rejected and open": day.accounted,
        **{str(kind): day.found.get(kind, 0) for kind in Kind},
        **totals,
        "note": "",
    }


def _empty_row(region: str, day: str) -> dict[str, Any]:
    counts = ("at the source", "in the table", "rejected and open", *(str(kind) for kind in Kind))
    return {
        "region": region,
        "date": day,
        **dict.fromkeys(counts, ""),
        "total at the source": "",
        "total in the table": "",
        "note": "",
    }


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters."""
    parser = argparse.ArgumentParser(prog="python -m flows.reconcile", allow_abbrev=False)
    parser.add_argument("start_date", nargs="?", help="first date; without dates: the last reconcile_days")
    parser.add_argument("end_date", nargs="?", help="last date")
    parser.add_argument("--regions", nargs="+", help="region codes; none: all")
    parser.add_argument("--no-heal", dest="heal", action="store_false", help="load nothing")
    parser.add_argument("--heal-deleted", action="store_true", help="mark what is gone from the source")
    parser.add_argument("--dry-run", action="store_true", help="compare and show, change nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(reconcile, **vars(read_arguments(sys.argv[1:]))))
