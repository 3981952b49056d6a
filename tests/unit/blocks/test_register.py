"""Registering: everything is checked before anything is saved, and an error names the environment variable."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.variables import Variable
from prefect_snowflake import SnowflakeCredentials
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import names, register
from blocks.register import MissingSettingError, blocks_from, variables_from
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import DEFINITIONS, BadVariableError
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


def test_the_token_of_an_engine_has_a_block_only_where_there_is_one() -> None:
    (block,) = blocks_from(without(SPARK_TOKEN="of-the-engine"))[names.SPARK_TOKEN]
    assert isinstance(block, Secret)
    assert block.get() == "of-the-engine"
    assert names.SPARK_TOKEN not in blocks_from(without(SPARK_TOKEN=""))


def test_a_databases_url_is_taken_apart_and_its_waits_are_limited() -> None:
    block = database(PG_CONNECT_TIMEOUT_S="3")
    info: Any = block.connection_info
    assert (info.host, info.port, info.database, info.username) == ("europe", "5433", "sales", "reader")
    assert info.password.get_secret_value() == "p@ss"
    assert block.connect_args is not None
    assert block.connect_args["connect_timeout"] == 3
    assert "options" not in block.connect_args, "a pooler refuses them"


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
        pytest.param("PG_CONNECT_TIMEOUT_S", "ten", id="timeout-is-no-number"),
        pytest.param("PG_CONNECT_TIMEOUT_S", "", id="empty-timeout"),
        pytest.param("PG_CONNECT_TIMEOUT_S", "１０", id="full-width-digits"),
        pytest.param("SNOWFLAKE_PORT", "https", id="snowflake-port-is-no-number"),
        pytest.param("PII_TOKEN_KEY", "k" * 31, id="short-key"),
    ],
)
def test_a_bad_setting_is_named_without_its_secret(name: str, value: str) -> None:
    with pytest.raises(MissingSettingError) as caught:
        blocks_from(without(**{name: value}))
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_administrator_is_another_user_with_another_role_where_one_is_named() -> None:
    assert names.WAREHOUSE_ADMIN not in blocks_from(ENVIRONMENT)
    admin = {"SNOWFLAKE_ADMIN_USER": "boss", "SNOWFLAKE_ADMIN_ROLE": "ACCOUNTADMIN"}
    key = {"SNOWFLAKE_ADMIN_PRIVATE_KEY_PATH": "/admin.p8", "SNOWFLAKE_ADMIN_PRIVATE_KEY_PASSPHRASE": "geheim"}
    blocks = blocks_from(without(**admin, **key))
    for name, user in ((names.WAREHOUSE, ENVIRONMENT["SNOWFLAKE_USER"]), (names.WAREHOUSE_ADMIN, "boss")):
        credentials, connector = blocks[name]
        assert isinstance(credentials, SnowflakeCredentials)
        assert isinstance(connector, SnowflakeHostConnector)
        assert (credentials.user, connector.credentials.user) == (user, user)
        assert (credentials.account, connector.database) == ("account", ENVIRONMENT["SNOWFLAKE_DATABASE"])
    assert isinstance(credentials, SnowflakeCredentials)
    assert credentials.private_key_passphrase is not None
    assert credentials.private_key_passphrase.get_secret_value() == "geheim"
    with pytest.raises(MissingSettingError, match="SNOWFLAKE_ADMIN_PASSWORD is not set"):
        blocks_from(without(**admin))


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


def test_a_mail_server_becomes_a_block_where_there_is_one() -> None:
    mail = {"SMTP_HOST": "mail.example.com", "SMTP_USER": "etl", "SMTP_PASSWORD": "geheim"}
    (block,) = blocks_from(without(**mail))[names.ALERT_MAIL]
    server: Any = block
    assert type(server).__name__ == "EmailServerCredentials"
    assert (server.smtp_server, server.smtp_port, server.smtp_type.name) == ("mail.example.com", 587, "STARTTLS")
    assert (server.username, server.password.get_secret_value()) == ("etl", "geheim")
    assert names.ALERT_MAIL not in blocks_from(ENVIRONMENT)


def test_a_mail_server_without_user_has_a_password_that_loads_again() -> None:
    (block,) = blocks_from(without(SMTP_HOST="127.0.0.1", SMTP_PORT="2525"))[names.ALERT_MAIL]
    server: Any = block
    assert (server.username, server.smtp_type.name) == (None, "INSECURE")
    assert server.password.get_secret_value()


class Saved:
    """Stands in for the Prefect server: what was saved, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **existing: str) -> None:
        self.blocks: list[str] = []
        self.stored: dict[tuple[str, str], Block] = {}
        self.variables: dict[str, str] = dict(existing)
        monkeypatch.setattr(Block, "save", lambda block, name, overwrite: self.save(block, name))
        monkeypatch.setattr(Block, "load", classmethod(lambda kind, name: self.load(kind, name)))
        monkeypatch.setattr(
            register, "read_variables", lambda: {d.name: self.variables.get(d.name) for d in DEFINITIONS}
        )
        monkeypatch.setattr(Variable, "set", lambda name, value, overwrite: self.variables.__setitem__(name, value))

    def save(self, block: Block, name: str) -> None:
        self.blocks.append(name)
        self.stored[type(block).__name__, name] = block

    def load(self, kind: type[Block], name: str) -> Block:
        if (kind.__name__, name) not in self.stored:
            raise ValueError(f"no block {name}")
        return self.stored[kind.__name__, name]


def test_everything_is_saved_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved(monkeypatch)
    lines = register.register(ENVIRONMENT)
    assert set(saved.blocks) == blocks_from(ENVIRONMENT).keys()
    assert saved.variables["s3_staging_bucket"] == "bucket"
    assert saved.variables["min_record_count"] == "100"
    assert "block snowflake-host-connector/sales-warehouse: created" in lines
    assert "variable min_record_count: created ('100')" in lines
    assert not any(secret in line for line in lines for secret in ("p@ss", "password", "k" * 32))


def test_a_variable_that_exists_keeps_its_value_unless_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = Saved(monkeypatch, min_record_count="7", max_null_percentage="1")
    register.register(without(MAX_NULL_PERCENTAGE="2"))
    assert (saved.variables["min_record_count"], saved.variables["max_null_percentage"]) == ("7", "2")


def test_registering_again_saves_only_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved(monkeypatch)
    register.register(ENVIRONMENT)
    saved.blocks.clear()
    again = register.register(ENVIRONMENT)
    assert saved.blocks == []
    assert [line for line in again if ": unchanged" not in line] == []

    changed = register.register(without(PII_TOKEN_KEY="n" * 32, MIN_RECORD_COUNT="7"))
    assert saved.blocks == [names.TOKEN_KEY]
    assert [line for line in changed if ": unchanged" not in line] == [
        f"block secret/{names.TOKEN_KEY}: updated",
        "variable min_record_count: updated ('7')",
    ]


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
    assert register.main(environment) == 1
    assert (saved.blocks, saved.variables) == ([], {})
    assert capsys.readouterr().err.startswith("register: ")


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """The address of a program that is no Prefect server: it answers every question alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Says nothing when the client has gone: it asks for several things at once, and leaves at the first."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that registering at `url` ends with."""
    with temporary_settings(updates={PREFECT_API_URL: url}):
        assert register.main(ENVIRONMENT) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_a_server_that_does_not_answer_is_one_line_with_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        line = refusal(url, capsys)
    assert line.startswith(f"register: PREFECT_API_URL is {url!r}: no Prefect server answers there (ConnectError: ")
    assert "start that server (the local stack: `make up`), or correct PREFECT_API_URL" in line


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        pytest.param(401, b"", "401 Unauthorized", id="wrong-api-key"),
        pytest.param(404, b"", "404 Not Found", id="no-such-path"),
        pytest.param(500, b"", "500 Internal Server Error", id="broken"),
        pytest.param(200, b"<html>a dashboard</html>", "JSON", id="a-page-for-people"),
        pytest.param(200, b'{"hello": "world"}', "", id="another-api"),
    ],
)
def test_an_answer_that_is_not_prefects_is_one_line(
    status: int, body: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as url:
        line = refusal(url, capsys)
    assert line.startswith(f"register: PREFECT_API_URL is {url!r}: ")
    assert reason in line


@pytest.mark.parametrize("url", ["127.0.0.1:4200/api", "http://127.0.0.1:port/api"])
@pytest.mark.filterwarnings("ignore:`PREFECT_API_URL` should have")
def test_an_address_that_is_none_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"PREFECT_API_URL is {url!r}" in refusal(url, capsys)


def test_a_password_in_the_address_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hunter2" not in refusal("http://somebody:hunter2@127.0.0.1:port/api", capsys)
