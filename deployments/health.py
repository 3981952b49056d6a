"""Whether the worker on this machine is healthy: the health check of its container. Exit code 0 when it is."""

import sys
from urllib.error import URLError
from urllib.request import urlopen

from prefect.settings import PREFECT_WORKER_WEBSERVER_PORT

ANSWER_S_MAX = 5


def is_healthy(port: int) -> bool:
    """Asks the server that `prefect worker start --with-healthcheck` starts on 127.0.0.1."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=ANSWER_S_MAX) as answer:
            return bool(answer.status == 200)
    except (URLError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(PREFECT_WORKER_WEBSERVER_PORT.value()) else 1)
