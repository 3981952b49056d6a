"""The health check of a worker's container. Exit code 0 when the worker on this machine is healthy."""

import sys
from urllib.error import URLError
from urllib.request import urlopen

from prefect.settings import PREFECT_WORKER_WEBSERVER_PORT

ANSWER_S_MAX = 5


def is_healthy(port: int) -> bool:
    """Whether the server that `prefect worker start --with-healthcheck` starts on 127.0.0.1 returns 200."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=ANSWER_S_MAX) as response:
            return bool(response.status == 200)
    except (URLError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(PREFECT_WORKER_WEBSERVER_PORT.value()) else 1)
