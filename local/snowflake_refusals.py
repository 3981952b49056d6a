"""Shapes of statements that Snowflake refuses and DuckDB would accept, each with its source.

What belongs here: shapes that the text of a statement alone shows. docs/stand-in.md lists them, and a test compares the
two. The page marks sources that are not Snowflake's own but were tried on a real account by others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp

SUBQUERIES = "https://docs.snowflake.com/en/user-guide/querying-subqueries"
OPERATORS = "https://docs.snowflake.com/en/sql-reference/operators-subquery"
TRIED_BY_OTHERS = "https://github.com/mlorek/frostlake"
"""An emulator whose tests state what a real account returned."""

UNSUPPORTED_SUBQUERY = (2031, "0A000")
SYNTAX = (1003, "42000")
NOT_SUPPORTED = (2, "0A000")

TEXT_BYTES_MAX = 2**20
FILES_MAX = 1000
LIST_MAX = 200_000
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.Like, exp.ILike)
OF_ROWS = (exp.Exists, exp.In, exp.Any, exp.All)
"""Expressions that use the rows of a subquery, not its value."""
NOT_FOLDED = (
    *(exp.Subquery, exp.Select, exp.ParseJSON, exp.JSONObject, exp.Array, exp.Div, exp.Round, exp.Sqrt, exp.Ceil),
    *(exp.SHA2, exp.Uuid),
)
"""The expressions known to be refused in VALUES."""
RESERVED_WORDS = (
    "ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS "
    "CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS "
    "FALSE FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO "
    "IS ISSUE JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION "
    "QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO "
    "TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH"
)
RESERVED = frozenset(RESERVED_WORDS.split(" "))


@dataclass(frozen=True)
class Refusal:
    """A refused shape, with Snowflake's error number and SQL state; the number is 1003 if no source gives it."""

    shape: str
    error: tuple[int, str]
    source: str


@dataclass(frozen=True)
class Correlated:
    """A subquery that reads columns of the outer row. Columns without a table's name are taken for its own."""

    query: exp.Query
    outer: tuple[exp.Column, ...]

    def reads_outer(self, part: Expr) -> bool:
        return any(any(column is outer for outer in self.outer) for column in part.find_all(exp.Column))

    def reads_own(self, part: Expr) -> bool:
        return any(all(column is not outer for outer in self.outer) for column in part.find_all(exp.Column))


FindIn = Callable[[Expr], Iterator[Expr]]
FindInSubquery = Callable[[Correlated], Iterator[Expr]]
OF_STATEMENTS: list[tuple[Refusal, FindIn]] = []
OF_SUBQUERIES: list[tuple[Refusal, FindInSubquery]] = []
"""Refusals with the functions that find parts of their shape, in the order of the checks."""


def refusals() -> list[Refusal]:
    """All refusals."""
    return [*(refusal for refusal, _ in OF_SUBQUERIES), *(refusal for refusal, _ in OF_STATEMENTS), TEXT_TOO_LONG]


def refuse(command: str, statement: Expr) -> None:
    """Raises ProgrammingError for a statement that Snowflake refuses; `statement` is `command`, parsed."""
    if len(command.encode()) > TEXT_BYTES_MAX:
        raise _error(TEXT_TOO_LONG, f"{len(command.encode())} bytes")
    for subquery in correlated_in(statement):
        for refusal, find_in_subquery in OF_SUBQUERIES:
            for part in find_in_subquery(subquery):
                raise _error(refusal, part.sql(dialect="snowflake")[:200])
    for refusal, find in OF_STATEMENTS:
        for part in find(statement):
            raise _error(refusal, part.sql(dialect="snowflake")[:200])


def _error(refusal: Refusal, what: str) -> ProgrammingError:
    errno, sqlstate = refusal.error
    message = f"SQL compilation error: {refusal.shape}: {what} ({refusal.source})"
    return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)


def _refused(shape: str, error: tuple[int, str], source: str) -> Callable[[FindIn], FindIn]:
    def keep(find: FindIn) -> FindIn:
        OF_STATEMENTS.append((Refusal(shape, error, source), find))
        return find

    return keep


def _refused_subquery(shape: str, source: str) -> Callable[[FindInSubquery], FindInSubquery]:
    def keep(find: FindInSubquery) -> FindInSubquery:
        OF_SUBQUERIES.append((Refusal(shape, UNSUPPORTED_SUBQUERY, source), find))
        return find

    return keep


# Correlated subqueries


def correlated_in(statement: Expr) -> Iterator[Correlated]:
    """Yields the subqueries in expressions that read columns of the outer row; tables in FROM are not included."""
    for query in statement.find_all(exp.Select, exp.SetOperation):
        if _is_in_expression(query):
            outer = tuple(column for column in query.find_all(exp.Column) if _comes_from_outside(column, query))
            if outer:
                yield Correlated(query, outer)


def _holder(query: Expr) -> Expr | None:
    """The expression around a query, without parentheses."""
    holder = query.parent
    while isinstance(holder, (exp.Subquery, exp.Paren)):
        holder = holder.parent
    return holder


def _is_in_expression(query: Expr) -> bool:
    tables = (exp.From, exp.Join, exp.SetOperation, exp.Insert, exp.Create, exp.CTE, exp.Merge, exp.Lateral)
    holder = _holder(query)
    if isinstance(holder, exp.Join):
        return query.find_ancestor(exp.Subquery) is not holder.this
    return holder is not None and not isinstance(holder, tables)


def _comes_from_outside(column: exp.Column, query: Expr) -> bool:
    if not column.table:
        return False
    scope = column.find_ancestor(exp.Select)
    while scope is not None:
        if column.table.upper() in _names_in(scope):
            return False
        if scope is query:
            break
        scope = scope.find_ancestor(exp.Select)
    return True


def _names_in(select: exp.Select) -> set[str]:
    """The names by which a SELECT knows the tables of its FROM."""
    sources = [select.args.get("from_"), *select.args.get("joins", ()), *select.args.get("laterals", ())]
    found = [source.this if isinstance(source, (exp.From, exp.Join)) else source for source in sources if source]
    return {source.alias_or_name.upper() for source in found}


def _predicates(subquery: Correlated) -> Iterator[Expr]:
    """Yields the single conditions of a subquery, without those of the queries inside it."""
    for clause in subquery.query.find_all(exp.Where, exp.Having, exp.Join):
        if clause.find_ancestor(exp.Select) is subquery.query:
            condition = clause.args.get("on") if isinstance(clause, exp.Join) else clause.this
            if condition is not None:
                yield from _leaves(condition)


def _leaves(condition: Expr) -> Iterator[Expr]:
    if isinstance(condition, (exp.And, exp.Or)):
        yield from _leaves(condition.left)
        yield from _leaves(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from _leaves(condition.this)
    else:
        yield condition


def _is_of_query(part: Expr | None) -> TypeGuard[Expr]:
    return isinstance(part, OF_ROWS) and part.find(exp.Select) is not None


@_refused_subquery(
    "a negation, or IS DISTINCT FROM, over the outer row of a correlated subquery",
    TRIED_BY_OTHERS,
)
def _negated(subquery: Correlated) -> Iterator[Expr]:
    for leaf in _predicates(subquery):
        if isinstance(leaf, exp.NullSafeNEQ) and subquery.reads_outer(leaf):
            yield leaf
        elif isinstance(leaf, exp.Not) and not _is_of_query(leaf.this) and not isinstance(leaf.this, exp.Is):
            negated = leaf.this.this if isinstance(leaf.this, exp.In) else leaf.this
            if subquery.reads_outer(negated):
                yield leaf


@_refused_subquery(
    "a comparison in a correlated subquery whose operand has columns of both sides",
    "https://openillumi.com/en/en-snowflake-unsupported-subquery-type-fix",
)
def _mixed_operand(subquery: Correlated) -> Iterator[Expr]:
    for leaf in _predicates(subquery):
        sides = leaf.iter_expressions() if isinstance(leaf, (*COMPARISONS, exp.Between, exp.In)) else [leaf]
        for side in sides:
            if not _is_of_query(leaf) and subquery.reads_outer(side) and subquery.reads_own(side):
                yield leaf


@_refused_subquery(
    "a comparison in a correlated subquery that reads columns of the outer row alone",
    TRIED_BY_OTHERS,
)
def _outer_alone(subquery: Correlated) -> Iterator[Expr]:
    for leaf in _predicates(subquery):
        is_bare = isinstance(leaf, exp.Column) and subquery.reads_outer(leaf)
        both = isinstance(leaf, COMPARISONS) and all(map(subquery.reads_outer, (leaf.left, leaf.right)))
        if is_bare or both:
            yield leaf


@_refused_subquery("a correlated scalar subquery that is not one row by its text", SUBQUERIES)
def _not_one_row(subquery: Correlated) -> Iterator[Expr]:
    query = subquery.query
    if isinstance(_holder(query), OF_ROWS):
        return
    aggregate = [part for part in query.selects if part.find(exp.AggFunc) and not part.find(exp.Window)]
    if not isinstance(query, exp.Select) or not aggregate or query.args.get("group"):
        yield query


@_refused_subquery("a correlated EXISTS as an argument of OR", OPERATORS)
def _exists_under_or(subquery: Correlated) -> Iterator[Expr]:
    exists = subquery.query.parent
    while isinstance(exists, (exp.Subquery, exp.Paren)):
        exists = exists.parent
    part: Expr | None = exists if isinstance(exists, exp.Exists) else None
    while part is not None and isinstance(part.parent, (exp.Paren, exp.Not, exp.And)):
        part = part.parent
    if part is not None and isinstance(part.parent, exp.Or):
        yield part.parent


@_refused_subquery("LIMIT or FETCH in a correlated subquery", SUBQUERIES)
def _limited(subquery: Correlated) -> Iterator[Expr]:
    yield from subquery.query.find_all(exp.Limit, exp.Fetch)


@_refused_subquery("a correlation inside FLATTEN in a subquery", SUBQUERIES)
def _flattened(subquery: Correlated) -> Iterator[Expr]:
    for lateral in subquery.query.find_all(exp.Lateral, exp.Explode, exp.Unnest):
        if subquery.reads_outer(lateral):
            yield lateral


@_refused_subquery("EXISTS over an aggregate without GROUP BY, correlated", TRIED_BY_OTHERS)
def _exists_of_aggregate(subquery: Correlated) -> Iterator[Expr]:
    query = subquery.query
    is_grouped = query.args.get("group") or query.args.get("having")
    if isinstance(_holder(query), exp.Exists) and not is_grouped and any(s.find(exp.AggFunc) for s in query.selects):
        yield query


@_refused_subquery("a column of the outer row in a subquery's aggregate or GROUP BY", TRIED_BY_OTHERS)
def _outer_aggregated(subquery: Correlated) -> Iterator[Expr]:
    for part in subquery.query.find_all(exp.AggFunc, exp.Group):
        if subquery.reads_outer(part):
            yield part


@_refused_subquery("an EXISTS in a subquery that reads a row two levels outside", TRIED_BY_OTHERS)
def _two_levels(subquery: Correlated) -> Iterator[Expr]:
    for column in subquery.outer:
        between = column.find_ancestor(exp.Select)
        while between is not None and between is not subquery.query:
            if isinstance(_holder(between), OF_ROWS):
                yield between
            between = between.find_ancestor(exp.Select)


@_refused_subquery("a correlated subquery in the ON of a join", SUBQUERIES)
def _in_join(subquery: Correlated) -> Iterator[Expr]:
    holder = subquery.query.find_ancestor(exp.Join, exp.Select)
    if isinstance(holder, exp.Join):
        yield subquery.query


# Queries


@_refused(
    "ON or USING at a lateral table function",
    NOT_SUPPORTED,
    "https://docs.snowflake.com/en/sql-reference/constructs/join-lateral",
)
def _lateral_on(statement: Expr) -> Iterator[Expr]:
    for join in statement.find_all(exp.Join):
        if isinstance(join.this, exp.Lateral) and (join.args.get("on") or join.args.get("using")):
            yield join


@_refused("QUALIFY without a window function", SYNTAX, "https://docs.snowflake.com/en/sql-reference/constructs/qualify")
def _qualify(statement: Expr) -> Iterator[Expr]:
    for qualify in statement.find_all(exp.Qualify):
        select = qualify.parent
        if not qualify.find(exp.Window) and not any(part.find(exp.Window) for part in getattr(select, "selects", ())):
            yield qualify


@_refused(
    "a window function in WHERE, GROUP BY or ON",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/constructs/qualify",
)
def _window_in_where(statement: Expr) -> Iterator[Expr]:
    for window in statement.find_all(exp.Window):
        holder = window.find_ancestor(exp.Where, exp.Group, exp.Join, exp.Select)
        if isinstance(holder, (exp.Where, exp.Group)) or (isinstance(holder, exp.Join) and holder.args.get("on")):
            yield window


@_refused(
    "DISTINCT in a window function with ORDER BY",
    (2303, "0A000"),
    "https://docs.snowflake.com/en/sql-reference/functions-window-syntax",
)
def _distinct_window(statement: Expr) -> Iterator[Expr]:
    for window in statement.find_all(exp.Window):
        if window.args.get("order") and window.this.find(exp.Distinct):
            yield window


@_refused(
    "an alias that is also a column inside an aggregate of the same query",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/constructs/group-by",
)
def _alias_in_aggregate(statement: Expr) -> Iterator[Expr]:
    # The documentation says only for GROUP BY which of the two is meant: no statement should depend on it.
    for select in statement.find_all(exp.Select):
        named = (part for part in select.selects if isinstance(part, exp.Alias))
        own = {part.alias.upper() for part in named if not isinstance(part.this, exp.Column)}
        for call in select.find_all(exp.AggFunc):
            if call.find_ancestor(exp.Select) is select and not isinstance(call.parent, exp.Window):
                yield from (c for c in call.find_all(exp.Column) if not c.table and c.name.upper() in own)


@_refused(
    "EXCEPT ALL or INTERSECT ALL",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/operators-query",
)
def _all_of_set(statement: Expr) -> Iterator[Expr]:
    for query in statement.find_all(exp.Except, exp.Intersect):
        if query.args.get("distinct") is False:
            yield query


@_refused(
    "SELECT DISTINCT ON, ON CONFLICT or RETURNING",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/sql/insert",
)
def _other_dialects(statement: Expr) -> Iterator[Expr]:
    yield from (d for d in statement.find_all(exp.Distinct) if d.args.get("on"))
    yield from statement.find_all(exp.OnConflict, exp.Returning)


@_refused(
    "a reserved word as a name without quotes",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/reserved-keywords",
)
def _reserved(statement: Expr) -> Iterator[Expr]:
    for alias in statement.find_all(exp.Alias, exp.TableAlias):
        name = alias.args.get("alias") if isinstance(alias, exp.Alias) else alias.this
        if isinstance(name, exp.Identifier) and not name.quoted and name.name.upper() in RESERVED:
            yield alias


@_refused(
    "more than 200,000 expressions in a list",
    (1795, "42601"),
    "https://docs.snowflake.com/en/user-guide/query-size-limits",
)
def _long_list(statement: Expr) -> Iterator[Expr]:
    yield from (listed for listed in statement.find_all(exp.In) if len(listed.expressions) > LIST_MAX)


@_refused(
    "TRY_CAST of a value that is not text",
    (1065, "22023"),
    "https://docs.snowflake.com/en/sql-reference/functions/try_cast",
)
def _try_cast(statement: Expr) -> Iterator[Expr]:
    for cast in statement.find_all(exp.TryCast):
        if isinstance(cast.this, (exp.Null, exp.Boolean)) or (cast.this.is_number and not cast.this.is_string):
            yield cast


# Changes


@_refused(
    "an expression in VALUES that is not computed while the statement is compiled",
    (2014, "22000"),
    TRIED_BY_OTHERS,
)
def _in_values(statement: Expr) -> Iterator[Expr]:
    if isinstance(statement, exp.Insert) and isinstance(statement.expression, exp.Values):
        yield from statement.expression.find_all(*NOT_FOLDED)


@_refused(
    "an UPDATE that sets a column twice", (2025, "42S21"), "https://docs.snowflake.com/en/sql-reference/sql/update"
)
def _set_twice(statement: Expr) -> Iterator[Expr]:
    if isinstance(statement, exp.Update):
        seen = set[str]()
        for assignment in statement.expressions:
            name = assignment.this.name.upper()
            if name in seen:
                yield assignment
            seen.add(name)


@_refused(
    "OR REPLACE together with IF NOT EXISTS",
    SYNTAX,
    "https://docs.snowflake.com/en/sql-reference/sql/create-table",
)
def _replaced_if_not_exists(statement: Expr) -> Iterator[Expr]:
    if isinstance(statement, exp.Create) and statement.args.get("replace") and statement.args.get("exists"):
        yield statement


# COPY

COPY_INTO = "https://docs.snowflake.com/en/sql-reference/sql/copy-into-table"
PARQUET_OPTIONS = frozenset(
    (
        *("TYPE", "FORMAT_NAME", "COMPRESSION", "SNAPPY_COMPRESSION", "BINARY_AS_TEXT", "USE_LOGICAL_TYPE"),
        *("TRIM_SPACE", "USE_VECTORIZED_SCANNER", "REPLACE_INVALID_CHARACTERS", "NULL_IF"),
    )
)


@_refused("more than 1,000 names in the FILES of a COPY", SYNTAX, COPY_INTO)
def _many_files(statement: Expr) -> Iterator[Expr]:
    for option in _copy_options(statement, "FILES"):
        if len(list(option.find_all(exp.Literal))) > FILES_MAX:
            yield option


@_refused("MATCH_BY_COLUMN_NAME together with a query in COPY", NOT_SUPPORTED, COPY_INTO)
def _matched_query(statement: Expr) -> Iterator[Expr]:
    for option in _copy_options(statement, "MATCH_BY_COLUMN_NAME"):
        if option.expression.name.upper() != "NONE" and statement.find(exp.Select):
            yield option


@_refused("an option that the format PARQUET does not have", (1420, "22023"), COPY_INTO)
def _unknown_option(statement: Expr) -> Iterator[Expr]:
    for option in _copy_options(statement, "FILE_FORMAT"):
        names = {part.this.name.upper(): part for part in option.expressions if isinstance(part, exp.Property)}
        if (kind := names.get("TYPE")) and kind.args["value"].name.upper() == "PARQUET":
            yield from (part for name, part in names.items() if name not in PARQUET_OPTIONS)


def _copy_options(statement: Expr, name: str) -> Iterator[exp.CopyParameter]:
    if isinstance(statement, exp.Copy):
        yield from (option for option in statement.find_all(exp.CopyParameter) if option.name.upper() == name)


TEXT_TOO_LONG = Refusal(
    "a statement of more than 1 MB",
    (1003, "42000"),
    "https://docs.snowflake.com/en/user-guide/query-size-limits",
)
