"""Staging: files of bounded size, exact to the last digit, and a manifest that says what belongs to the attempt."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect_aws import S3Bucket

from expectations.tables import CLEAN_SCHEMA
from tasks import stage
from tasks.batch import Attempt
from tasks.errors import NeedsPersonError
from tasks.files.room import ScratchFullError
from tasks.stage import Manifest, StagedFile, sha256_of, stage_rows, write_file
from tasks.tally import Tally, add_up, tally_of_table
from tests.unit.sales import SNAPSHOT, SOLD_AT, extracted_table, sale, sales, transformed

ATTEMPT = Attempt(42, "flow-run", "20240115", ("EUROPE",))


class FakeClient:
    """Keeps uploads, and reports each as `lost` bytes shorter."""

    def __init__(self, lost: int = 0) -> None:
        self.kept: dict[str, bytes] = {}
        self.lost = lost

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.kept[key] = Path(path).read_bytes()

    def head_object(self, Bucket: str, Key: str) -> dict[str, int]:  # noqa: N803
        return {"ContentLength": len(self.kept[Key]) - self.lost}


def bucket_of(client: FakeClient) -> S3Bucket:
    credentials = SimpleNamespace(get_s3_client=lambda: client)
    return cast(S3Bucket, SimpleNamespace(bucket_name="bucket", credentials=credentials))


def clean_table() -> pa.Table:
    microseconds = SOLD_AT + timedelta(microseconds=123_456)
    rows = [
        sale(sale_id="1", sale_date=microseconds, product_category=None),
        sale(sale_id="2", product_category="", customer_email_token=None),
        sale(sale_id="Käse 🧀", product_category="NULL", sale_date=datetime(1, 1, 1, tzinfo=UTC)),
        sale(sale_id="4", quantity=1, unit_price="9999999999.990001", total_amount="9999999999.99"),
        sale(sale_id="5", quantity=2_000_000, unit_price="0.000001"),
    ]
    clean = transformed(extracted_table(*rows)).clean
    assert clean.num_rows == len(rows)
    return clean


def test_parquet_gives_back_every_cell_exactly(tmp_path: Path) -> None:
    table = clean_table()
    write_file([table], "clean", tmp_path / "x.parquet")
    back = pq.read_table(tmp_path / "x.parquet")
    assert back.schema.equals(CLEAN_SCHEMA)
    assert back.equals(table)
    assert back["product_category"].to_pylist()[:3] == [None, "", "NULL"]


def test_parquet_is_written_in_the_form_that_snowflake_reads(tmp_path: Path) -> None:
    write_file([clean_table()], "clean", tmp_path / "x.parquet")
    file = pq.ParquetFile(tmp_path / "x.parquet")
    described = {column.name: str(column.logical_type) for column in file.schema}
    assert described["sale_date"].startswith("Timestamp(isAdjustedToUTC=true, timeUnit=microseconds")
    assert described["total_amount"] == "Decimal(precision=12, scale=2)"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_digest_is_the_files_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_files_lie_below_the_attempt_and_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, table = FakeClient(), clean_table()
    monkeypatch.setattr(stage, "ROW_GROUP_BYTES", 1)
    monkeypatch.setattr(stage, "FILE_BYTES", 1)
    batches = table.to_batches(max_chunksize=2)
    staged = stage_rows(batches, "clean", "EUROPE", ATTEMPT.staging_prefix, tmp_path, bucket_of(client))
    assert [file.name for file in staged] == [f"clean/EUROPE-{number:03d}.parquet" for number in range(3)]
    assert [file.rows for file in staged] == [2, 2, 1]
    assert set(client.kept) == {f"sales/batch=20240115/run=000042/{file.name}" for file in staged}
    contents = [client.kept[f"{ATTEMPT.staging_prefix}/{file.name}"] for file in staged]
    for file, content in zip(staged, contents, strict=True):
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert pa.concat_tables(pq.read_table(pa.BufferReader(content)) for content in contents).equals(table)
    assert add_up(file.tally or Tally() for file in staged) == tally_of_table(table)
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_row_groups_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, table = FakeClient(), clean_table()
    monkeypatch.setattr(stage, "ROW_GROUP_BYTES", 1)
    (file,) = stage_rows(table.to_batches(max_chunksize=2), "clean", "EUROPE", "p", tmp_path, bucket_of(client))
    parquet = pq.ParquetFile(pa.BufferReader(client.kept[f"p/{file.name}"]))
    assert [parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)] == [2, 2, 1]
    assert parquet.read().equals(table)


def test_an_empty_table_has_no_files(tmp_path: Path) -> None:
    client = FakeClient()
    assert stage_rows(clean_table()[:0].to_batches(), "clean", "EUROPE", "p", tmp_path, bucket_of(client)) == []
    assert client.kept == {}


def test_rejected_files_have_no_money(tmp_path: Path) -> None:
    rejected = transformed(extracted_table(*sales(2, quantity=0))).rejected
    (file,) = stage_rows(rejected.to_batches(), "rejected", "EUROPE", "p", tmp_path, bucket_of(FakeClient()))
    assert (file.kind, file.rows, file.tally) == ("rejected", 2, None)


def test_bytes_lost_on_the_way_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(
        NeedsPersonError, match=r"s3://bucket/p/clean/EUROPE-000.parquet holds \d+ bytes, \d+ were sent"
    ):
        stage_rows(clean_table().to_batches(), "clean", "EUROPE", "p", tmp_path, bucket_of(FakeClient(lost=1)))


def test_the_manifest_says_what_belongs_to_the_attempt() -> None:
    tally = tally_of_table(clean_table())
    clean = StagedFile("clean/EUROPE-000.parquet", "clean", "EUROPE", 5, 99, "ab" * 32, tally)
    rejected = StagedFile("rejected/EUROPE-000.parquet", "rejected", "EUROPE", 1, 9, "cd" * 32, None)
    manifest = Manifest(ATTEMPT, {"EUROPE": SNAPSHOT}, (clean, rejected), {"EUROPE": ("loyalty_tier",)})
    document: dict[str, Any] = json.loads(manifest.to_json())
    assert document.keys() == {"batch_id", "run_number", "contract_version", "snapshots", "extra_columns", "files"}
    assert (document["batch_id"], document["run_number"]) == ("20240115", 42)
    assert document["snapshots"] == {"EUROPE": "2024-01-16T06:00:00+00:00"}
    assert document["extra_columns"] == {"EUROPE": ["loyalty_tier"]}
    assert Tally.from_json(document["files"][0]["tally"]) == tally
    assert document["files"][1] == {
        "name": "rejected/EUROPE-000.parquet",
        "kind": "rejected",
        "region": "EUROPE",
        "rows": 1,
        "bytes": 9,
        "sha256": "cd" * 32,
        "tally": None,
    }
    assert (manifest.files_of("clean"), manifest.files_of("rejected")) == ((clean,), (rejected,))


def test_attempts_share_neither_folder_nor_tables() -> None:
    again = Attempt(43, "flow-run", "20240115", ("EUROPE",))
    assert ATTEMPT.staging_prefix != again.staging_prefix
    assert set(vars(ATTEMPT.staging_tables).values()).isdisjoint(vars(again.staging_tables).values())
    assert ATTEMPT.staging_tables.clean_table == "STAGING.CLEAN_000042"


def test_a_full_disk_is_named_and_nothing_is_uploaded(tmp_path: Path) -> None:
    path, client = tmp_path / "clean-EUROPE-000.parquet", FakeClient()
    path.symlink_to("/dev/full")
    with pytest.raises(ScratchFullError, match=f"{path} of region EUROPE could not be written"):
        stage_rows(clean_table().to_batches(), "clean", "EUROPE", "p", tmp_path, bucket_of(client))
    assert list(tmp_path.iterdir()) == []
