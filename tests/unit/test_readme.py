"""The README's tables and commands, held against the code."""

import re
import subprocess

import pytest

from blocks.variables import DEFINITIONS
from docs.render import DIRECTORY, PAGES
from local.environment import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_variables_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.*) \|$", README, re.MULTILINE)
    assert rows == [(d.name, d.default, d.description) for d in DEFINITIONS]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_make_target_that_the_readme_names_exists_and_has_help() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"sure"}
    help_text = subprocess.run(["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert named
    assert [target for target in sorted(named) if f"make {target} " not in help_text] == []


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (CHECKOUT / link).exists()] == []
