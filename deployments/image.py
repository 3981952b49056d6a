"""The image from which the runs of container pools start: built and pushed once, before all deployments."""

import subprocess
from collections.abc import Mapping

from blocks.project import HOME
from deployments.applied import DeployError
from tasks.stopwatch import Say

IMAGE_OF_SHELL = "RETAIL_SALES_IMAGE"
READY_OF_SHELL = "RETAIL_SALES_IMAGE_READY"
"""Tells the steps of prefect-image.yaml that this image is built and pushed already."""

STEP_S_MAX = 3600
"""How long one step may take: the first build downloads all packages."""


def named_image(environment: Mapping[str, str]) -> str | None:
    """Returns the name in RETAIL_SALES_IMAGE; None where it is not set."""
    return environment.get(IMAGE_OF_SHELL, "").strip() or None


def built_image(environment: Mapping[str, str], say: Say) -> str | None:
    """Builds and pushes the image that RETAIL_SALES_IMAGE names and returns its name, for a registry by its digest;
    None where it is not set. Raises DeployError when a step fails."""
    named = named_image(environment)
    if not named:
        return None
    say(f"image {named}: building and pushing this version")
    _step("build", environment)
    image = _step("push", environment)
    say(f"image {image}: ready")
    return image


def _step(step: str, environment: Mapping[str, str]) -> str:
    command = ["/bin/sh", "deployments/image.sh", step]
    try:
        done = subprocess.run(
            command, cwd=HOME, env=dict(environment), capture_output=True, text=True, timeout=STEP_S_MAX
        )
    except subprocess.TimeoutExpired:
        took = f"`sh deployments/image.sh {step}` took longer than {STEP_S_MAX} s"
        raise DeployError(f"{took}: run it by itself") from None
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        raise DeployError(f"`sh deployments/image.sh {step}` failed: {' '.join(last)}")
    return done.stdout.strip()
