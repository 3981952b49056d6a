"""The pages for people name files, headings and words that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import CHECKOUT
from tasks.alerts.runbook import anchor_of

FOLDERS = ("benchmarks", "blocks", "deployments", "docs", "expectations", "flows", "local", "sql", "tasks", "tests")
PAGES = [CHECKOUT / "README.md", *sorted(page for folder in FOLDERS for page in (CHECKOUT / folder).rglob("*.md"))]
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*[\w/]")
FILE = re.compile(r"`([\w-]+\.(?:py|sql|md|toml|yaml|sh))`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
TERMS = (
    *("window", "batch", "run", "attempt", "ledger", "lease", "closed day", "rejected row", "staged", "manifest"),
    *("fencing", "fate", "law", "second look", "gap", "heal", "replay", "held back"),
)


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    return {anchor_of(title) for title in re.findall(r"^#+ (.+)$", without_code(page.read_text("utf-8")), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    def broken() -> Iterator[str]:
        for path, anchor in LINK.findall(page.read_text("utf-8")):
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                yield path
            elif anchor and anchor not in anchors_of(target):
                yield f"{path}#{anchor}"

    assert list(broken()) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = set(PATH.findall(page.read_text("utf-8")))
    assert [path for path in sorted(named) if not any((base / path).exists() for base in (CHECKOUT, page.parent))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_without_its_folder_exists(page: Path) -> None:
    files = {path.name for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.*")}
    top = {path.name for path in CHECKOUT.iterdir()}
    assert sorted(set(FILE.findall(page.read_text("utf-8"))) - files - top) == []


def test_every_term_has_its_line_and_the_readme_leads_there_at_once() -> None:
    words = (CHECKOUT / "docs" / "words.md").read_text("utf-8")
    assert tuple(re.findall(r"^\| \*\*(.+?)\*\* \|", words, re.MULTILINE)) == TERMS
    first_screen = (CHECKOUT / "README.md").read_text("utf-8").partition("\n## ")[0]
    assert "(docs/words.md)" in first_screen


def test_the_architecture_page_leads_to_every_folder_and_names_every_file_of_tasks() -> None:
    page = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
    assert len(page.splitlines()) <= 80
    inside = [path for path in sorted((CHECKOUT / "tasks").iterdir()) if path.name[0] not in "_."]
    assert [path.name for path in inside if path.is_dir() and f"](../tasks/{path.name}/__init__.py)" not in page] == []
    assert [path.name for path in inside if path.is_file() and f"`{path.stem}`" not in page] == []
    assert [folder for folder in FOLDERS if f"`{folder}/`" not in page] == []
