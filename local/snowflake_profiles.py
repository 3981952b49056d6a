"""Profiles of statements: the rows and columns that the stand-in's engine reads, as JSON lines in the file that
SNOWFLAKE_PROFILES names, while it exists. Snowflake's counterpart is GET_QUERY_OPERATOR_STATS."""

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
"""Characters of a statement that are recorded, enough to identify it."""


def profiled(connection: duckdb.DuckDBPyConnection) -> Any:
    """Returns the connection, profiled if SNOWFLAKE_PROFILES is set."""
    named = os.environ.get("SNOWFLAKE_PROFILES")
    return Profiled(connection, Path(named)) if named else connection


class Profiled:
    """A connection that records what its statements read. DuckDB profiles results fetched as rows, not as an Arrow
    table: a query therefore runs twice, and the result of a change is made into a table here."""

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
                self._record(statement)
            else:
                self._change = statement
        return self._connection.execute(statement, *arguments, **named)

    def fetchall(self) -> Any:
        rows = self._connection.fetchall()
        if self._change is not None:
            self._record(self._change)
            self._change = None
        return rows

    def to_arrow_table(self) -> pa.Table:
        if self._change is None:
            return self._connection.to_arrow_table()
        # MERGE, which returns the action of each row.
        ((name, *_),) = self._connection.description
        return pa.table({name: pa.array([action for (action,) in self.fetchall()], pa.string())})

    def _record(self, statement: str) -> None:
        profile = json.loads(self._connection.get_profiling_information(format="json"))
        self._connection.disable_profiling()
        if scans := list(_scans(profile)):
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"statement": statement[:HEAD_MAX], "scans": scans}) + "\n")


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields each scan of a table: its columns, and the rows of the parts that were not pruned."""
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
