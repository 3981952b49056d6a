"""The SQL that reads one region: declared types checked, every cell exact or marked unreadable. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg2.extensions import QuotedString

from expectations.columns import BLANKS, SOURCE_COLUMNS, Column, Kind
from tasks.batch import Keys, Window
from tasks.errors import RegionUnfitError
from tasks.tally import TALLIED_COLUMNS

HAS_KEY = "btrim(sale_id::text, E'{}') <> ''".format("".join(rf"\x{ord(blank):02x}" for blank in BLANKS))
"""An SQL condition: the row's `sale_id` is neither NULL nor blank."""

_WHOLE_TYPES = frozenset({"smallint", "integer", "bigint"})
_TEXT_TYPES = frozenset({"text", "character varying", "character", "uuid", "numeric", "enum"}) | _WHOLE_TYPES

FITTING_TYPES: Mapping[Kind, frozenset[str]] = {
    "text": _TEXT_TYPES,
    "timestamp": frozenset({"timestamp with time zone"}),
    "integer": _WHOLE_TYPES | {"numeric"},
    "price": _WHOLE_TYPES | {"numeric"},
    "money": _WHOLE_TYPES | {"numeric"},
}
"""The PostgreSQL types that a column of each kind may have, without length or digits; floats are not exact and so do
not fit."""

WINDOW_COLUMNS = ("sale_date", "updated_at")
"""The times that put a row into a window."""
EXAMPLE_KEYS_MAX = 10
_FIRST_MOMENT, _LAST_MOMENT = "timestamptz '0001-01-01 00:00:00+00'", "timestamptz '9999-12-31 23:59:59.999999+00'"

_INTEGER_DIGITS = 10
"""Of the largest `integer`."""

_DIGITS: Mapping[Kind, tuple[int, int]] = {"integer": (18, 0), "price": (18, 6), "money": (12, 2)}

Declared = Mapping[str, str]
"""Types by column name, as `source_table.DECLARED_COLUMNS` answers them."""


@dataclass(frozen=True)
class NewColumn:
    """A source column that the contract does not know."""

    name: str
    declared_type: str


def quote_postgres(name: str) -> str:
    """A PostgreSQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def check_declared(declared: Declared, table: str) -> tuple[NewColumn, ...]:
    """The columns that are new, after checking that the contract's are there with types that fit.

    Raises RegionUnfitError naming table, column and type.
    """
    for column in SOURCE_COLUMNS:
        _check_column(table, column, declared.get(column.name))
    known = {column.name for column in SOURCE_COLUMNS}
    return tuple(NewColumn(name, kind) for name, kind in declared.items() if name not in known)


def lacking_columns(declared: Declared, extra_columns: Iterable[str]) -> tuple[str, ...]:
    """Those of the variable `extra_columns` that the source lacks."""
    return tuple(name for name in extra_columns if name not in declared)


def _check_column(table: str, column: Column, declared: str | None) -> None:
    fitting = FITTING_TYPES[column.kind]
    if declared is None:
        raise RegionUnfitError(f"column {table}.{column.name} is missing: the contract requires it, add it")
    if without_digits(declared) not in fitting:
        raise RegionUnfitError(
            f"column {table}.{column.name} is {declared}, which does not fit: "
            f"make it one of {', '.join(sorted(fitting))}"
        )


def without_digits(declared: str) -> str:
    """A declared type by its name alone: `numeric` for `numeric(12,2)`."""
    return re.sub(r"\([^)]*\)", "", declared)


def unreadable(column: Column, declared: str) -> str | None:
    """An SQL condition: the cell's type in the contract cannot hold it. None when no cell of the declared type can be
    so; NULL cells can be held."""
    name = quote_postgres(column.name)
    if column.kind == "text":
        return None
    if column.kind == "timestamp":
        # Snowflake holds the years 1 to 9999; infinity and -infinity lie outside.
        return f"coalesce({name} < {_FIRST_MOMENT} OR {name} >= {_LAST_MOMENT}, false)"
    precision, scale = _DIGITS[column.kind]
    whole = precision - scale
    if declared in ("smallint", "integer") and whole >= _INTEGER_DIGITS:
        return None
    digits = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", declared)
    if digits and int(digits[1]) - int(digits[2]) <= whole and int(digits[2]) <= scale:
        # PostgreSQL refuses everything else that does not fit, infinity too.
        return f"coalesce({name} = 'NaN', false)"
    # PostgreSQL sorts NaN above every number, so one comparison finds NaN, infinities and too many digits; as numeric,
    # because abs() of the smallest integer is out of range.
    return f"coalesce(abs({name}::numeric) >= 1e{whole} OR {name} <> round({name}, {scale}), false)"


def select_list(declared: Declared, extra_columns: Iterable[str]) -> str:
    """The SELECT list of extract: the contract's columns, extra ones as text, and `unreadable` as JSON text."""
    cells = [_cell(column, declared[column.name]) for column in SOURCE_COLUMNS]
    extra = [f"{quote_postgres(name)}::text AS {quote_postgres('extra.' + name)}" for name in extra_columns]
    return ",\n  ".join([*cells, *extra, f"{_unreadable_cells(declared)} AS unreadable"])


def _cell(column: Column, declared: str) -> str:
    name = quote_postgres(column.name)
    if column.kind == "text":
        return f"{name}::text AS {name}"
    exact = name if column.kind == "timestamp" else "{}::numeric({}, {})".format(name, *_DIGITS[column.kind])
    condition = unreadable(column, declared)
    return f"CASE WHEN {condition} THEN NULL ELSE {exact} END AS {name}" if condition else f"{exact} AS {name}"


def _unreadable_cells(declared: Declared) -> str:
    conditions = {
        column.name: condition for column in SOURCE_COLUMNS if (condition := unreadable(column, declared[column.name]))
    }
    texts = ", ".join(
        f"'{name}', CASE WHEN {condition} THEN {quote_postgres(name)}::text END"
        for name, condition in conditions.items()
    )
    any_bad = " OR ".join(conditions.values())
    return f"CASE WHEN {any_bad} THEN json_strip_nulls(json_build_object({texts}))::text END"


def in_window(window: Window) -> str:
    """An SQL condition: the row was sold or changed in the window."""
    start, end = (f"timestamptz '{moment.isoformat()}'" for moment in (window.start, window.end))
    return f"(sale_date >= {start} AND sale_date < {end}) OR (updated_at >= {start} AND updated_at < {end})"


def is_wanted(wanted: Window | Keys) -> str:
    """An SQL condition: the row is in the window, or has one of the keys."""
    if isinstance(wanted, Window):
        return in_window(wanted)
    keys = ", ".join(_text_literal(sale_id) for sale_id in wanted.sale_ids)
    return is_one_of("sale_id", f"ARRAY[{keys}]::text[]")


def is_one_of(column: str, texts: str) -> str:
    """An SQL condition: the column is one of the texts to the letter. Its own collation, by which an index finds them,
    may take more for equal."""
    return f'{column}::text = ANY ({texts}) AND {column}::text COLLATE "C" = ANY ({texts})'


def _text_literal(text: str) -> str:
    quoted = QuotedString(text)
    quoted.encoding = "utf-8"
    return quoted.getquoted().decode("utf-8")


def outside_statement(table: str) -> str:
    """How many rows of a table (its quoted name) no window holds, because neither of their times lies in the calendar,
    and the first `sale_id`s of them. Written so that an index of either time serves."""
    outside = " AND ".join(
        f"({name} IS NULL OR {name} < {_FIRST_MOMENT} OR {name} >= {_LAST_MOMENT})" for name in WINDOW_COLUMNS
    )
    return (
        f"SELECT count(*), (array_agg(coalesce(sale_id::text, '(none)')))[1:{EXAMPLE_KEYS_MAX}]\n"
        f"FROM {table}\nWHERE {outside}"
    )


def copy_statement(table: str, wanted: Window | Keys, declared: Declared, extra_columns: Iterable[str]) -> str:
    """COPY of the wanted rows of a table (its quoted name) as CSV; NULL is written as nothing, an empty string as
    `""`."""
    query = f"SELECT\n  {select_list(declared, extra_columns)}\nFROM {table}\nWHERE {is_wanted(wanted)}"
    return f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)"


def tally_statement(table: str, wanted: Window | Keys, declared: Declared) -> str:
    """Rows and totals of the wanted rows of a table (its quoted name) by currency, counted by the database itself,
    apart from the COPY.

    Answers currency, rows and, for each tallied column, its sum and the number of cells that have a value.
    """
    totals = [_total(column, declared[column.name]) for column in TALLIED_COLUMNS]
    columns = ",\n  ".join(['currency::text COLLATE "C"', "count(*)", *totals])
    return f"SELECT\n  {columns}\nFROM {table}\nWHERE {is_wanted(wanted)}\nGROUP BY 1"


def _total(column: Column, declared: str) -> str:
    """What the cells of a column add up to, as `tasks/tally.py` has it, and how many there are."""
    name, condition = quote_postgres(column.name), unreadable(column, declared)
    readable = f" FILTER (WHERE NOT {condition})" if condition else ""
    match column.kind:
        case "text":
            total = f"sum(char_length({name}::text))"
        case "timestamp":
            # Before PostgreSQL 14 these are floats, which tell microseconds one by one but do not add up.
            total = f"sum((extract(epoch FROM {name}) * 1000000)::bigint)"
        case _:
            total = f"sum({name})"
    return f"{total}{readable}, count({name}){readable}"
