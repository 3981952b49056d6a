"""Registers blocks and variables from environment variables: `python -m blocks.register`. Idempotent.

| environment variable | becomes |
|---|---|
| `PG_<REGION>_URL` | SqlAlchemyConnector block of the region |
| `PG_CONNECT_TIMEOUT_S`, `PG_STATEMENT_TIMEOUT_S` | its timeouts (10 and 1800) |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_DEFAULT_REGION`, `S3_ENDPOINT_URL` | AwsCredentials block |
| `S3_STAGING_BUCKET` | S3Bucket block, variable `s3_staging_bucket` |
| `SNOWFLAKE_ACCOUNT`, `SNOWFLAKE_USER`, `SNOWFLAKE_PASSWORD` or `SNOWFLAKE_PRIVATE_KEY_PATH`, `SNOWFLAKE_ROLE` | SnowflakeCredentials block |
| `SNOWFLAKE_DATABASE`, `SNOWFLAKE_WAREHOUSE`, `SNOWFLAKE_HOST`, `SNOWFLAKE_PORT`, `SNOWFLAKE_PROTOCOL` | SnowflakeHostConnector block |
| `PII_TOKEN_KEY` | Secret block with the key of the tokens |
| a variable's name in capitals, e.g. `MIN_RECORD_COUNT` | that variable |

A variable that the environment does not name keeps its value, and gets its default when it does not exist.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.variables import Variable
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket
from prefect_snowflake import SnowflakeCredentials
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from blocks import names
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import DEFINITIONS, BadVariableError, parse_variables
from expectations.regions import REGIONS

Environment = Mapping[str, str]

TOKEN_KEY_LENGTH_MIN = 32


class MissingSettingError(ValueError):
    """Raised when an environment variable is missing or unusable; names it and shows its form."""


def required(environment: Environment, name: str, form: str) -> str:
    """The value of an environment variable. Raises MissingSettingError naming it and its form."""
    value = environment.get(name, "").strip()
    if not value:
        raise MissingSettingError(f"{name} is not set: give it as {form}")
    return value


def whole_number(environment: Environment, name: str, default: str = "") -> int:
    """The whole number of an environment variable. Raises MissingSettingError naming it and its value."""
    text = environment.get(name, default)
    if not text.isdecimal():
        raise MissingSettingError(f"{name} is {text!r}: give it as a whole number")
    return int(text)


def database_block(environment: Environment, region: str) -> SqlAlchemyConnector:
    """The connector of a region, from `PG_<REGION>_URL`; limits connecting, statements and waits for locks."""
    url = _postgres_url(environment, f"PG_{region}_URL")
    statement_timeout_ms = whole_number(environment, "PG_STATEMENT_TIMEOUT_S", "1800") * 1000
    return SqlAlchemyConnector(
        connection_info=ConnectionComponents(
            driver=SyncDriver.POSTGRESQL_PSYCOPG2,
            username=url.username,
            password=url.password,
            host=url.host,
            port=url.port,
            database=url.database,
            query=dict(url.query),
        ),
        connect_args={
            "connect_timeout": whole_number(environment, "PG_CONNECT_TIMEOUT_S", "10"),
            "application_name": "retail-sales-etl",
            "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout=60000",
            "keepalives_idle": 30,
        },
    )


def _postgres_url(environment: Environment, name: str) -> URL:
    form = "postgresql://user:password@host:5432/database"
    text = required(environment, name, form)
    url: URL | None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() != "postgresql" or not url.host or not url.database:
        raise MissingSettingError(f"{name} is no URL of a PostgreSQL database: give it as {form}")
    return url


def storage_blocks(environment: Environment) -> tuple[AwsCredentials, S3Bucket]:
    """The staging bucket and its credentials; without keys, the machine's own AWS role is used."""
    credentials = AwsCredentials(
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        region_name=environment.get("AWS_DEFAULT_REGION"),
        aws_client_parameters=AwsClientParameters(endpoint_url=environment.get("S3_ENDPOINT_URL") or None),
    )
    bucket = required(environment, "S3_STAGING_BUCKET", "the bucket's name")
    return credentials, S3Bucket(bucket_name=bucket, credentials=credentials)


def warehouse_blocks(environment: Environment) -> tuple[SnowflakeCredentials, SnowflakeHostConnector]:
    """Credentials and connector of the warehouse: password or private key; host only where one is named."""
    key_path = environment.get("SNOWFLAKE_PRIVATE_KEY_PATH")
    secret: dict[str, Any] = (
        {"private_key_path": key_path, "authenticator": "snowflake_jwt"}
        if key_path
        else {"password": required(environment, "SNOWFLAKE_PASSWORD", "a password, or set SNOWFLAKE_PRIVATE_KEY_PATH")}
    )
    credentials = SnowflakeCredentials(
        account=required(environment, "SNOWFLAKE_ACCOUNT", "nh12345.us-east-2.aws"),
        user=required(environment, "SNOWFLAKE_USER", "the user that loads"),
        role=environment.get("SNOWFLAKE_ROLE") or None,
        **secret,
    )
    connector = SnowflakeHostConnector(
        credentials=credentials,
        database=required(environment, "SNOWFLAKE_DATABASE", "the database's name"),
        schema="ANALYTICS",
        warehouse=required(environment, "SNOWFLAKE_WAREHOUSE", "the warehouse's name"),
        host=environment.get("SNOWFLAKE_HOST") or None,
        port=whole_number(environment, "SNOWFLAKE_PORT") if environment.get("SNOWFLAKE_PORT") else None,
        protocol=environment.get("SNOWFLAKE_PROTOCOL") or "https",
    )
    return credentials, connector


def token_key_block(environment: Environment) -> Secret:
    """The key of the tokens. Keep it: with another key the same address gets another token."""
    key = required(environment, "PII_TOKEN_KEY", "a random text, e.g. from `openssl rand -hex 32`")
    if len(key) < TOKEN_KEY_LENGTH_MIN:
        raise MissingSettingError(f"PII_TOKEN_KEY has {len(key)} characters: give it at least {TOKEN_KEY_LENGTH_MIN}")
    return Secret(value=key)


def blocks_from(environment: Environment) -> dict[str, list[Block]]:
    """All blocks by name, those that others refer to first. Raises MissingSettingError before anything is saved."""
    aws, bucket = storage_blocks(environment)
    snowflake, connector = warehouse_blocks(environment)
    return {
        **{region.block: [database_block(environment, code)] for code, region in REGIONS.items()},
        names.STAGING_BUCKET: [aws, bucket],
        names.WAREHOUSE: [snowflake, connector],
        names.TOKEN_KEY: [token_key_block(environment)],
    }


def variables_from(environment: Environment) -> dict[str, str]:
    """The variables that the environment names. Raises BadVariableError for an unusable value."""
    own = {**environment, "S3_STAGING_BUCKET": environment["S3_STAGING_BUCKET"]}
    given = {d.name: own[d.name.upper()] for d in DEFINITIONS if d.name.upper() in own}
    parse_variables({definition.name: definition.default for definition in DEFINITIONS} | given)
    return given


def register(environment: Environment) -> list[str]:
    """Saves blocks and variables; answers a line for each. Checks everything before it saves anything."""
    blocks, given = blocks_from(environment), variables_from(environment)
    lines = []
    for name, saved in blocks.items():
        for block in saved:
            block.save(name, overwrite=True)
            lines.append(f"block {block.get_block_type_slug()}/{name}")
    for definition in DEFINITIONS:
        if definition.name in given or Variable.get(definition.name) is None:
            value = given.get(definition.name, definition.default)
            Variable.set(definition.name, value, overwrite=True)
            lines.append(f"variable {definition.name} = {value!r}")
    return lines


def main() -> int:
    """Registers from this process's environment; one line per mistake."""
    try:
        lines = register(os.environ)
    except (MissingSettingError, BadVariableError) as error:
        print(f"register: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
