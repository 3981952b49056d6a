"""docker-compose.yaml and Dockerfile, read as Compose reads them; no container is started."""

import json
import re
from importlib import resources
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from local.environment import CHECKOUT

DIGEST = "@sha256:" + "0" * 64
TEXT = (CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")


def compose(**environment: str) -> Any:
    """The file with its variables replaced by `environment`, or by their defaults."""

    def put_in(value: Any) -> Any:
        match value:
            case dict():
                return {key: put_in(part) for key, part in value.items()}
            case list():
                return [put_in(part) for part in value]
            case str():
                return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda name: environment.get(name[1], name[2]), value)
        return value

    return put_in(yaml.safe_load(TEXT))


SERVICES: dict[str, Any] = compose()["services"]
ONCE = {name for name, service in SERVICES.items() if "profiles" in service}
BUILT = {name for name, service in SERVICES.items() if "build" in service}


def test_it_follows_the_compose_specification() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    assert [error.message for error in validator.iter_errors(compose())] == []
    unknown = compose()
    unknown["services"]["worker"]["restarts"] = "always"
    assert not validator.is_valid(unknown)


def test_no_variable_without_a_default_is_needed() -> None:
    assert re.findall(r"\$(?!\{\w+:-)", TEXT.partition("\nname:")[2]) == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_restarted_and_its_processes_are_reaped(name: str) -> None:
    assert SERVICES[name]["init"] is True
    assert SERVICES[name]["restart"] == ("no" if name in ONCE else "unless-stopped")


@pytest.mark.parametrize("name", sorted(BUILT))
def test_a_built_image_has_the_projects_version_and_may_be_pinned(name: str) -> None:
    given = {"VERSION": "v1-2-gabc", "PYTHON_DIGEST": DIGEST, "RETAIL_SALES_IMAGE_SPARK": "1"}
    build = compose(**given)["services"][name]["build"]
    assert build["args"] == {"VERSION": "v1-2-gabc", "PYTHON_DIGEST": DIGEST, "SPARK": "1"}
    assert set(re.findall(r"^ARG (\w+)=", DOCKERFILE, re.MULTILINE)) == set(build["args"])
    assert f" AS {build['target']}\n" in DOCKERFILE


def test_the_base_image_is_of_a_fixed_version_and_may_be_pinned_to_a_build() -> None:
    assert re.findall(r"^FROM (\S+) ", DOCKERFILE, re.MULTILINE)[0].endswith("-bookworm${PYTHON_DIGEST}")
    assert DOCKERFILE.index("ARG PYTHON_DIGEST=\n") < DOCKERFILE.index("FROM ")


def test_pulled_images_are_of_a_fixed_version_and_may_be_pinned_to_a_build() -> None:
    digests = {"POSTGRES_DIGEST": DIGEST, "PREFECT_DIGEST": DIGEST}
    for name in SERVICES.keys() - BUILT:
        image, pinned = SERVICES[name]["image"], compose(**digests)["services"][name]["image"]
        assert re.fullmatch(r"[\w/]+:\d+\.\d[\w.-]*", image)
        assert pinned == image + DIGEST


def test_server_and_worker_run_the_same_prefect() -> None:
    (version,) = re.findall(
        r"^prefect==(\S+)$", (CHECKOUT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert f":{version}-" in SERVICES["prefect-server"]["image"]


def test_the_worker_keeps_its_network_when_the_stack_restarts() -> None:
    sharing = {name: service["network_mode"] for name, service in SERVICES.items() if "network_mode" in service}
    assert sharing == dict.fromkeys(("stack", "worker", "deploy"), "service:network")
    owner = SERVICES["network"]
    assert owner["entrypoint"] == ["sleep", "infinity"]
    assert "depends_on" not in owner
    assert all(SERVICES[name]["depends_on"]["network"].get("restart") for name in ("stack", "worker"))
