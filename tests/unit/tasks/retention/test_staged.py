"""Retention: the staged files of runs that have ended, and the order in which they are deleted."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect_aws import S3Bucket

from tasks.batch import Attempt
from tasks.errors import NeedsPersonError
from tasks.retention import staged as retention
from tasks.retention.staged import remove_files, staged_files


class FakeClient:
    """Lists keys in pages of two, and deletes all but those that it refuses."""

    def __init__(self, *keys: str, refused: str = "") -> None:
        self.keys, self.refused = list(keys), refused
        self.requests: list[list[str]] = []

    def get_paginator(self, operation: str) -> "FakeClient":
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        found = [{"Key": key, "Size": len(key)} for key in self.keys if key.startswith(Prefix)]
        return [{"Contents": found[start : start + 2]} for start in range(0, len(found), 2)] or [{}]

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        keys = [item["Key"] for item in Delete["Objects"]]
        self.requests.append(keys)
        return {"Errors": [{"Key": key, "Code": "AccessDenied"} for key in keys if key == self.refused]}


def bucket_of(client: FakeClient) -> S3Bucket:
    return cast(
        S3Bucket, SimpleNamespace(bucket_name="bucket", credentials=SimpleNamespace(get_s3_client=lambda: client))
    )


def key_of(run_number: int, name: str) -> str:
    return f"{Attempt(run_number, '', '20240115', ()).staging_prefix}/{name}"


def test_only_files_of_the_named_runs_are_found() -> None:
    named = [key_of(7, "clean/EUROPE-000.parquet"), key_of(7, "manifest.json"), key_of(1_234_567, "manifest.json")]
    others = [key_of(70, "manifest.json"), "sales/notes.txt", "sales/batch=20240115/run=mine/x", "other/run=000007/x"]
    found = dict(staged_files(bucket_of(FakeClient(*others, *named)), {7, 1_234_567}))
    assert found == {key: len(key) for key in named}


def test_an_empty_bucket_has_no_files() -> None:
    assert list(staged_files(bucket_of(FakeClient()), {7})) == []


def test_manifests_are_deleted_first_and_no_request_has_too_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient()
    monkeypatch.setattr(retention, "DELETED_AT_ONCE_MAX", 2)
    keys = [key_of(7, name) for name in ("clean/a", "manifest.json", "rejected/a")]
    remove_files(bucket_of(client), keys)
    assert client.requests == [[keys[1], keys[0]], [keys[2]]]


def test_without_files_no_request_is_sent() -> None:
    client = FakeClient()
    remove_files(bucket_of(client), [])
    assert client.requests == []


def test_an_error_names_the_file_that_cannot_be_deleted() -> None:
    key = key_of(7, "clean/a")
    with pytest.raises(NeedsPersonError, match=rf"bucket/{key} cannot be deleted \(AccessDenied\), 1 files"):
        remove_files(bucket_of(FakeClient(refused=key)), [key])
