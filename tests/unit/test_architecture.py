"""The arrows between the folders: flows -> tasks -> (expectations, blocks). Nothing points back."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MAY_IMPORT = {
    "expectations": {"expectations"},
    "blocks": {"blocks", "expectations"},
    "tasks": {"tasks", "blocks", "expectations"},
    "flows": {"flows", "tasks", "blocks", "expectations"},
    "deployments": {"deployments", "flows", "tasks", "blocks", "expectations"},
}
"""Which of the project's own folders a product folder may import."""

OWN = {*MAY_IMPORT, "local", "benchmarks", "tests", "docs"}
PREFECT = ("prefect", "prefect_aws", "prefect_snowflake", "prefect_sqlalchemy", "prefect_email")

PURE_TASKS = {
    "alerts/activity.py",
    "alerts/book.py",
    "alerts/commands.py",
    "alerts/compose.py",
    "alerts/runbook.py",
    "alerts/smtp.py",
    "arrow_files.py",
    "attempt.py",
    "attributes.py",
    "bad_cells.py",
    "batch.py",
    "errors.py",
    "gaps.py",
    "held_back.py",
    "keys.py",
    "ledger_grid.py",
    "lines.py",
    "reconcile/days.py",
    "reconcile/discrepancies.py",
    "reconcile/fingerprint.py",
    "reconcile/sides.py",
    "reconcile/source_side.py",
    "room.py",
    "run_retention.py",
    "scratch.py",
    "source.py",
    "source_table.py",
    "source_waits.py",
    "sqlstates.py",
    "standby.py",
    "statements.py",
    "stopwatch.py",
    "tally.py",
    "tokens.py",
    "waiting.py",
}
"""Modules that need no Prefect at all: they run without it and move to another orchestrator as they are."""


@dataclass(frozen=True)
class Import:
    """An import statement; `lazily` inside a function or for type checkers only."""

    path: Path
    line: int
    module: str
    lazily: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(PROJECT)}:{self.line} imports {self.module}"


def _imports(node: ast.AST, path: Path, lazily: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = lazily or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(child)
        if isinstance(child, ast.Import):
            yield from (Import(path, child.lineno, alias.name, lazily) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield Import(path, child.lineno, child.module or "", lazily)
            assert child.level == 0, f"{path}:{child.lineno}: relative import"
        yield from _imports(child, path, inside)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(folder: str) -> list[Import]:
    found: list[Import] = []
    for path in sorted((PROJECT / folder).rglob("*.py")):
        found += _imports(ast.parse(path.read_text(encoding="utf-8")), path)
    return found


PRODUCT = {folder: imports_of(folder) for folder in MAY_IMPORT}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_arrows_point_one_way(folder: str) -> None:
    against = [str(i) for i in PRODUCT[folder] if i.package in OWN and i.package not in MAY_IMPORT[folder]]
    assert against == []


def test_the_product_has_files_to_look_at() -> None:
    assert all(PRODUCT[folder] for folder in ("expectations", "blocks", "tasks", "flows"))


def test_great_expectations_is_imported_in_one_place() -> None:
    places = {
        str(imported.path.relative_to(PROJECT))
        for found in PRODUCT.values()
        for imported in found
        if imported.package == "great_expectations"
    }
    assert places == {"expectations/gx.py"}


def test_artifacts_are_written_in_one_place_which_keeps_their_shape() -> None:
    places = {
        str(imported.path.relative_to(PROJECT))
        for found in PRODUCT.values()
        for imported in found
        if imported.module == "prefect.artifacts"
    }
    assert places == {"tasks/pages/artifacts.py"}


def test_flows_without_a_gate_do_not_pay_for_great_expectations() -> None:
    assert "expectations/gx.py" in imported_with("flows/daily_sales.py")
    for flow in ("check_setup", "send_alert", "watchdog", "alert_drill"):
        assert "expectations/gx.py" not in imported_with(f"flows/{flow}.py"), flow


def imported_with(path: str) -> set[str]:
    """The product's files that are imported when one of them is."""
    found, new = set[str](), {path}
    while new:
        found |= new
        modules = {
            i.module for o in PRODUCT.values() for i in o if not i.lazily and str(i.path.relative_to(PROJECT)) in new
        }
        new = {f"{m.replace('.', '/')}.py" for m in modules if (PROJECT / f"{m.replace('.', '/')}.py").exists()} - found
    return found


def test_what_is_expected_of_the_data_knows_no_prefect_and_no_database() -> None:
    outside = {*PREFECT, "sqlalchemy", "psycopg2", "snowflake", "boto3", "botocore"}
    assert [str(i) for i in PRODUCT["expectations"] if i.package in outside] == []


def test_pure_steps_run_without_prefect() -> None:
    tasks = PROJECT / "tasks"
    pure = [i for i in PRODUCT["tasks"] if str(i.path.relative_to(tasks)) in PURE_TASKS]
    assert {str(i.path.relative_to(tasks)) for i in pure} == PURE_TASKS
    assert [str(i) for i in pure if i.package in PREFECT] == []
    inside = [i for i in pure if i.package == "tasks"]
    stepping_out = [
        str(i) for i in inside if f"{i.module.removeprefix('tasks.').replace('.', '/')}.py" not in PURE_TASKS
    ]
    assert stepping_out == []


def test_pandas_and_sql_stay_out_of_the_flows() -> None:
    drivers = {"pandas", "numpy", "pyarrow", "sqlalchemy", "psycopg2", "snowflake", "boto3", "great_expectations"}
    assert [str(i) for i in PRODUCT["flows"] if i.package in drivers] == []


def test_pure_code_reads_no_environment() -> None:
    readers = [
        str(path.relative_to(PROJECT))
        for folder in ("expectations", "tasks", "flows")
        for path in (PROJECT / folder).rglob("*.py")
        if "environ[" in (text := path.read_text(encoding="utf-8")) or "getenv(" in text or "environ.get" in text
    ]
    assert readers == []
