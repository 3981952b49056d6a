"""Snowflake takes every statement that the product can make, as far as the stand-in knows what it refuses."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO

import pytest
from snowflake.connector.util_text import split_statements

from local.snowflake_dialect import parse
from tasks.batch import Attempt
from tasks.begin import leftovers_query
from tasks.law import rows_query, tallies_query
from tasks.stage import Manifest
from tasks.warehouse.attributes import attribute_values
from tasks.warehouse.ledger import _ordinal
from tasks.warehouse.second_look import shown_query
from tasks.warehouse.statements import SQL_DIRECTORY, render, union_all
from tasks.warehouse.states import Status
from tests.unit.tasks.warehouse.test_statements import STATEMENTS, VALUES

PROJECT = SQL_DIRECTORY.parent
AT = {"EUROPE": datetime(2024, 1, 16, 6, tzinfo=UTC)}
OTHER_VALUES = {
    "attributes-of-none": attribute_values({}),
    "end-of-a-run": {"ordinal": _ordinal(Status.PUBLISHED)},
    "many-entries": {"entries": union_all(render("ledger/entry", ordinal=_ordinal(status)) for status in Status)},
    "dry-run": {"verb": "SELECT COUNT(*)"},
}
"""Other values in place of some of VALUES."""
RENDERED_ELSEWHERE = {
    "tasks.begin.find_leftovers: leftovers_query()",
    "tasks.warehouse.second_look.look: shown_query(attempt, extra_columns)",
    "tasks.law.ask_tables: rows_query(manifest)",
    "tasks.law.ask_tables: tallies_query(manifest)",
    "tasks.load.load_files: "
    "[render('load/copy_files', table=table, path=path, files=text_literals((file.name for file in files))) "
    "for table, files in portions]",
    "tasks.warehouse.lock._rows_changed: statement",
    "tasks.setup_checks.warehouse._query_with_advice: statement",
    "tasks.warehouse.session.run_together: "
    "[text for text, _ in split_statements(StringIO(script), remove_comments=True) if text]",
}
"""The places that send a statement which another function has made, or one of several."""
SENDERS = {
    "query": 0,
    "query_named": 0,
    "query_together": 0,
    "run_script": 0,
    "run_together": 0,
    "_query_with_advice": 1,
}
"""The functions that send a statement, with the position of the statement among their arguments."""


@dataclass(frozen=True)
class Sent:
    """A statement that is written in Python; `text` has an X where a value is put in, and is None for another form."""

    where: str
    text: str | None


def sent_by_python() -> Iterator[Sent]:
    """The statements of all calls of SENDERS that are not `render`ed."""
    for folder in ("blocks", "flows", "tasks"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            module = ".".join(file.relative_to(PROJECT).with_suffix("").parts)
            for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(function, ast.FunctionDef):
                    yield from _sent_in(f"{module}.{function.name}", function)


def _sent_in(name: str, function: ast.FunctionDef) -> Iterator[Sent]:
    for call in ast.walk(function):
        sender = _name_of(call.func) if isinstance(call, ast.Call) else ""
        if isinstance(call, ast.Call) and sender in SENDERS:
            for given in _values_of(call.args[SENDERS[sender]], function):
                if not (isinstance(given, ast.Call) and ast.unparse(given.func) == "render"):
                    yield Sent(f"{name}: {ast.unparse(given)}", _text_of(given))


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _values_of(given: ast.expr, function: ast.FunctionDef) -> list[ast.expr]:
    """The values of a name, or of an entry of a named table, that are assigned in its function."""
    if isinstance(given, ast.Subscript):
        tables = _values_of(given.value, function)
        return [value for table in tables if isinstance(table, ast.Dict) for value in table.values] or [given]
    if not isinstance(given, ast.Name):
        return [given]
    assigned = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == given.id for t in node.targets)
    ]
    return assigned or [given]


def _text_of(given: ast.expr) -> str | None:
    if isinstance(given, ast.Constant):
        return str(given.value)
    if isinstance(given, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in given.values)
    return None


def statements_of(text: str) -> list[str]:
    """The statements of a file, as the product splits them."""
    return [statement.removesuffix(";") for statement, _ in split_statements(StringIO(text)) if statement.strip()]


IN_PYTHON = {sent.where: sent.text for sent in sent_by_python()}


def has_value(name: str, values: Mapping[str, str]) -> bool:
    text = (SQL_DIRECTORY / f"{name}.sql").read_text(encoding="utf-8")
    return any(f"${{{value}}}" in text for value in values)


FILES = [(name, "") for name in STATEMENTS] + [
    (name, other) for other, values in OTHER_VALUES.items() for name in STATEMENTS if has_value(name, values)
]


@pytest.mark.parametrize(("name", "other"), FILES)
def test_a_statement_of_a_file_is_taken(name: str, other: str) -> None:
    for statement in statements_of(render(name, **VALUES | OTHER_VALUES.get(other, {}))):
        parse(statement)


@pytest.mark.parametrize(
    "where", [where for where, text in IN_PYTHON.items() if text is not None], ids=lambda where: where.partition(":")[0]
)
def test_a_statement_that_is_written_in_python_is_taken(where: str) -> None:
    text = IN_PYTHON[where]
    assert text is not None
    parse(text)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(tallies_query, id="tallies-of-the-law"),
        pytest.param(rows_query, id="rows-of-the-law"),
        pytest.param(lambda manifest: shown_query(manifest.attempt, manifest.extra_columns), id="second-look"),
        pytest.param(lambda _: leftovers_query(), id="leftovers"),
    ],
)
def test_questions_that_are_asked_together_are_taken(query: Callable[[Manifest], str]) -> None:
    parse(query(Manifest(Attempt(42, "flow-run", "20240115", ("EUROPE",)), AT, (), {"EUROPE": ("loyalty_tier",)})))


def test_no_other_statement_is_sent() -> None:
    assert len([text for text in IN_PYTHON.values() if text is not None]) >= 10
    assert {where for where, text in IN_PYTHON.items() if text is None} == RENDERED_ELSEWHERE


def test_the_values_are_those_of_the_files() -> None:
    """A value that no file names would never be tried."""
    assert {other for _, other in FILES} == {"", *OTHER_VALUES}
