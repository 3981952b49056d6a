"""The saved objects of the S3 stand-in, on a disk that is full for a while."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from local import s3
from local.environment import write_private
from local.s3 import Disk

BUCKET, KEY = "a-bucket", "a/key"


class DiskOfRun(Disk):
    """Ends the thread that saves once it has saved."""

    def save(self) -> None:
        super().save()
        raise SystemExit


@pytest.fixture(autouse=True)
def _an_object() -> Iterator[None]:
    s3._ensure_bucket(BUCKET)
    s3._backend().put_object(BUCKET, KEY, b"content")
    yield
    s3_backends.reset()


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Failures of writing the index, one each time, which are left."""
    failures = [OSError(errno.ENOSPC, "No space left on device")]

    def write(file: Path, text: str) -> None:
        if failures:
            raise failures.pop()
        write_private(file, text)

    monkeypatch.setattr(s3, "write_private", write)
    return failures


def saved_keys(directory: Path) -> list[str]:
    return [stored["key"] for stored in json.loads((directory / "index.json").read_text())]


@pytest.mark.usefixtures("failures")
def test_what_could_not_be_saved_is_saved_by_the_next_attempt(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        disk.save()
    disk.save()
    assert saved_keys(tmp_path) == [KEY]


def test_saving_goes_on_after_a_failure_which_is_logged(
    tmp_path: Path, failures: list[OSError], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s3, "SAVE_EVERY_S", 0)
    with pytest.raises(SystemExit):
        s3._save_regularly(DiskOfRun(tmp_path))
    assert (failures, saved_keys(tmp_path)) == ([], [KEY])
    assert [record.getMessage() for record in caplog.records] == [
        "not saved, next attempt in 0 s: OSError: [Errno 28] No space left on device"
    ]
