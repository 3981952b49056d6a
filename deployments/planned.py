"""The deployments as prefect.yaml asks for them, in the form in which a Prefect server answers them."""

from typing import Any

import yaml
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values

from tasks.project import HOME

Deployment = dict[str, Any]
"""What people chose about a deployment, as JSON: no ids, no times of change, not whether its schedule is paused."""


def planned_deployments(version: str) -> dict[str, Deployment]:
    """Every deployment of prefect.yaml by `<flow>/<name>`, as `version`. What only a worker knows stays a template."""
    content = yaml.safe_load((HOME / "prefect.yaml").read_text(encoding="utf-8"))
    file = apply_values(content, {"version": {"stdout": version}}, remove_notset=False)
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
    """A deployment of the server in the same form."""
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
