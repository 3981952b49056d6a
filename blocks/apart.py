"""Environments on one Prefect server must not share a warehouse database or a bucket: each would spoil the other."""

from collections.abc import Iterator
from typing import TypeVar, cast

from prefect import get_client
from prefect.blocks.core import Block
from prefect_aws import S3Bucket

from blocks import names
from blocks.environment import MissingSettingError
from blocks.snowflake import SnowflakeHostConnector

_B = TypeVar("_B", bound=Block)
WAREHOUSE, BUCKET = "sales-warehouse", "sales-staging"
"""Production's names; those of other environments begin with them."""


def check_apart(connector: SnowflakeHostConnector, bucket: S3Bucket) -> None:
    """Compares the blocks to be registered with those of the server's other environments.

    Raises MissingSettingError naming the variable to change.
    """
    for environment, other in _others(SnowflakeHostConnector, WAREHOUSE):
        if (other.credentials.account, other.database) == (connector.credentials.account, connector.database):
            raise _shared("SNOWFLAKE_DATABASE", str(connector.database), environment)
    for environment, other in _others(S3Bucket, BUCKET):
        own_server = bucket.credentials.aws_client_parameters.endpoint_url
        if (other.credentials.aws_client_parameters.endpoint_url, other.bucket_name) == (
            own_server,
            bucket.bucket_name,
        ):
            raise _shared("S3_STAGING_BUCKET", bucket.bucket_name, environment)


def _shared(variable: str, value: str, environment: str) -> MissingSettingError:
    return MissingSettingError(
        f"{variable} is {value!r}, which environment {environment} on this Prefect server uses: "
        f"give {names.ENVIRONMENT} one of its own"
    )


def _others(kind: type[_B], name: str) -> Iterator[tuple[str, _B]]:
    """Yields the other environments with such a block on the server, and the block."""
    with get_client(sync_client=True) as client:
        which = {"block_types": {"slug": {"any_": [kind.get_block_type_slug()]}}, "limit": 200}
        found = [document["name"] for document in client._client.post("/block_documents/filter", json=which).json()]
    for block in found:
        environment = names.PRODUCTION if block == name else block.removeprefix(f"{name}-")
        if block == names.of(name, environment) and environment not in (names.ENVIRONMENT, *names.RESERVED):
            yield environment, cast(_B, kind.load(block))
