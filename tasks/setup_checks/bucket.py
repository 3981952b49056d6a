"""Checks of the staging bucket: it exists, the block names it, and files can be written, read, listed and removed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from prefect_aws import S3Bucket

from blocks import names
from blocks.shell import describe_ignored, ignore_beside
from blocks.storage import limited
from blocks.variables import read_variable
from tasks.pages.paths import FOLDER
from tasks.setup_checks.check import Check, SetupFaultError

PROBE_PREFIXES = ("sales/probe", f"{FOLDER}/probe")
"""Below the folders of staged files and of pages."""
BUCKET_VARIABLE = "variable s3_staging_bucket"
BLOCK = f"block s3-bucket/{names.STAGING_BUCKET}"
CREDENTIALS = f"block aws-credentials/{names.STAGING_CREDENTIALS}"


def bucket_checks() -> list[Check]:
    """The bucket, its name and the right to write."""
    mend = f"check that the bucket exists, and key, region and endpoint of {CREDENTIALS}"
    rights = f"give the key of {CREDENTIALS} s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket"
    return [
        Check("bucket", _head, mend, needs=(BUCKET_VARIABLE,)),
        Check("shell", lambda: describe_ignored() or "nothing in it overrules a block", needs=("bucket",)),
        Check(
            "bucket name",
            _compare_names,
            f"run `{names.HERE}python -m blocks.register`, which makes {BLOCK}",
            needs=(BUCKET_VARIABLE,),
        ),
        Check("bucket rights", _write, rights, needs=("bucket",)),
    ]


def load_staging_bucket() -> tuple[Any, str]:
    """The S3 client and the bucket's name."""
    try:
        bucket = S3Bucket.load(names.STAGING_BUCKET)
    except ValueError as error:
        raise SetupFaultError(
            f"{BLOCK} is missing or unreadable: set S3_STAGING_BUCKET and run `{names.HERE}python -m blocks.register`"
        ) from error
    ignore_beside(bucket.credentials)
    return limited(bucket.credentials).get_s3_client(), read_variable("s3_staging_bucket")


def _head() -> str:
    client, name = load_staging_bucket()
    client.head_bucket(Bucket=name)
    return f"s3://{name}"


def _compare_names() -> str:
    block, variable = S3Bucket.load(names.STAGING_BUCKET).bucket_name, read_variable("s3_staging_bucket")
    if block != variable:
        raise SetupFaultError(
            f"variable s3_staging_bucket is {variable!r} and {BLOCK} is {block!r}: set S3_STAGING_BUCKET to the right "
            f"one, run `{names.HERE}python -m blocks.register`, then `{names.HERE}python -m flows.setup_warehouse` for "
            "the stage"
        )
    return f"variable and block say {variable}"


def _write() -> str:
    for prefix in PROBE_PREFIXES:
        with probe_file(b"probe", prefix=prefix) as (client, name, key):
            read = client.get_object(Bucket=name, Key=key)["Body"].read()
            if read != b"probe":
                raise SetupFaultError(f"s3://{name}/{key} does not hold what was written: look at the bucket")
            listed = client.list_objects_v2(Bucket=name, Prefix=key).get("KeyCount")
        if listed != 1:
            raise SetupFaultError(f"s3://{name}/{key} was written and is not listed: look at the bucket")
    return "a file was written, read, listed and removed below sales/ and reports/"


@contextmanager
def probe_file(
    content: bytes, file_name: str = "probe", prefix: str = PROBE_PREFIXES[0]
) -> Iterator[tuple[Any, str, str]]:
    """Yields S3 client, bucket and key of a small file below `prefix`, which is removed at the end."""
    client, name = load_staging_bucket()
    key = f"{prefix}/{uuid4().hex}/{file_name}"
    client.put_object(Bucket=name, Key=key, Body=content)
    try:
        yield client, name, key
    finally:
        client.delete_object(Bucket=name, Key=key)
