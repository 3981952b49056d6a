"""Dirty sources: every row gets its one fate, no personal data leave, and strange text arrives unchanged."""

import asyncio
import datetime as dt
import io
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from expectations.regions import REGIONS
from local.generator import Dirt
from tasks import extract
from tasks.source import slices
from tasks.stage import load_bucket
from tests.integration.conftest import Run, World, good_sale

ALL_DIRT = Dirt(
    duplicates=0.02,
    nulls=0.01,
    blanks=0.005,
    bad_amounts=0.01,
    bad_currencies=0.005,
    high_taxes=0.005,
    nan=0.005,
    infinite=0.005,
    late=0.02,
    unicode=0.02,
    empty_strings=0.02,
    null_text=0.02,
)


def test_every_row_of_a_dirty_day_has_the_fate_that_the_generator_expects(world: World, day: date) -> None:
    expected = world.fill(day, rows=2000, dirt=ALL_DIRT)
    run = world.run(day)
    assert run.state.name == "Completed", run.state.message
    for region in REGIONS:
        found, wanted = run.region(region), expected[region]
        assert (found.extracted, found.inserted, found.rejected, found.duplicates) == (
            wanted["rows"],
            wanted["published"],
            wanted["rejected"],
            wanted["duplicates"],
        )
        assert found.rejected_by_rule["currency_malformed"] == wanted["bad_currencies"]
        assert found.rejected_by_rule["tax_above_total"] >= wanted["high_taxes"]
        assert found.rejected_by_rule["unreadable_unit_price"] == wanted["nan"]
        assert found.rejected_by_rule["unreadable_updated_at"] == wanted["infinite"]
    counted = world.sql("SELECT REGION, COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ? GROUP BY 1", (f"{day:%Y%m%d}",))
    assert dict(counted) == {region: expected[region]["published"] for region in REGIONS}


def test_a_dirty_day_that_is_read_in_slices_has_the_same_fates(
    world: World, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, rows=2000, dirt=ALL_DIRT)
    whole, readers = world.run(day), list[int]()

    def counted(read: Any, of_slices: Any, spares_first: Any) -> Any:
        readers.append(len(of_slices))
        return slices.side_by_side(read, of_slices, spares_first)

    monkeypatch.setattr(slices, "SLICE_ROWS_MIN", 500)
    monkeypatch.setattr(extract, "side_by_side", counted)
    with world.variable("extract_slices", "3"):
        sliced = world.run(day)
    assert readers == [3] * len(REGIONS)
    assert sliced.state.name == "Completed", sliced.state.message
    for region in REGIONS:
        before, after = whole.region(region), sliced.region(region)
        assert (after.unchanged, after.inserted + after.updated) == (before.inserted, 0)
        assert (after.extracted, after.duplicates) == (before.extracted, before.duplicates)
        assert (after.rejected, after.rejected_by_rule) == (before.rejected, before.rejected_by_rule)
        assert after.example_keys == before.example_keys


STRANGE_TEXTS = ("", "NULL", "NA", "nan", 'a "quoted", one\nwith\\everything', "naïve – 日本語 😀", "  blanks  ")


def test_strange_text_arrives_unchanged_and_an_empty_string_is_not_null(world: World, day: date) -> None:
    world.fill(day, rows=120, regions=("EUROPE",))
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    sales = [
        good_sale("EUROPE", day)
        | {"sale_id": f"strange-{day}-{i}", "product_category": text, "sale_date": noon, "updated_at": noon}
        for i, text in enumerate((*STRANGE_TEXTS, None))
    ]
    world.insert("EUROPE", *sales)
    assert world.run(day, ["EUROPE"]).state.name == "Completed"
    rows = world.sql(
        "SELECT PRODUCT_CATEGORY FROM SALES_FACT WHERE STARTSWITH(SALE_ID, ?) ORDER BY SALE_ID", (f"strange-{day}-",)
    )
    assert [text for (text,) in rows] == [*STRANGE_TEXTS, None]


def everything_below(directory: Path) -> dict[Path, bytes]:
    """The content of all files that the stack wrote, the sources' own data left out."""
    files = (path for path in directory.rglob("*") if path.is_file() and "postgres" not in path.as_posix())
    return {path: path.read_bytes() for path in files}


def test_an_address_is_in_no_file_table_log_or_artifact(world: World, day: date) -> None:
    address = f"Find.Me.{day:%Y%m%d}@Example.com"
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    world.fill(day, rows=60)
    both = {"customer_email": address, "sale_date": noon, "updated_at": noon}
    world.insert("EUROPE", both | {"sale_id": f"good-{day}"}, both | {"sale_id": f"bad-{day}", "quantity": 0})
    run = world.run(day)
    assert run.state.name == "Completed", run.state.message
    ((good,),) = world.sql("SELECT CUSTOMER_EMAIL_TOKEN FROM SALES_FACT WHERE SALE_ID = ?", (f"good-{day}",))
    ((bad,),) = world.sql("SELECT CUSTOMER_EMAIL_TOKEN FROM SALES_REJECTED WHERE SALE_KEY = ?", (f"bad-{day}",))
    assert good == bad
    assert len(good) == 64

    needle = f"find.me.{day:%Y%m%d}"
    assert needle.encode() not in staged_bytes(world, run).lower()
    for table, column in (
        ("SALES_FACT", "ETL_BATCH_ID"),
        ("SALES_REJECTED", "ETL_BATCH_ID"),
        ("ETL_BATCHES", "BATCH_ID"),
    ):
        rows = world.sql(f"SELECT * FROM {table} WHERE {column} = ?", (f"{day:%Y%m%d}",))
        assert rows
        assert needle not in str(rows).lower()
    directory = Path(world.environment["PREFECT_HOME"]).parent
    assert not [path for path, content in everything_below(directory).items() if needle.encode() in content.lower()]


def staged_bytes(world: World, run: Run) -> bytes:
    """All files of a run on S3, Parquet decoded as text."""
    assert run.report is not None
    name = world.environment["S3_STAGING_BUCKET"]
    client = load_bucket(name).credentials.get_s3_client()
    found = client.list_objects_v2(Bucket=name, Prefix=run.report.staging_prefix + "/")["Contents"]
    contents = [client.get_object(Bucket=name, Key=item["Key"])["Body"].read() for item in found]
    assert len(contents) >= 5
    decoded = [str(pq.read_table(io.BytesIO(c)).to_pylist()).encode() for c in contents if c.startswith(b"PAR1")]
    return b"".join([*contents, *decoded])


def test_a_run_leaves_a_report_and_tables_as_artifacts(world: World, day: date) -> None:
    world.fill(day, rows=200, regions=("EUROPE",), dirt=Dirt(bad_amounts=0.02))
    run = world.run(day, ["EUROPE"])
    artifacts = asyncio.run(artifacts_of(run))
    assert set(artifacts) == {
        "daily-sales-report",
        "daily-sales-extraction",
        "daily-sales-reconciliation",
        "daily-sales-rejected",
        "daily-sales-quality",
    }
    page = str(artifacts["daily-sales-report"])
    assert f"# Daily sales {day}" in page
    assert "verified in the fact table" in page
    assert "expect_column_values_to_be_unique" in str(artifacts["daily-sales-quality"])


async def artifacts_of(run: Run) -> dict[str, object]:
    """Key and data of the artifacts that a run wrote."""
    assert run.report is not None
    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(like_="daily-sales-%"),
                flow_run_id=ArtifactFilterFlowRunId(any_=[run.report.flow_run_id]),
            )
        )
    return {str(artifact.key): artifact.data for artifact in found}


def test_a_new_column_is_reported_and_kept_only_when_it_is_named(world: World, day: date) -> None:
    world.fill(day, rows=120, regions=("EUROPE",))
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    world.change("EUROPE", "ALTER TABLE sales_transactions ADD loyalty_tier text, ADD phone text")
    try:
        world.insert(
            "EUROPE",
            {"sale_id": f"tier-{day}", "loyalty_tier": "gold", "phone": "Ann", "sale_date": noon, "updated_at": noon},
        )
        plain = world.run(day, ["EUROPE"])
        of_sale = "SELECT EXTRA_ATTRIBUTES FROM SALES_FACT WHERE SALE_ID = ?"
        assert world.sql(of_sale, (f"tier-{day}",)) == [(None,)]
        table = str(asyncio.run(artifacts_of(plain))["daily-sales-extraction"])
        assert "loyalty_tier (text), phone (text)" in table

        with world.variable("extra_columns", '{"loyalty_tier": "plain", "phone": "personal"}'):
            world.run(day, ["EUROPE"])
        ((kept,),) = world.sql(of_sale, (f"tier-{day}",))
        assert '"loyalty_tier": "gold"' in kept
        assert "Ann" not in kept
    finally:
        world.change("EUROPE", "ALTER TABLE sales_transactions DROP loyalty_tier, DROP phone")
