"""The names of an environment on the server."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.names import of, read_environment
from local.environment import CHECKOUT


@pytest.mark.parametrize(("text", "name"), [(None, "production"), ("", "production"), (" staging ", "staging")])
def test_an_environment_is_a_word(text: str | None, name: str) -> None:
    assert read_environment(text) == name


@pytest.mark.parametrize("text", ["Staging", "pre-prod", "two words", "1st", "admin", "x" * 21, "é"])
def test_another_text_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"RETAIL_SALES_ENVIRONMENT is .+: give a word"):
        read_environment(text)


def test_productions_names_are_plain_and_the_others_carry_the_environment() -> None:
    assert (of("sales-warehouse", "production"), of("sales-warehouse", "staging")) == (
        "sales-warehouse",
        "sales-warehouse-staging",
    )


@pytest.mark.parametrize(
    ("environment", "name"), [("production", "RETAIL_SALES_S3"), ("staging", "RETAIL_SALES_S3_STAGING")]
)
def test_the_storage_integration_is_one_of_its_environment(environment: str, name: str) -> None:
    program = "from blocks import names; print(names.STORAGE_INTEGRATION)"
    environ = os.environ | {"RETAIL_SALES_ENVIRONMENT": environment}
    done = subprocess.run([sys.executable, "-c", program], env=environ, cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, name)


def test_a_program_refuses_a_bad_name_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "blocks.variables", "--help"],
        env=os.environ | {"RETAIL_SALES_ENVIRONMENT": "My Stage"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("RETAIL_SALES_ENVIRONMENT is 'My Stage': ")


COMMAND = re.compile(r"`(make (?!up\b|install\b)|python -m (blocks|flows|deployments|tasks)\.)")
"""A command in a text. The local stack's own, `make up`, has no environment."""


def printed_texts(source: Path) -> Iterator[str]:
    """The texts of a module, but for its docstrings."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


@pytest.mark.parametrize("package", ["blocks", "deployments", "flows", "tasks"])
def test_every_command_in_a_text_names_its_environment(package: str) -> None:
    """Pasted without it, a command of staging would act on production."""
    sources = [path for path in (CHECKOUT / package).rglob("*.py") if path.name != "image_file.py"]
    assert [text for source in sources for text in printed_texts(source) if COMMAND.search(text)] == []


def test_a_command_of_staging_acts_on_staging_in_any_shell() -> None:
    program = "from blocks.variables import parse_variables; parse_variables({})"
    environment = {**os.environ, "RETAIL_SALES_ENVIRONMENT": "staging"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert "run `RETAIL_SALES_ENVIRONMENT=staging python -m blocks.register`; " in ended.stderr
    assert "`RETAIL_SALES_ENVIRONMENT=staging python -m blocks.variables " in ended.stderr
