"""The arrows between the folders: flows -> tasks -> (expectations, blocks). Nothing points back."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
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

PURE, NO_PREFECT = "Pure.", "Knows no Prefect."
"""How the first paragraph of a module ends that does no I/O, and of one that may and runs without Prefect."""
DRIVERS = {"sqlalchemy", "psycopg2", "snowflake", "boto3", "botocore", "smtplib", "httpx", "subprocess", "threading"}
TOP_FILES_MAX = 20


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


def is_program(path: Path) -> bool:
    """Whether it is started by itself: as a program, or as a flow by a worker."""
    return path.parent.name == "flows" or '__name__ == "__main__"' in path.read_text(encoding="utf-8")


PROGRAMS = [
    str(path.relative_to(PROJECT))
    for folder in MAY_IMPORT
    for path in sorted((PROJECT / folder).rglob("*.py"))
    if path.name != "__init__.py" and is_program(path)
]


SERVER_WAITS, CALL_NO_SERVER = (
    "blocks/server_waits.py",
    {"clean_prefect_database", "data_docs", "health", "image_file", "pool_templates"},
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_calls_the_prefect_server_logs_long_waits_for_it(program: str) -> None:
    assert (SERVER_WAITS in imported_with(program)) is (Path(program).stem not in CALL_NO_SERVER)


def test_what_is_expected_of_the_data_knows_no_prefect_and_no_database() -> None:
    outside = {*PREFECT, "sqlalchemy", "psycopg2", "snowflake", "boto3", "botocore"}
    assert [str(i) for i in PRODUCT["expectations"] if i.package in outside] == []


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def name_of(path: Path) -> str:
    """As it is imported."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


MODULES = [path for path in sorted((PROJECT / "tasks").rglob("*.py")) if path.name != "__init__.py"]
MARKS = {name_of(path): " ".join(docstring_of(path).partition("\n\n")[0].split()) for path in MODULES}


def needs_prefect(module: str) -> bool:
    """Whether it, or one that it imports, imports Prefect at its top."""
    found = imported_with(f"{module.replace('.', '/')}.py")
    at_top = (i for o in PRODUCT.values() for i in o if not i.lazily and str(i.path.relative_to(PROJECT)) in found)
    return any(imported.package in PREFECT for imported in at_top)


@pytest.mark.parametrize("module", MARKS)
def test_a_module_without_prefect_says_so_and_one_with_it_does_not(module: str) -> None:
    assert MARKS[module].endswith((PURE, NO_PREFECT)) is not needs_prefect(module)


def test_what_is_pure_imports_no_driver() -> None:
    pure = {module for module, mark in MARKS.items() if mark.endswith(PURE)}
    assert len(pure) > 15
    assert [str(i) for i in PRODUCT["tasks"] if name_of(i.path) in pure and i.package in DRIVERS] == []


def test_a_file_of_tasks_is_a_step_or_a_word_and_is_listed() -> None:
    top = {path.stem for path in MODULES if path.parent.name == "tasks"}
    assert {*docstring_of(PROJECT / "tasks" / "__init__.py").split("\n\n")[1].split()} == top
    assert len(top) < TOP_FILES_MAX, "one more is __init__.py"


def test_each_folder_of_tasks_says_what_belongs_there_and_what_does_not() -> None:
    for folder in sorted(path for path in (PROJECT / "tasks").iterdir() if path.is_dir() and path.name[0] != "_"):
        assert docstring_of(folder / "__init__.py").count("\n\n") == 1, folder


def house_of(module: str) -> str:
    """The folder, or the file at the top, that a module of tasks/ stands in."""
    return module.split(".")[1]


def test_nothing_in_tasks_goes_in_a_circle() -> None:
    """Neither folders nor files at the top import each other, by whatever way round."""
    arrows: dict[str, set[str]] = {house_of(module): set() for module in MARKS}
    for imported in PRODUCT["tasks"]:
        if imported.package == "tasks" and "." in imported.module and imported.path.name != "__init__.py":
            arrows[house_of(name_of(imported.path))].add(house_of(imported.module))
    TopologicalSorter({of: to - {of} for of, to in arrows.items()}).prepare()


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
