"""Writes pages: to this worker's disk and to the staging bucket."""

import hashlib
import mimetypes
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prefect_aws import S3Bucket

from tasks.errors import one_line
from tasks.pages.paths import FOLDER, RUNS


def write_file(path: str, html: str, directory: Path) -> Path:
    """Writes the page as a whole: a reader sees the old one or the new one."""
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with open(handle, "w", encoding="utf-8") as new:
            new.write(html)
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    return file


def write_object(path: str, html: str, bucket: S3Bucket) -> None:
    """Writes the page to the bucket; browsers ask for it anew each time."""
    bucket.credentials.get_s3_client().put_object(
        Bucket=bucket.bucket_name,
        Key=f"{FOLDER}/{path}",
        Body=html.encode(),
        ContentType="text/html; charset=utf-8",
        CacheControl="no-cache",
    )


def publish_page(path: str, html: str, directory: Path, load: Callable[[], S3Bucket]) -> Iterator[str]:
    """Writes the page to the disk, then to the bucket that `load` returns, as it is iterated. Yields where it was
    written, or why it was not."""
    try:
        yield f"file={write_file(path, html, directory)}"
    except OSError as error:
        yield f"not written to this machine's disk: {one_line(error)}"
    try:
        bucket = load()
        write_object(path, html, bucket)
        yield f"object=s3://{bucket.bucket_name}/{FOLDER}/{path}"
    except Exception as error:  # noqa: BLE001 (a page is not worth a run)
        yield f"not written to the bucket, {FOLDER}/{path}: {one_line(error)}"


def replace_folder(directory: Path, folder: str, bucket: S3Bucket) -> int:
    """Makes a folder of the pages in the bucket equal to the directory; returns the number of its files. Those that are
    there already are not sent again: S3's ETag is their MD5, unless a key of KMS encrypts the bucket."""
    client, prefix = bucket.credentials.get_s3_client(), f"{FOLDER}/{folder}/"
    files = {
        f"{prefix}{file.relative_to(directory).as_posix()}": file for file in directory.rglob("*") if file.is_file()
    }
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket_name, Prefix=prefix)
    there = {found["Key"]: found["ETag"].strip('"') for page in pages for found in page.get("Contents", ())}
    for key, file in files.items():
        kind, content = mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()
        if there.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            client.put_object(Bucket=bucket.bucket_name, Key=key, Body=content, ContentType=kind)
    for key in there.keys() - files.keys():
        client.delete_object(Bucket=bucket.bucket_name, Key=key)
    return len(files)


def pages_on_disk(directory: Path) -> frozenset[str]:
    """The paths below the directory of the run pages that this machine has."""
    return frozenset(str(file.relative_to(directory)) for file in (directory / RUNS).glob("*/*.html"))


def pages_in_bucket(bucket: S3Bucket) -> frozenset[str]:
    """The paths below FOLDER of the run pages that the bucket holds."""
    client = bucket.credentials.get_s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket_name, Prefix=f"{FOLDER}/{RUNS}/")
    return frozenset(found["Key"].removeprefix(f"{FOLDER}/") for page in pages for found in page.get("Contents", ()))
