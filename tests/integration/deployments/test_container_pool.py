"""A pool in which each run has a container: `make deploy` builds and pushes the image once, and deployments name it.

Docker's own client is replaced by a program that notes its calls; the server and `prefect deploy` are real.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.pool_templates import pool_template
from tests.integration.deployments.conftest import Operator
from tests.integration.deployments.test_environments import as_program

pytestmark = pytest.mark.more

NAME = "registry.example.com/retail-sales"
IMAGE = f"{NAME}@sha256:{'1' * 64}"
OWN = {
    "RETAIL_SALES_ENVIRONMENT": "containers",
    "SNOWFLAKE_DATABASE": "RETAIL_CONTAINERS",
    "S3_STAGING_BUCKET": "retail-sales-containers",
}
DOCKER = f"""\
#!/bin/sh
echo "$1" >>"$CALLS"
[ "$1" != image ] || echo {IMAGE}
"""


@dataclass(frozen=True)
class Containers:
    """An environment whose pool is of type docker, and the calls of its docker."""

    operator: Operator
    environment: dict[str, str]

    def apply(self, **environment: str) -> tuple[int, list[str]]:
        """Exit code and lines of `python -m deployments.apply`."""
        done = as_program("deployments.apply", self.environment | environment)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def calls(self) -> list[str]:
        path = Path(self.environment["CALLS"])
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def images(self) -> set[str | None]:
        """The images of all deployments of this environment."""
        of_ours = {"name": {"any_": ["containers"]}}
        deployments = self.operator.filter("deployments", deployments=of_ours)
        return {deployment["infra_overrides"].get("image") for deployment in deployments}


@pytest.fixture
def containers(operator: Operator, tmp_path: Path) -> Containers:
    """An environment that nobody has deployed yet."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    pool = {"name": "retail-sales-containers", "type": "docker", "base_job_template": pool_template("docker")}
    operator.post("/work_pools/", pool)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    return Containers(operator, operator.environment | OWN | {"PATH": path, "CALLS": str(tmp_path / "calls")})


def test_runs_start_from_the_image_of_this_version(containers: Containers) -> None:
    code, lines = containers.apply()
    assert (code, containers.images(), containers.calls()) == (1, set(), [])
    assert "work pool retail-sales-containers is of type docker, and nothing names the image of its runs" in lines[-1]

    code, lines = containers.apply(RETAIL_SALES_IMAGE=NAME)
    assert code == 0, lines
    assert f"image {IMAGE}: ready" in lines
    assert "deployment daily-sales/containers: created" in lines
    assert (containers.images(), containers.calls()) == ({IMAGE}, ["build", "push", "image"])

    code, lines = containers.apply(RETAIL_SALES_IMAGE=NAME)
    assert code == 0, lines
    assert [line for line in lines if line.startswith("deployment ") and not line.endswith(": unchanged")] == []
