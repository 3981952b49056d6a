"""Snowflake's SQL in DuckDB: statements rewritten before they run, values as Snowflake sends them, its errors.

What belongs here: functions of a single statement, value or error. Nothing here knows a session.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from fakesnow import arrow, copy_into, cursor, dialect, info_schema, rowtype, transforms
from fakesnow.transforms.options import parse_options
from snowflake.connector.errors import OperationalError, ProgrammingError
from sqlglot import Expr, exp
from sqlglot.errors import TokenError

from local.snowflake_refusals import refuse

LEADING_COMMENTS = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
IGNORED_STATEMENTS = (
    # What an administrator sets up; the stand-in has no compute, no accounts and no rights to give.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?WAREHOUSE\b",
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?ROLE\b",
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?USER\b",
    r"(GRANT|REVOKE)\b",
    r"USE\s+(WAREHOUSE|ROLE|SECONDARY\s+ROLES)\b",
    # Cost control: nothing costs anything here.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?RESOURCE\s+MONITOR\b",
    # The stand-in has its own credentials for S3.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?STORAGE\s+INTEGRATION\b",
    # Masking depends on roles, which have no rights here.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?MASKING\s+POLICY\b",
    r"ALTER\s+(TABLE|VIEW)\s+\S+\s+(MODIFY|ALTER)\s+(COLUMN\s+)?\S+\s+(SET|UNSET)\s+MASKING\s+POLICY\b",
    # Governance tags classify columns for people; no query reads them.
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?TAG\b",
    r"ALTER\s+(TABLE|VIEW)\s+\S+\s+((MODIFY|ALTER)\s+(COLUMN\s+)?\S+\s+)?(SET|UNSET)\s+TAG\b",
    # A table function in SQL: `make sql AS_OF=...` runs its query.
    r"CREATE\s+(OR\s+REPLACE\s+)?FUNCTION\b.*\bAS\s+(\$\$.*\$\$|'.*')\s*;?\s*$",
    # DuckDB does not cluster rows, and has no time travel.
    r"ALTER\s+TABLE\s+\S+\s+CLUSTER\s+BY\b",
    r"ALTER\s+(TABLE|SCHEMA|DATABASE)\s+\S+\s+SET\s+(DATA_RETENTION_TIME_IN_DAYS|CHANGE_TRACKING)\b",
    # Every session is in UTC, without query history, statement timeouts and detection of lost clients.
    r"ALTER\s+SESSION\s+SET\s+TIMEZONE\s*=\s*'(Etc/)?UTC'",
    r"ALTER\s+SESSION\s+(SET|UNSET)\s+(QUERY_TAG|STATEMENT_TIMEOUT_IN_SECONDS|STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"
    r"|ABORT_DETACHED_QUERY|USE_CACHED_RESULT|WEEK_START|WEEK_OF_YEAR_POLICY|TIMESTAMP_TYPE_MAPPING"
    r"|TIMESTAMP_OUTPUT_FORMAT)\b",
    # The only implemented values.
    r"ALTER\s+SESSION\s+SET\s+TRANSACTION_ABORT_ON_ERROR\s*=\s*FALSE\b",
    r"ALTER\s+SESSION\s+SET\s+ERROR_ON_NONDETERMINISTIC_MERGE\s*=\s*TRUE\b",
)
"""Accepted by every session and ignored, each group for its reason."""
_IGNORED = re.compile(LEADING_COMMENTS + f"(?:{'|'.join(IGNORED_STATEMENTS)})", re.IGNORECASE | re.DOTALL)
_LOCK_TIMEOUT = re.compile(
    LEADING_COMMENTS + r"ALTER\s+SESSION\s+(?:SET\s+LOCK_TIMEOUT\s*=\s*(\d+)|UNSET\s+LOCK_TIMEOUT\b)",
    re.IGNORECASE | re.DOTALL,
)
_DDL = re.compile(
    LEADING_COMMENTS + r"(?:CREATE|ALTER(?!\s+SESSION)|DROP|UNDROP|COMMENT|GRANT|REVOKE)\b", re.IGNORECASE | re.DOTALL
)
_VOLATILE = re.compile(r"\b(?:NEXTVAL|RANDOM|UUID|GEN_RANDOM_UUID)\(", re.IGNORECASE)

_NONDETERMINISTIC_UPDATE = re.compile(
    LEADING_COMMENTS + r"ALTER\s+SESSION\s+(?:SET\s+ERROR_ON_NONDETERMINISTIC_UPDATE\s*=\s*(TRUE|FALSE)"
    r"|UNSET\s+ERROR_ON_NONDETERMINISTIC_UPDATE)\b",
    re.IGNORECASE | re.DOTALL,
)

_ALTER_STAGE = re.compile(
    LEADING_COMMENTS + r"ALTER\s+STAGE\s+(?:IF\s+EXISTS\s+)?(?:(\w+)\.)?(\w+)\.(\w+)\s+SET\s+URL\s*=\s*'([^']*)'",
    re.IGNORECASE | re.DOTALL,
)

STATEMENTS_KEPT_MAX = 200
"""Parsed statements to cache: each is needed three times, and clients repeat statements."""
LOCK_TIMEOUT_S = 43_200
"""Snowflake's own default for LOCK_TIMEOUT."""
CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy, exp.TruncateTable)
"""Statements that change rows."""
SYNTAX_ERROR = (1003, "42000")
AMBIGUOUS_CHANGE = (100090, "42P18")
ERRORS: tuple[tuple[str, int, str], ...] = (
    (r"^Parser Error", *SYNTAX_ERROR),
    (r"^Catalog Error: .*Function with name .* does not exist", 2140, "42601"),
    (r"^Catalog Error: .*already exists", 2002, "42710"),
    (r"^Catalog Error: .*does not exist", 2003, "42S02"),
    (r"^Binder Error: Ambiguous reference to column", 2028, "42601"),
    (r"^Binder Error: .*must appear in the GROUP BY clause", 979, "42601"),
    (r"^Binder Error: .*has \d+ columns but \d+ values", 2020, "42601"),
    (r"^Binder Error: .*(not found in FROM clause|Referenced table|not have a column)", 904, "42000"),
    (r"cannot affect the same target row more than once", *AMBIGUOUS_CHANGE),
    (r"^Constraint Error: NOT NULL constraint failed", 100072, "22000"),
    (r"^Invalid Input Error: Division by zero", 100051, "22012"),
    (r"^TransactionContext Error: Current transaction is aborted", 90232, "25000"),
    (r"^TransactionContext Error: .*[Cc]onflict", 625, "57014"),
    (r"No such file|No files found|FileNotFoundError", 91016, "22000"),
    (r"^Conversion Error: (invalid timestamp|timestamp field)", 100035, "22007"),
    (r"^Conversion Error: (invalid date|date field)", 100040, "22007"),
    (r"^Conversion Error: .* to BOOL", 100037, "22018"),
    (r"out of range|^Out of Range Error|Could not cast value .* to DECIMAL", 100046, "22003"),
    (r"^(Conversion|Invalid Input) Error", 100038, "22018"),
)
"""DuckDB's message to Snowflake's error number and SQL state; the first match counts."""
INTERNAL_ERROR = (603, "XX000")
NULL_IF = ("\\N",)
"""The texts that COPY reads as NULL by default."""
TIME_FORMATS = (
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH24", "%H"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("FF6", "%f"),
)
"""The elements of a time format in Snowflake and in DuckDB."""


# Statements, before they run


def is_ddl(command: str) -> bool:
    """Whether Snowflake commits the open transaction before the statement, even if it is ignored here."""
    return bool(_DDL.match(command))


def lock_timeout_in(command: str) -> int | None:
    """The LOCK_TIMEOUT in seconds that a statement sets; None for other statements."""
    setting = _LOCK_TIMEOUT.match(command)
    return int(setting[1] or LOCK_TIMEOUT_S) if setting else None


def nondeterministic_update_in(command: str) -> bool | None:
    """The ERROR_ON_NONDETERMINISTIC_UPDATE that a statement sets; None for other statements."""
    setting = _NONDETERMINISTIC_UPDATE.match(command)
    return (setting[1] or "FALSE").upper() == "TRUE" if setting else None


@lru_cache(maxsize=STATEMENTS_KEPT_MAX)
def parse(command: str) -> Expr:
    """Parses a statement of Snowflake's for the stand-in. The result is cached and must not be changed."""
    if any(ignored.match(command) for ignored in (_IGNORED, _LOCK_TIMEOUT, _NONDETERMINISTIC_UPDATE)):
        return transforms.SUCCESS_NOP.copy()
    if stage := _ALTER_STAGE.match(command):
        return _set_url(*stage.groups())
    try:
        statement = dialect.parse_one(command)
    except TokenError as error:
        errno, sqlstate = SYNTAX_ERROR
        raise ProgrammingError(msg=f"SQL compilation error: {error}", errno=errno, sqlstate=sqlstate) from None
    if isinstance(statement, exp.Block):
        raise ProgrammingError(msg="More than one statement in a request.", errno=8, sqlstate="0A000")
    if isinstance(statement, exp.Command) and statement.name.upper() == "EXPLAIN":
        raise NotImplementedError("EXPLAIN: DuckDB's plan is not Snowflake's")
    refuse(command, statement)
    if isinstance(statement, exp.Alter) and any(isinstance(action, exp.AddConstraint) for action in statement.actions):
        return transforms.SUCCESS_NOP.copy()  # a key, which Snowflake records and does not enforce
    if isinstance(statement, (exp.Create, exp.Alter)) and statement.kind == "TABLE":
        _drop_keys(statement)
    if isinstance(statement, exp.Alter):
        _refuse_default_if_not_exists(statement)
    if isinstance(statement, exp.Update):
        _unqualify(assignment.this for assignment in statement.expressions)
    for text in list(statement.find_all(exp.ToChar)):
        if text.args.get("format"):
            text.replace(_strftime(text))
    for digest in list(statement.find_all(exp.MD5NumberLower64)):
        digest.replace(_lower_64_bits(digest))
    for fingerprint in list(statement.find_all(exp.HashAgg)):
        fingerprint.replace(_sum_of_hashes(fingerprint))
    for call in list(statement.find_all(exp.Anonymous)):
        if call.name.upper() == "OBJECT_DELETE":
            call.replace(_without_keys(call))
    for sequence in statement.find_all(exp.SequenceProperties):
        sequence.set("options", None)  # ORDER or NOORDER: DuckDB's are always in order
    for option in list(statement.find_all(exp.CopyParameter)):
        _adapt_option(option)
    return statement


def parse_to_change(command: str) -> Expr:
    """Parses a statement into a copy that may be changed."""
    return parse(command).copy()


def _set_url(database: str | None, schema: str, stage: str, url: str) -> Expr:
    """ALTER STAGE ... SET URL, which fakesnow lacks, as an UPDATE of its table of stages: those of all databases."""
    stages = "_fs_global._fs_information_schema._fs_stages"
    own = f"'{database.upper()}'" if database else "upper(current_database())"
    where = (
        f"upper(database_name) = {own} AND upper(schema_name) = '{schema.upper()}' AND upper(name) = '{stage.upper()}'"
    )
    return dialect.parse_one(f"UPDATE {stages} SET url = '{url}' WHERE {where}")


def _adapt_option(option: exp.CopyParameter) -> None:
    """Rewrites a COPY option to the form that fakesnow reads."""
    name, value = option.name.upper(), option.expression
    if name == "MATCH_BY_COLUMN_NAME" and isinstance(value, exp.Literal):
        option.set("expression", exp.var(value.name))  # Snowflake takes it quoted, too
    elif name in ("FORCE", "PURGE") and str(value).upper() == "FALSE":
        option.pop()  # fakesnow takes the bare word for TRUE


def target_of(change: Expr) -> exp.Table:
    """Returns the table whose rows a statement changes."""
    target = change.expressions[0] if isinstance(change, exp.TruncateTable) else change.this
    table = target.find(exp.Table)
    assert table is not None, change
    return table


def fix_time(change: Expr) -> None:
    """Fixes the current time to the statement's, not its transaction's; it stays when the statement is repeated."""
    now = exp.Literal.string(datetime.now(UTC).isoformat())
    for clock in list(change.find_all(exp.CurrentTimestamp)):
        clock.replace(exp.cast(now, "TIMESTAMP" if clock.args.get("sysdate") else "TIMESTAMPTZ", dialect="duckdb"))


def is_repeatable(change: Expr) -> bool:
    """Whether a statement gives the same rows when it is repeated on the same data."""
    return not _VOLATILE.search(change.sql(dialect="duckdb"))


def _lower_64_bits(digest: exp.MD5NumberLower64) -> exp.Cast:
    """MD5_NUMBER_LOWER64: the last 16 hex digits as a number. DuckDB's own function reads the bytes in reverse."""
    digits = exp.Anonymous(this="RIGHT", expressions=[exp.MD5(this=digest.this.copy()), exp.Literal.number(16)])
    number = exp.cast(exp.DPipe(this=exp.Literal.string("0x"), expression=digits), "UBIGINT", dialect="duckdb")
    return exp.cast(number, "HUGEINT", dialect="duckdb")  # what is sent as UBIGINT must fit into 63 bits


def _without_keys(call: exp.Anonymous) -> exp.Case:
    """OBJECT_DELETE: a merge patch removes the keys that it has as null. For NULL it would return the patch itself."""
    stored, *keys = call.expressions
    patch = exp.Literal.string(json.dumps({key.name: None for key in keys}))
    rest = exp.Anonymous(this="JSON_MERGE_PATCH", expressions=[stored.copy(), patch])
    return exp.Case().when(stored.copy().is_(exp.null()).not_(), rest)


def _sum_of_hashes(fingerprint: exp.HashAgg) -> exp.Coalesce:
    """HASH_AGG as the sum of the rows' hashes, 0 for no rows: order does not matter, a repeated row does."""
    columns = [fingerprint.this, *fingerprint.expressions]
    if isinstance(fingerprint.this, exp.Star):
        columns = [exp.Columns(this=exp.Star(), unpack=True)]
    row_hash = exp.Anonymous(this="HASH", expressions=columns)
    return exp.Coalesce(this=exp.Sum(this=row_hash), expressions=[exp.Literal.number(0)])


def _strftime(text: exp.ToChar) -> exp.Anonymous:
    """TO_VARCHAR of a time with a format, which fakesnow would ignore."""
    written = text.args["format"].name
    for snowflake, duckdb_format in TIME_FORMATS:
        written = written.replace(snowflake, duckdb_format)
    return exp.Anonymous(this="STRFTIME", expressions=[text.this.copy(), exp.Literal.string(written)])


def _unqualify(columns: Iterable[Expr]) -> None:
    """Removes table names from assigned columns, where DuckDB takes none."""
    for column in columns:
        column.set("table", None)


def _refuse_default_if_not_exists(statement: exp.Alter) -> None:
    """https://docs.snowflake.com/en/sql-reference/sql/alter-table: ADD COLUMN takes only one of the two."""
    for column in statement.find_all(exp.ColumnDef):
        if column.args.get("exists") and column.find(exp.DefaultColumnConstraint):
            errno, sqlstate = SYNTAX_ERROR
            message = "ADD COLUMN IF NOT EXISTS takes no DEFAULT"
            raise ProgrammingError(msg=f"SQL compilation error: {message}", errno=errno, sqlstate=sqlstate)


def _drop_keys(statement: exp.Create | exp.Alter) -> None:
    """Drops keys: Snowflake records and does not enforce them, but columns of a primary key are NOT NULL."""
    key_columns = {
        part.name.upper() for key in statement.find_all(exp.PrimaryKey) for part in key.find_all(exp.Identifier)
    }
    for table_key in list(statement.find_all(exp.Constraint, exp.PrimaryKey, exp.ForeignKey)):
        table_key.pop()
    for unenforced in list(statement.find_all(exp.UniqueColumnConstraint, exp.Reference)):
        (unenforced.parent if isinstance(unenforced.parent, exp.ColumnConstraint) else unenforced).pop()
    for column_key in list(statement.find_all(exp.PrimaryKeyColumnConstraint)):
        if isinstance(statement, exp.Create):
            column_key.replace(exp.NotNullColumnConstraint())
        elif column_key.parent:
            column_key.parent.pop()  # DuckDB adds no column with a constraint
    for column in statement.find_all(exp.ColumnDef):
        if column.name.upper() in key_columns and not column.find(exp.NotNullColumnConstraint):
            column.append("constraints", exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))


def keep_decimals(expression: Expr) -> Expr:
    """Names an aggregate's column as Snowflake does, and leaves its argument unchanged.

    fakesnow casts the argument to DOUBLE so that text can be summed, which makes every sum of money inexact.
    """
    if isinstance(expression, (exp.Sum, exp.Avg, exp.Count)) and isinstance(expression.parent, exp.Select):
        return exp.alias_(expression, expression.sql(dialect="snowflake").upper(), quoted=True)
    return expression


def exact_numbers(from_binding: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Reads bound numbers with their decimals; fakesnow takes them for integers or text."""

    def read(binding: dict[str, Any]) -> Any:
        if binding["value"] is None:
            return None
        if binding["type"] == "FIXED":
            return (Decimal if "." in binding["value"] else int)(binding["value"])
        return float(binding["value"]) if binding["type"] == "REAL" else from_binding(binding)

    return read


def with_nulls(to_struct: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Timestamps as Snowflake sends them, where NULL stays NULL: fakesnow sends 1970-01-01."""

    def convert(timestamps: Any) -> Any:
        if isinstance(timestamps, pa.ChunkedArray):
            timestamps = timestamps.combine_chunks()
        struct = to_struct(pc.fill_null(timestamps, pa.scalar(0, timestamps.type)))
        return pa.StructArray.from_arrays(struct.flatten(), fields=list(struct.type), mask=timestamps.is_null())

    return convert


def with_temporary_tables(describe: Callable[..., Any]) -> Callable[..., Any]:
    """The columns of the table that COPY loads: fakesnow knows permanent tables only."""

    def columns(table: exp.Table, duck_conn: duckdb.DuckDBPyConnection, *current: str | None) -> Any:
        temporary = "SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = ?"
        if not table.db and duck_conn.execute(temporary, [table.name]).fetchone():
            current = ("temp", "main")
        return describe(table, duck_conn, *current)

    return columns


@dataclass
class Parquet(copy_into.ReadParquet):
    """The format with NULL_IF: the texts, and numbers as text, that become NULL."""

    null_if: Sequence[str] = NULL_IF


def with_parquet_options(read: Callable[..., copy_into.CopyParams]) -> Callable[..., copy_into.CopyParams]:
    """The options of a COPY from Parquet, which fakesnow ignores."""

    def options_of(statement: exp.Copy, *args: Any, **kwargs: Any) -> copy_into.CopyParams:
        params = read(statement, *args, **kwargs)
        if not isinstance(params.file_format, copy_into.ReadParquet):
            return params
        null_if: Any = NULL_IF
        for option in statement.find_all(exp.CopyParameter):
            if option.name.upper() == "FILE_FORMAT":
                options = parse_options(option.expressions)
                null_if = options.get("NULL_IF", null_if)
                for name in ("TRIM_SPACE", "REPLACE_INVALID_CHARACTERS"):
                    if options.get(name, False):
                        raise NotImplementedError(f"{name} = TRUE")
        texts = (null_if,) if isinstance(null_if, str) else tuple(null_if)
        return replace(params, file_format=Parquet(null_if=texts))

    return options_of


def with_null_if(
    make_inserts: Callable[..., list[Expr]],
) -> Callable[..., list[Expr]]:
    """The INSERTs of a COPY from Parquet by column names, where the texts of NULL_IF become NULL."""

    def inserts(statement: exp.Copy, params: copy_into.CopyParams, *args: Any, **kwargs: Any) -> list[Expr]:
        made = make_inserts(statement, params, *args, **kwargs)
        null_if = params.file_format.null_if if isinstance(params.file_format, Parquet) else ()
        if null_if and params.match_by_column_name is not copy_into.MatchByColumnName.NONE:
            for column in [column for insert in made for column in insert.expression.find_all(exp.Column)]:
                text = exp.cast(column.copy(), "VARCHAR", dialect="duckdb")
                is_null = exp.In(this=text, expressions=[exp.Literal.string(text) for text in null_if])
                column.replace(exp.Case().when(is_null, exp.null()).else_(column.copy()))
        return made

    return inserts


def in_own_transaction(
    make_sql: Callable[..., str], connect: Callable[[], duckdb.DuckDBPyConnection]
) -> Callable[..., str]:
    """Records metadata in a separate transaction, as DuckDB writes to one database per transaction."""

    def record(catalog: str, schema: str, table: str, value: Any) -> str:
        if value is not None:
            escaped = value.replace("'", "''") if isinstance(value, str) else value
            with connect() as apart:
                apart.execute(make_sql(catalog, schema, table, escaped))
        return "SELECT 1"

    return record


def patch_fakesnow(server: Any) -> None:
    """Replaces the functions of fakesnow that differ too much from Snowflake."""

    def connect() -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection = server.shared_fs.duck_conn.cursor()
        return connection

    server.parse_one, cursor.parse_one = parse, parse_to_change
    server.from_binding = exact_numbers(server.from_binding)
    transforms.numeric_agg_implicit_cast = keep_decimals
    copy_into._params = with_parquet_options(copy_into._params)
    copy_into._inserts = with_null_if(copy_into._inserts)
    copy_into._describe_table = with_temporary_tables(copy_into._describe_table)
    arrow.timestamp_to_sf_struct = with_nulls(arrow.timestamp_to_sf_struct)  # type: ignore[assignment]
    info_schema.insert_table_comment_sql = in_own_transaction(info_schema.insert_table_comment_sql, connect)
    info_schema.insert_text_lengths_sql = in_own_transaction(info_schema.insert_text_lengths_sql, connect)
    rowtype.duckdb_to_sf_type |= {"TINYINT": "fixed", "SMALLINT": "fixed", "UINTEGER": "fixed", "FLOAT": "real"}


# MERGE


def actions_of(merge: exp.Merge) -> set[str]:
    """The actions of a MERGE: INSERT, UPDATE, DELETE."""
    thens = [when.args["then"] for when in merge.args["whens"].expressions]
    return {then.key.upper() if isinstance(then, (exp.Insert, exp.Update)) else then.name.upper() for then in thens}


def merge_in_duckdb(merge: exp.Merge) -> exp.Merge:
    """DuckDB's MERGE, which returns the action of each row."""
    for when in merge.args["whens"].expressions:
        then = when.args["then"]
        if isinstance(then, exp.Update):
            _unqualify(assignment.this for assignment in then.expressions)
        elif isinstance(then, exp.Insert) and then.this:
            _unqualify(then.this.expressions)
    merge.set("returning", exp.Returning(expressions=[exp.column("merge_action")]))
    return merge


# Errors


def as_snowflake(error: Exception) -> ProgrammingError | OperationalError:
    """Maps an error to the connector's; one without an equivalent becomes Snowflake's internal error."""
    named = isinstance(error, (ProgrammingError, OperationalError))
    cause = error.__cause__ if named else error
    text = str(cause) if isinstance(cause, duckdb.Error) else f"{type(cause).__name__}: {cause}"
    message = text.split("\n\nLINE")[0]
    for pattern, errno, sqlstate in ERRORS if cause else ():
        if re.search(pattern, message):
            return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)
    if isinstance(error, (ProgrammingError, OperationalError)):
        return error
    errno, sqlstate = INTERNAL_ERROR
    return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)
