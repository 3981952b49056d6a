"""The image without an engine: the Dockerfile's own steps, in an empty virtual environment and an empty directory."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.environment import CHECKOUT
from tests.integration.conftest import World, free_port, stop
from tests.integration.server import PatientClient, clear_the_way

pytestmark = [pytest.mark.more, pytest.mark.usefixtures("year")]

ANSWER_S_MAX = 300
CACHES = {"PIP_NO_CACHE_DIR", "UV_NO_CACHE"}
"""What keeps the image small; without a cache the test would download everything again."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, its continued lines joined."""

    name: str
    arguments: str


def instructions(stage: str) -> list[Instruction]:
    """The instructions of one stage."""
    text = re.sub(r"^\s*#.*\n", "", (CHECKOUT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages = re.split(r"^FROM (?:.+) AS (\w+)$", text, flags=re.MULTILINE)
    lines = stages[stages.index(stage) + 1].replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


@dataclass(frozen=True)
class Image:
    """What the steps made: the directory of the application, and the environment of its processes."""

    application: Path
    environment: dict[str, str]
    health_check: list[str]
    entry_point: list[str]

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a process of the image."""
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program, f"{command[0]} is not in the image"
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.application,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def image(world: World, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The stage `worker`, made step by step."""
    root = tmp_path_factory.mktemp("image")
    application = root / "app"
    application.mkdir()
    subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
    environment = {
        **{name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_"))},
        "PATH": f"{root / 'venv' / 'bin'}:/usr/bin:/bin",
        "HOME": str(root),
    }
    health_check: list[str] = []
    entry_point: list[str] = []
    for step in instructions("worker"):
        match step.name:
            case "ENV":
                pairs = dict(pair.split("=", 1) for pair in step.arguments.split())
                environment |= {name: value for name, value in pairs.items() if name not in CACHES}
            case "COPY":
                source, target = step.arguments.split()
                copy(source, target, application)
            case "ARG":
                name, _, default = step.arguments.partition("=")
                environment.setdefault(name, default)
            case "RUN" if not step.arguments.startswith("useradd"):
                made = subprocess.run(
                    step.arguments, shell=True, cwd=application, env=environment, capture_output=True, text=True
                )
                assert made.returncode == 0, made.stderr
            case "HEALTHCHECK":
                health_check = json.loads(step.arguments.split("CMD ", 1)[1])
            case "ENTRYPOINT":
                entry_point = json.loads(step.arguments)
    assert environment["RETAIL_SALES_HOME"] == "/app"
    environment["RETAIL_SALES_HOME"] = str(application)
    environment["PREFECT_WORKER_WEBSERVER_PORT"] = str(free_port())
    return Image(application, environment | dict(world.environment), health_check, entry_point)


def copy(source: str, target: str, application: Path) -> None:
    """COPY of one file or folder, as .dockerignore lets it through."""
    kept = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert f"!{source.rstrip('/')}" in kept, f".dockerignore keeps {source} out of the build"
    if (CHECKOUT / source).is_dir():
        shutil.copytree(CHECKOUT / source, application / target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        place = application / target / source if target.endswith("/") else application / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / source, place)


@pytest.fixture(scope="module")
def worker(image: Image) -> Iterator[subprocess.Popen[bytes]]:
    """The image's entry point, after its content has deployed itself; nothing else waits for a worker."""
    deployed = image.run("python", "-m", "deployments.apply")
    assert deployed.returncode == 0, deployed.stderr
    with PatientClient(base_url=image.environment["PREFECT_API_URL"], timeout=60) as api:
        clear_the_way(api)
    program = shutil.which(image.entry_point[0], path=image.environment["PATH"])
    process = subprocess.Popen(
        [str(program), *image.entry_point[1:]], cwd=image.application, env=image.environment, start_new_session=True
    )
    yield process
    stop(process)


def test_the_image_deploys_itself_starts_a_worker_and_says_that_it_is_healthy(
    image: Image, worker: subprocess.Popen[bytes]
) -> None:
    give_up = time.monotonic() + ANSWER_S_MAX
    while (checked := image.run(*image.health_check)).returncode:
        assert worker.poll() is None, "the worker has stopped"
        assert time.monotonic() < give_up, checked.stderr
        time.sleep(0.5)


def test_its_worker_loads_a_day(image: Image, worker: subprocess.Popen[bytes]) -> None:
    ran = image.run("prefect", "deployment", "run", "daily-sales/production", "-p", "date=2017-11-05", "--watch")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_with_its_packages_the_engine_is_found(image: Image) -> None:
    (packages,) = [step.arguments for step in instructions("worker") if step.arguments.startswith("python -m pip")]
    made = image.run("sh", "-c", packages, SPARK="1")
    assert made.returncode == 0, made.stderr
    found = image.run("python", "-c", "from tasks.engine.server import lacking_packages as lacking; print(lacking())")
    assert found.stdout == "[]\n", found.stderr


def test_without_a_server_its_health_check_fails(image: Image) -> None:
    assert image.run(*image.health_check, PREFECT_WORKER_WEBSERVER_PORT=str(free_port())).returncode == 1
