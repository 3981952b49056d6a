"""One cluster for the tests of a file, emptied for each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.packages import OLDEST
from tests.integration.sources.clusters import Cluster, running_cluster


@pytest.fixture(scope="module")
def module_cluster(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def oldest_cluster(directory: Path) -> Iterator[Cluster]:
    """A cluster of the oldest version, which comes with ICU and file_fdw."""
    with running_cluster(directory, OLDEST.install(directory)) as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Cluster) -> Cluster:
    """A PostgreSQL whose database `sales` has only an empty table."""
    module_cluster.empty()
    return module_cluster
