"""The address of an engine: its token reaches the engine and no text."""

import pytest

from tasks.engine.server import Address

TOKEN = "a b;c/d"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        pytest.param("sc://spark:15002", "sc://spark:15002/;token=a%20b%3Bc%2Fd", id="plain"),
        pytest.param(
            "sc://spark/;use_ssl=true",
            "sc://spark/;use_ssl=true;token=a%20b%3Bc%2Fd",
            id="parameters",
        ),
        pytest.param(
            "sc://spark:443/;x-aws-proxy-auth={token};authorization=session",
            "sc://spark:443/;x-aws-proxy-auth=a%20b%3Bc%2Fd;authorization=session",
            id="in-its-place",
        ),
    ],
)
def test_a_token_becomes_a_parameter_for_the_engine_alone(url: str, whole: str) -> None:
    address = Address(url, TOKEN)
    assert address.with_token() == whole
    assert f"{address} {address!r}" == f"{url} Address(url={url!r}, limit_s=3600.0, is_remote=False)"
    assert Address(url).with_token() == url
