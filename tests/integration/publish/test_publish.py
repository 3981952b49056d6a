"""What publish does to the fact table, the rejected rows and the ledger, case by case."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect_aws import S3Bucket

from blocks.register import storage_blocks
from expectations.regions import REGIONS
from expectations.thresholds import Thresholds
from tasks.anomalies import usual_rows
from tasks.batch import Batch
from tasks.begin import drop_leftover_tables, find_leftovers, remove_leftover_files
from tasks.errors import NeedsPersonError, PublishRefusedError
from tasks.load import load_files
from tasks.publish import Staged, publish_manifest
from tasks.stage import Manifest
from tasks.tally import Amount, Tally
from tasks.verify import compare
from tasks.warehouse.ledger import Entry, record, record_failure
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import source_key
from tasks.warehouse.states import Status
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import begin, fates, load, publish_staged, stage_attempt


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def sale(region: str, key: str, sold: datetime, updated: datetime | None = None, **changes: Any) -> dict[str, Any]:
    return good_sale(region) | {"sale_id": key, "sale_date": sold, "updated_at": updated or sold} | changes


def fact(world: World, key: str) -> list[tuple[Any, ...]]:
    return world.sql("SELECT REGION, TOTAL_AMOUNT::VARCHAR, ETL_BATCH_ID FROM SALES_FACT WHERE SALE_ID = ?", (key,))


def rejected(world: World, key: str) -> list[tuple[Any, ...]]:
    return world.sql("SELECT STATUS, RULES, ETL_BATCH_ID FROM SALES_REJECTED WHERE SALE_KEY = ? ORDER BY 3", (key,))


def remove(world: World, region: str, key: str) -> None:
    world.change(region, "DELETE FROM sales_transactions WHERE sale_id = %s", (key,))


@pytest.mark.account
def test_newer_row_wins_whatever_the_order_of_days(world: World, day: date, tmp_path: Path) -> None:
    next_day = day + timedelta(days=1)
    for key, days in ((f"order-a-{day}", (day, next_day)), (f"order-b-{day}", (next_day, day))):
        for loaded in days:
            version = sale("EUROPE", key, at(loaded, 9), total_amount="2.00" if loaded == day else "4.00")
            world.insert("EUROPE", version)
            load(world, loaded, tmp_path, "EUROPE")
            remove(world, "EUROPE", key)
        assert fact(world, key) == [("EUROPE", "4.00", f"{next_day:%Y%m%d}")]


@pytest.mark.account
def test_an_older_version_is_superseded_and_a_second_load_is_unchanged(world: World, day: date, tmp_path: Path) -> None:
    key = f"superseded-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), at(day, 20), total_amount="4.00"))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"inserted": 1}}
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"unchanged": 1}}

    remove(world, "EUROPE", key)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), at(day, 10), total_amount="2.00"))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"superseded": 1}}
    assert fact(world, key) == [("EUROPE", "4.00", f"{day:%Y%m%d}")]


def test_a_row_whose_only_change_is_a_newer_updated_at_is_updated(world: World, day: date, tmp_path: Path) -> None:
    key = f"touched-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    world.change("EUROPE", "UPDATE sales_transactions SET updated_at = %s WHERE sale_id = %s", (at(day, 10), key))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"updated": 1}}


def test_a_correction_that_moves_a_sale_to_another_day_leaves_one_row(world: World, day: date, tmp_path: Path) -> None:
    key, next_day = f"moved-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    world.change(
        "EUROPE",
        "UPDATE sales_transactions SET sale_date = %s, updated_at = %s WHERE sale_id = %s",
        (at(next_day, 9), at(next_day, 9), key),
    )
    assert fates(load(world, next_day, tmp_path, "EUROPE")) == {"EUROPE": {"updated": 1}}
    assert world.sql("SELECT SALE_DAY, COUNT(*) FROM SALES_FACT WHERE SALE_ID = ? GROUP BY 1", (key,)) == [
        (next_day.day, 1)
    ]


def test_a_late_sale_comes_with_the_day_on_which_it_arrived(world: World, day: date, tmp_path: Path) -> None:
    key, sold = f"late-{day}", at(day - timedelta(days=3), 9)
    world.insert("EUROPE", sale("EUROPE", key, sold, at(day, 2)))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"inserted": 1}}
    assert world.sql("SELECT SALE_DATE FROM SALES_FACT WHERE SALE_ID = ?", (key,)) == [(sold,)]


@pytest.mark.account
def test_a_key_of_another_region_is_rejected_and_the_stored_row_stays(world: World, day: date, tmp_path: Path) -> None:
    key = f"owned-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    half_past = at(day, 9) + timedelta(milliseconds=500)
    world.insert("US_WEST", sale("US_WEST", key, half_past, at(day, 23), total_amount="4.00"))
    assert fates(load(world, day, tmp_path, "EUROPE", "US_WEST")) == {
        "EUROPE": {"unchanged": 1},
        "US_WEST": {"cross_region": 1},
    }
    assert fact(world, key) == [("EUROPE", "3.00", f"{day:%Y%m%d}")]
    assert rejected(world, key) == [("OPEN", "cross_region_sale_id", f"{day:%Y%m%d}")]
    (cells,) = world.sql(
        "SELECT SALE_DATE, UPDATED_AT, TOTAL_AMOUNT, REGION FROM SALES_REJECTED WHERE SALE_KEY = ?", (key,)
    )
    assert cells == (f"{day} 09:00:00.5+00", f"{day} 23:00:00+00", "4.00", REGIONS["US_WEST"].name)


def test_a_key_of_another_region_is_rejected_on_the_day_on_which_its_sale_moves(
    world: World, day: date, tmp_path: Path
) -> None:
    key, next_day = f"moving-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    moved = "UPDATE sales_transactions SET sale_date = %s, updated_at = %s WHERE sale_id = %s"
    world.change("EUROPE", moved, (at(next_day, 10), at(next_day, 10), key))
    world.insert("US_WEST", sale("US_WEST", key, at(next_day, 11)))
    assert fates(load(world, next_day, tmp_path, "EUROPE", "US_WEST")) == {
        "EUROPE": {"updated": 1},
        "US_WEST": {"cross_region": 1},
    }


def test_the_prefix_of_a_rejected_key_is_taken_off_where_its_region_asks_for_one(world: World) -> None:
    prefixed = source_key("STAGED.SALE_ID", [replace(REGIONS["EUROPE"], prefix_keys=True), REGIONS["US_WEST"]])
    staged = "SELECT 'EUROPE' AS REGION, 'EUROPE:EUROPE:1' AS SALE_ID UNION ALL SELECT 'US_WEST', 'EUROPE:1'"
    assert world.sql(f"SELECT {prefixed} FROM ({staged}) AS STAGED ORDER BY STAGED.REGION") == [
        ("EUROPE:1",),
        ("EUROPE:1",),
    ]


@pytest.mark.parametrize(("before", "after"), [("7", "EUROPE:7"), ("EUROPE:7", "7")], ids=["set-later", "taken-away"])
def test_sales_that_the_prefix_would_count_twice_are_refused(
    world: World, day: date, tmp_path: Path, before: str, after: str
) -> None:
    before, after = f"{before}-{day}-{before}", f"{after}-{day}-{before}"
    world.insert("EUROPE", sale("EUROPE", before, at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    world.change("EUROPE", "UPDATE sales_transactions SET sale_id = %s WHERE sale_id = %s", (after, before))
    with pytest.raises(PublishRefusedError, match="EUROPE new under another form of their key: rows 0 against 1"):
        load(world, day, tmp_path, "EUROPE")
    assert fact(world, after) == []


def test_a_key_from_two_regions_that_nobody_owns_is_rejected_twice(world: World, day: date, tmp_path: Path) -> None:
    key = f"nobody-{day}"
    for region in ("EUROPE", "US_WEST"):
        world.insert(region, sale(region, key, at(day, 9)))
    assert fates(load(world, day, tmp_path, "EUROPE", "US_WEST")) == {
        "EUROPE": {"cross_region": 1},
        "US_WEST": {"cross_region": 1},
    }
    assert fact(world, key) == []
    assert len(rejected(world, key)) == 2


def test_too_many_cross_region_keys_roll_everything_back(world: World, day: date, tmp_path: Path) -> None:
    for number in range(10):
        for region in ("EUROPE", "US_WEST"):
            world.insert(
                region, sale(region, f"clash-{day}-{number if number < 5 else region + str(number)}", at(day, 9))
            )
    staged = stage_attempt(world, begin(world, day, "EUROPE", "US_WEST"), day, tmp_path)
    publication, _ = publish_staged(world, replace(staged, thresholds=Thresholds()))
    assert publication.refused is not None
    assert "rejected 5 of 10 rows (50.00 %) is above threshold 5.0 %" in publication.refused.message
    assert world.sql("SELECT COUNT(*) FROM SALES_FACT WHERE ETL_BATCH_ID = ?", (f"{day:%Y%m%d}",)) == [(0,)]
    assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "STARTED", "US_WEST": "STARTED"}


def test_an_attempt_that_a_newer_one_has_overtaken_changes_nothing(world: World, day: date, tmp_path: Path) -> None:
    key = f"overtaken-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), total_amount="2.00"))
    stale = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    world.change("EUROPE", "UPDATE sales_transactions SET total_amount = 4 WHERE sale_id = %s", (key,))
    load(world, day, tmp_path, "EUROPE")

    publication, _ = publish_staged(world, stale)
    assert publication.overtaken == ("EUROPE",)
    assert publication.regions == ()
    assert fact(world, key) == [("EUROPE", "4.00", f"{day:%Y%m%d}")]
    assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "PUBLISHED"}
    statuses = world.sql("SELECT STATUS FROM ETL_BATCHES WHERE RUN_NUMBER = ?", (stale.manifest.attempt.run_number,))
    assert ("OVERTAKEN",) in statuses


def test_what_a_run_with_a_lower_number_has_changed_since_is_no_difference(
    world: World, day: date, tmp_path: Path
) -> None:
    """Of two concurrent dates, the one with the lower number publishes last, before the second look at the other."""
    key, next_day = f"side-by-side-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), at(next_day, 9), total_amount="2.00"))
    lower, higher = begin(world, day, "EUROPE"), begin(world, next_day, "EUROPE")
    first = stage_attempt(world, higher, next_day, tmp_path)
    world.change("EUROPE", "UPDATE sales_transactions SET total_amount = 4 WHERE sale_id = %s", (key,))
    last = stage_attempt(world, lower, day, tmp_path)
    with world.session() as session:
        publication = publish_manifest(session, first, world.session, print)
        assert fates(publish_staged(world, last)[0]) == {"EUROPE": {"updated": 1}}
        verification = compare(session, first.manifest, publication)
    assert [comparison.holds for comparison in verification.comparisons] == [True]
    assert fact(world, key) == [("EUROPE", "4.00", f"{day:%Y%m%d}")]


def test_a_stale_attempt_at_another_region_is_published(world: World, day: date, tmp_path: Path) -> None:
    for region in ("EUROPE", "US_WEST"):
        world.insert(region, sale(region, f"stale-{region}-{day}", at(day, 9)))
    stale = stage_attempt(world, begin(world, day, "EUROPE", "US_WEST"), day, tmp_path)
    load(world, day, tmp_path, "EUROPE")
    publication, _ = publish_staged(world, stale)
    assert publication.overtaken == ("EUROPE",)
    assert fates(publication) == {"US_WEST": {"inserted": 1}}


def test_a_rejected_row_keeps_its_first_seen_time_and_closes_when_a_newer_version_is_published(
    world: World, day: date, tmp_path: Path
) -> None:
    key, next_day = f"mended-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), quantity=0))
    load(world, day, tmp_path, "EUROPE")
    first_seen = world.sql("SELECT FIRST_SEEN_AT FROM SALES_REJECTED WHERE SALE_KEY = ?", (key,))
    load(world, day, tmp_path, "EUROPE")
    assert world.sql("SELECT FIRST_SEEN_AT FROM SALES_REJECTED WHERE SALE_KEY = ?", (key,)) == first_seen
    assert [status for status, *_ in rejected(world, key)] == ["OPEN"]

    world.change(
        "EUROPE",
        "UPDATE sales_transactions SET quantity = 2, updated_at = %s WHERE sale_id = %s",
        (at(next_day, 9), key),
    )
    assert fates(load(world, next_day, tmp_path, "EUROPE")) == {"EUROPE": {"inserted": 1}}
    assert [status for status, *_ in rejected(world, key)] == ["CLOSED"]


def test_a_version_in_the_future_closes_when_it_is_corrected(world: World, day: date, tmp_path: Path) -> None:
    key = f"future-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9), datetime(2099, 1, 1, tzinfo=UTC)))
    load(world, day, tmp_path, "EUROPE")
    assert [rules for _, rules, _ in rejected(world, key)] == ["updated_at_in_future"]

    corrected = datetime.now(UTC)  # every correction is later than the read that rejected the row
    world.change("EUROPE", "UPDATE sales_transactions SET updated_at = %s WHERE sale_id = %s", (corrected, key))
    # Its own batch would replace the entry; the day of the correction has to close it.
    load(world, corrected.date(), tmp_path, "EUROPE")
    assert [status for status, *_ in rejected(world, key)] == ["CLOSED"]


@pytest.mark.account
@pytest.mark.parametrize("sale_id", [None, "", " \t\n"], ids=repr)
def test_a_row_without_a_key_is_kept_as_no_key_and_closed_by_a_rerun(
    world: World, day: date, tmp_path: Path, sale_id: str | None
) -> None:
    world.insert("EUROPE", *[sale("EUROPE", "x", at(day, 9)) | {"sale_id": sale_id}] * 2)
    load(world, day, tmp_path, "EUROPE")
    of_batch = "SELECT STATUS, RULES, SALE_KEY, SALE_ID FROM SALES_REJECTED WHERE ETL_BATCH_ID = ?"
    assert world.sql(of_batch, (f"{day:%Y%m%d}",)) == [("NO_KEY", "missing_sale_id", None, sale_id)] * 2
    world.change("EUROPE", "DELETE FROM sales_transactions WHERE coalesce(sale_id, '') IN ('', %s)", (sale_id,))
    world.insert("EUROPE", sale("EUROPE", f"key-{day}", at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    assert world.sql(of_batch, (f"{day:%Y%m%d}",)) == []


def test_a_correction_that_breaks_a_rule_leaves_the_older_good_version(world: World, day: date, tmp_path: Path) -> None:
    key, next_day = f"worse-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    world.change(
        "EUROPE",
        "UPDATE sales_transactions SET total_amount = 0, updated_at = %s WHERE sale_id = %s",
        (at(next_day, 9), key),
    )
    load(world, next_day, tmp_path, "EUROPE")
    assert fact(world, key) == [("EUROPE", "3.00", f"{day:%Y%m%d}")]
    assert [status for status, *_ in rejected(world, key)] == ["OPEN"]


@pytest.mark.account
def test_copy_loads_the_manifests_files_and_no_others(world: World, day: date, tmp_path: Path) -> None:
    world.insert("EUROPE", sale("EUROPE", f"listed-{day}", at(day, 9)))
    attempt = begin(world, day, "EUROPE")
    staged = stage_attempt(world, attempt, day, tmp_path)
    client = s3_client(world)
    (file,) = staged.manifest.files_of("clean")
    bucket = world.environment["S3_STAGING_BUCKET"]
    source = {"Bucket": bucket, "Key": f"{attempt.staging_prefix}/{file.name}"}
    client.copy_object(Bucket=bucket, Key=f"{attempt.staging_prefix}/clean/EUROPE-999.parquet", CopySource=source)
    assert fates(publish_staged(world, staged)[0]) == {"EUROPE": {"inserted": 1}}


def s3_client(world: World) -> Any:
    from tasks.stage import load_bucket

    return load_bucket(world.environment["S3_STAGING_BUCKET"]).credentials.get_s3_client()


def test_a_file_with_other_rows_than_the_manifest_says_is_refused(world: World, day: date, tmp_path: Path) -> None:
    world.insert("EUROPE", sale("EUROPE", f"short-{day}", at(day, 9)))
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    lying = tuple(replace(file, rows=file.rows + 1) for file in staged.manifest.files)
    manifest = Manifest(staged.manifest.attempt, staged.manifest.snapshots, lying)
    with pytest.raises(NeedsPersonError, match="nothing was published: COPY of .* loaded 1 rows, the manifest says 2"):
        publish_staged(world, replace(staged, manifest=manifest))
    assert fact(world, f"short-{day}") == []


def test_a_broken_law_rolls_back_and_says_where(world: World, day: date, tmp_path: Path) -> None:
    key = f"law-{day}"
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    (extracted,) = staged.extracts
    a_cent = Tally(0, {("USD", "total_amount"): Amount(extracted.source.amounts["USD", "total_amount"].total / 300)})
    wrong = replace(extracted, source=extracted.source + a_cent)
    with pytest.raises(PublishRefusedError, match="total_amount USD 3.01 against 3.00"):
        publish_staged(world, replace(staged, extracts=[wrong]))
    assert fact(world, key) == []
    assert world.ledger(f"{day:%Y%m%d}") == {"EUROPE": "STARTED"}


def test_regions_are_independent_entries_of_the_ledger(world: World, day: date, tmp_path: Path) -> None:
    for region in REGIONS:
        world.insert(region, sale(region, f"ledger-{region}-{day}", at(day, 9)))
    load(world, day, tmp_path, *REGIONS)
    rows = world.sql(
        "SELECT REGION, STATUS, EXTRACTED, INSERTED, MONEY FROM ETL_BATCHES_LATEST WHERE BATCH_ID = ? ORDER BY REGION",
        (f"{day:%Y%m%d}",),
    )
    assert [row[:4] for row in rows] == [(region, "PUBLISHED", 1, 1) for region in sorted(REGIONS)]
    assert all('"total": "3.00"' in row[4] for row in rows)


def staging_tables(world: World, staged: Staged) -> list[Row]:
    return world.sql(
        "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STAGING' AND TABLE_NAME LIKE ?",
        (f"%{staged.manifest.attempt.run_number:06d}",),
    )


def test_a_refused_attempt_leaves_no_staging_tables(world: World, day: date, tmp_path: Path) -> None:
    world.insert("EUROPE", sale("EUROPE", f"refused-{day}", at(day, 9)))
    staged = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    wrong = [replace(staged.extracts[0], source=Tally())]
    with pytest.raises(PublishRefusedError, match="^nothing was published: the law does not hold.*run the date again$"):
        publish_staged(world, replace(staged, extracts=wrong))
    assert staging_tables(world, staged) == []


@pytest.mark.account
def test_staging_tables_of_dead_attempts_are_swept_and_those_of_living_ones_stay(
    world: World, day: date, tmp_path: Path
) -> None:
    world.insert("EUROPE", sale("EUROPE", f"swept-{day}", at(day, 9)))
    dead, living = (stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path) for _ in range(2))
    with world.session() as session:
        for staged in (dead, living):
            load_files(session, staged.manifest, staged.manifest.attempt.staging_tables)
        end_lease(session, dead)
        leftovers = find_leftovers(session, Batch(day, ()))
        drop_leftover_tables(session, leftovers)
    numbers = {name[-6:] for name in leftovers.tables}
    assert f"{dead.manifest.attempt.run_number:06d}" in numbers
    assert f"{living.manifest.attempt.run_number:06d}" not in numbers
    assert staging_tables(world, dead) == []
    assert len(staging_tables(world, living)) == 4


def end_lease(session: Session, staged: Staged) -> None:
    session.query(
        "UPDATE ETL_BATCHES SET LEASE_UNTIL = DATEADD('minute', -1, CURRENT_TIMESTAMP()) WHERE RUN_NUMBER = ?",
        [staged.attempt.run_number],
    )


def test_clean_files_of_dead_attempts_at_the_batch_are_swept_and_all_others_stay(
    world: World, day: date, tmp_path: Path
) -> None:
    world.insert(
        "EUROPE", sale("EUROPE", f"files-{day}", at(day, 9)), sale("EUROPE", f"bad-{day}", at(day, 9), quantity=0)
    )
    dead, published, _living = (stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path) for _ in range(3))
    publish_staged(world, published)
    _, bucket = storage_blocks(world.environment)
    before = staged_keys(bucket, day)
    with world.session() as session:
        for staged in (dead, published):
            end_lease(session, staged)
        leftovers = find_leftovers(session, Batch(day, ()))
        swept = remove_leftover_files(leftovers, Batch(day, ()), bucket)
        assert remove_leftover_files(leftovers, Batch(day, ()), bucket) == []
    assert swept == [f"{dead.attempt.staging_prefix}/clean/EUROPE-000.parquet"]
    assert staged_keys(bucket, day) == before - set(swept)
    assert len(before) == 6


def staged_keys(bucket: S3Bucket, day: date) -> set[str]:
    listed = bucket.credentials.get_s3_client().list_objects_v2(
        Bucket=bucket.bucket_name, Prefix=f"sales/batch={day:%Y%m%d}/"
    )
    return {found["Key"] for found in listed["Contents"]}


def test_the_second_look_takes_what_a_newer_run_has_changed_for_no_difference(
    world: World, day: date, tmp_path: Path
) -> None:
    key, other, next_day = f"overlap-{day}", f"steady-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)), sale("EUROPE", other, at(day, 9)))
    first = stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path)
    with world.session() as session:
        publication = publish_manifest(session, first, world.session, print)
        world.change(
            "EUROPE",
            "UPDATE sales_transactions SET total_amount = 4, updated_at = %s WHERE sale_id = %s",
            (at(next_day, 9), key),
        )
        assert fates(load(world, next_day, tmp_path, "EUROPE")) == {"EUROPE": {"updated": 1}}
        assert compare(session, first.manifest, publication).comparisons[0].holds

        session.query("DELETE FROM SALES_FACT WHERE SALE_ID = ?", [other])
        assert not compare(session, first.manifest, publication).comparisons[0].holds


def test_a_row_rejected_for_its_time_closes_when_another_date_publishes_it(
    world: World, day: date, tmp_path: Path
) -> None:
    key, next_day = f"timeless-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)) | {"updated_at": None})
    load(world, day, tmp_path, "EUROPE")
    assert [status for status, *_ in rejected(world, key)] == ["OPEN"]
    world.change("EUROPE", "UPDATE sales_transactions SET updated_at = %s WHERE sale_id = %s", (at(next_day, 9), key))
    load(world, next_day, tmp_path, "EUROPE")
    assert [status for status, *_ in rejected(world, key)] == ["CLOSED"]


def test_a_bad_newest_version_stays_open_when_an_older_one_is_published_later(
    world: World, day: date, tmp_path: Path
) -> None:
    key, next_day = f"still-bad-{day}", day + timedelta(days=1)
    world.insert("EUROPE", sale("EUROPE", key, at(next_day, 9), quantity=0))
    load(world, next_day, tmp_path, "EUROPE")
    world.insert("EUROPE", sale("EUROPE", key, at(day, 9)))
    assert fates(load(world, day, tmp_path, "EUROPE")) == {"EUROPE": {"inserted": 1}}
    assert [status for status, *_ in rejected(world, key)] == ["OPEN"]


@pytest.mark.account
def test_the_ledger_says_what_is_in_production_whatever_came_after(world: World, day: date, tmp_path: Path) -> None:
    batch_id = f"{day:%Y%m%d}"
    world.insert("EUROPE", sale("EUROPE", f"shown-{day}", at(day, 9)))
    load(world, day, tmp_path, "EUROPE")
    published = world.sql("SELECT MAX(RUN_NUMBER) FROM ETL_BATCHES WHERE BATCH_ID = ?", (batch_id,))
    for status in (Status.FAILED, Status.MISSING):
        attempt = begin(world, day, "EUROPE", "US_WEST")
        with world.session() as session:
            record(session, attempt, [Entry(region, status) for region in attempt.regions])
        assert set(world.ledger(batch_id).values()) == {str(status)}
    shown = world.sql(
        "SELECT RUN_NUMBER, REGION, STATUS FROM ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = ?", (batch_id,)
    )
    assert shown == [(published[0][0], "EUROPE", "PUBLISHED")]


def test_a_failure_is_recorded_for_every_region_without_an_end(world: World, day: date, tmp_path: Path) -> None:
    world.insert("EUROPE", sale("EUROPE", f"ended-{day}", at(day, 9)))
    attempt = begin(world, day, "EUROPE", "US_EAST", "US_WEST")
    with world.session() as session:
        record(session, attempt, [Entry("EUROPE", Status.PUBLISHED)])
        assert record_failure(session, attempt.flow_run_id, "it broke") == ["US_EAST", "US_WEST"]
        assert record_failure(session, attempt.flow_run_id, "it broke again") == []
    assert world.ledger(attempt.batch_id) == {"EUROPE": "PUBLISHED", "US_EAST": "FAILED", "US_WEST": "FAILED"}


def test_the_same_weekdays_before_tell_the_usual_rows(world: World, day: date, tmp_path: Path) -> None:
    day -= timedelta(days=3650)  # in years in which no other test publishes
    for week in (1, 2, 4, 5, 6):
        earlier = day - timedelta(weeks=week)
        with world.session() as session:
            # A row that others wrote may lack the count.
            entry = Entry("EUROPE", Status.PUBLISHED, counts={"EXTRACTED": week} if week != 4 else {})
            record(session, begin(world, earlier, "EUROPE"), [entry])
    with world.session() as session:
        assert usual_rows(session, Batch(day, ("EUROPE",)))["EUROPE"] == (1, 2, 5, 6)
