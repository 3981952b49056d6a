"""The stand-in refuses what Snowflake refuses and accepts similar statements; docs/stand-in.md lists each refusal."""

from pathlib import Path

import pytest
from snowflake.connector.errors import ProgrammingError

from local import snowflake_refusals as module
from local.snowflake_dialect import parse
from local.snowflake_refusals import refusals

PAGE = Path(__file__).parents[3] / "docs" / "stand-in.md"
MANY_FILES = ", ".join(f"'{number}.parquet'" for number in range(1001))
COPY = "COPY INTO t FROM @s/x FILES = ({files}) FILE_FORMAT = (TYPE = 'PARQUET'{options}) MATCH_BY_COLUMN_NAME = NONE"
OF_SUBQUERY = "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND {condition})"

REFUSED = {
    "a comparison in a correlated subquery whose operand has columns of both sides": (
        OF_SUBQUERY.format(condition="u.d >= COALESCE(t.d, u.d)"),
        OF_SUBQUERY.format(condition="u.a + t.a = 10"),
        OF_SUBQUERY.format(condition="(u.s = 'OPEN' OR ABS(u.a - t.a) < 2)"),
        OF_SUBQUERY.format(condition="u.a BETWEEN 1 AND u.b + t.b"),
        OF_SUBQUERY.format(condition="STARTSWITH(u.a, t.a)"),
        "UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u WHERE COALESCE(t.k, u.k) = 1)",
        "DELETE FROM t WHERE k IN (SELECT k FROM u WHERE u.a + t.a > 2)",
        "SELECT a FROM t WHERE a = (SELECT MAX(b) FROM u WHERE u.k || t.k = 'x')",
    ),
    "a comparison in a correlated subquery that reads columns of the outer row alone": (
        OF_SUBQUERY.format(condition="t.a < t.b"),
        OF_SUBQUERY.format(condition="t.is_open"),
    ),
    "a negation, or IS DISTINCT FROM, over the outer row of a correlated subquery": (
        OF_SUBQUERY.format(condition="NOT (u.a = t.a)"),
        OF_SUBQUERY.format(condition="t.a NOT IN (1, 2)"),
        OF_SUBQUERY.format(condition="t.a NOT BETWEEN 1 AND 2"),
        OF_SUBQUERY.format(condition="u.a NOT LIKE t.a"),
        OF_SUBQUERY.format(condition="u.a IS DISTINCT FROM t.a"),
    ),
    "a correlated scalar subquery that is not one row by its text": (
        "SELECT (SELECT b FROM u WHERE u.k = t.k) FROM t",
        "SELECT a FROM t WHERE a = (SELECT MAX(b) FROM u WHERE u.k = t.k GROUP BY c)",
        "UPDATE t SET a = (SELECT b FROM u WHERE u.k = t.k)",
    ),
    "a correlated EXISTS as an argument of OR": (
        "SELECT a FROM t WHERE a = 1 OR EXISTS (SELECT 1 FROM u WHERE u.k = t.k)",
        "DELETE FROM t WHERE a = 1 OR (b = 2 AND NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k))",
    ),
    "LIMIT or FETCH in a correlated subquery": (
        "SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE u.k = t.k LIMIT 1)",
        "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE u.k = t.k FETCH FIRST 1 ROWS ONLY)",
    ),
    "a correlation inside FLATTEN in a subquery": (
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u, LATERAL FLATTEN(INPUT => t.tags) AS f WHERE f.value = u.k)",
    ),
    "EXISTS over an aggregate without GROUP BY, correlated": (
        "SELECT a FROM t WHERE EXISTS (SELECT MAX(b) FROM u WHERE u.k = t.k)",
    ),
    "a column of the outer row in a subquery's aggregate or GROUP BY": (
        "SELECT a FROM t WHERE a = (SELECT SUM(u.b + t.b) FROM u WHERE u.k = t.k)",
        "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE u.k = t.k GROUP BY b, t.a)",
    ),
    "an EXISTS in a subquery that reads a row two levels outside": (
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM v WHERE v.k = t.k))",
    ),
    "a correlated subquery in the ON of a join": (
        "SELECT a FROM t JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM v WHERE v.k = t.k)",
    ),
    "ON or USING at a lateral table function": (
        "SELECT a FROM t LEFT JOIN LATERAL FLATTEN(INPUT => t.tags) AS f ON f.value = t.a",
    ),
    "QUALIFY without a window function": ("SELECT a FROM t QUALIFY a = 1",),
    "a window function in WHERE, GROUP BY or ON": (
        "SELECT a FROM t WHERE ROW_NUMBER() OVER (ORDER BY a) = 1",
        "SELECT COUNT(*) FROM t GROUP BY RANK() OVER (ORDER BY a)",
        "SELECT a FROM t JOIN u ON u.n = ROW_NUMBER() OVER (ORDER BY t.a)",
    ),
    "DISTINCT in a window function with ORDER BY": (
        "SELECT COUNT(DISTINCT a) OVER (PARTITION BY b ORDER BY c) FROM t",
    ),
    "an alias that is also a column inside an aggregate of the same query": (
        "SELECT MAX(a) AS a, COALESCE(MAX(a) > 3, FALSE) AS b FROM t",
        "SELECT k, MAX(until) AS until FROM t GROUP BY k HAVING MAX(until) > 3",
        "SELECT s.k FROM (SELECT k, MIN(a) AS a FROM t GROUP BY k) AS s",
    ),
    "EXCEPT ALL or INTERSECT ALL": (
        "SELECT a FROM t EXCEPT ALL SELECT a FROM u",
        "SELECT a FROM t INTERSECT ALL SELECT a FROM u",
    ),
    "SELECT DISTINCT ON, ON CONFLICT or RETURNING": (
        "SELECT DISTINCT ON (a) a, b FROM t",
        "INSERT INTO t SELECT 1 RETURNING a",
    ),
    "a reserved word as a name without quotes": (
        "SELECT COUNT(*) AS rows FROM t",
        "SELECT 1 FROM t AS sample",
        "SELECT s.a FROM (SELECT a FROM t) AS values",
    ),
    "more than 200,000 expressions in a list": ("SELECT a FROM t WHERE a IN (1, 2, 3, 4)",),
    "TRY_CAST of a value that is not text": ("SELECT TRY_CAST(1 AS VARCHAR)", "SELECT TRY_CAST(NULL AS NUMBER)"),
    "an expression in VALUES that is not computed while the statement is compiled": (
        "INSERT INTO t (a) VALUES (PARSE_JSON('{}'))",
        "INSERT INTO t (a, b) VALUES (1, (SELECT MAX(a) FROM u))",
        "INSERT INTO t (a) VALUES (1 / 2)",
    ),
    "an UPDATE that sets a column twice": ("UPDATE t SET a = 1, A = 2",),
    "OR REPLACE together with IF NOT EXISTS": ("CREATE OR REPLACE TABLE IF NOT EXISTS t (a INT)",),
    "more than 1,000 names in the FILES of a COPY": (COPY.format(files=MANY_FILES, options=""),),
    "MATCH_BY_COLUMN_NAME together with a query in COPY": (
        "COPY INTO t FROM (SELECT $1:a FROM @s/x) FILE_FORMAT = (TYPE = 'PARQUET') "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
    ),
    "an option that the format PARQUET does not have": (
        COPY.format(files="'x'", options=" USE_VECTORISED_SCANNER = TRUE"),
        COPY.format(files="'x'", options=" EMPTY_FIELD_AS_NULL = FALSE"),
    ),
    "a statement of more than 1 MB": (f"SELECT '{'x' * 2**20}'",),
}
"""Statements by shape."""

ACCEPTED = {
    "outer-column-beside-a-constant": OF_SUBQUERY.format(condition="u.d >= COALESCE(t.d, '0001-01-01'::TIMESTAMP_TZ)"),
    "two-columns-of-either-side": OF_SUBQUERY.format(condition="COALESCE(u.d, u.e) < LEAST(t.d, t.e)"),
    "case-over-the-outer-row-alone": OF_SUBQUERY.format(
        condition="u.d >= CASE WHEN t.s = 'OPEN' THEN t.d ELSE t.e END"
    ),
    "or-of-comparisons": OF_SUBQUERY.format(condition="(u.a > t.a OR u.b > t.b AND u.c = 1)"),
    "outer-column-against-a-constant": OF_SUBQUERY.format(condition="t.s = 'OPEN'"),
    "not-in-over-the-inner-row-alone": OF_SUBQUERY.format(condition="u.a NOT IN (1, 2) AND u.b IS NOT NULL"),
    "not-distinct-from-a-constant": OF_SUBQUERY.format(condition="u.a IS NOT DISTINCT FROM 3"),
    "not-exists": "SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k)",
    "scalar-subquery-with-an-aggregate": "SELECT a FROM t WHERE a = (SELECT MAX(b) FROM u WHERE u.k = t.k)",
    "scalar-subqueries-without-correlation": "SELECT (SELECT COUNT(*) FROM t), (SELECT a FROM t LIMIT 1)",
    "limit-without-correlation": "SELECT s.a FROM t JOIN (SELECT a, k FROM u LIMIT 3) AS s ON s.k = t.k",
    "flatten-in-from": "SELECT a FROM t, LATERAL FLATTEN(INPUT => t.tags) AS f WHERE f.value = 'x'",
    "qualify-with-a-window-function": "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) = 1",
    "qualify-with-the-alias-of-a-window-function": "SELECT a, RANK() OVER (ORDER BY a) AS n FROM t QUALIFY n = 1",
    "distinct-in-a-window-without-order": "SELECT COUNT(DISTINCT a) OVER (PARTITION BY b) FROM t",
    "aliases-that-are-no-columns": "SELECT MAX(a) AS newest, MIN(a) AS oldest FROM t",
    "alias-of-a-grouped-column": "SELECT t.a AS a, MAX(b) FROM t GROUP BY t.a",
    "except-and-union-all": "SELECT a FROM t EXCEPT SELECT a FROM u UNION ALL SELECT 1",
    "reserved-words-in-quotes": 'SELECT COUNT(*) AS "ROWS", COUNT(*) AS rows_in_table FROM t AS staged',
    "try-cast-of-text": "SELECT TRY_CAST('1' AS NUMBER), TRY_CAST(a AS NUMBER) FROM t",
    "current-timestamp-in-values": "INSERT INTO t (a, b) VALUES (1, CURRENT_TIMESTAMP())",
    "json-in-a-select": "INSERT INTO t (a) SELECT PARSE_JSON('{}')",
    "update-of-two-columns": "UPDATE t SET a = 1, b = u.b FROM u WHERE u.k = t.k",
    "create-if-not-exists": "CREATE TABLE IF NOT EXISTS t (a INT)",
    "options-that-parquet-has": COPY.format(
        files="'x'", options=" USE_LOGICAL_TYPE = TRUE NULL_IF = () USE_VECTORIZED_SCANNER = FALSE"
    ),
}
"""Statements by name."""


@pytest.mark.parametrize(
    ("shape", "statement"),
    [
        pytest.param(shape, statement, id=f"{shape}: {number}")
        for shape, statements in REFUSED.items()
        for number, statement in enumerate(statements, 1)
    ],
)
def test_a_shape_is_refused_with_its_number(monkeypatch: pytest.MonkeyPatch, shape: str, statement: str) -> None:
    monkeypatch.setattr(module, "LIST_MAX", 3)
    (refusal,) = [refusal for refusal in refusals() if refusal.shape == shape]
    with pytest.raises(ProgrammingError) as caught:
        parse(statement)
    assert (caught.value.errno, caught.value.sqlstate) == refusal.error
    assert refusal.shape in str(caught.value.msg)


@pytest.mark.parametrize("statement", ACCEPTED.values(), ids=ACCEPTED)
def test_a_similar_statement_is_accepted(statement: str) -> None:
    parse(statement)


def test_every_refusal_is_tested_and_documented_with_its_source() -> None:
    assert set(REFUSED) == {refusal.shape for refusal in refusals()}
    page = PAGE.read_text(encoding="utf-8")
    lines = [f"| {r.shape} | {r.error[0]:06d} ({r.error[1]}) | {r.source} |" for r in refusals()]
    assert [line for line in lines if line not in page] == []
