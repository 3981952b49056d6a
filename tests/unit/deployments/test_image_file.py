"""prefect-image.yaml has the deployments of prefect.yaml; only what builds and names the image is added."""

import re
from typing import Any

import pytest
import yaml

from blocks.project import HOME
from deployments.image_file import IMAGE_FILE, image_file
from deployments.planned import planned_deployments

TEXT = (HOME / "prefect.yaml").read_text(encoding="utf-8")
FILE, OF_IMAGE = yaml.safe_load(TEXT), yaml.safe_load((HOME / IMAGE_FILE).read_text(encoding="utf-8"))
IMAGE = "registry.example.com/retail-sales@sha256:" + "0" * 64


def without_image(entry: dict[str, Any]) -> dict[str, Any]:
    pool = entry["work_pool"]
    variables = {name: value for name, value in pool["job_variables"].items() if name != "image"}
    return entry | {"work_pool": pool | {"job_variables": variables}}


def test_the_file_is_up_to_date() -> None:
    assert (HOME / IMAGE_FILE).read_text("utf-8") == image_file(TEXT), "run `python -m deployments.image_file`"


def test_the_deployments_are_the_same_but_for_the_image() -> None:
    assert [without_image(entry) for entry in OF_IMAGE["deployments"]] == FILE["deployments"]
    images = [entry["work_pool"]["job_variables"]["image"] for entry in OF_IMAGE["deployments"]]
    assert images == ["{{ image.stdout }}"] * len(FILE["deployments"])


def test_all_else_is_the_same_but_for_the_steps_of_the_image() -> None:
    assert {name for name in OF_IMAGE.keys() | FILE.keys() if OF_IMAGE.get(name) != FILE.get(name)} == {
        *("definitions", "deployments", "build", "push")
    }
    assert OF_IMAGE["build"][: len(FILE["build"])] == FILE["build"]
    steps = [step for kind in ("build", "push") for step in OF_IMAGE[kind]]
    scripts = [settings["script"] for step in steps for settings in step.values()]
    assert scripts[-2:] == ["sh deployments/image.sh build", "sh deployments/image.sh push"]


def test_prefect_yaml_needs_no_docker() -> None:
    assert ("push" in FILE, "image" in TEXT) == (False, False)


@pytest.mark.parametrize(
    ("changed", "times"),
    [
        pytest.param(TEXT.replace("command: env", "command: nice"), 0, id="gone"),
        pytest.param(TEXT + "\n    command: env python -m prefect.engine\n", 2, id="twice"),
    ],
)
def test_a_text_that_is_not_there_once_is_named(changed: str, times: int) -> None:
    with pytest.raises(ValueError, match=rf"has {times} times .*command: env"):
        image_file(changed)


def test_with_an_image_it_is_planned_in_each_deployment() -> None:
    plain, planned = planned_deployments("0b61c78"), planned_deployments("0b61c78", IMAGE)
    assert planned.keys() == plain.keys()
    assert {deployment["job_variables"].pop("image") for deployment in planned.values()} == {IMAGE}
    assert planned == plain


def test_the_image_is_the_stage_of_the_dockerfile_without_an_entry_point() -> None:
    script = (HOME / "deployments/image.sh").read_text(encoding="utf-8")
    (stage,) = re.findall(r"--target (\w+)", script)
    body = (HOME / "Dockerfile").read_text(encoding="utf-8").partition(f" AS {stage}\n")[2].partition("\nFROM ")[0]
    assert "\nENTRYPOINT []\n" in body
