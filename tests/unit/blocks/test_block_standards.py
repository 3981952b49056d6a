"""Our block keeps Prefect's own standards for blocks, and connects where it says."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect_snowflake import SnowflakeCredentials

from blocks.snowflake import SnowflakeHostConnector

# The suite's module imports Pillow, which only its logo test needs; that one needs the network and is left out below.
sys.modules.setdefault("PIL", ModuleType("PIL")).__dict__.setdefault("Image", SimpleNamespace())

from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite  # noqa: E402


class TestSnowflakeHostConnector(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return SnowflakeHostConnector

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Not fetched: unit tests do without the network."""
        assert str(block._logo_url).startswith("https://")


def connected(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> dict[str, Any]:
    """What the driver is asked to connect to."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(SnowflakeCredentials, "get_client", lambda credentials, **settings: asked.update(settings))
    credentials = SnowflakeCredentials(account="account", user="loader", password="password")
    block = SnowflakeHostConnector(
        credentials=credentials, database="RETAIL", schema="ANALYTICS", warehouse="ETL_WH", **fields
    )
    block.connect(warehouse="OTHER_WH", autocommit=True)
    return asked


def test_the_account_implies_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(monkeypatch) == {
        "database": "RETAIL",
        "schema": "ANALYTICS",
        "warehouse": "OTHER_WH",
        "protocol": "https",
        "platform_detection_timeout_seconds": 0.0,
        "autocommit": True,
    }


def test_a_named_host_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = connected(monkeypatch, host="localhost", port=8080, protocol="http")
    assert (asked["host"], asked["port"], asked["protocol"]) == ("localhost", 8080, "http")
