"""Ready: checks that the blocks and the bucket of a run exist, before anything is read."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import botocore.exceptions
from prefect import get_run_logger, task
from prefect.blocks.system import Secret
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import names, storage
from blocks.once import load_once
from blocks.waits import logged_if_slow
from tasks.batch import Batch, NamedKeys
from tasks.errors import NeedsPersonError, TransientError, may_pass
from tasks.lines import quoting
from tasks.retries import RETRIES
from tasks.stage import load_bucket
from tasks.stopwatch import Say, say_nothing


def find_missing_blocks(batch: Batch | NamedKeys) -> list[str]:
    """The slugs and names of the blocks of sources and token key that are not registered."""
    wanted = [(SqlAlchemyConnector, names.database(region)) for region in batch.regions] + [(Secret, names.TOKEN_KEY)]
    # Side by side, each in the context of the run: the Prefect server may be far away.
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = [pool.submit(partial(copy_context().run, _exists, kind, name)) for kind, name in wanted]
    return [
        f"{kind.get_block_type_slug()}/{name}"
        for (kind, name), future in zip(wanted, found, strict=True)
        if not future.result()
    ]


def _exists(kind: type[SqlAlchemyConnector] | type[Secret], name: str) -> bool:
    try:
        load_once(kind, name)
    except ValueError:
        return False
    return True


def require_ready(batch: Batch | NamedKeys, bucket_name: str, say: Say = say_nothing) -> None:
    """Raises NeedsPersonError naming the block or bucket that is missing, TransientError when S3 does not answer."""
    if missing := find_missing_blocks(batch):
        raise NeedsPersonError(
            f"block {missing[0]} is missing: set its environment variables and run "
            f"`{names.HERE}python -m blocks.register`"
        )
    try:
        bucket = load_bucket(bucket_name)
        with logged_if_slow(say, "begin", f"s3://{bucket_name}", storage.ANSWER_S_MAX):
            bucket.credentials.get_s3_client().head_bucket(Bucket=bucket_name)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        kind = TransientError if may_pass(error) else NeedsPersonError
        ours = (
            f"bucket {bucket_name} cannot be reached: check variable s3_staging_bucket, block "
            f"aws-credentials/{names.STAGING_CREDENTIALS} and the endpoint"
        )
        raise kind(quoting(ours, error)) from error


@task(name="check-ready", **RETRIES)
def check_ready(batch: Batch | NamedKeys, bucket_name: str) -> None:
    """`require_ready` as a task, for flows that begin no attempt."""
    require_ready(batch, bucket_name, get_run_logger().info)
