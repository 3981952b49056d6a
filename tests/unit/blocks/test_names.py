"""The names of an environment on the server."""

import os
import subprocess
import sys

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
