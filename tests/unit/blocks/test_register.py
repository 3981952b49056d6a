"""Registering: everything is checked before anything is saved, and a mistake names the variable of the environment."""

from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.variables import Variable
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import names, register
from blocks.register import MissingSettingError, blocks_from, variables_from
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import BadVariableError
from expectations.regions import REGIONS

ENVIRONMENT = {
    **{f"PG_{region}_URL": f"postgresql://reader:p%40ss@{region.lower()}:5433/sales" for region in REGIONS},
    "S3_STAGING_BUCKET": "bucket",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "loader",
    "SNOWFLAKE_PASSWORD": "password",
    "SNOWFLAKE_DATABASE": "RETAIL",
    "SNOWFLAKE_WAREHOUSE": "ETL_WH",
    "PII_TOKEN_KEY": "k" * 32,
}


def without(*gone: str, **changes: str) -> dict[str, str]:
    return {name: value for name, value in {**ENVIRONMENT, **changes}.items() if name not in gone}


def database(**changes: str) -> SqlAlchemyConnector:
    block = register.database_block(without(**changes), "EUROPE")
    assert isinstance(block, SqlAlchemyConnector)
    return block


def test_every_region_the_bucket_the_warehouse_and_the_key_have_blocks() -> None:
    found = {name: [type(block).__name__ for block in blocks] for name, blocks in blocks_from(ENVIRONMENT).items()}
    assert found == {
        **{region.block: ["SqlAlchemyConnector"] for region in REGIONS.values()},
        names.STAGING_BUCKET: ["AwsCredentials", "S3Bucket"],
        names.WAREHOUSE: ["SnowflakeCredentials", "SnowflakeHostConnector"],
        names.TOKEN_KEY: ["Secret"],
    }


def test_a_databases_url_is_taken_apart_and_its_waits_are_limited() -> None:
    block = database(PG_STATEMENT_TIMEOUT_S="7", PG_CONNECT_TIMEOUT_S="3")
    info: Any = block.connection_info
    assert (info.host, info.port, info.database, info.username) == ("europe", "5433", "sales", "reader")
    assert info.password.get_secret_value() == "p@ss"
    assert block.connect_args is not None
    assert block.connect_args["connect_timeout"] == 3
    assert block.connect_args["options"] == "-c statement_timeout=7000 -c lock_timeout=60000"


def test_encryption_that_the_url_asks_for_is_not_forgotten() -> None:
    block = database(
        PG_EUROPE_URL="postgresql://reader:secret@europe:5432/sales?sslmode=verify-full&sslrootcert=/ca.pem"
    )
    settings = {**(getattr(block.connection_info, "query", None) or {}), **(block.connect_args or {})}
    assert (settings.get("sslmode"), settings.get("sslrootcert")) == ("verify-full", "/ca.pem")


def test_the_warehouse_is_reached_by_password_or_by_key() -> None:
    credentials, connector = register.warehouse_blocks(ENVIRONMENT)
    assert (credentials.authenticator, connector.schema_, connector.host, connector.port) == (
        "snowflake",
        "ANALYTICS",
        None,
        None,
    )
    by_key, local = register.warehouse_blocks(
        without("SNOWFLAKE_PASSWORD", SNOWFLAKE_PRIVATE_KEY_PATH="/key.p8", SNOWFLAKE_HOST="h", SNOWFLAKE_PORT="8080")
    )
    assert (by_key.authenticator, str(by_key.private_key_path)) == ("snowflake_jwt", "/key.p8")
    assert isinstance(local, SnowflakeHostConnector)
    assert (local.host, local.port) == ("h", 8080)


@pytest.mark.parametrize(
    "missing",
    [
        *(f"PG_{region}_URL" for region in REGIONS),
        "S3_STAGING_BUCKET",
        "SNOWFLAKE_ACCOUNT",
        "SNOWFLAKE_USER",
        "SNOWFLAKE_PASSWORD",
        "SNOWFLAKE_DATABASE",
        "SNOWFLAKE_WAREHOUSE",
        "PII_TOKEN_KEY",
    ],
)
def test_a_missing_setting_is_named_with_its_form(missing: str) -> None:
    for environment in (without(missing), without(**{missing: "  "})):
        with pytest.raises(MissingSettingError, match=f"{missing} is not set: give it as .+"):
            blocks_from(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("PG_EUROPE_URL", "europe:5432", id="no-url"),
        pytest.param("PG_EUROPE_URL", "postgresql://u:secret@europe:port/sales", id="port-is-no-number"),
        pytest.param("PG_EUROPE_URL", "postgresql://u:secret@europe:5432", id="no-database"),
        pytest.param("PG_EUROPE_URL", "mysql://u:secret@europe:5432/sales", id="another-database"),
        pytest.param("PG_STATEMENT_TIMEOUT_S", "half an hour", id="timeout-is-no-number"),
        pytest.param("PG_CONNECT_TIMEOUT_S", "", id="empty-timeout"),
        pytest.param("SNOWFLAKE_PORT", "https", id="snowflake-port-is-no-number"),
        pytest.param("PII_TOKEN_KEY", "k" * 31, id="short-key"),
    ],
)
def test_a_bad_setting_is_named_without_its_secret(name: str, value: str) -> None:
    with pytest.raises(MissingSettingError) as caught:
        blocks_from(without(**{name: value}))
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


def test_only_variables_that_the_environment_names_are_set() -> None:
    assert variables_from(without(MIN_RECORD_COUNT="7", CLOSED_DAYS="{}", UNRELATED="x")) == {
        "s3_staging_bucket": "bucket",
        "snowflake_warehouse": "ETL_WH",
        "min_record_count": "7",
        "closed_days": "{}",
    }


def test_a_bad_variable_is_refused_by_name() -> None:
    with pytest.raises(BadVariableError, match="variable max_null_percentage is 'much'"):
        variables_from(without(MAX_NULL_PERCENTAGE="much"))


class Saved:
    """Stands in for the Prefect server: what was saved, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **existing: str) -> None:
        self.blocks: list[str] = []
        self.variables: dict[str, str] = dict(existing)
        monkeypatch.setattr(Block, "save", lambda block, name, overwrite: self.blocks.append(name))
        monkeypatch.setattr(Variable, "get", self.variables.get)
        monkeypatch.setattr(Variable, "set", lambda name, value, overwrite: self.variables.__setitem__(name, value))


def test_everything_is_saved_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved(monkeypatch)
    lines = register.register(ENVIRONMENT)
    assert set(saved.blocks) == blocks_from(ENVIRONMENT).keys()
    assert saved.variables["s3_staging_bucket"] == "bucket"
    assert saved.variables["min_record_count"] == "100"
    assert "block snowflake-host-connector/sales-warehouse" in lines
    assert "variable min_record_count = '100'" in lines
    assert not any(secret in line for line in lines for secret in ("p@ss", "password", "k" * 32))


def test_a_variable_that_exists_keeps_its_value_unless_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = Saved(monkeypatch, min_record_count="7", max_null_percentage="1")
    register.register(without(MAX_NULL_PERCENTAGE="2"))
    assert (saved.variables["min_record_count"], saved.variables["max_null_percentage"]) == ("7", "2")


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(without("PII_TOKEN_KEY"), id="missing-key"),
        pytest.param(without("PG_ASIA_PACIFIC_URL"), id="missing-last-region"),
        pytest.param(without(MIN_RECORD_COUNT="many"), id="bad-variable"),
        pytest.param(without(SLA_MINUTES="-1"), id="bad-last-variable"),
    ],
)
def test_nothing_is_saved_before_all_is_checked(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = Saved(monkeypatch)
    monkeypatch.setattr(register.os, "environ", environment)
    assert register.main() == 1
    assert (saved.blocks, saved.variables) == ([], {})
    assert capsys.readouterr().err.startswith("register: ")
