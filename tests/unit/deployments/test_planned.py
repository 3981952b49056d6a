"""What prefect.yaml asks for, as it is applied."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from blocks.names import POOL, QUEUES
from blocks.project import HOME, version
from deployments.planned import Deployment, planned_deployments
from tests.unit.golden import assert_golden


@pytest.fixture(scope="module")
def planned() -> dict[str, Deployment]:
    return planned_deployments(version="0b61c78")


def test_the_deployments_are_those_of_the_golden_file(planned: dict[str, Deployment]) -> None:
    shown = {
        name: {field: value for field, value in deployment.items() if field != "parameter_schema"}
        for name, deployment in planned.items()
    }
    assert_golden("deployments.yaml", yaml.safe_dump(shown, sort_keys=False, width=120))


def test_every_parameter_has_a_type_and_a_description_for_the_form(planned: dict[str, Deployment]) -> None:
    parameters = {
        f"{name} {parameter}": schema
        for name, deployment in planned.items()
        for parameter, schema in deployment["parameter_schema"]["properties"].items()
    }
    assert "daily-sales/production date" in parameters
    assert [name for name, schema in parameters.items() if not schema.get("description")] == []
    assert [name for name, schema in parameters.items() if not schema.keys() & {"type", "anyOf", "enum", "allOf"}] == []


def test_every_deployment_runs_in_a_queue_that_exists(planned: dict[str, Deployment]) -> None:
    assert {deployment["work_pool"] for deployment in planned.values()} == {POOL}
    assert {deployment["work_queue"] for deployment in planned.values()} == {queue.name for queue in QUEUES}


def test_only_loads_wait_for_each_other(planned: dict[str, Deployment]) -> None:
    assert {queue.name: queue.limit for queue in QUEUES} == {"ops": None, "load": 1}
    loads = [name for name, deployment in planned.items() if deployment["work_queue"] == "load"]
    names = ("daily-sales", "backfill", "replay-rejected", "reconcile")
    assert loads == [f"{name}/production" for name in names]


def test_an_alert_is_never_refused_for_its_parameters(planned: dict[str, Deployment]) -> None:
    lenient = [name for name, deployment in planned.items() if not deployment["enforce_parameter_schema"]]
    assert lenient == ["send-alert/production"]


@pytest.mark.parametrize(
    "entry", yaml.safe_load((HOME / "prefect.yaml").read_text())["deployments"], ids=lambda entry: entry["entrypoint"]
)
def test_an_entry_names_a_flow_that_exists(entry: dict[str, Any]) -> None:
    assert load_flow_from_entrypoint(entry["entrypoint"]).name


def test_the_version_is_gits() -> None:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HOME, capture_output=True, text=True)
    assert version() == described.stdout.strip()


@pytest.mark.parametrize(
    ("environment", "version"),
    [({}, "not-from-git"), ({"RETAIL_SALES_VERSION": "1.4.0"}, "1.4.0")],
    ids=["unknown", "built-as"],
)
def test_without_git_the_version_is_what_the_image_was_built_as(
    tmp_path: Path, environment: dict[str, str], version: str
) -> None:
    shutil.copy(HOME / "deployments/version.sh", tmp_path)
    (tmp_path / "prefect.yaml").touch()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "RETAIL_"))}
    ran = subprocess.run(
        ["/bin/sh", "version.sh"], cwd=tmp_path, env=outside | environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == version
