"""Reads the open rejected rows from their sources again, and loads those that are good by today's rules."""

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.states import Completed, State

from blocks.variables import read_settings
from expectations.regions import REGIONS
from flows.support.command_line import run
from flows.support.lost_engine import ended_with_its_engine
from flows.support.named_keys import load_again, read_again
from flows.support.parameters import RegionCodes
from flows.support.run_hooks import IN_LEDGER
from flows.support.run_names import naming, replay_name
from flows.support.states import PARTIALLY_LOADED
from tasks.batch import KEYS_MAX, REPLAY, NamedKeys, name_batch_of_keys
from tasks.files.scratch import scratch_directory
from tasks.pages.artifacts import write_table
from tasks.prefect_server.stopping import signals_in_order
from tasks.ready import check_ready
from tasks.rejected.replay import STATUSES, Replayed, foreseen, read_open_keys, read_outcome
from tasks.retries import ONCE

ARTIFACT_KEY = "replay-rejected"


@flow(name="replay-rejected", flow_run_name=naming(replay_name), **IN_LEDGER, **ONCE)
def replay_rejected(regions: RegionCodes = None, dry_run: bool = False) -> State:
    """Reads the open rejected rows from their sources again, by key, and loads those that break no rule today as a
    separate batch (R and the time). Can be killed and run again at any time.

    Args:
        regions: Region codes to replay: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all.
        dry_run: Read and judge, and load nothing.

    A rejected row ends as RELEASED (loaded, or the table holds a newer version), STILL_BAD (with today's reasons), GONE
    (no longer at the source) or NO_KEY (only a rerun of its date finds it). Sales of rolled-back dates and heals are
    held back, and rows that a view does not show stay open, unless regions.toml calls it whole. Ends as Completed with
    the counts in its message and in the artifact `replay-rejected`, or as PartiallyLoaded when a region could not be
    read, or has no row at all.
    """
    settings, asked = read_settings(), regions or list(REGIONS)
    warehouse = settings.snowflake_warehouse
    with ended_with_its_engine(), signals_in_order():
        waiting = read_open_keys(asked, warehouse)
        batch = NamedKeys(name_batch_of_keys(REPLAY, datetime.now(UTC)), waiting.keys)
        if not batch.regions:
            return end(foreseen(waiting, (), {}, {}), dry_run)
        with scratch_directory() as scratch:
            if dry_run:
                check_ready(batch, settings.s3_staging_bucket)
                read = read_again(batch, settings, scratch, warehouse)
                outcome = foreseen(waiting, read.transformed, read.gone, read.unread)
                return end(replace(outcome, held_back=read.held_back, not_found=read.not_found), dry_run)
            loaded = load_again(batch, settings, scratch)
        read = loaded.read
        outcome = read_outcome(batch.batch_id, loaded.attempt.run_number, waiting, read.unread, warehouse)
        return end(replace(outcome, held_back=read.held_back, not_found=read.not_found), dry_run)


def end(replayed: Replayed, dry_run: bool) -> State:
    """Writes the artifact and returns the final state with the counts."""
    message = in_words(replayed, dry_run)
    write_table(to_rows(replayed), key=ARTIFACT_KEY, description=message)
    return Completed(name=PARTIALLY_LOADED if replayed.unread else None, message=message, data=replayed)


def in_words(replayed: Replayed, dry_run: bool) -> str:
    """The fates of the rejected rows, in one line."""
    counts = ", ".join(f"{replayed.total(status):,} {status}" for status in STATUSES)
    begin = "would be" if dry_run else f"{replayed.batch_id}:" if replayed.batch_id else "nothing to read again:"
    unread = "".join(f"; {region} could not be read: {cause}" for region, cause in replayed.unread.items())
    unread += "".join(f"; {region}: {words}" for region, words in replayed.not_found.items())
    held_back = sum(replayed.held_back.values())
    held = f"; {held_back:,} held back, their dates or heals were rolled back" if held_back else ""
    more = f"; {KEYS_MAX:,} keys a region were read, run it again for the rest" if replayed.is_cut else ""
    return f"{begin} {counts}{held}{unread}{more}"


def to_rows(replayed: Replayed) -> list[dict[str, Any]]:
    """The counts per region, with the reason where it could not be read."""
    regions = sorted({region for region, _ in replayed.rows} | replayed.held_back.keys() | replayed.unread.keys())
    return [
        {
            "region": region,
            **{status: replayed.rows.get((region, status), 0) for status in STATUSES},
            "held back": replayed.held_back.get(region, 0),
            "could not be read": replayed.unread.get(region, ""),
        }
        for region in regions
    ]


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line as parameters."""
    parser = argparse.ArgumentParser(prog="python -m flows.replay_rejected", allow_abbrev=False)
    parser.add_argument("regions", nargs="*", help="region codes; none: all")
    parser.add_argument("--dry-run", action="store_true", help="read and judge, load nothing")
    given = parser.parse_args(arguments)
    given.regions = given.regions or None
    return given


if __name__ == "__main__":
    sys.exit(run(replay_rejected, **vars(read_arguments(sys.argv[1:]))))
