"""A reading that meets another session's change, in an order that the test determines."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from local.postgres import OWNER
from tasks.errors import may_pass
from tests.integration.conftest import wait_for
from tests.integration.sources.clusters import Cluster
from tests.integration.sources.reading import read_keys

ANY_WAIT = "SELECT 1 FROM pg_locks WHERE NOT granted"
TRIES_MAX = 2


def read_during(cluster: Cluster, change: str, directory: Path, waits: str = ANY_WAIT) -> list[str]:
    """The keys that are read while another session holds the locks of a change.

    The change is committed when the reading waits for it, which the query `waits` detects, or has ended. A reading that
    fails with an error that may pass is tried again.
    """
    with closing(cluster.connect(OWNER)) as changing, ThreadPoolExecutor(1) as pool:
        with changing.cursor() as cursor:
            cursor.execute(change)
        reading = pool.submit(read_patiently, lambda: read_keys(cluster.url(), directory))
        try:
            wait_for(lambda: cluster.execute(waits) or reading.done(), "the reading waits for the change")
        finally:
            changing.commit()
        return reading.result()


def read_patiently(read: Callable[[], list[str]]) -> list[str]:
    """Reads again after an error that may pass, as the task does."""
    for _ in range(TRIES_MAX - 1):
        try:
            return read()
        except Exception as error:
            if not may_pass(error):
                raise
    return read()
