"""Tables and commands of the README and of the pages that it leads to are those of the code."""

import re
import subprocess

import pytest
import yaml

from blocks.variables import DEFINITIONS
from docs.render import DIRECTORY, PAGES
from local.environment import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (DIRECTORY / "configuration.md").read_text(encoding="utf-8")


def test_the_variables_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.*) \|$", CONFIGURATION, re.MULTILINE)
    assert rows == [(d.name, d.default, d.description) for d in DEFINITIONS]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def without_help(targets: set[str]) -> list[str]:
    help_text = subprocess.run(["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [target for target in sorted(targets) if f"make {target} " not in help_text]


def test_every_make_target_that_the_readme_names_exists_and_has_help() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"sure"}
    assert named
    assert without_help(named) == []


def test_every_make_target_that_a_page_names_exists_and_has_help() -> None:
    pages = [page.read_text(encoding="utf-8") for page in sorted(DIRECTORY.rglob("*.md"))]
    named = {target for page in pages for target in re.findall(r"(?:`|^ {4})make ([a-z-]+)", page, re.MULTILINE)}
    assert named
    assert without_help(named) == []


def test_every_deployment_is_in_the_readmes_table_and_no_other() -> None:
    file = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    flows = [deployment["entrypoint"].rpartition(":")[2].replace("_", "-") for deployment in file["deployments"]]
    assert sorted(re.findall(r"^\| `([\w-]+)/production` \|", README, re.MULTILINE)) == sorted(flows)


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


def test_its_pictures_are_there_have_a_text_and_load_quickly() -> None:
    pictures = re.findall(r'(?:src|srcset)="(docs/pictures/[\w-]+\.png)"', README)
    assert len(pictures) == 2
    assert re.search(r'<img alt="[^"]{20,}"', README)
    for picture in sorted((CHECKOUT / "docs/pictures").iterdir()):
        assert picture.stat().st_size < 300_000, picture.name
