"""Registering against Prefect's own database, and on the local stack through `make register`'s module."""

import os
import re
import subprocess
import sys
from pathlib import Path

from prefect.variables import Variable

from local.environment import CHECKOUT
from tests.integration.conftest import World
from tests.integration.processes import run_python


def test_without_an_address_it_registers_in_prefects_own_database_and_says_so(world: World, tmp_path: Path) -> None:
    environment = {name: value for name, value in world.environment.items() if not name.startswith("PREFECT_")}
    own = {**environment, "PATH": "", "PREFECT_HOME": str(tmp_path)}
    done = run_python("-m", "blocks.register", environment=own)
    assert done.returncode == 0, done.stderr
    assert "variable min_record_count: created ('100')" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"PREFECT_API_URL is not set: registered in Prefect's own database \(sqlite.*\)", last)
    assert str(tmp_path) in last


def register_local(world: World, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make register` in a shell that has other addresses."""
    directory = Path(world.environment["PREFECT_HOME"]).parent
    others = {"PATH": os.environ["PATH"], "PREFECT_API_URL": "http://127.0.0.1:9/api", "SNOWFLAKE_PORT": "9"}
    return subprocess.run(
        [sys.executable, "-m", "local.register"],
        env=others | {"RETAIL_SALES_LOCAL_DIR": str(directory)} | environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )


def test_the_local_stack_is_registered_with_the_variables_that_the_caller_names(world: World) -> None:
    with world.variable("reconcile_days", Variable.get("reconcile_days").value):
        done = register_local(world, RECONCILE_DAYS="9")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-2:] == [
            f"registered at {world.environment['PREFECT_API_URL']}",
            "Completed: the warehouse has the tables of this version",
        ]
        assert Variable.get("reconcile_days").value == "9"


def test_a_mistake_in_a_variable_that_the_caller_names_is_one_line(world: World) -> None:
    refused = register_local(world, MIN_RECORD_COUNT="many")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "register: variable min_record_count is 'many': expected a whole number, 0 or more, like 100; "
        "`python -m blocks.variables min_record_count 100` sets the default\n"
    )
