"""What the stand-in's engine reads for each statement: JSON lines in the file that SNOWFLAKE_PROFILES names, while it
is there. A Snowflake account tells the like by GET_QUERY_OPERATOR_STATS."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
HEAD_MAX = 200
"""Characters of a statement that say which it is."""


def profiled(connection: duckdb.DuckDBPyConnection) -> Any:
    """The connection, which says what it reads where that is asked for."""
    named = os.environ.get("SNOWFLAKE_PROFILES")
    return Profiled(connection, Path(named)) if named else connection


class Profiled:
    """A connection that notes what its statements have read. DuckDB keeps a profile of what is fetched as rows, not as
    an Arrow table: so a query is made twice, and what a change answers is made into a table here."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, file: Path) -> None:
        self._connection = connection
        self._file = file
        self._change: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any, **named: Any) -> Any:
        self._change = None
        if self._file.exists():
            self._connection.execute("PRAGMA enable_profiling = 'no_output'")
            if _COMMENT.sub("", statement).lstrip().upper().startswith(("SELECT", "WITH")):
                self._connection.execute(statement, *arguments, **named).fetchall()
                self._note(statement)
            else:
                self._change = statement
        return self._connection.execute(statement, *arguments, **named)

    def fetchall(self) -> Any:
        rows = self._connection.fetchall()
        if self._change is not None:
            self._note(self._change)
            self._change = None
        return rows

    def to_arrow_table(self) -> pa.Table:
        if self._change is None:
            return self._connection.to_arrow_table()
        # MERGE, which says in a word per row what it did.
        ((name, *_),) = self._connection.description
        return pa.table({name: pa.array([word for (word,) in self.fetchall()], pa.string())})

    def _note(self, statement: str) -> None:
        profile = json.loads(self._connection.get_profiling_information(format="json"))
        self._connection.disable_profiling()
        if scans := list(_scans(profile)):
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"statement": statement[:HEAD_MAX], "scans": scans}) + "\n")


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each read of a table: which columns, and how many rows of the parts that were not left out."""
    about = node.get("extra_info", {})
    if "rows_scanned" in node and "Table" in about:
        columns = about.get("Projections", [])
        yield {
            "table": about["Table"].rsplit(".", 1)[-1],
            "columns": [columns] if isinstance(columns, str) else columns,
            "rows": node["rows_scanned"],
        }
    for child in [*node.get("operator", []), *node.get("children", [])]:
        yield from _scans(child)
