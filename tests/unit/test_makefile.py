"""The settings of a `make` command reach Python unchanged: neither make nor the shell expands them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.environment import CHECKOUT

ECHO = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment whose Python prints its arguments as JSON."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(ECHO)
    python.chmod(0o755)
    (tmp_path / ".installed").touch()
    return tmp_path


def arguments(venv: Path, target: str, *settings: str, **environment: str) -> list[str]:
    """The arguments with which a target calls Python."""
    # Without the settings of a make that runs the tests.
    left_out = ("DATE", "REGIONS", "Q", "FILE", "ARGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        ["make", "-o", f"{venv}/.installed", f"VENV={venv}", target, *settings],
        cwd=CHECKOUT,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


TEXTS = [
    pytest.param('select "REGION" from sales_fact', id="double-quotes"),
    pytest.param("select 'it''s'", id="single-quotes"),
    pytest.param("select '$HOME' || '$(PATH)' || '$$' || '$1'", id="dollars"),
    pytest.param("select '`date`'", id="backticks"),
    pytest.param("select '\\' -- # ; & | > * ?", id="other-signs-of-the-shell"),
    pytest.param("select 1,\n  2", id="two-lines"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_query_arrives_unchanged(venv: Path, text: str) -> None:
    assert arguments(venv, "sql", f"Q={text}") == ["-m", "local.sql", text]
    assert arguments(venv, "sql", Q=text) == ["-m", "local.sql", text]


@pytest.mark.parametrize("text", TEXTS)
def test_a_prefect_command_arrives_unchanged(venv: Path, text: str) -> None:
    called = ["-m", "deployments.prefect_command", "--line", text]
    assert arguments(venv, "prefect", f"ARGS={text}") == called
    assert arguments(venv, "prefect", ARGS=text) == called


@pytest.mark.parametrize("text", TEXTS)
def test_date_and_regions_arrive_unchanged(venv: Path, text: str) -> None:
    called = ["-m", "local.run", text, text]
    assert arguments(venv, "run", f"DATE={text}", f"REGIONS={text}") == called
    assert arguments(venv, "run", DATE=text, REGIONS=text) == called


@pytest.mark.parametrize("text", TEXTS)
def test_a_part_of_the_tests_arrives_unchanged(venv: Path, text: str) -> None:
    assert arguments(venv, "test", f"FILE={text}")[-1] == text


def test_a_run_takes_the_busiest_day_and_all_regions_by_default(venv: Path) -> None:
    assert arguments(venv, "run") == ["-m", "local.run", "2017-12-23", ""]


@pytest.mark.parametrize(
    ("host", "options"),
    [("127.0.0.1", ["--set-up-warehouse"]), ("", []), ("private.snowflakecomputing.com", [])],
    ids=["stand-in", "account", "private-link"],
)
def test_deploying_sets_up_the_warehouse_of_the_local_stack_alone(venv: Path, host: str, options: list[str]) -> None:
    called = arguments(venv, "deploy", PREFECT_API_URL="http://127.0.0.1:9/api", SNOWFLAKE_HOST=host)
    assert called == ["-m", "deployments.apply", *options]
