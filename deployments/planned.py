"""The deployments of prefect.yaml or prefect-image.yaml, in the form that a Prefect server returns."""

from typing import Any

import yaml
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values

from blocks import names
from blocks.project import HOME
from deployments.image_file import IMAGE_FILE

PROJECT_FILE = "prefect.yaml"

Deployment = dict[str, Any]
"""The settings of a deployment as JSON, without ids, times of change and whether its schedule is paused."""


def project_file(name: str = PROJECT_FILE) -> dict[str, Any]:
    """Returns prefect.yaml or prefect-image.yaml with the names of this process's environment: deployments, pool,
    tags, variables of runs."""
    content: dict[str, Any] = yaml.safe_load((HOME / name).read_text(encoding="utf-8"))
    return content | {"deployments": [_named(entry) for entry in content["deployments"]]}


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    pool = entry["work_pool"]
    variables = pool["job_variables"]["env"] | {names.VARIABLE_OF_SHELL: names.ENVIRONMENT}
    job_variables = pool["job_variables"] | {"env": variables}
    return entry | {
        "name": names.ENVIRONMENT,
        "tags": [names.of(tag) if tag == names.PROJECT else tag for tag in entry["tags"]],
        "work_pool": pool | {"name": names.POOL, "job_variables": job_variables},
    }


def planned_deployments(version: str, image: str | None = None) -> dict[str, Deployment]:
    """Returns the deployments by `<flow>/<name>`: those of prefect.yaml or, with the name of an image that is built and
    pushed, of prefect-image.yaml. What only a worker knows stays a template."""
    outputs = {"version": {"stdout": version}, "image": {"stdout": image}}
    file = apply_values(project_file(IMAGE_FILE if image else PROJECT_FILE), outputs, remove_notset=False)
    return dict(_planned(entry, file["pull"]) for entry in file["deployments"])


def _planned(entry: dict[str, Any], pull: list[dict[str, Any]]) -> tuple[str, Deployment]:
    flow = load_flow_from_entrypoint(entry["entrypoint"])
    schedules = [CronSchedule(**schedule) for schedule in entry["schedules"]]
    return f"{flow.name}/{entry['name']}", {
        "description": entry["description"],
        "version": entry["version"],
        "tags": entry["tags"],
        "entrypoint": entry["entrypoint"],
        "work_pool": entry["work_pool"]["name"],
        "work_queue": entry["work_pool"]["work_queue_name"],
        "job_variables": entry["work_pool"]["job_variables"],
        "schedules": [schedule.dict(json_compatible=True) for schedule in schedules],
        "parameters": entry.get("parameters", {}),
        "enforce_parameter_schema": entry["enforce_parameter_schema"],
        "parameter_schema": parameter_schema(flow).dict(exclude_unset=True),
        "pull": pull,
    }


def stored_deployment(deployment: DeploymentResponse) -> Deployment:
    """Returns a deployment of the server in the same form."""
    stored = deployment.dict(json_compatible=True)
    return {
        "description": stored["description"],
        "version": stored["version"],
        "tags": stored["tags"],
        "entrypoint": stored["entrypoint"],
        "work_pool": stored["work_pool_name"],
        "work_queue": stored["work_queue_name"],
        "job_variables": stored["infra_overrides"],
        "schedules": [schedule["schedule"] for schedule in stored["schedules"]],
        "parameters": stored["parameters"],
        "enforce_parameter_schema": stored["enforce_parameter_schema"],
        "parameter_schema": stored["parameter_openapi_schema"],
        "pull": stored["pull_steps"],
    }
