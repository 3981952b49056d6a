"""Both engines, on the same dirty rows: the same clean rows, rejected rows with reasons, verdict, tallies and sales."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS, CLEAN_SCHEMA, REJECTED_SCHEMA
from local.generator import Dirt
from local.spark_files import files_by_pyarrow
from tasks.stage import load_bucket
from tests.integration.conftest import Run, World
from tests.integration.daily.test_dirt import ALL_DIRT
from tests.integration.engine.servers import SAIL, SAIL_CLUSTER, SPARK, running_engine

pytestmark = pytest.mark.more

SCHEMAS = {"clean": CLEAN_SCHEMA, "rejected": REJECTED_SCHEMA}
ROWS = {SAIL: 200_000, SAIL_CLUSTER: 20_000, SPARK: 20_000}
"""Rows a region. Spark takes half a minute for each of its jobs on more, by a data source of Python."""


@pytest.fixture(params=[SAIL, SAIL_CLUSTER, SPARK])
def on(request: pytest.FixtureRequest, world: World, spark_packages: Path, tmp_path: Path) -> Iterator[str]:
    """The kind of engine that runs use: by default one of their own, else the one at `spark_remote`."""
    if request.param == SAIL:
        yield SAIL
        return
    bucket = load_bucket("retail-sales-staging")
    with (
        running_engine(request.param, spark_packages, tmp_path, bucket) as address,
        world.variable("spark_remote", address),
        files_by_pyarrow(bucket) if request.param == SPARK else nullcontext(),
    ):
        yield request.param


def staged(run: Run, kind: str, region: str) -> pa.Table:
    """A region's rows on S3, in the order of their cells."""
    assert run.report is not None
    client, name = load_bucket("retail-sales-staging").credentials.get_s3_client(), "retail-sales-staging"
    prefix = f"{run.report.staging_prefix}/{kind}/{region}"
    keys = [o["Key"] for o in client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])]
    bodies = [client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys if key.endswith(".parquet")]
    tables = [pq.read_table(pa.BufferReader(body)) for body in bodies]
    schema = SCHEMAS[kind]
    assert [table.schema.types for table in tables] == [schema.types] * len(tables)
    rows = pa.concat_tables([table.cast(schema) for table in tables])
    return rows.sort_by([(column, "ascending") for column in schema.names]).combine_chunks()


def figures(run: Run) -> list[dict[str, Any]]:
    """What the report says of the rows as read, without times, fates and examples."""
    assert run.report is not None
    names = ("region", "extracted", "clean", "rejected", "duplicates", "rejected_by_rule", "money")
    return [{name: getattr(region, name) for name in names} for region in run.report.regions]


def sales(world: World, day: date) -> list[Any]:
    """The day's sales in the fact table."""
    columns = ", ".join(column.stored_name.upper() for column in CLEAN_COLUMNS)
    batch = f"{day:%Y%m%d}"
    return list(world.sql(f"SELECT {columns} FROM SALES_FACT WHERE ETL_BATCH_ID = ? ORDER BY SALE_ID", (batch,)))


def checks(run: Run) -> tuple[int, tuple[str, ...]]:
    assert run.report is not None
    return run.report.checks_made, run.report.checks_failed


def assert_both_engines_give_the_same(world: World, day: date) -> Run:
    spark = world.run(day, engine="spark")
    assert spark.state.name == "Completed", spark.state.message
    of_spark = sales(world, day)
    pandas = world.run(day)
    assert pandas.state.name == "Completed", pandas.state.message
    for region in REGIONS:
        for kind in SCHEMAS:
            assert staged(spark, kind, region).equals(staged(pandas, kind, region)), (kind, region)
        assert pandas.region(region).unchanged == pandas.region(region).clean
    assert figures(spark) == figures(pandas)
    assert of_spark == sales(world, day)
    assert checks(spark) == checks(pandas)
    return spark


def test_both_engines_give_the_same(world: World, day: date, on: str) -> None:
    world.fill(day, rows=ROWS[on], dirt=ALL_DIRT)
    run = assert_both_engines_give_the_same(world, day)
    assert all(run.region(region).clean > ROWS[on] * 0.8 for region in REGIONS)


@pytest.mark.usefixtures("on")
def test_extra_columns_are_the_same(world: World, day: date) -> None:
    world.fill(day, rows=1500, dirt=ALL_DIRT)
    try:
        for region in REGIONS:
            world.change(
                region, "ALTER TABLE sales_transactions ADD loyalty_tier text, ADD phone text, ADD points numeric"
            )
            world.change(
                region,
                "UPDATE sales_transactions SET loyalty_tier = CASE WHEN sale_id LIKE '%%1' THEN %s END, "
                "phone = '+1 ' || sale_id, points = 12.50",
                (f'gold "ü" {chr(10)}',),
            )
        with world.variable("extra_columns", '{"loyalty_tier": "plain", "phone": "personal", "points": "plain"}'):
            assert_both_engines_give_the_same(world, day)
    finally:
        for region in REGIONS:
            world.change(region, "ALTER TABLE sales_transactions DROP loyalty_tier, DROP phone, DROP points")
    kept = world.sql("SELECT EXTRA_ATTRIBUTES FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",))
    assert len({extra for (extra,) in kept}) > 1000
    assert any('"loyalty_tier": "gold \\"ü\\" \\n"' in extra for (extra,) in kept)


@pytest.mark.usefixtures("on")
def test_a_batch_that_the_gate_refuses_is_refused_for_the_same_reasons(world: World, day: date) -> None:
    world.fill(day, rows=1500, dirt=Dirt(nulls=0.8, duplicates=0.05))
    runs = [world.run(day, engine=engine) for engine in ("spark", "pandas")]
    assert [run.state.name for run in runs] == ["QualityFailed"] * 2
    spark, pandas = runs
    assert checks(spark) == checks(pandas)
    assert len(checks(spark)[1]) > 4
    assert staged(spark, "rejected", "EUROPE").equals(staged(pandas, "rejected", "EUROPE"))
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",)) == [(0,)]
