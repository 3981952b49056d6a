"""Reading one region as a run does: through the block that is registered for its URL."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa

from blocks.databases import engine_of
from blocks.register import database_block
from tasks.batch import Keys, Window
from tasks.extract import Extracted, read_region
from tasks.source.snapshot import DEFAULT_LIMITS, Limits
from tasks.stopwatch import Say, say_nothing
from tests.integration.publish.harness import KEY
from tests.integration.sources.clusters import REGION
from tests.unit.sales import read_table

DAY = date(2024, 1, 1)
"""The day on which good sales are sold."""


def read(
    url: str,
    directory: Path,
    extra_columns: Mapping[str, str] | None = None,
    wanted: Window | Keys | None = None,
    limits: Limits = DEFAULT_LIMITS,
    slices_max: int = 1,
    say: Say = say_nothing,
) -> Extracted:
    """Reads the wanted rows, else those of DAY."""
    block = database_block({f"PG_{REGION}_URL": url}, REGION)
    engine = engine_of(block, slices_max)
    try:
        asked = wanted or Window.of_day(DAY)
        return read_region(engine, REGION, asked, directory, KEY, extra_columns or {}, say, limits, slices_max)
    finally:
        engine.dispose()


def read_rows(url: str, directory: Path, extra_columns: Mapping[str, str] | None = None) -> pa.Table:
    """The rows of DAY, by their keys."""
    return read_table(*read(url, directory, extra_columns).paths).sort_by("sale_id")


def read_keys(url: str, directory: Path) -> list[str]:
    """The keys of the rows of DAY, sorted."""
    keys: list[str] = read_rows(url, directory)["sale_id"].to_pylist()
    return keys
