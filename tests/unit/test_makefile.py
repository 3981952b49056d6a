"""The settings of a `make` command come from its command line, and reach Python unchanged: nothing expands them."""

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

PRINT_VARIABLES = f"""#!{sys.executable}
import json, os
print(json.dumps({{{{name: os.environ.get(name) for name in {{names}}}}}}))
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
    done = make(venv, target, *settings, **environment)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def make(venv: Path, target: str, *settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Without the settings of a make that runs the tests.
    left_out = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RETAIL_SALES_ENVIRONMENT")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return subprocess.run(
        ["make", "-o", f"{venv}/.installed", f"VENV={venv}", target, *settings],
        cwd=CHECKOUT,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


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


@pytest.mark.parametrize("text", TEXTS)
def test_a_prefect_command_arrives_unchanged(venv: Path, text: str) -> None:
    assert arguments(venv, "prefect", f"ARGS={text}") == ["-m", "deployments.prefect_command", "--line", text]


@pytest.mark.parametrize("text", TEXTS)
def test_date_and_regions_arrive_unchanged(venv: Path, text: str) -> None:
    assert arguments(venv, "run", f"DATE={text}", f"REGIONS={text}") == ["-m", "local.run", text, text]


@pytest.mark.parametrize("text", TEXTS)
def test_a_part_of_the_tests_arrives_unchanged(venv: Path, text: str) -> None:
    assert arguments(venv, "test", f"FILE={text}")[-1] == text


def test_a_run_takes_the_busiest_day_and_all_regions_by_default(venv: Path) -> None:
    assert arguments(venv, "run") == ["-m", "local.run", "2017-12-23"]


NAMES = ("DATE", "REGIONS", "ENGINE", "Q", "AS_OF", "FILE", "FORMAT", "ARGS", "ROWS", "ACTIVE", "EVERY", "ENVIRONMENT")
OF_SHELL = dict.fromkeys(NAMES, '$of `another` "program"') | {"ENGINE": "spark"}


@pytest.mark.parametrize(
    ("target", "called"),
    [
        ("run", ["local.run", "2017-12-23"]),
        ("sql", ["local.sql", ""]),
        ("prefect", ["deployments.prefect_command", "--line", ""]),
        ("bench", ["benchmarks", "--rows", "500000"]),
        ("bench-year", ["benchmarks.year", "--max-active", "2"]),
        ("bench-prefect", ["benchmarks.prefect_database", "--every", "5"]),
        ("test", ["pytest", "-n", "3", "-v", "--durations=20", "-m", "not more", "tests/integration"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_shell_calls_by_the_same_name_is_no_setting(venv: Path, target: str, called: list[str]) -> None:
    assert arguments(venv, target, **OF_SHELL) == ["-m", *called]


def variables(venv: Path, target: str, *settings: str, **environment: str) -> dict[str, str | None]:
    """What a target's Python sees of NAMES and of the environment's own variable."""
    names = (*NAMES, "RETAIL_SALES_ENVIRONMENT")
    (venv / "bin" / "python").write_text(PRINT_VARIABLES.format(names=names))
    seen: dict[str, str | None] = json.loads(make(venv, target, *settings, **environment).stdout)
    return seen


def test_a_shell_has_the_variables_in_which_it_was_opened(venv: Path) -> None:
    assert variables(venv, "shell", **OF_SHELL) == OF_SHELL | {"RETAIL_SALES_ENVIRONMENT": None}


def test_a_format_of_the_shell_is_no_setting_of_a_query(venv: Path) -> None:
    assert variables(venv, "sql", FORMAT="csv")["FORMAT"] == ""
    assert variables(venv, "sql", "FORMAT=csv", FORMAT="json")["FORMAT"] == "csv"


@pytest.mark.parametrize(
    ("settings", "environment", "seen"),
    [
        pytest.param((), {}, None, id="production"),
        pytest.param((), {"ENVIRONMENT": "prod"}, None, id="of-another-program"),
        pytest.param(("ENVIRONMENT=staging",), {"ENVIRONMENT": "prod"}, "staging", id="command-line"),
        pytest.param((), {"RETAIL_SALES_ENVIRONMENT": "staging"}, "staging", id="shell"),
        pytest.param(("ENVIRONMENT=a",), {"RETAIL_SALES_ENVIRONMENT": "b"}, "a", id="command-line-before-shell"),
        pytest.param(("ENVIRONMENT=",), {"RETAIL_SALES_ENVIRONMENT": "b"}, "b", id="empty"),
    ],
)
def test_a_command_acts_on_the_environment_that_its_command_line_or_this_projects_variable_names(
    venv: Path, settings: tuple[str, ...], environment: dict[str, str], seen: str | None
) -> None:
    assert variables(venv, "deploy", *settings, **environment)["RETAIL_SALES_ENVIRONMENT"] == seen


@pytest.mark.parametrize(
    ("host", "options"),
    [("127.0.0.1", ["--set-up-warehouse"]), ("", []), ("private.snowflakecomputing.com", [])],
    ids=["stand-in", "account", "private-link"],
)
def test_deploying_sets_up_the_warehouse_of_the_local_stack_alone(venv: Path, host: str, options: list[str]) -> None:
    called = arguments(venv, "deploy", PREFECT_API_URL="http://127.0.0.1:9/api", SNOWFLAKE_HOST=host)
    assert called == ["-m", "deployments.apply", *options]


@pytest.fixture
def stack_dir(tmp_path: Path) -> Path:
    """The directory of a stack that is down, in a path with a blank."""
    directory = tmp_path / "a stack"
    (directory / "run").mkdir(parents=True)
    (directory / "ports.json").write_text("{}")
    return directory


@pytest.mark.parametrize("target", ["down", "clean"])
def test_what_may_be_up_is_left_alone_without_packages_to_stop_it(tmp_path: Path, stack_dir: Path, target: str) -> None:
    (stack_dir / "run" / "s3.pid").write_text("{}")
    refused = make(tmp_path / "none", target, RETAIL_SALES_LOCAL_DIR=str(stack_dir))
    assert (refused.returncode, stack_dir.exists()) == (2, True)
    line, *of_make = refused.stderr.splitlines()
    assert line.startswith(f"the stack in {stack_dir} may be up, and ")
    assert line.endswith(": run `make install` first")
    assert [line for line in of_make if not line.startswith("make: ")] == []


def test_what_is_down_is_removed_without_packages(tmp_path: Path, stack_dir: Path) -> None:
    assert make(tmp_path / "none", "down", RETAIL_SALES_LOCAL_DIR=str(stack_dir)).returncode == 0
    assert stack_dir.exists()
    assert make(tmp_path / "none", "clean", RETAIL_SALES_LOCAL_DIR=str(stack_dir)).returncode == 0
    assert not stack_dir.exists()


def test_a_directory_that_is_no_stacks_is_not_removed(tmp_path: Path, stack_dir: Path) -> None:
    (stack_dir / "ports.json").unlink()
    assert make(tmp_path / "none", "clean", RETAIL_SALES_LOCAL_DIR=str(stack_dir)).returncode == 0
    assert stack_dir.exists()
