"""Where the engine is: an address of Spark Connect, or a Sail server that a run starts for itself."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from urllib.parse import quote, urlsplit

from prefect.blocks.system import Secret
from prefect_aws import S3Bucket

from blocks import names
from blocks.variables import CREDENTIAL_PLACE
from tasks.errors import NeedsPersonError, TransientError

PACKAGES = ("pyspark", "grpc", "grpc_status", "google.rpc", "zstandard")
"""What pyspark-client imports; it does not name all of them as its dependencies."""

SAIL = "pysail"

START_S_MAX = 30
"""Seconds that a Sail server may take to listen."""
CONNECT_S_MAX = 5
STOP_S_MAX = 10


@dataclass(frozen=True)
class Address:
    """Where an engine is, as an address of Spark Connect, and the seconds that a step there may take; its text never
    shows the token. `is_remote` tells an engine at `spark_remote` from a server of the run."""

    url: str
    token: str = field(default="", repr=False)
    limit_s: float = 3600.0
    is_remote: bool = False

    def __str__(self) -> str:
        return self.url

    def with_token(self) -> str:
        """The address with the token in its place, by default as Spark's own parameter."""
        if not self.token:
            return self.url
        token = quote(self.token, safe="")
        if CREDENTIAL_PLACE in self.url:
            return self.url.replace(CREDENTIAL_PLACE, token)
        parameters = ";" if "/;" in self.url else "/;"
        return f"{self.url}{parameters}token={token}"

    def authorized(self) -> "Address":
        """The address with the token that its block holds now: those of managed engines are soon over."""
        return replace(self, token=_registered_token()) if self.is_remote else self


def lacking_packages(*names: str) -> list[str]:
    """Which of these packages, by default of all that a run with a server of its own needs, are not installed."""
    return [name for name in names or (*PACKAGES, SAIL) if not _is_installed(name)]


def require_packages(*names: str) -> None:
    """Raises NeedsPersonError when a package of requirements-spark.txt is not installed."""
    if lacking := lacking_packages(*names):
        raise NeedsPersonError(
            f"engine spark needs packages that are not installed ({', '.join(lacking)}): "
            "run `pip install -r requirements-spark.txt`, or use engine pandas"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def engine_address(remote: str, bucket: S3Bucket, minutes: float) -> Iterator[Address]:
    """The address of the engine, whose steps may take so many minutes: `remote`, or that of a Sail server that lives as
    long as the body.

    Raises NeedsPersonError without the packages, TransientError when nothing listens there.
    """
    require_packages(*PACKAGES)
    if remote:
        _require_listening(remote)
        yield Address(remote, limit_s=minutes * 60, is_remote=True)
        return
    require_packages(SAIL)
    port = free_port()
    command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(  # noqa: S603 (no shell, no value of anybody's)
        command, env=_environment(bucket), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_until_listening(server, port)
            yield Address(f"sc://127.0.0.1:{port}", limit_s=minutes * 60)
        finally:
            _end(server)


def _registered_token() -> str:
    try:
        token: str = Secret.load(names.SPARK_TOKEN).get()
    except ValueError:
        return ""
    return token


def _environment(bucket: S3Bucket) -> dict[str, str]:
    """The shell's variables without its AWS ones: the block decides who reads and writes the bucket."""
    return {name: text for name, text in os.environ.items() if not name.startswith("AWS_")} | s3_settings(bucket)


def s3_settings(bucket: S3Bucket) -> dict[str, str]:
    """The variables by which Sail reaches the bucket."""
    credentials = bucket.credentials
    secret, endpoint = credentials.aws_secret_access_key, credentials.aws_client_parameters.endpoint_url
    found = {
        "AWS_ACCESS_KEY_ID": credentials.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret and secret.get_secret_value(),
        "AWS_SESSION_TOKEN": credentials.aws_session_token,
        "AWS_REGION": credentials.region_name,
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true" if str(endpoint).startswith("http://") else None,
    }
    return {name: text for name, text in found.items() if text}


def _require_listening(remote: str) -> None:
    parts = urlsplit(remote)
    if parts.scheme != "sc" or not parts.hostname:
        raise NeedsPersonError(f"variable spark_remote is {remote!r}: expected an address like sc://host:15002")
    try:
        socket.create_connection((parts.hostname, parts.port or 15002), CONNECT_S_MAX).close()
    except OSError as error:
        raise TransientError(
            f"no engine listens at {parts.hostname}:{parts.port or 15002} ({error}): start it, correct the variable "
            "spark_remote, or run with engine pandas"
        ) from None


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


def _wait_until_listening(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    ended = "" if server.poll() is None else f", it ended with code {server.returncode}"
    raise TransientError(f"the run's own Sail server does not listen after {START_S_MAX} s{ended}: run again")


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
