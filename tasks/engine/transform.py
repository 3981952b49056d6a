"""Transform on an engine: it reads a region's rows from S3 and writes clean and rejected ones there."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from math import ceil
from pathlib import Path

import narwhals as nw
from prefect import get_run_logger, task
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that PySpark's own documentation uses)

from blocks import names
from expectations.derived import business_key, source_key
from expectations.regions import REGIONS
from expectations.rules import RULES, Origin
from tasks.batch import Attempt
from tasks.engine import fates
from tasks.engine.files import ROWS_PER_FILE, Place, read_rows, read_written, stage_extracted, write_rows, written
from tasks.engine.server import Address
from tasks.engine.session import engine_step
from tasks.engine.tallies import tallies_by
from tasks.errors import NeedsPersonError
from tasks.extract import Extracted
from tasks.retries import ONCE
from tasks.stage import StagedFile, load_bucket
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally
from tasks.transform import EXAMPLE_KEYS_MAX, RULE_SEPARATOR, BrokenRule, Transformed, logged

FATE = "fate"


def transform_region(spark: SparkSession, extracted: Extracted, place: Place, scratch: Path) -> Transformed:
    """Separates a region's rows on the engine, by the rules and in the order of the pandas path.

    Raises NeedsPersonError when clean + rejected + duplicates are not what was extracted, by count or by money, or
    another version than the newest one of a key was kept.
    """
    watch, region = Stopwatch(), extracted.region
    origin = Origin(REGIONS[region], extracted.snapshot_at)
    read = read_rows(spark, place, stage_extracted(extracted, place, scratch))
    # Written, so that each of the jobs below has the same decisions, and none makes them again.
    write_rows(fates.judged(read, origin, fates.spellings_of(read, region)), "judged", region, place)
    judged = read_written(spark, "judged", region, place)
    files_max = max(ceil(extracted.read.rows / ROWS_PER_FILE), 1)
    write_rows(fates.clean(judged, origin).repartition(files_max), "clean", region, place)
    write_rows(fates.rejected(judged, origin).repartition(files_max), "rejected", region, place)

    tallies = tallies_by(judged.withColumn(FATE, fates.fate()), FATE)
    clean, rejected, duplicates = (tallies.get((fate,), Tally()) for fate in ("clean", "rejected", "duplicate"))
    if differences := extracted.read.differences(clean + rejected + duplicates):
        raise NeedsPersonError(f"{region}: extracted rows are not clean + rejected + duplicates: {differences}")
    files = written(place, "clean", region)
    if clean.rows and not files:
        raise NeedsPersonError(
            f"{region}: {clean.rows:,} clean rows are gone from {place.url('clean', region)}: another run of the "
            f"date has removed them, because the lease of this one was over: see `{names.HERE}make ledger`, and run "
            "the date again if it is not loaded"
        )
    _require_newest(fates.valid(judged), _rows_of(spark, place, files), files, origin)
    broken = _rows_of(spark, place, written(place, "rejected", region))
    return Transformed(
        region=region,
        clean_path=None,
        rejected_path=None,
        clean=clean,
        rejected=rejected,
        duplicates=duplicates,
        broken=_broken_rules(judged),
        seconds=watch.seconds(),
        broken_keys=_count_keys(broken),
        sold_on=_sold_on(_rows_of(spark, place, files)),
    )


def _rows_of(spark: SparkSession, place: Place, files: Sequence[StagedFile]) -> DataFrame | None:
    """The rows of files, None without any: an engine reads no schema from nothing."""
    return read_rows(spark, place, list(files)) if files else None


def _require_newest(valid: DataFrame, kept: DataFrame | None, files: Sequence[StagedFile], origin: Origin) -> None:
    """Raises NeedsPersonError unless `kept` has each key of the valid rows once, in its newest version. Checks the
    written rows by an independent count."""
    keyed = nw.from_native(valid).with_columns(sale_id=business_key(origin.region)).to_native()
    newest = keyed.groupBy("sale_id").agg(F.max("updated_at").alias("updated_at"))
    keys = newest.count()
    lost = keys if kept is None else newest.join(kept, ["sale_id", "updated_at"], "left_anti").count()
    rows = sum(file.rows for file in files)
    if lost or rows != keys:
        raise NeedsPersonError(
            f"{origin.region.code}: {rows} rows are kept for {keys} keys, {lost} lost their newest version"
        )


def _broken_rules(judged: DataFrame) -> tuple[BrokenRule, ...]:
    """The broken rules with counts, and as examples their first keys in the order of texts: an engine's rows have no
    order of arrival."""
    bad = nw.from_native(judged.filter(F.col(fates.RULES_BROKEN) != "")).select(
        nw.col(fates.RULES_BROKEN), key=source_key()
    )
    each = bad.to_native().select(F.explode(F.split(fates.RULES_BROKEN, RULE_SEPARATOR)).alias("rule"), "key")
    rows = {row["rule"]: row["count"] for row in each.groupBy("rule").count().collect()}
    place = F.row_number().over(Window.partitionBy("rule").orderBy(F.col("key").asc_nulls_last()))
    first = each.withColumn("place", place).filter(F.col("place") <= EXAMPLE_KEYS_MAX).collect()
    return tuple(
        BrokenRule(
            rule.id,
            rows[rule.id],
            tuple(
                "(none)" if row["key"] is None else row["key"]
                for row in sorted((row for row in first if row["rule"] == rule.id), key=lambda row: row["place"])
            ),
        )
        for rule in RULES
        if rule.id in rows
    )


def _count_keys(rejected: DataFrame | None) -> Mapping[str, int]:
    if rejected is None:
        return {}
    each = rejected.select(F.explode(F.split("rules", RULE_SEPARATOR)).alias("rule"), "sale_key")
    counted = each.groupBy("rule").agg(F.count_distinct("sale_key").alias("keys")).collect()
    keys = {row["rule"]: row["keys"] for row in counted}
    return {rule.id: keys[rule.id] for rule in RULES if rule.id in keys}


def _sold_on(clean: DataFrame | None) -> Mapping[date, int]:
    if clean is None:
        return {}
    return {row["day"]: row["count"] for row in clean.groupBy(F.to_date("sale_date").alias("day")).count().collect()}


@task(name="transform", **ONCE)
def transform(
    attempt: Attempt, extracts: list[Extracted], scratch: Path, bucket_name: str, address: Address
) -> list[Transformed]:
    """Transforms the extracts of all regions on the engine, side by side."""
    place, say = Place(load_bucket(bucket_name), attempt.staging_prefix), get_run_logger().info
    address = address.authorized()

    def transform_one(extracted: Extracted) -> Transformed:
        with engine_step(address, say, f"transform region={extracted.region}") as spark:
            return transform_region(spark, extracted, place, scratch)

    with ThreadPoolExecutor(len(REGIONS)) as pool:
        return logged(pool.map(transform_one, extracts))
