"""The client of S3 waits for bounded times: silence is given up at once, an answer that may pass is asked for again."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from prefect_aws import AwsClientParameters, AwsCredentials

from blocks import storage
from blocks.storage import limited
from tests.integration.proxy import Proxy, proxy_to


def credentials_for(port: int, **config: object) -> AwsCredentials:
    return AwsCredentials(
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="eu-central-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=f"http://127.0.0.1:{port}", config=config or None),
    )


@pytest.fixture
def silent() -> Iterator[Proxy]:
    with proxy_to(1) as proxy:
        proxy.stall()
        yield proxy


def test_a_server_that_accepts_and_never_answers_is_asked_once(silent: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ANSWER_S_MAX", 0.2)
    client = limited(credentials_for(silent.port)).get_s3_client()
    with pytest.raises(ReadTimeoutError):
        client.head_bucket(Bucket="bucket")
    assert silent.accepted == 1


@pytest.fixture
def busy() -> Iterator[tuple[int, list[str]]]:
    """An S3 that is overloaded: its port, and the requests that came."""
    asked: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
            self.send_response(503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def test_a_server_that_asks_for_patience_is_asked_again_a_bounded_number_of_times(
    busy: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = busy
    monkeypatch.setattr(storage, "REQUESTS_MAX", 2)
    with pytest.raises(ClientError, match="SlowDown"):
        limited(credentials_for(port)).get_s3_client().list_objects_v2(Bucket="bucket")
    assert len(asked) == 2


def test_a_block_that_names_limits_keeps_them() -> None:
    config = limited(credentials_for(1, read_timeout=7, proxies={"http": "p"})).aws_client_parameters.config
    assert config is not None
    assert (config["read_timeout"], config["connect_timeout"]) == (7, storage.CONNECT_S_MAX)
    assert config["proxies"] == {"http": "p"}
