"""A private key that cannot be used is one line of error, before anything is connected."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from prefect_snowflake import SnowflakeCredentials

from blocks.snowflake import SnowflakeHostConnector
from tasks.errors import NeedsPersonError
from tasks.warehouse.session import open_session

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a key as it is, one with a passphrase, and what is none."""
    directory, key = tmp_path_factory.mktemp("keys"), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encryptions = {"plain": NoEncryption(), "locked": BestAvailableEncryption(PASSPHRASE.encode())}
    for name, encryption in encryptions.items():
        (directory / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    (directory / "none").write_text("a certificate")
    return directory


def connector(path: Path, passphrase: str | None) -> SnowflakeHostConnector:
    credentials = SnowflakeCredentials(
        account="local", user="etl", private_key_path=path, private_key_passphrase=passphrase
    )
    return SnowflakeHostConnector(credentials=credentials, database="RETAIL", schema="ANALYTICS", warehouse="ETL_WH")


@pytest.mark.parametrize(("name", "passphrase"), [("plain", None), ("locked", PASSPHRASE)])
def test_a_key_is_handed_to_the_driver(
    keys: Path, monkeypatch: pytest.MonkeyPatch, name: str, passphrase: str | None
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("snowflake.connector.connect", lambda **settings: given.update(settings))
    connector(keys / name, passphrase).connect()
    assert given["private_key"]


@pytest.mark.parametrize(
    ("name", "passphrase", "told"),
    [
        pytest.param("missing", None, "cannot be read: No such file or directory", id="missing"),
        pytest.param("none", None, "cannot be opened without a passphrase: give a key in PEM", id="no-key"),
        pytest.param("locked", None, "cannot be opened without a passphrase", id="passphrase-lacking"),
        pytest.param("locked", "wrong", "cannot be opened with this passphrase", id="passphrase-wrong"),
    ],
)
def test_a_key_that_cannot_be_used_is_one_clear_line(keys: Path, name: str, passphrase: str | None, told: str) -> None:
    with pytest.raises(NeedsPersonError) as caught, open_session(connector(keys / name, passphrase), "ETL_WH", "test"):
        pass
    message = str(caught.value)
    assert message.startswith(f"warehouse local: private key {keys / name} {told}")
    assert "\n" not in message
    assert passphrase is None or passphrase not in message
