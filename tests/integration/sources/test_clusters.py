"""The fixtures: the servers that they start work, and end with them."""

from pathlib import Path

import psutil

from tests.integration import keeper
from tests.integration.sources.clusters import Cluster, running_cluster, running_standby
from tests.integration.sources.reading import read, read_keys


def test_a_region_is_read_from_a_separate_cluster(cluster: Cluster, tmp_path: Path) -> None:
    cluster.insert({"sale_id": "1"}, {"sale_id": "2"})
    assert read_keys(cluster.url(), tmp_path) == ["1", "2"]


def test_a_cluster_is_recorded_for_the_keeper_and_ends_with_its_block(directory: Path) -> None:
    with running_cluster(directory) as cluster:
        (recorded,) = [process for process in keeper._servers_of(directory) if str(cluster.data) in process.cmdline()]
    assert not psutil.pid_exists(recorded.pid)
    assert not cluster.home.exists()


def test_a_standby_pauses_lags_and_is_cut_off(cluster: Cluster, directory: Path, tmp_path: Path) -> None:
    with running_standby(directory, cluster) as standby:
        cluster.insert({"sale_id": "1"})
        standby.catch_up()
        standby.pause()
        cluster.insert({"sale_id": "2"})
        assert read_keys(standby.url(), tmp_path) == ["1"]
        standby.resume()
        standby.catch_up()
        assert read_keys(standby.url(), tmp_path) == ["1", "2"]
        standby.cut_off()
        cluster.insert({"sale_id": "3"})
        assert read_keys(standby.url(), tmp_path) == ["1", "2"]
        standby.join()
        standby.catch_up()
        standby.lag()
        cluster.insert({"sale_id": "4"})
        assert read(standby.url(), tmp_path).read.rows == 3
