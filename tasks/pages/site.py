"""Where pages are: below `reports/`, on this machine's disk and in the staging bucket. Knows no Prefect.

index.html                     the history
runs/<date>/<flow run>.html    one run
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from prefect_aws import S3Bucket

from blocks import names
from blocks.project import HOME
from tasks.errors import one_line

VARIABLE_OF_SHELL = "RETAIL_SALES_REPORTS"
FOLDER = "reports"
"""The folder in the bucket, and by default in the checkout."""
HISTORY = "index.html"
RUNS = "runs"


def run_page(day: date, flow_run_id: str) -> str:
    """The path of a run's page below FOLDER. It is known before the page is there."""
    return f"{RUNS}/{day}/{flow_run_id}.html"


def from_run_page(path: str) -> str:
    """The path as a link on a run's page."""
    return f"../../{path}"


def reports_directory() -> Path:
    """The directory of the pages on this machine."""
    return Path(os.environ.get(VARIABLE_OF_SHELL) or HOME / names.of(FOLDER))


def place_of(path: str, bucket_name: str, base_url: str) -> str:
    """The page's address below the variable `report_base_url`; without one, its place in the bucket."""
    return f"{base_url.rstrip('/')}/{path}" if base_url else f"s3://{bucket_name}/{FOLDER}/{path}"


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


def publish_page(path: str, html: str, bucket: S3Bucket) -> Iterator[str]:
    """Writes the page to the disk and to the bucket. Yields where it was written, or why it was not."""
    try:
        yield f"file={write_file(path, html, reports_directory())}"
    except OSError as error:
        yield f"not written to this machine's disk: {one_line(error)}"
    try:
        write_object(path, html, bucket)
        yield f"object=s3://{bucket.bucket_name}/{FOLDER}/{path}"
    except Exception as error:  # noqa: BLE001 (a page is not worth a run)
        yield f"not written to s3://{bucket.bucket_name}/{FOLDER}/{path}: {one_line(error)}"


def pages_in_bucket(bucket: S3Bucket) -> frozenset[str]:
    """The paths below FOLDER of the run pages that the bucket holds."""
    client = bucket.credentials.get_s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket_name, Prefix=f"{FOLDER}/{RUNS}/")
    return frozenset(found["Key"].removeprefix(f"{FOLDER}/") for page in pages for found in page.get("Contents", ()))
