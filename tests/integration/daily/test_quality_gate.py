"""A failed gate loads nothing, keeps the rejected rows on S3 and names check, figure and threshold."""

from datetime import date, datetime
from decimal import Decimal
from io import BytesIO

import pyarrow.parquet as pq

from expectations.regions import REGIONS
from tasks.stage import load_bucket
from tests.integration.conftest import Run, World, good_sale


def assert_nothing_was_loaded(world: World, run: Run, day: date) -> None:
    assert run.state.name == "QualityFailed", run.state.message
    assert run.state.is_failed()
    batch_id = f"{day:%Y%m%d}"
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (batch_id,)) == [(0,)]
    assert world.sql("SELECT COUNT(*) FROM SALES_REJECTED WHERE ETL_BATCH_ID = ?", (batch_id,)) == [(0,)]
    assert set(world.ledger(batch_id).values()) == {"FAILED"}


def staged_keys(world: World, run: Run) -> list[str]:
    """The names of the files that a run left on S3, below its prefix."""
    assert run.report is not None
    client = load_bucket(world.environment["S3_STAGING_BUCKET"]).credentials.get_s3_client()
    prefix = run.report.staging_prefix + "/"
    found = client.list_objects_v2(Bucket=world.environment["S3_STAGING_BUCKET"], Prefix=prefix)
    return [item["Key"].removeprefix(prefix) for item in found.get("Contents", [])]


def test_45_rows_are_below_the_threshold(world: World, day: date) -> None:
    for number, region in enumerate(REGIONS):
        world.fill(day, rows=11 if number else 12, regions=(region,))
    run = world.run(day)
    assert "record count 45 is below threshold 100" in run.state.message
    assert_nothing_was_loaded(world, run, day)
    assert not any("clean" in key or "manifest" in key for key in staged_keys(world, run))


def test_a_day_without_rows_fails_by_the_minimum_count(world: World, day: date) -> None:
    run = world.run(day)
    assert "record count 0 is below threshold 100" in run.state.message
    assert_nothing_was_loaded(world, run, day)


def test_a_null_share_of_exactly_five_per_cent_fails_and_just_below_passes(world: World, day: date) -> None:
    world.fill(day, rows=95, regions=("EUROPE",))
    world.fill(day, rows=100, regions=("US_EAST", "US_WEST", "ASIA_PACIFIC"))
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    nameless = [
        {"sale_id": f"null-{day}-{i}", "customer_id": None, "sale_date": noon, "updated_at": noon} for i in range(5)
    ]
    world.insert("EUROPE", *nameless)
    failed = world.run(day)
    assert "EUROPE: NULL share of customer_id is 5.00 % (5 of 100 rows), threshold 5.0 %" in failed.state.message
    assert_nothing_was_loaded(world, failed, day)
    assert staged_keys(world, failed) == ["rejected/EUROPE-000.parquet"]

    world.change("EUROPE", "DELETE FROM sales_transactions WHERE sale_id = %s", (f"null-{day}-0",))
    passed = world.run(day)
    assert passed.state.name == "Completed", passed.state.message
    assert passed.region("EUROPE").rejected_by_rule == {"missing_customer_id": 4}


def test_too_many_rejected_rows_fail_and_are_kept_with_reasons_on_s3(world: World, day: date) -> None:
    world.fill(day, rows=50)
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    bad = [
        good_sale("EUROPE", day) | {"sale_id": f"bad-{day}-{i}", "quantity": 0, "sale_date": noon, "updated_at": noon}
        for i in range(12)
    ]
    world.insert("EUROPE", *bad)
    run = world.run(day)
    assert "EUROPE: rejected 12 of 62 rows (19.35 %) is above threshold 5.0 %" in run.state.message
    assert_nothing_was_loaded(world, run, day)
    europe = run.region("EUROPE")
    assert europe.rejected_by_rule["quantity_not_positive"] == 12
    assert len(europe.example_keys["quantity_not_positive"]) == 10

    assert run.report is not None
    bucket = load_bucket(world.environment["S3_STAGING_BUCKET"])
    content = bucket.read_path(f"{run.report.staging_prefix}/rejected/EUROPE-000.parquet")
    rejected = pq.read_table(BytesIO(content)).to_pylist()
    assert len(rejected) == 12
    assert {row["quantity"] for row in rejected} == {"0"}
    assert all("quantity_not_positive" in row["rules"].split() for row in rejected)
    assert Decimal(rejected[0]["total_amount"]) == Decimal("3.00")
