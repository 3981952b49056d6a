"""Transform: one region's rows become clean rows, rejected rows with every reason, and counted duplicates."""

import hashlib
import json
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, task

from expectations.regions import REGIONS, Region
from expectations.rules import Origin, broken_rules
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA, REJECTED_SOURCE_COLUMNS, SOURCE_REGION
from tasks.arrow_files import read_table, to_frame, write_table
from tasks.errors import NeedsPersonError
from tasks.extract import Extracted
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally, tally_of_table

RULE_SEPARATOR = " "

VERSION_COLUMNS = ["sale_id", "updated_at"]

EXAMPLE_KEYS_MAX = 10
"""Keys that a report names for each broken rule."""


@dataclass(frozen=True)
class BrokenRule:
    """How many rows broke a rule, and the business keys of the first ten (`(none)` for a row without one)."""

    rule: str
    rows: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Transformed:
    """One region's outcome: two Arrow IPC files, and tallies that add up to what was extracted.

    `broken` has the rules that were broken; a row with several reasons counts once for each.
    """

    region: str
    clean_path: Path
    rejected_path: Path
    clean: Tally
    rejected: Tally
    duplicates: Tally
    broken: tuple[BrokenRule, ...]
    seconds: float


@dataclass(frozen=True)
class Separated:
    """The rows of a region by fate: two Arrow tables (CLEAN_SCHEMA, REJECTED_SCHEMA) and tallies."""

    clean: pa.Table
    rejected: pa.Table
    rejected_tally: Tally
    duplicates: Tally
    broken: tuple[BrokenRule, ...]


def separate(table: pa.Table, origin: Origin) -> Separated:
    """Clean, rejected and duplicate rows of `table` (EXTRACTED_SCHEMA). Rules come before dedupe.

    Of several valid versions of a key the newest stays: by `updated_at`, then by a hash of the row. Raises
    NeedsPersonError when another one did.
    """
    frame = to_frame(table)
    broken = broken_rules(frame, origin)
    is_rejected = broken.any(axis=1).to_numpy()
    is_older = np.zeros(len(frame), dtype=bool)
    is_older[~is_rejected] = older_versions(frame[~is_rejected])
    rejected, kept = table.filter(pa.array(is_rejected)), table.filter(pa.array(~is_rejected & ~is_older))
    require_newest(table.select(VERSION_COLUMNS).filter(pa.array(~is_rejected)), kept, origin.region.code)
    return Separated(
        clean=clean_rows(kept, origin),
        rejected=rejected_rows(rejected, broken[is_rejected], origin),
        rejected_tally=tally_of_table(rejected),
        duplicates=tally_of_table(table.filter(pa.array(is_older))),
        broken=count_broken(broken[is_rejected], rejected["sale_id"]),
    )


def count_broken(broken: pd.DataFrame, keys: pa.ChunkedArray) -> tuple[BrokenRule, ...]:
    """The broken rules with counts and example keys; `broken` has a bool column per rule, `keys` the same rows."""
    counted = []
    for rule, is_broken in broken.items():
        if rows := int(is_broken.sum()):
            examples = keys.filter(pa.array(is_broken.to_numpy())).slice(0, EXAMPLE_KEYS_MAX).to_pylist()
            counted.append(BrokenRule(str(rule), rows, tuple("(none)" if key is None else key for key in examples)))
    return tuple(counted)


def older_versions(frame: pd.DataFrame) -> np.ndarray:
    """One bool per row: a newer valid version of the same `sale_id` is in the frame."""
    repeated = frame[frame["sale_id"].duplicated(keep=False)]
    if repeated.empty:
        return np.zeros(len(frame), dtype=bool)
    ordered = repeated[VERSION_COLUMNS].assign(row_hash="")
    tied = repeated[repeated.duplicated(VERSION_COLUMNS, keep=False)].drop(columns="unreadable")
    ordered.loc[tied.index, "row_hash"] = [row_hash(row) for row in tied.itertuples(index=False, name=None)]
    ordered = ordered.sort_values([*VERSION_COLUMNS, "row_hash"], kind="stable")
    older = ordered.index[ordered["sale_id"].duplicated(keep="last")]
    return frame.index.isin(older)


def require_newest(valid: pa.Table, kept: pa.Table, region: str) -> None:
    """Raises NeedsPersonError unless `kept` has each key of `valid` once, in its newest version.

    Of `valid` only VERSION_COLUMNS are read: what `older_versions` decided is counted here in another way.
    """
    newest = valid.group_by("sale_id").aggregate([("updated_at", "max")]).select(["sale_id", "updated_at_max"])
    newest = newest.rename_columns(VERSION_COLUMNS)
    lost = newest.join(kept.select(VERSION_COLUMNS), VERSION_COLUMNS, join_type="left anti").num_rows
    if lost or kept.num_rows != newest.num_rows:
        raise NeedsPersonError(
            f"{region}: {kept.num_rows} rows are kept for {newest.num_rows} sales, {lost} lost their newest version"
        )


def row_hash(cells: tuple[object, ...]) -> str:
    """SHA-256 of a row's content, so that two versions with one `updated_at` have an order that never changes."""
    return hashlib.sha256(repr([None if pd.isna(cell) else str(cell) for cell in cells]).encode()).hexdigest()


def clean_rows(table: pa.Table, origin: Origin) -> pa.Table:
    """The rows in CLEAN_SCHEMA: region code, key prefix where the region asks for one, derived columns."""
    code = origin.region.code
    frame = to_frame(table.drop_columns(["unreadable"]))
    frame[SOURCE_REGION] = frame["region"]
    frame["region"] = pd.Series(code, index=frame.index, dtype=pd.ArrowDtype(pa.string()))
    frame["sale_id"] = pd.arrays.ArrowExtensionArray(business_keys(table["sale_id"], origin.region))
    frame["net_amount"] = frame["total_amount"] - frame["discount_amount"]
    frame["gross_profit"] = frame["net_amount"] - frame["tax_amount"]
    frame["sale_year"] = frame["sale_date"].dt.year
    frame["sale_month"] = frame["sale_date"].dt.month
    frame["sale_day"] = frame["sale_date"].dt.day
    columns = [pa.array(frame[field.name]).cast(field.type) for field in CLEAN_SCHEMA]
    return pa.table(columns, schema=CLEAN_SCHEMA)


def rejected_rows(table: pa.Table, broken: pd.DataFrame, origin: Origin) -> pa.Table:
    """The rows in REJECTED_SCHEMA: every cell as text (docs/rules.md says how), and all rules that the row broke."""
    texts = {name: cells_as_text(table[name]) for name in REJECTED_SOURCE_COLUMNS}
    for row, unreadable in enumerate(table["unreadable"].to_pylist()):
        for name, text in json.loads(unreadable or "{}").items():
            texts[name][row] = text
    names = list(broken.columns)
    rules = [RULE_SEPARATOR.join(compress(names, row)) for row in broken.to_numpy()]
    columns = {
        "region_code": [origin.region.code] * len(rules),
        "sale_key": business_keys(table["sale_id"], origin.region),
        "rules": rules,
        "version_at": table["updated_at"],
        **texts,
    }
    return pa.table(columns, schema=REJECTED_SCHEMA)


def business_keys(sale_ids: pa.ChunkedArray, region: Region) -> pa.ChunkedArray:
    """The keys of the fact table: with the region's prefix where the region asks for one; NULL stays NULL."""
    if not region.prefix_keys:
        return sale_ids
    return pc.binary_join_element_wise(f"{region.code}:", sale_ids, "")


def cells_as_text(column: pa.ChunkedArray) -> list[str | None]:
    """The cells as PostgreSQL writes them in the contract's type, in UTC: '3.990000', '2017-12-23 10:00:00.5+00'."""
    if not pa.types.is_timestamp(column.type):
        return column.cast(pa.string()).to_pylist()
    written = pc.strftime(column, format="%Y-%m-%d %H:%M:%S")
    return pc.binary_join_element_wise(pc.replace_substring_regex(written, r"\.?0+$", ""), "+00", "").to_pylist()


def transform_region(extracted: Extracted, directory: Path) -> Transformed:
    """Separates the rows of an extract and writes clean and rejected ones beside it.

    Raises NeedsPersonError when clean + rejected + duplicates are not what was extracted, by count or by money.
    """
    watch = Stopwatch()
    region = extracted.region
    rows = separate(read_table(extracted.path), Origin(REGIONS[region], extracted.snapshot_at))
    clean = tally_of_table(rows.clean)
    if differences := extracted.read.differences(clean + rows.rejected_tally + rows.duplicates):
        raise NeedsPersonError(f"{region}: extracted rows are not clean + rejected + duplicates: {differences}")
    clean_path, rejected_path = directory / f"{region}.clean.arrow", directory / f"{region}.rejected.arrow"
    write_table(rows.clean, clean_path)
    write_table(rows.rejected, rejected_path)
    return Transformed(
        region=region,
        clean_path=clean_path,
        rejected_path=rejected_path,
        clean=clean,
        rejected=rows.rejected_tally,
        duplicates=rows.duplicates,
        broken=rows.broken,
        seconds=watch.seconds(),
    )


@task(name="transform", task_run_name="transform-{extracted.region}")
def transform(extracted: Extracted, directory: Path) -> Transformed:
    """Transforms one region's extract."""
    transformed = transform_region(extracted, directory)
    get_run_logger().info(
        "step=transform region=%s clean=%d rejected=%d duplicates=%d seconds=%.1f",
        transformed.region,
        transformed.clean.rows,
        transformed.rejected.rows,
        transformed.duplicates.rows,
        transformed.seconds,
    )
    return transformed
