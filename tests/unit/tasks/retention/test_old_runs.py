"""This project's runs on a server are found by the flows and the tag that prefect.yaml gives them."""

import yaml

from blocks.project import HOME
from tasks.retention.old_runs import FLOWS
from tasks.retention.periods import ROUTINE_FLOW, TAG

ENTRIES = yaml.safe_load((HOME / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


def test_every_deployment_is_known_by_flow_and_tag() -> None:
    flows = {entry["entrypoint"].rpartition(":")[2].replace("_", "-") for entry in ENTRIES}
    assert flows | {"setup-warehouse"} == set(FLOWS)
    assert ROUTINE_FLOW in FLOWS
    assert [entry["entrypoint"] for entry in ENTRIES if TAG not in entry["tags"]] == []
