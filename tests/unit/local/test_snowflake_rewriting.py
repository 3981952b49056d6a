"""The shortened rewriting gives the same statements as fakesnow's own."""

import re
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError
from snowflake.connector.util_text import split_statements
from sqlglot import Expr
from sqlglot.errors import ParseError

from local.snowflake_dialect import parse_to_change
from local.snowflake_rewriting import Rewriting
from tasks.warehouse.statements import SQL_DIRECTORY

GOLDEN = Path(__file__).parents[2] / "golden"
OTHERS = (
    "SELECT region, COUNT(*), SUM(net_amount), AVG(quantity) FROM sales_fact GROUP BY 1 ORDER BY 1",
    "SELECT PARSE_JSON(extra):tier::VARCHAR, SPLIT(a, ',')[0], REGEXP_REPLACE(a, 'x', 'y') FROM t",
    "SELECT f.value FROM t, LATERAL FLATTEN(input => t.tags) AS f WHERE t.d >= DATEADD('day', -1, '2024-01-15')",
    "SELECT TO_DATE('2024-01-15'), TO_DECIMAL('1.10', 10, 2), SHA2('a'), OBJECT_CONSTRUCT('a', 1), CURRENT_VERSION()",
    "SELECT ROW_NUMBER() OVER (ORDER BY a) AS n FROM t SAMPLE (10) QUALIFY n = 1",
    "SHOW TABLES",
    "SHOW COLUMNS IN TABLE sales_fact",
    "ALTER TABLE sales_fact ADD COLUMN tier VARCHAR(20) COMMENT 'plain'",
    "DROP SCHEMA other",
    "USE SCHEMA other",
)


def statements() -> Iterator[Expr]:
    """The rendered statements, OTHERS, and the templates that parse without their values."""
    texts = list(OTHERS)
    for file in (*GOLDEN.glob("*.sql"), *SQL_DIRECTORY.glob("*/*.sql")):
        text = re.sub(r"\$\{?(\w+)\}?|\{(\w+)\}", lambda name: name[1] or name[2], file.read_text(encoding="utf-8"))
        texts += [statement for statement, _ in split_statements(StringIO(text), remove_comments=True) if statement]
    for text in texts:
        with suppress(ParseError, ProgrammingError):
            yield parse_to_change(text)


def rewritten(cursor: FakeSnowflakeCursor, statement: Expr, in_short: bool) -> str:
    if in_short:
        return str(cursor._transform(Rewriting(statement), None).statement.sql(dialect="duckdb"))  # type: ignore[arg-type,attr-defined]
    return cursor._transform(statement, None).sql(dialect="duckdb")


def test_all_statements_are_rewritten_as_fakesnow_does_it() -> None:
    parsed = list(statements())
    assert len(parsed) > 100
    connection = FakeSnow().connect("RETAIL", "ANALYTICS")
    cursor = FakeSnowflakeCursor(connection, connection._duck_conn)
    differing = [
        statement.sql(dialect="snowflake")
        for statement in parsed
        if rewritten(cursor, statement.copy(), in_short=True) != rewritten(cursor, statement.copy(), in_short=False)
    ]
    assert differing == []
