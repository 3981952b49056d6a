"""The base job templates of work pools in which each run has a container of its own.

    python -m deployments.pool_templates    # writes deployments/work_pools/<type>.json

Each is the template that Prefect 2.20 has for this type of worker, with the few changes below. The deployment has to
name the image (prefect-image.yaml): without it, the server refuses runs that are started by hand, and scheduled ones
would start from Prefect's own image, which has no flow of ours.
"""

import json
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prefect

DIRECTORY = Path(__file__).resolve().parent / "work_pools"
COLLECTIONS = Path(prefect.__file__).parent / "server" / "api" / "collections_data" / "views"
KNOWN_TO_PREFECT = COLLECTIONS / "aggregate-worker-metadata.json"
"""What a server lists as worker types, with their templates."""

Template = dict[str, Any]
"""A base job template as JSON: `job_configuration` and the JSON schema of its `variables`."""


@dataclass(frozen=True)
class Changes:
    """What this project changes in the template of a package's worker type."""

    package: str
    defaults: dict[str, Any]
    """Defaults of variables that the template has."""
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further variables, each with its JSON schema."""
    task_definition: dict[str, Any] = field(default_factory=dict)
    """Added to the task definition of an ECS task."""
    pod: dict[str, Any] = field(default_factory=dict)
    """Added to the pod of a Kubernetes job."""
    container: dict[str, Any] = field(default_factory=dict)
    """Added to the container of that pod."""


def _text(title: str, description: str, default: str) -> dict[str, Any]:
    return {"title": title, "description": description, "default": default, "type": "string"}


# 4 x 5,000,000 rows hold 1.1 GB (docs/performance.md). The rest of the 4 GB is for the pages of files that the kernel
# keeps, which container runtimes count, and for days that are larger.
CHANGES = {
    # A pass of the watchdog is a container: 288 stopped ones a day would pile up.
    "docker": Changes("prefect-docker", {"auto_remove": True, "mem_limit": "4g"}),
    "ecs": Changes(
        "prefect-aws",
        # The latest revision is used again where it is the same, instead of a new one after each start of a worker.
        {"cpu": 2048, "memory": 4096, "match_latest_revision_in_family": True},
        variables={
            "scratch_gib": {
                "title": "Scratch GiB",
                "description": "Disk of the task, for its scratch files; Fargate has 21 to 200 GiB.",
                "default": 50,
                "type": "integer",
                "minimum": 21,
                "maximum": 200,
            }
        },
        task_definition={"ephemeralStorage": {"sizeInGiB": "{{ scratch_gib }}"}},
    ),
    "kubernetes": Changes(
        "prefect-kubernetes",
        # The first pull of the image on a node takes longer than a minute, Prefect's default.
        {"finished_job_ttl": 3600, "pod_watch_timeout_seconds": 300},
        variables={
            "cpu": _text("CPU", "Cores that a run asks for; it may use more where the node has them.", "2"),
            "memory": _text("Memory", "Memory that a run asks for, and its limit.", "4Gi"),
            "scratch": _text("Scratch", "Disk of the node for a run's scratch files, and its limit.", "50Gi"),
        },
        pod={"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "{{ scratch }}"}}]},
        container={
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 (in the container)
            "resources": {
                "requests": {"cpu": "{{ cpu }}", "memory": "{{ memory }}", "ephemeral-storage": "{{ scratch }}"},
                "limits": {"memory": "{{ memory }}"},
            },
        },
    ),
}


def pool_template(pool_type: str) -> Template:
    """Returns the template of a pool of this type: docker, ecs or kubernetes."""
    changes = CHANGES[pool_type]
    template = prefect_template(pool_type)
    variables, job = template["variables"], template["job_configuration"]
    for name, default in changes.defaults.items():
        variables["properties"][name]["default"] = default
    variables["properties"] |= changes.variables
    variables["required"] = ["image"]
    if changes.task_definition:
        job["task_definition"] |= changes.task_definition
    if changes.pod:
        pod = job["job_manifest"]["spec"]["template"]["spec"]
        pod |= changes.pod
        pod["containers"][0] |= changes.container
    return template


def prefect_template(pool_type: str) -> Template:
    """Returns the template that the installed Prefect has for this type."""
    known = json.loads(KNOWN_TO_PREFECT.read_text(encoding="utf-8"))
    template: Template = deepcopy(known[CHANGES[pool_type].package][pool_type]["default_base_job_configuration"])
    return template


def template_text(pool_type: str) -> str:
    """Returns the content of deployments/work_pools/<type>.json."""
    return json.dumps(pool_template(pool_type), indent=2) + "\n"


if __name__ == "__main__":
    for each in CHANGES:
        (DIRECTORY / f"{each}.json").write_text(template_text(each), encoding="utf-8")
