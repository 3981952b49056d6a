"""The SQL that reads one region: declared types checked, every cell exact or marked unreadable. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expectations.columns import SOURCE_COLUMNS, Column, Kind
from tasks.batch import Window
from tasks.errors import RegionUnfitError
from tasks.tally import TALLIED_COLUMNS

SOURCE_TABLE = "sales_transactions"

_WHOLE_TYPES = frozenset({"smallint", "integer", "bigint"})
_TEXT_TYPES = frozenset({"text", "character varying", "character", "uuid", "numeric", "enum"}) | _WHOLE_TYPES

FITTING_TYPES: Mapping[Kind, frozenset[str]] = {
    "text": _TEXT_TYPES,
    "timestamp": frozenset({"timestamp with time zone"}),
    "integer": _WHOLE_TYPES | {"numeric"},
    "price": _WHOLE_TYPES | {"numeric"},
    "money": _WHOLE_TYPES | {"numeric"},
}
"""The PostgreSQL types that a column of each kind may have, as DECLARED_COLUMNS names them; floats are not exact and
so do not fit."""

_DIGITS: Mapping[Kind, tuple[int, int]] = {"integer": (18, 0), "price": (18, 6), "money": (12, 2)}

DECLARED_COLUMNS = """
WITH RECURSIVE declared (position, name, type) AS (
  SELECT attnum, attname, atttypid
  FROM pg_attribute
  WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT position, name, typbasetype FROM declared JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
)
SELECT name, CASE typtype WHEN 'e' THEN 'enum' ELSE format_type(type, NULL) END
FROM declared JOIN pg_type ON pg_type.oid = type
WHERE typtype <> 'd'
ORDER BY position
"""
"""Name and type of each column: without length or digits, the base type for a domain, `enum` for every enum."""


@dataclass(frozen=True)
class NewColumn:
    """A source column that the contract does not know."""

    name: str
    declared_type: str


def quote_postgres(name: str) -> str:
    """A PostgreSQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def quote_postgres_text(text: str) -> str:
    """A PostgreSQL text literal; standard_conforming_strings is on since PostgreSQL 9.1."""
    return "'" + text.replace("'", "''") + "'"


def check_declared(declared: Mapping[str, str]) -> tuple[NewColumn, ...]:
    """The columns that are new, after checking that the contract's are there with types that fit.

    `declared` maps the table's column names to the types that DECLARED_COLUMNS answers. Raises RegionUnfitError naming
    table, column and type.
    """
    if not declared:
        raise RegionUnfitError(f"table {SOURCE_TABLE} is missing or not visible: create it, or grant its reader access")
    for column in SOURCE_COLUMNS:
        _check_column(column, declared.get(column.name))
    known = {column.name for column in SOURCE_COLUMNS}
    return tuple(NewColumn(name, kind) for name, kind in declared.items() if name not in known)


def _check_column(column: Column, declared: str | None) -> None:
    fitting = FITTING_TYPES[column.kind]
    if declared is None:
        raise RegionUnfitError(f"column {SOURCE_TABLE}.{column.name} is missing: the contract requires it, add it")
    if declared not in fitting:
        raise RegionUnfitError(
            f"column {SOURCE_TABLE}.{column.name} is {declared}, which does not fit: "
            f"make it one of {', '.join(sorted(fitting))}"
        )


def unreadable(column: Column) -> str:
    """An SQL condition: the cell's type in the contract cannot hold it. NULL cells can be held."""
    name = quote_postgres(column.name)
    if column.kind == "timestamp":
        # Snowflake holds the years 1 to 9999; infinity and -infinity lie outside.
        return (
            f"coalesce({name} < '0001-01-01 00:00:00+00' OR {name} >= timestamptz '9999-12-31 23:59:59.999999+00', "
            "false)"
        )
    precision, scale = _DIGITS[column.kind]
    # PostgreSQL sorts NaN above every number, so one comparison finds NaN, infinities and too many digits; as numeric,
    # because abs() of the smallest integer is out of range.
    return f"coalesce(abs({name}::numeric) >= 1e{precision - scale} OR {name} <> round({name}, {scale}), false)"


def select_list(extra_columns: Iterable[str]) -> str:
    """The SELECT list of extract: the contract's columns, extra ones as text, and `unreadable` as JSON text."""
    cells = [_cell(column) for column in SOURCE_COLUMNS]
    extra = [f"{quote_postgres(name)}::text AS {quote_postgres('extra.' + name)}" for name in extra_columns]
    return ",\n  ".join([*cells, *extra, f"{_unreadable_cells()} AS unreadable"])


def _cell(column: Column) -> str:
    name = quote_postgres(column.name)
    if column.kind == "text":
        return f"{name}::text AS {name}"
    exact = name if column.kind == "timestamp" else "{}::numeric({}, {})".format(name, *_DIGITS[column.kind])
    return f"CASE WHEN {unreadable(column)} THEN NULL ELSE {exact} END AS {name}"


def _unreadable_cells() -> str:
    typed = [column for column in SOURCE_COLUMNS if column.kind != "text"]
    texts = ", ".join(
        f"'{column.name}', CASE WHEN {unreadable(column)} THEN {quote_postgres(column.name)}::text END"
        for column in typed
    )
    any_bad = " OR ".join(unreadable(column) for column in typed)
    return f"CASE WHEN {any_bad} THEN json_strip_nulls(json_build_object({texts}))::text END"


def in_window(window: Window) -> str:
    """An SQL condition: the row was sold or changed in the window."""
    start, end = (f"timestamptz '{moment.isoformat()}'" for moment in (window.start, window.end))
    return f"(sale_date >= {start} AND sale_date < {end}) OR (updated_at >= {start} AND updated_at < {end})"


def copy_statement(window: Window, extra_columns: Iterable[str]) -> str:
    """COPY of the window's rows as CSV; NULL is written as nothing and an empty string as `""`."""
    query = f"SELECT\n  {select_list(extra_columns)}\nFROM {SOURCE_TABLE}\nWHERE {in_window(window)}"
    return f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)"


def tally_statement(window: Window) -> str:
    """Rows and totals of the window by currency, counted by the database itself, apart from the COPY.

    Answers currency, rows and, for each tallied column, its sum and the number of cells that have a value.
    """
    totals = [
        f"sum({_number(column)}){_readable(column)}, count({quote_postgres(column.name)}){_readable(column)}"
        for column in TALLIED_COLUMNS
    ]
    columns = ",\n  ".join(["currency::text", "count(*)", *totals])
    return f"SELECT\n  {columns}\nFROM {SOURCE_TABLE}\nWHERE {in_window(window)}\nGROUP BY 1"


def _number(column: Column) -> str:
    """What a cell adds to its column's total, as `tasks/tally.py` has it."""
    name = quote_postgres(column.name)
    match column.kind:
        case "text":
            return f"char_length({name}::text)"
        case "timestamp":
            return f"extract(epoch FROM {name}) * 1000000"
        case _:
            return name


def _readable(column: Column) -> str:
    return "" if column.kind == "text" else f" FILTER (WHERE NOT {unreadable(column)})"
