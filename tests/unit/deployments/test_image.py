"""The image of container pools is built and pushed by Docker's own client; here by a program that notes its calls."""

import os
from pathlib import Path

import pytest

from blocks.project import version
from deployments.applied import DeployError
from deployments.image import IMAGE_OF_SHELL, READY_OF_SHELL, built_image

NAME = "registry.example.com:5000/team/retail-sales"
DIGEST = "sha256:" + "1" * 64
STAND_IN = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case "$1" in
build) echo "step 1" ;;
push) [ -z "${PUSH_FAILS:-}" ] || { echo "denied: no access" >&2; exit 1; } ;;
image) echo "other.example.com/retail-sales@sha256:2"; echo "$DIGESTED" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose docker notes its calls."""
    docker = tmp_path / "docker"
    docker.write_text(STAND_IN, encoding="utf-8")
    docker.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    calls = {"CALLS": str(tmp_path / "calls"), "DIGESTED": f"{NAME}@{DIGEST}"}
    return {"PATH": path, "HOME": str(tmp_path), IMAGE_OF_SHELL: NAME} | calls


def calls_of(environment: dict[str, str]) -> list[str]:
    path = Path(environment["CALLS"])
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_the_version_is_built_and_pushed_and_named_by_its_digest(environment: dict[str, str]) -> None:
    said: list[str] = []
    assert built_image(environment, said.append) == f"{NAME}@{DIGEST}"
    tagged = f"{NAME}:{version()}"
    built, pushed, _ = calls_of(environment)
    assert built == f"build --target run --build-arg VERSION={version()} --build-arg SPARK= --tag {tagged} ."
    assert pushed == f"push {tagged}"
    assert said[-1] == f"image {NAME}@{DIGEST}: ready"


def test_the_packages_of_the_engine_are_added_where_they_are_wanted(environment: dict[str, str]) -> None:
    built_image(environment | {"RETAIL_SALES_IMAGE_SPARK": "1"}, lambda _: None)
    assert " --build-arg SPARK=1 " in calls_of(environment)[0]


def test_a_name_without_a_slash_stays_on_this_machine(environment: dict[str, str]) -> None:
    environment[IMAGE_OF_SHELL] = "retail-sales"
    assert built_image(environment, lambda _: None) == f"retail-sales:{version()}"
    assert [call.split()[0] for call in calls_of(environment)] == ["build"]


def test_without_a_name_nothing_is_built(environment: dict[str, str]) -> None:
    assert built_image(environment | {IMAGE_OF_SHELL: " "}, lambda _: None) is None
    assert calls_of(environment) == []


def test_what_is_built_already_is_not_built_again(environment: dict[str, str]) -> None:
    assert built_image(environment | {READY_OF_SHELL: f"{NAME}@{DIGEST}"}, lambda _: None) == f"{NAME}@{DIGEST}"
    assert calls_of(environment) == []


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        pytest.param({IMAGE_OF_SHELL: f"{NAME}:latest"}, "without a tag", id="tag"),
        pytest.param({IMAGE_OF_SHELL: f"{NAME}@{DIGEST}"}, "without a tag", id="digest"),
        pytest.param({IMAGE_OF_SHELL: "registry.example.com/"}, "name without a tag", id="no-name"),
        pytest.param({"PUSH_FAILS": "yes"}, "push` failed: denied: no access", id="refused"),
        pytest.param({"DIGESTED": ""}, "knows no digest of", id="no-digest"),
        pytest.param({"PATH": "/usr/bin:/bin"}, "docker is not installed here", id="no-docker"),
    ],
)
def test_what_cannot_be_built_is_one_line(environment: dict[str, str], changed: dict[str, str], error: str) -> None:
    with pytest.raises(DeployError) as raised:
        built_image(environment | changed, lambda _: None)
    assert error in str(raised.value)
    assert "\n" not in str(raised.value)
