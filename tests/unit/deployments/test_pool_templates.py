"""The base job templates of container pools: Prefect's own, with few changes; Prefect's own checks accept them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from jsonschema import Draft7Validator
from prefect.client.schemas.actions import DeploymentCreate
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.utilities.schema_tools import ValidationError, validate
from prefect.utilities.templating import apply_values
from prefect.workers.base import BaseJobConfiguration
from prefect_aws.workers.ecs_worker import ECSJobConfiguration, ECSWorker

from blocks.project import HOME
from deployments.image_file import IMAGE_FILE
from deployments.pool_templates import CHANGES, DIRECTORY, Template, pool_template, prefect_template, template_text

IMAGE = "registry.example.com/retail-sales@sha256:" + "0" * 64
COMMAND = "env python -m prefect.engine"


def read_template(pool_type: str) -> Template:
    template: Template = json.loads((DIRECTORY / f"{pool_type}.json").read_text(encoding="utf-8"))
    return template


def job_variables(file: str) -> list[dict[str, Any]]:
    """The job variables of each deployment of a Prefect file, with the image that its steps would print."""
    content = apply_values(yaml.safe_load((HOME / file).read_text("utf-8")), {"image": {"stdout": IMAGE}})
    return [entry["work_pool"]["job_variables"] for entry in content["deployments"]]


def job_of(pool_type: str, **overrides: Any) -> Any:
    """The job as a worker fills it in: the template's defaults, then a deployment's variables."""
    template = read_template(pool_type)
    defaults = {n: v["default"] for n, v in template["variables"]["properties"].items() if "default" in v}
    values = defaults | job_variables(IMAGE_FILE)[0] | {"name": "a-run"} | overrides
    return apply_values(template["job_configuration"], values)


def filled_in(configuration: type[BaseJobConfiguration], pool_type: str, values: dict[str, Any]) -> Any:
    """The job as Prefect fills it in; no server is asked, as the template refers to no block."""
    filling = configuration.from_template_and_values(read_template(pool_type), values, client=object())
    return asyncio.run(filling)


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif ours != theirs:
        yield path


@pytest.mark.parametrize("pool_type", CHANGES)
def test_the_file_is_up_to_date(pool_type: str) -> None:
    text = (DIRECTORY / f"{pool_type}.json").read_text(encoding="utf-8")
    assert text == template_text(pool_type), "run `python -m deployments.pool_templates`"


def test_no_other_files_are_there() -> None:
    assert {path.stem for path in DIRECTORY.iterdir()} == set(CHANGES)


PROPERTIES = ".variables.properties"
POD = ".job_configuration.job_manifest.spec.template.spec"
CHANGED = {
    "docker": {".variables.required", f"{PROPERTIES}.auto_remove.default", f"{PROPERTIES}.mem_limit.default"},
    "ecs": {
        ".job_configuration.task_definition.ephemeralStorage",
        ".variables.required",
        *(f"{PROPERTIES}.{name}.default" for name in ("cpu", "memory", "match_latest_revision_in_family")),
        f"{PROPERTIES}.scratch_gib",
    },
    "kubernetes": {
        f"{POD}.containers[0].resources",
        f"{POD}.containers[0].volumeMounts",
        f"{POD}.volumes",
        ".variables.required",
        *(f"{PROPERTIES}.{name}.default" for name in ("finished_job_ttl", "pod_watch_timeout_seconds")),
        *(f"{PROPERTIES}.{name}" for name in ("cpu", "memory", "scratch")),
    },
}


@pytest.mark.parametrize("pool_type", CHANGES)
def test_only_what_this_project_needs_differs_from_prefects_own(pool_type: str) -> None:
    assert set(differences(read_template(pool_type), prefect_template(pool_type))) == CHANGED[pool_type]


def test_the_ecs_template_is_that_of_the_installed_worker() -> None:
    installed = ECSWorker.get_default_base_job_template()
    assert installed["job_configuration"] == prefect_template("ecs")["job_configuration"]
    assert installed["variables"]["properties"].keys() == prefect_template("ecs")["variables"]["properties"].keys()


@pytest.mark.parametrize("pool_type", CHANGES)
def test_a_server_accepts_a_pool_with_it(pool_type: str) -> None:
    pool = WorkPoolCreate(name="retail-sales", type=pool_type, base_job_template=read_template(pool_type))
    assert pool.base_job_template == pool_template(pool_type)
    undeclared = read_template(pool_type)
    del undeclared["variables"]["properties"]["image"]
    with pytest.raises(ValueError, match="image"):
        WorkPoolCreate(name="retail-sales", type=pool_type, base_job_template=undeclared)


@pytest.mark.parametrize("pool_type", CHANGES)
def test_its_variables_are_a_json_schema_whose_defaults_fit(pool_type: str) -> None:
    variables = read_template(pool_type)["variables"]
    Draft7Validator.check_schema(variables)
    of_each = variables["properties"].items()
    defaults = {name: schema["default"] for name, schema in of_each if "default" in schema}
    Draft7Validator(variables).validate(defaults | {"image": IMAGE})
    assert CHANGES[pool_type].defaults.items() <= defaults.items()
    assert not Draft7Validator(variables).is_valid(defaults | {"image": 5})


@pytest.mark.parametrize("pool_type", CHANGES)
def test_a_run_needs_an_image(pool_type: str) -> None:
    def check(variables: dict[str, Any]) -> None:
        schema = read_template(pool_type)["variables"]
        validate(variables, schema, raise_on_error=True)

    with_image = job_variables(IMAGE_FILE)
    for variables in with_image:
        check(variables)
        deployment = DeploymentCreate(name="production", flow_id=uuid4(), job_variables=variables)
        deployment.check_valid_configuration(read_template(pool_type))
    assert {variables["image"] for variables in with_image} == {IMAGE}
    for variables in job_variables("prefect.yaml"):
        with pytest.raises(ValidationError, match="'image' is a required property"):
            check(variables)


@pytest.mark.parametrize("pool_type", CHANGES)
def test_nothing_in_it_is_a_secret(pool_type: str) -> None:
    schemas = read_template(pool_type)["variables"]["properties"]
    assert "env" in schemas
    private = ("env", "aws_credentials", "registry_credentials")
    assert [name for name in private if "default" in schemas.get(name, {})] == []


@pytest.mark.parametrize("pool_type", CHANGES)
def test_a_run_has_the_projects_command_image_and_variables(pool_type: str) -> None:
    values = job_variables(IMAGE_FILE)[0]
    job = filled_in(BaseJobConfiguration, pool_type, values)
    assert (job.command, job.env["RETAIL_SALES_ENVIRONMENT"]) == (COMMAND, "production")
    assert IMAGE in json.dumps(job_of(pool_type))


def test_a_docker_container_is_removed_and_limited() -> None:
    job = job_of("docker")
    assert (job["image"], job["command"], job["auto_remove"], job["mem_limit"]) == (IMAGE, COMMAND, True, "4g")


def test_an_ecs_task_has_cores_memory_and_disk() -> None:
    values = job_variables(IMAGE_FILE)[0] | {"scratch_gib": 120}
    job = filled_in(ECSJobConfiguration, "ecs", values)
    definition = job.task_definition
    assert (definition["cpu"], definition["memory"]) == (2048, 4096)
    assert definition["ephemeralStorage"] == {"sizeInGiB": 120}
    assert definition["containerDefinitions"][0]["image"] == IMAGE
    assert job.match_latest_revision_in_family
    ecs = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition")
    asked = {name: definition[name] for name in ("containerDefinitions", "ephemeralStorage")} | {
        "family": "retail-sales"
    }
    assert ParamValidator().validate(asked, ecs.input_shape).generate_report() == ""


def test_a_kubernetes_job_has_cores_memory_and_disk() -> None:
    manifest = job_of("kubernetes", memory="16Gi")["job_manifest"]
    assert (manifest["kind"], manifest["spec"]["backoffLimit"]) == ("Job", 0)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "16Gi", "ephemeral-storage": "50Gi"},
        "limits": {"memory": "16Gi"},
    }
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in pod["volumes"]]
    assert pod["volumes"][0]["emptyDir"] == {"sizeLimit": "50Gi"}
