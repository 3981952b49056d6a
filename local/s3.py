"""The S3 stand-in: moto's server with its objects kept on disk.

moto holds everything in memory. This module saves the current version of every object, with its metadata and the time
of its last change: every few seconds if something changed, and on SIGTERM; it reads them at the start. A killed process
loses the changes since the last save. Bucket settings, old versions and unfinished multipart uploads are not saved.
"""

import hashlib
import json
import logging
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from local.environment import HOST, STAGING_BUCKET, state_dir, write_private

SAVE_EVERY_S = 10
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredObject:
    """An object's place and attributes; `content` is the SHA-256 that names the file of its bytes."""

    bucket: str
    key: str
    etag: str
    last_modified: str
    metadata: dict[str, str]
    content: str


class Disk:
    """The saved objects: an index, and each content once under its hash."""

    def __init__(self, directory: Path) -> None:
        self._index = directory / "index.json"
        self._contents = directory / "objects"
        self._contents.mkdir(parents=True, exist_ok=True)
        self._saved: dict[tuple[str, str, str, str], StoredObject] = {}
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Puts the saved objects back into moto."""
        if not self._index.exists():
            return
        for entry in json.loads(self._index.read_text()):
            stored = StoredObject(**entry)
            _ensure_bucket(stored.bucket)
            key = _backend().put_object(
                stored.bucket, stored.key, (self._contents / stored.content).read_bytes(), etag=stored.etag
            )
            key.set_metadata(dict(stored.metadata), replace=True)
            key.last_modified = datetime.fromisoformat(stored.last_modified)
            self._saved[_identity(stored.bucket, key)] = stored

    def save(self) -> None:
        """Writes what changed since the last save: contents, then the index; then removes unused contents."""
        with self._lock:
            current = {_identity(bucket, key): (bucket, key) for bucket, key in _objects()}
            if current.keys() == self._saved.keys():
                return
            saved = {identity: self._saved.get(identity) or self._store(*found) for identity, found in current.items()}
            write_private(self._index, json.dumps([asdict(stored) for stored in saved.values()]))
            self._saved = saved
            needed = {stored.content for stored in saved.values()}
            for file in self._contents.iterdir():
                if file.name not in needed:
                    file.unlink()

    def _store(self, bucket: str, key: Any) -> StoredObject:
        value: bytes = key.value
        content = hashlib.sha256(value).hexdigest()
        file = self._contents / content
        if not file.exists():
            new = file.with_suffix(".new")
            new.write_bytes(value)
            new.replace(file)
        return StoredObject(
            bucket, key.name, key.etag.strip('"'), key.last_modified.isoformat(), dict(key.metadata), content
        )


def main() -> None:
    """Serves until SIGTERM."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    disk = Disk(state_dir() / "s3")
    disk.restore()
    _ensure_bucket(STAGING_BUCKET)
    server = make_server(
        HOST,
        int(os.environ["S3_PORT"]),
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=_save_regularly, args=(disk,), daemon=True).start()
    try:
        server.serve_forever()
    finally:
        disk.save()


def _save_regularly(disk: Disk) -> None:
    while True:
        threading.Event().wait(SAVE_EVERY_S)
        try:
            disk.save()
        except Exception as error:
            LOG.error("not saved, next attempt in %s s: %s: %s", SAVE_EVERY_S, type(error).__name__, error)


def _backend() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def _ensure_bucket(name: str) -> None:
    if name not in _backend().buckets:
        _backend().create_bucket(name, "us-east-1")


def _objects() -> list[tuple[str, Any]]:
    return [(bucket.name, key) for bucket in list(_backend().buckets.values()) for key in list(bucket.keys.values())]


def _identity(bucket: str, key: Any) -> tuple[str, str, str, str]:
    return bucket, key.name, key.etag, key.last_modified.isoformat()


if __name__ == "__main__":
    main()
