"""Registers blocks and variables from environment variables: `python -m blocks.register`. Idempotent.

| environment variable | becomes |
|---|---|
| `PG_<REGION>_URL` | SqlAlchemyConnector block of the region |
| `PG_CONNECT_TIMEOUT_S` | how long it may take to connect (10) |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_DEFAULT_REGION`, `S3_ENDPOINT_URL` | AwsCredentials block |
| `S3_STAGING_BUCKET` | S3Bucket block, variable `s3_staging_bucket` |
| `SNOWFLAKE_ACCOUNT`, `SNOWFLAKE_USER`, `SNOWFLAKE_ROLE`, and `SNOWFLAKE_PASSWORD` or `SNOWFLAKE_PRIVATE_KEY_PATH` with `SNOWFLAKE_PRIVATE_KEY_PASSPHRASE` | SnowflakeCredentials block |
| the same with `SNOWFLAKE_ADMIN_` instead of `SNOWFLAKE_`, but for the account | SnowflakeCredentials and SnowflakeHostConnector block of the administrator; none without a user |
| `SNOWFLAKE_DATABASE`, `SNOWFLAKE_WAREHOUSE`, `SNOWFLAKE_HOST`, `SNOWFLAKE_PORT`, `SNOWFLAKE_PROTOCOL` | SnowflakeHostConnector block |
| `PII_TOKEN_KEY` | Secret block with the key of the tokens |
| `SPARK_TOKEN` | Secret block with the token of the engine at `spark_remote`; none without one |
| `SMTP_HOST`, `SMTP_PORT`, `SMTP_USER`, `SMTP_PASSWORD`, `SMTP_TYPE` | EmailServerCredentials block; none without a host |
| a variable's name in capitals, e.g. `MIN_RECORD_COUNT` | that variable |

A variable that the environment does not name keeps its value, and gets its default when it does not exist.
`PREFECT_API_URL` says where to; without one, Prefect's own database on this machine is used.
"""

import os
import sys
from typing import Any

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL
from prefect.variables import Variable
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket
from prefect_email import EmailServerCredentials
from prefect_snowflake import SnowflakeCredentials
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from blocks import names
from blocks.apart import check_apart
from blocks.databases import CONNECT_S_MAX
from blocks.environment import Environment, MissingSettingError, required, whole_number
from blocks.server import NoPrefectServerError, own_database, speaking_to_prefect, without_password
from blocks.smtp import read_smtp_settings
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import DEFINITIONS, BadVariableError, VariableDefinition, parse_variables, read_variables
from expectations.regions import REGIONS

TOKEN_KEY_LENGTH_MIN = 32


def database_block(environment: Environment, region: str) -> SqlAlchemyConnector:
    """The connector of a region, from `PG_<REGION>_URL`, with a time limit for connecting."""
    url = _postgres_url(environment, f"PG_{region}_URL")
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
            "connect_timeout": whole_number(environment, "PG_CONNECT_TIMEOUT_S", str(CONNECT_S_MAX)),
            "application_name": "retail-sales-etl",
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
    """The staging bucket and its credentials; without keys, those of the machine's AWS role."""
    credentials = AwsCredentials(
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID") or None,
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY") or None,
        region_name=environment.get("AWS_DEFAULT_REGION") or None,
        aws_client_parameters=AwsClientParameters(endpoint_url=environment.get("S3_ENDPOINT_URL") or None),
    )
    bucket = required(environment, "S3_STAGING_BUCKET", "the bucket's name")
    return credentials, S3Bucket(bucket_name=bucket, credentials=credentials)


def warehouse_blocks(
    environment: Environment, prefix: str = "SNOWFLAKE_"
) -> tuple[SnowflakeCredentials, SnowflakeHostConnector]:
    """Credentials, by password or private key, and connector of the warehouse. `prefix` begins the variables of the
    user."""
    credentials = SnowflakeCredentials(
        account=required(environment, "SNOWFLAKE_ACCOUNT", "nh12345.us-east-2.aws"),
        user=required(environment, f"{prefix}USER", "the user that loads"),
        role=environment.get(f"{prefix}ROLE") or None,
        **_snowflake_secret(environment, prefix),
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


def _snowflake_secret(environment: Environment, prefix: str) -> dict[str, Any]:
    """Password or private key. The key file is read where a flow connects, possibly on another machine."""
    path = environment.get(f"{prefix}PRIVATE_KEY_PATH")
    if not path:
        form = f"a password, or set {prefix}PRIVATE_KEY_PATH"
        return {"password": required(environment, f"{prefix}PASSWORD", form)}
    passphrase = environment.get(f"{prefix}PRIVATE_KEY_PASSPHRASE")
    secret = {"private_key_passphrase": passphrase} if passphrase else {}
    return {"private_key_path": path, "authenticator": "snowflake_jwt", **secret}


def admin_blocks(environment: Environment) -> dict[str, list[Block]]:
    """The blocks of the warehouse's administrator, if the environment names one: loads need none of its rights."""
    if not environment.get("SNOWFLAKE_ADMIN_USER"):
        return {}
    return {names.WAREHOUSE_ADMIN: list(warehouse_blocks(environment, "SNOWFLAKE_ADMIN_"))}


def token_key_block(environment: Environment) -> Secret:
    """The key of the tokens. Keep it: with another key the same address gets another token."""
    key = required(environment, "PII_TOKEN_KEY", "a random text, e.g. from `openssl rand -hex 32`")
    if len(key) < TOKEN_KEY_LENGTH_MIN:
        raise MissingSettingError(f"PII_TOKEN_KEY has {len(key)} characters: give it at least {TOKEN_KEY_LENGTH_MIN}")
    return Secret(value=key)


def spark_token_block(environment: Environment) -> dict[str, list[Block]]:
    """The block of the token with which runs connect to their engine, if the environment names one."""
    token = environment.get("SPARK_TOKEN")
    return {names.SPARK_TOKEN: [Secret(value=token)]} if token else {}


def mail_blocks(environment: Environment) -> dict[str, list[Block]]:
    """The block of the mail server of alerts, if the environment names one."""
    settings = read_smtp_settings(environment)
    if settings is None:
        return {}
    credentials = EmailServerCredentials(
        smtp_server=settings.host,
        smtp_port=settings.port,
        smtp_type=settings.type,
        username=settings.user,
        # The server returns an empty secret as None, which the block refuses to load.
        password=settings.password or "unused",
    )
    return {names.ALERT_MAIL: [credentials]}


def blocks_from(environment: Environment) -> dict[str, list[Block]]:
    """All blocks by name, referenced blocks first. Raises MissingSettingError before anything is saved."""
    aws, bucket = storage_blocks(environment)
    snowflake, connector = warehouse_blocks(environment)
    return {
        **{names.database(code): [database_block(environment, code)] for code in REGIONS},
        names.STAGING_BUCKET: [aws, bucket],
        names.WAREHOUSE: [snowflake, connector],
        **admin_blocks(environment),
        names.TOKEN_KEY: [token_key_block(environment)],
        **spark_token_block(environment),
        **mail_blocks(environment),
    }


def variables_from(environment: Environment) -> dict[str, str]:
    """The variables that the environment names. Raises BadVariableError for an unusable value."""
    own = {**environment, "S3_STAGING_BUCKET": environment["S3_STAGING_BUCKET"]}
    given = {d.name: own[d.name.upper()] for d in DEFINITIONS if d.name.upper() in own}
    parse_variables({definition.name: definition.default for definition in DEFINITIONS} | given)
    return given


def save_block(block: Block, name: str) -> str:
    """Saves a block under `name` unless the stored one is the same; returns created, updated or unchanged."""
    try:
        stored: Block | None = type(block).load(name)
    except ValueError:
        stored = None
    if stored is not None and _content(stored.dict()) == _content(block.dict()):
        # A block that holds this one refers to it by the id.
        block._block_document_id = stored._block_document_id
        return "unchanged"
    block.save(name, overwrite=True)
    return "created" if stored is None else "updated"


def _content(value: Any) -> Any:
    """A block's fields without those that locate it on the server."""
    if not isinstance(value, dict):
        return value
    return {key: _content(field) for key, field in value.items() if key[0] != "_" and key != "block_type_slug"}


def save_variable(definition: VariableDefinition, given: str | None, stored: str | None) -> str:
    """Sets a variable to the given value, or to its default if it does not exist; returns what was done."""
    value = definition.default if given is None else given
    if stored is not None and (given is None or stored == value):
        return f"unchanged ({stored!r})"
    Variable.set(names.variable(definition.name), value, overwrite=True)
    return f"{'created' if stored is None else 'updated'} ({value!r})"


def register(environment: Environment) -> list[str]:
    """Saves blocks and variables, after everything was checked; returns a line for each."""
    blocks, given = blocks_from(environment), variables_from(environment)
    with speaking_to_prefect():
        check_apart(blocks[names.WAREHOUSE][-1], blocks[names.STAGING_BUCKET][-1])
        existing = read_variables()
        return [
            *(
                f"block {block.get_block_type_slug()}/{name}: {save_block(block, name)}"
                for name, saved in blocks.items()
                for block in saved
            ),
            *(f"variable {d.name}: {save_variable(d, given.get(d.name), existing[d.name])}" for d in DEFINITIONS),
        ]


def main(environment: Environment = os.environ) -> int:
    """Registers from `environment` and prints where; an error is one line."""
    try:
        lines = register(environment)
    except (MissingSettingError, BadVariableError, NoPrefectServerError) as error:
        print(f"register: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    url = PREFECT_API_URL.value()
    print(
        f"registered at {without_password(url)}"
        if url
        else f"PREFECT_API_URL is not set: registered in Prefect's own database ({own_database()})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
