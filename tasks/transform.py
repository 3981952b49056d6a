"""Transform: one region's rows become clean rows, rejected rows with every reason, and counted duplicates."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import compress
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, task

from expectations.derived import VERSION_ORDER, business_key, clean_columns, source_key
from expectations.regions import REGIONS
from expectations.rules import RULES, Origin, broken_rules
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA, REJECTED_SOURCE_COLUMNS
from tasks.errors import NeedsPersonError
from tasks.extract import EXTRACTED_SCHEMA, Extracted
from tasks.files.arrow import open_writer, read_batches, to_frame
from tasks.files.keys import key_hashes, repeated, sliced
from tasks.files.room import full_disk_named
from tasks.retries import ONCE
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
    """One region's outcome: two Arrow IPC files, or files that an engine wrote to S3 (then the paths are None), and
    tallies that add up to what was extracted.

    `broken` has the rules that were broken; a row with several reasons counts once for each. `broken_keys` counts the
    different business keys of each rule, `sold_on` the clean rows by the day of their `sale_date` (UTC).
    """

    region: str
    clean_path: Path | None
    rejected_path: Path | None
    clean: Tally
    rejected: Tally
    duplicates: Tally
    broken: tuple[BrokenRule, ...]
    seconds: float
    broken_keys: Mapping[str, int] = field(default_factory=dict)
    sold_on: Mapping[date, int] = field(default_factory=dict)

    @property
    def clean_file(self) -> Path:
        return _local(self.region, self.clean_path)

    @property
    def rejected_file(self) -> Path:
        return _local(self.region, self.rejected_path)


def _local(region: str, path: Path | None) -> Path:
    if path is None:
        raise ValueError(f"{region}: the rows are on S3, an engine wrote them")
    return path


ReadBatches = Callable[[], Iterable[pa.RecordBatch]]
"""Reads a region's rows: the same batches in the same order each time."""

WriteRows = Callable[[pa.Table], None]


@dataclass(frozen=True)
class Separated:
    """A region's rows by fate, the rules that were broken, and the clean rows by the day on which they were sold."""

    clean: Tally
    rejected: Tally
    duplicates: Tally
    broken: tuple[BrokenRule, ...]
    sold_on: Mapping[date, int] = field(default_factory=dict)


def separate(read: ReadBatches, origin: Origin, write_clean: WriteRows, write_rejected: WriteRows) -> Separated:
    """Writes the clean (CLEAN_SCHEMA) and the rejected rows (REJECTED_SCHEMA) of what `read` yields (EXTRACTED_SCHEMA).

    Rules come before dedupe. Of several valid versions of a key the newest is kept (VERSION_ORDER); raises
    NeedsPersonError when another one was. Holds a batch, some bytes per row, and the rows of repeated keys.
    """
    is_valid, rejected, broken = reject(read(), origin, write_rejected)
    is_older = older_rows(read, is_valid, origin.region.code)
    clean, duplicates, sold_on = Tally(), Tally(), Counter[date]()
    for batch, kept, older in sliced(read(), is_valid & ~is_older, is_older):
        rows = clean_rows(batch.filter(pa.array(kept)), origin)
        write_clean(rows)
        clean += tally_of_table(rows)
        sold_on.update(count_by_day(rows["sale_date"]))
        duplicates += tally_of_table(batch.filter(pa.array(older)))
    return Separated(clean, rejected, duplicates, broken, dict(sold_on))


def count_by_day(moments: pa.ChunkedArray) -> dict[date, int]:
    """Counts moments by their day (UTC)."""
    counted = pc.value_counts(moments.cast(pa.date32(), safe=False))
    return {pair["values"]: pair["counts"] for pair in counted.to_pylist()}


def reject(
    batches: Iterable[pa.RecordBatch], origin: Origin, write_rejected: WriteRows
) -> tuple[np.ndarray, Tally, tuple[BrokenRule, ...]]:
    """Writes the rows that break a rule; returns one bool per row (it is valid), their tally, and the broken rules."""
    valid, tally, counted = [np.zeros(0, dtype=bool)], Tally(), []
    for batch in batches:
        broken = broken_rules(batch, origin)
        is_rejected = broken.any(axis=1).to_numpy()
        rejected = batch.filter(pa.array(is_rejected))
        write_rejected(rejected_rows(rejected, broken[is_rejected], origin))
        tally += tally_of_table(rejected)
        counted += count_broken(broken[is_rejected], cells_of(rejected, source_key()))
        valid.append(~is_rejected)
    return np.concatenate(valid), tally, add_up_broken(counted)


def count_broken(broken: pd.DataFrame, keys: pa.ChunkedArray) -> list[BrokenRule]:
    """The broken rules with counts and example keys; `broken` has a bool column per rule, `keys` the same rows."""
    counted = []
    for rule, is_broken in broken.items():
        if rows := int(is_broken.sum()):
            examples = keys.filter(pa.array(is_broken.to_numpy())).slice(0, EXAMPLE_KEYS_MAX).to_pylist()
            counted.append(BrokenRule(str(rule), rows, tuple("(none)" if key is None else key for key in examples)))
    return counted


def count_keys(rejected: pa.Table, broken: Iterable[BrokenRule]) -> dict[str, int]:
    """Counts the different keys of each broken rule in rejected rows (columns `sale_key` and `rules`)."""
    rules = pc.binary_join_element_wise("", rejected["rules"], "", RULE_SEPARATOR)
    return {
        one.rule: pc.count_distinct(
            rejected["sale_key"].filter(pc.match_substring(rules, f"{RULE_SEPARATOR}{one.rule}{RULE_SEPARATOR}"))
        ).as_py()
        for one in broken
    }


def add_up_broken(counted: Iterable[BrokenRule]) -> tuple[BrokenRule, ...]:
    """One entry per rule, in the order of RULES, with the first example keys of all."""
    sums: dict[str, BrokenRule] = {}
    for one in counted:
        known = sums.get(one.rule, BrokenRule(one.rule, 0, ()))
        sums[one.rule] = BrokenRule(one.rule, known.rows + one.rows, (known.keys + one.keys)[:EXAMPLE_KEYS_MAX])
    return tuple(sums[rule.id] for rule in RULES if rule.id in sums)


def older_rows(read: ReadBatches, is_valid: np.ndarray, region: str) -> np.ndarray:
    """Returns one bool per row: it is valid, and so is a newer version of its key. Compares only repeated keys."""
    valid_batches = (batch.filter(pa.array(valid)) for batch, valid in sliced(read(), is_valid))
    is_candidate = is_valid.copy()
    is_candidate[is_valid] = repeated(key_hashes(valid_batches, int(is_valid.sum())))
    candidates = pa.Table.from_batches(
        (batch.filter(pa.array(mask)) for batch, mask in sliced(read(), is_candidate)), EXTRACTED_SCHEMA
    )
    older = older_versions(to_frame(candidates))
    versions = candidates.select(VERSION_COLUMNS)
    require_newest(versions, versions.filter(pa.array(~older)), region)
    is_older = np.zeros(len(is_valid), dtype=bool)
    is_older[is_candidate] = older
    return is_older


def older_versions(frame: pd.DataFrame) -> np.ndarray:
    """Returns one bool per row: a newer valid version of the same `sale_id` is in the frame (VERSION_ORDER)."""
    versions = frame[frame["sale_id"].duplicated(keep=False)]
    ordered = versions[VERSION_COLUMNS].assign(place=0)
    # Only equal times need the other columns, and few versions have them.
    tied = versions[versions.duplicated(VERSION_COLUMNS, keep=False)]
    in_order = tied.sort_values([*VERSION_ORDER], na_position="first").index
    ordered.loc[in_order, "place"] = range(len(in_order))
    ordered = ordered.sort_values([*VERSION_COLUMNS, "place"])
    older = ordered.index[ordered["sale_id"].duplicated(keep="last")]
    return frame.index.isin(older)


def require_newest(valid: pa.Table, kept: pa.Table, region: str) -> None:
    """Raises NeedsPersonError unless `kept` has each key of `valid` once, in its newest version (VERSION_COLUMNS).

    Checks the decision of `older_versions` by an independent count.
    """
    newest = valid.group_by("sale_id").aggregate([("updated_at", "max")]).select(["sale_id", "updated_at_max"])
    newest = newest.rename_columns(VERSION_COLUMNS)
    lost = newest.join(kept, VERSION_COLUMNS, join_type="left anti").num_rows
    if lost or kept.num_rows != newest.num_rows:
        raise NeedsPersonError(
            f"{region}: {kept.num_rows} rows are kept for {newest.num_rows} repeated keys, "
            f"{lost} lost their newest version"
        )


def clean_rows(batch: pa.RecordBatch, origin: Origin) -> pa.Table:
    """The rows in CLEAN_SCHEMA: region code, key prefix if the region has one, derived columns."""
    rows = nw.from_native(pa.table(batch)).with_columns(**clean_columns(origin.region)).to_native()
    return rows.select(CLEAN_SCHEMA.names).cast(CLEAN_SCHEMA)


def rejected_rows(batch: pa.RecordBatch, broken: pd.DataFrame, origin: Origin) -> pa.Table:
    """The rows in REJECTED_SCHEMA: every cell as text (docs/rules.md says how), and all rules that the row broke."""
    texts = {name: cells_as_text(batch[name]) for name in REJECTED_SOURCE_COLUMNS}
    for row, unreadable in enumerate(batch["unreadable"].to_pylist()):
        for name, text in json.loads(unreadable or "{}").items():
            texts[name][row] = text
    names = list(broken.columns)
    rules = [RULE_SEPARATOR.join(compress(names, row)) for row in broken.to_numpy()]
    columns = {
        "region_code": [origin.region.code] * len(rules),
        "sale_key": cells_of(batch, business_key(origin.region)),
        "rules": rules,
        "version_at": batch["updated_at"],
        **texts,
    }
    return pa.table(columns, schema=REJECTED_SCHEMA)


def cells_of(batch: pa.RecordBatch, expression: nw.Expr) -> pa.ChunkedArray:
    """The expression's value for each row."""
    return nw.from_native(pa.table(batch)).select(cell=expression).to_native()["cell"]


def cells_as_text(column: pa.Array) -> list[str | None]:
    """The cells as PostgreSQL writes them in the contract's type, in UTC: '3.990000', '2017-12-23 10:00:00.5+00'."""
    if not pa.types.is_timestamp(column.type):
        return column.cast(pa.string()).to_pylist()
    written = pc.strftime(column, format="%Y-%m-%d %H:%M:%S")
    return pc.binary_join_element_wise(pc.replace_substring_regex(written, r"\.?0+$", ""), "+00", "").to_pylist()


def transform_region(extracted: Extracted, directory: Path) -> Transformed:
    """Separates the rows of an extract and writes clean and rejected ones beside it.

    Raises NeedsPersonError when clean + rejected + duplicates are not what was extracted, by count or by money,
    ScratchFullError when there is no room for them.
    """
    watch = Stopwatch()
    region = extracted.region
    origin = Origin(REGIONS[region], extracted.snapshot_at)
    clean_path, rejected_path = directory / f"{region}.clean.arrow", directory / f"{region}.rejected.arrow"
    with (
        full_disk_named(f"region {region}", clean_path, rejected_path),
        open_writer(clean_path, CLEAN_SCHEMA) as clean,
        open_writer(rejected_path, REJECTED_SCHEMA) as rejected,
    ):
        rows = separate(partial(read_batches, *extracted.paths), origin, clean.write_table, rejected.write_table)
    if differences := extracted.read.differences(rows.clean + rows.rejected + rows.duplicates):
        raise NeedsPersonError(f"{region}: extracted rows are not clean + rejected + duplicates: {differences}")
    return Transformed(
        region=region,
        clean_path=clean_path,
        rejected_path=rejected_path,
        clean=rows.clean,
        rejected=rows.rejected,
        duplicates=rows.duplicates,
        broken=rows.broken,
        seconds=watch.seconds(),
        broken_keys=count_keys(read_rejected_keys(rejected_path), rows.broken),
        sold_on=rows.sold_on,
    )


def read_rejected_keys(path: Path) -> pa.Table:
    """The keys and rules of the rejected rows in a file."""
    names = ["sale_key", "rules"]
    schema = pa.schema([REJECTED_SCHEMA.field(name) for name in names])
    # Copied: a column of a batch is a slice of one buffer with all of its columns, which it would keep in memory.
    copied = ([pa.concat_arrays([batch[name]]) for name in names] for batch in read_batches(path))
    return pa.Table.from_batches((pa.record_batch(columns, schema=schema) for columns in copied), schema)


SIDE_BY_SIDE_ROWS = 50_000
"""Fewer rows of all regions are transformed one region after the other: threads would wait for the interpreter's lock
at each of many short calls."""


@task(name="transform", **ONCE)
def transform(extracts: list[Extracted], directory: Path) -> list[Transformed]:
    """Transforms the extracts of all regions, side by side unless they are small."""
    small = sum(extracted.read.rows for extracted in extracts) < SIDE_BY_SIDE_ROWS
    with ThreadPoolExecutor(1 if small else len(REGIONS)) as pool:
        return logged(pool.map(partial(transform_region, directory=directory), extracts))


def logged(regions: Iterable[Transformed]) -> list[Transformed]:
    """Logs each region's outcome when all are there, and returns them."""
    transformed = list(regions)
    for of_region in transformed:
        get_run_logger().info(
            "step=transform region=%s clean=%d rejected=%d duplicates=%d seconds=%.1f",
            of_region.region,
            of_region.clean.rows,
            of_region.rejected.rows,
            of_region.duplicates.rows,
            of_region.seconds,
        )
    return transformed
