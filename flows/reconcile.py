"""Compares the sources with the fact table, loads what is missing or differs, and marks what is gone on request."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from prefect import flow, tags
from prefect.runtime import flow_run
from prefect.states import Completed, State

from blocks import names
from blocks.variables import read_settings, read_variable
from expectations.regions import REGIONS
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.named_keys import LoadedAgain, load_again
from flows.support.parameters import BusinessDate, RegionCodes, choose_range
from flows.support.reconciled import HEALED, Reconciled, in_words, show_tables
from flows.support.refusals import refused_range
from flows.support.run_hooks import IN_LEDGER
from flows.support.run_names import naming, reconcile_name
from flows.support.states import PARTIALLY_LOADED
from tasks.backfill.known import read_ledger
from tasks.batch import HEAL, KEYS_MAX, Keys, NamedKeys, choose_regions, name_batch_of_keys
from tasks.errors import NeedsPersonError, RegionUnfitError, SalesEtlError
from tasks.files.scratch import scratch_directory
from tasks.law import TALLIED_FATES, Fate
from tasks.plan import unread_regions
from tasks.prefect_server.stopping import finished_first, signals_in_order
from tasks.reconcile.compare import RegionCompared, compare
from tasks.reconcile.days import days_of_regions, last_days
from tasks.reconcile.deleted import mark_deleted
from tasks.reconcile.discrepancies import Discrepancy
from tasks.retries import ONCE
from tasks.source.snapshot import limits_of


@flow(name="reconcile", flow_run_name=naming(reconcile_name), **IN_LEDGER, **ONCE)
def reconcile(
    start_date: BusinessDate = None,
    end_date: BusinessDate = None,
    regions: RegionCodes = None,
    heal: bool = True,
    heal_deleted: bool = False,
    dry_run: bool = False,
) -> State:
    """Compares sources and fact table, day by day, for the dates that are published or empty in the ledger: by counts,
    exact sums and fingerprints, and sale by sale where these differ. Can be killed and run again at any time.

    Args:
        start_date: First date to compare (UTC day), as 2024-01-10 or 20240110. Empty, like end_date: the last
            reconcile_days (a variable) up to the day before the scheduled start.
        end_date: Last date to compare, included. Empty, like start_date.
        regions: Region codes to compare: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all.
        heal: Load the sales that are missing or differ, as a separate batch (H and the time).
        heal_deleted: Mark the sales that their source no longer holds (is_deleted, deleted_at), as another batch H.
            Refused for a source with fewer sales of these dates than min_region_record_count; skipped for a source
            that is a view, unless regions.toml calls it whole.
        dry_run: Compare and report, and change nothing.

    Gaps are left to backfill; sales of rolled-back dates count as held back. Ends as Completed with the figures in
    its message and in the artifacts `reconcile` and `reconcile-sales`, as PartiallyLoaded when a region could not be
    read, or as Refused for an impossible range.
    """
    if senseless := refused_range(start_date, end_date):
        return senseless
    settings = read_settings()
    asked, yesterday = choose_range(start_date, end_date)
    days = asked or last_days(yesterday, read_variable("reconcile_days"))
    warehouse = settings.snowflake_warehouse
    with ended_with_its_engine(), signals_in_order():
        known = read_ledger(None, days.last, settings.snowflake_watch_warehouse)
        wanted = days_of_regions(known, days, choose_regions(regions, tuple(REGIONS)))
        futures = {}
        for of in wanted:
            with tags(names.database(of.region)):
                futures[of.region] = compare.submit(of, limits_of(settings), warehouse)
        outcomes = {region: future.result(raise_on_failure=False) for region, future in futures.items()}
        compared, unread = sort_outcomes(outcomes)
        show_tables(found := Reconciled(days, compared, unread))
        if dry_run:
            return end(found, heal, heal_deleted, dry_run)

        batch = NamedKeys(name_batch_of_keys(HEAL, datetime.now(UTC)), keys_to_heal(compared) if heal else {})
        if batch.regions:
            with scratch_directory() as scratch:
                loaded = load_again(batch, settings, scratch)
            unread |= loaded.read.unread
            held_since = sum(loaded.read.held_back.values())
            found = replace(
                found, unread=unread, heal=batch.batch_id, loaded=count_fates(loaded), held_since=held_since
            )
        if heal_deleted and found.count(Discrepancy.GONE):
            batch_id = name_batch_of_keys(HEAL, datetime.now(UTC))
            with finished_first(str(flow_run.id)):
                marked = mark_deleted(
                    batch_id, str(flow_run.id), compared, settings.thresholds.min_region_record_count, warehouse
                )
            found = replace(found, deletion=batch_id, marked=marked)
        return end(found, heal, heal_deleted, dry_run)


def sort_outcomes(
    outcomes: Mapping[str, RegionCompared | BaseException],
) -> tuple[tuple[RegionCompared, ...], dict[str, str]]:
    """Returns the regions that were compared, and the reasons of those that could not be read.

    Raises the first error that comes from the warehouse, and NeedsPersonError when no source can be read.
    """
    for outcome in outcomes.values():
        if isinstance(outcome, SalesEtlError) and not isinstance(outcome, RegionUnfitError):
            raise outcome
    unread = unread_regions(outcomes)
    if outcomes and len(unread) == len(outcomes):
        raise NeedsPersonError(f"no region could be read: {unread}")
    return tuple(outcome for outcome in outcomes.values() if isinstance(outcome, RegionCompared)), unread


def keys_to_heal(compared: Sequence[RegionCompared]) -> dict[str, Keys]:
    """The keys to load again, by region that has any."""
    keys = {region.region: Keys(tuple(of.sale_id for of in region.of(*HEALED)[:KEYS_MAX])) for region in compared}
    return {region: of_region for region, of_region in keys.items() if of_region.sale_ids}


def end(found: Reconciled, heal: bool, heal_deleted: bool, dry_run: bool) -> State:
    """The final state: all figures in its message, the Reconciled as its data."""
    message = in_words(found, heal, heal_deleted, dry_run)
    return Completed(name=PARTIALLY_LOADED if found.unread else None, message=message, data=found)


def count_fates(loaded: LoadedAgain) -> dict[str, int]:
    """The fates of the sales that were read again."""
    regions = loaded.publication.regions
    fates = {str(fate): sum(p.of(fate).rows for p in regions) for fate in TALLIED_FATES}
    rejected = sum(of_region.rejected.rows for of_region in loaded.read.transformed)
    return {**fates, "rejected": rejected + sum(p.of(Fate.CROSS_REGION).rows for p in regions)}


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
