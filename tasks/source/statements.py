"""The SQL that reads one region: declared types checked, every cell exact or marked unreadable. Knows no Prefect."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg2.extensions import QuotedString

from expectations.columns import BLANKS, DIGITS, SOURCE_COLUMNS, Column, Kind
from tasks.batch import Keys, Window
from tasks.errors import RegionUnfitError
from tasks.tally import MALFORMED, TALLIED_COLUMNS

HAS_KEY = "btrim(sale_id::text, E'{}') <> ''".format("".join(rf"\x{ord(blank):02x}" for blank in BLANKS))
"""The SQL condition that the row's `sale_id` is neither NULL nor blank."""

_WHOLE_TYPES = frozenset({"smallint", "integer", "bigint"})
_TEXT_TYPES = frozenset({"text", "character varying", "character", "uuid", "numeric", "enum"}) | _WHOLE_TYPES

FITTING_TYPES: Mapping[Kind, frozenset[str]] = {
    "text": _TEXT_TYPES,
    "timestamp": frozenset({"timestamp with time zone"}),
    "integer": _WHOLE_TYPES | {"numeric"},
    "price": _WHOLE_TYPES | {"numeric"},
    "money": _WHOLE_TYPES | {"numeric"},
}
"""The PostgreSQL types that a column of each kind may have, without length or digits; floats do not fit, as they are
not exact."""

WINDOW_COLUMNS = ("sale_date", "updated_at")
"""The times by which a row belongs to a window."""
EXAMPLE_KEYS_MAX = 10
WIDTH_ROWS_MAX = 10_000
"""Rows over which the width is averaged."""
FIRST_MOMENT, LAST_MOMENT = "timestamptz '0001-01-01 00:00:00+00'", "timestamptz '9999-12-31 23:59:59.999999+00'"
"""Bounds of the times that the fact table can hold."""

_CURRENCY = 'currency::text COLLATE "C"'
CURRENCY_NAME = (
    f"CASE WHEN {_CURRENCY} ~ '^[A-Z]{{3}}$' THEN {_CURRENCY} WHEN currency IS NOT NULL THEN '{MALFORMED}' END"
)
"""The SQL of a row's currency as totals name it, NULL for none; a text that is no currency may be another in each
row."""

_INTEGER_DIGITS = 10
"""Digits of the largest `integer`."""

Declared = Mapping[str, str]
"""Types by column name, as `table.DECLARED_COLUMNS` returns them."""


@dataclass(frozen=True)
class NewColumn:
    """A source column beyond the contract."""

    name: str
    declared_type: str


def quote_postgres(name: str) -> str:
    """A PostgreSQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def check_declared(declared: Declared, table: str) -> tuple[NewColumn, ...]:
    """Checks that the contract's columns exist with types that fit, and returns the new ones.

    Raises RegionUnfitError naming table, column and type.
    """
    for column in SOURCE_COLUMNS:
        _check_column(table, column, declared.get(column.name))
    known = {column.name for column in SOURCE_COLUMNS}
    return tuple(NewColumn(name, kind) for name, kind in declared.items() if name not in known)


def lacking_columns(declared: Declared, extra_columns: Iterable[str]) -> tuple[str, ...]:
    """The columns of the variable `extra_columns` that the source lacks."""
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
    """The bare name of a declared type: `numeric` for `numeric(12,2)`."""
    return re.sub(r"\([^)]*\)", "", declared)


def unreadable(column: Column, declared: str) -> str | None:
    """The SQL condition that the contract's type cannot hold the cell; None when it can hold every cell of the declared
    type. NULL always fits."""
    name = quote_postgres(column.name)
    if column.kind == "text":
        return None
    if column.kind == "timestamp":
        # Snowflake holds the years 1 to 9999; infinity and -infinity lie outside.
        return f"coalesce({name} < {FIRST_MOMENT} OR {name} >= {LAST_MOMENT}, false)"
    precision, scale = DIGITS[column.kind]
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


NO_CELLS: Mapping[str, str] = {}


def select_list(
    declared: Declared, extra_columns: Iterable[str], bad: Mapping[str, str] = NO_CELLS, row_id: str = "NULL"
) -> str:
    """The SELECT list of extract: the contract's columns, extra ones as text, and `unreadable` as JSON text.

    `bad` maps columns to SQL conditions for cells that must not be evaluated; `unreadable` has the row's id instead.
    """
    cells = [_cell(column, declared[column.name], bad) for column in SOURCE_COLUMNS]
    extra = [_guarded(f"{quote_postgres(name)}::text", f"extra.{name}", bad) for name in extra_columns]
    return ",\n  ".join([*cells, *extra, f"{_unreadable_cells(declared, bad, row_id)} AS unreadable"])


def _guarded(expression: str, name: str, bad: Mapping[str, str]) -> str:
    whole = f"CASE WHEN {bad[name]} THEN NULL ELSE {expression} END" if name in bad else expression
    return f"{whole} AS {quote_postgres(name)}"


def _cell(column: Column, declared: str, bad: Mapping[str, str]) -> str:
    name = quote_postgres(column.name)
    if column.kind == "text":
        return _guarded(f"{name}::text", column.name, bad)
    exact = name if column.kind == "timestamp" else "{}::numeric({}, {})".format(name, *DIGITS[column.kind])
    condition = _unreadable(column, declared, bad)
    return f"CASE WHEN {condition} THEN NULL ELSE {exact} END AS {name}" if condition else f"{exact} AS {name}"


def _unreadable(column: Column, declared: str, bad: Mapping[str, str]) -> str | None:
    """The condition of `unreadable`, without evaluating bad cells."""
    condition = unreadable(column, declared)
    if column.name not in bad:
        return condition
    return f"CASE WHEN {bad[column.name]} THEN true ELSE {condition or 'false'} END"


def _unreadable_cells(declared: Declared, bad: Mapping[str, str], row_id: str) -> str:
    conditions = {
        column: condition for column in SOURCE_COLUMNS if (condition := _unreadable(column, declared[column.name], bad))
    }
    texts = [
        f"'{column.stored_name}', CASE {_row_id_when_bad(column.name, bad, row_id)}WHEN {condition} "
        f"THEN {quote_postgres(column.name)}::text END"
        for column, condition in conditions.items()
    ]
    any_bad = " OR ".join([*conditions.values(), *(bad[name] for name in bad if name.startswith("extra."))])
    extra = "".join(_row_id_when_bad(name, bad, row_id) for name in bad if name.startswith("extra."))
    texts += [f"'extra_attributes', CASE {extra}END"] if extra else []
    return f"CASE WHEN {any_bad} THEN json_strip_nulls(json_build_object({', '.join(texts)}))::text END"


def _row_id_when_bad(name: str, bad: Mapping[str, str], row_id: str) -> str:
    return f"WHEN {bad[name]} THEN {row_id} " if name in bad else ""


def in_window(window: Window) -> str:
    """The SQL condition that the row was sold or changed in the window."""
    start, end = (f"timestamptz '{moment.isoformat()}'" for moment in (window.start, window.end))
    return f"(sale_date >= {start} AND sale_date < {end}) OR (updated_at >= {start} AND updated_at < {end})"


def is_wanted(wanted: Window | Keys) -> str:
    """The SQL condition that the row is in the window, or has one of the keys."""
    if isinstance(wanted, Window):
        return in_window(wanted)
    keys = ", ".join(_text_literal(sale_id) for sale_id in wanted.sale_ids)
    return is_one_of("sale_id", f"ARRAY[{keys}]::text[]")


def is_one_of(column: str, texts: str) -> str:
    """The SQL condition that the column equals one of the texts exactly. The column's own collation, which its index
    needs, may treat more texts as equal."""
    return f'{column}::text = ANY ({texts}) AND {column}::text COLLATE "C" = ANY ({texts})'


def on_days_statement(table: str) -> str:
    """Lists those of given `sale_id`s with a version in a table (an SQL expression) that was sold or changed on given
    UTC days."""
    on_days = " OR ".join(f"({name} AT TIME ZONE 'UTC')::date = ANY (%(days)s::date[])" for name in WINDOW_COLUMNS)
    return (
        f'SELECT DISTINCT sale_id::text COLLATE "C"\nFROM {table}\n'
        f"WHERE {is_one_of('sale_id', '%(sale_ids)s::text[]')} AND ({on_days})"
    )


def _text_literal(text: str) -> str:
    quoted = QuotedString(text)
    quoted.encoding = "utf-8"
    return quoted.getquoted().decode("utf-8")


def outside_statement(table: str) -> str:
    """Counts the rows of a table (its quoted name) that no window contains, because neither of their times lies in the
    calendar, and lists their first `sale_id`s. Written so that an index of either time can be used."""
    outside = " AND ".join(
        f"({name} IS NULL OR {name} < {FIRST_MOMENT} OR {name} >= {LAST_MOMENT})" for name in WINDOW_COLUMNS
    )
    return (
        f"SELECT count(*), (array_agg(coalesce(sale_id::text, '(none)')))[1:{EXAMPLE_KEYS_MAX}]\n"
        f"FROM {table}\nWHERE {outside}"
    )


def copy_statement(
    table: str,
    wanted: Window | Keys,
    declared: Declared,
    extra_columns: Iterable[str],
    bad: Mapping[str, str] = NO_CELLS,
    row_id: str = "NULL",
    of_slice: str = "",
) -> str:
    """COPY of the wanted rows of a table (its quoted name), or of those that fulfil the condition `of_slice`, as CSV;
    NULL is written as nothing, an empty string as `""`."""
    where = f"({is_wanted(wanted)})\n  AND {of_slice}" if of_slice else is_wanted(wanted)
    query = f"SELECT\n  {select_list(declared, extra_columns, bad, row_id)}\nFROM {table}\nWHERE {where}"
    return f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)"


def bounds_statement(table: str, wanted: Window | Keys, slices: int, share: float) -> str:
    """Lists the places (`ctid`, as text) at which a random share of the wanted rows of a table (its quoted name) splits
    into so many slices."""
    shares = ", ".join(f"{number}.0 / {slices}" for number in range(1, slices))
    return (
        f"SELECT unnest(percentile_disc(ARRAY[{shares}]) WITHIN GROUP (ORDER BY ctid))::text\n"
        f"FROM {table}\nWHERE ({is_wanted(wanted)}) AND random() < {share:.9f}"
    )


def width_statement(
    table: str,
    wanted: Window | Keys,
    declared: Declared,
    extra_columns: Iterable[str],
    bad: Mapping[str, str] = NO_CELLS,
    row_id: str = "NULL",
) -> str:
    """The average length of the wanted rows of a table (its quoted name) as text, in bytes of UTF-8, over the first
    WIDTH_ROWS_MAX of them; 0 without rows. Evaluates the same expressions as `copy_statement`, so that it needs no
    statistics and works for views and foreign tables."""
    query = f"SELECT\n  {select_list(declared, extra_columns, bad, row_id)}\nFROM {table}\nWHERE {is_wanted(wanted)}"
    return (
        "SELECT coalesce(avg(octet_length(convert_to(sample::text, 'UTF8'))), 0)::float8\n"
        f"FROM (\n{query}\nLIMIT {WIDTH_ROWS_MAX}\n) AS sample"
    )


def tally_statement(table: str, wanted: Window | Keys, declared: Declared, bad: Mapping[str, str] = NO_CELLS) -> str:
    """Counts and totals of the wanted rows of a table (its quoted name) by currency, computed by the database itself,
    independently of the COPY.

    Returns currency, rows and, for each tallied column, its sum and the number of cells that have a value.
    """
    totals = [figure for column in TALLIED_COLUMNS for figure in _total(column, declared[column.name], bad)]
    currency = 'currency::text COLLATE "C"'
    if "currency" in bad:
        currency = f"CASE WHEN {bad['currency']} THEN NULL ELSE {currency} END"
    columns = ",\n  ".join(
        f"{figure} AS figure_{number}" if number else f"{figure} AS currency"
        for number, figure in enumerate([currency, "count(*)", *totals])
    )
    sums = ", ".join(f"sum(figure_{number})" for number in range(1, len(totals) + 2))
    # Grouped before it is named: a test of the text of each row would take longer.
    counted = f"SELECT\n  {columns}\nFROM {table}\nWHERE {is_wanted(wanted)}\nGROUP BY 1"
    return f"SELECT {CURRENCY_NAME}, {sums}\nFROM (\n{counted}\n) AS counted\nGROUP BY 1"


def _total(column: Column, declared: str, bad: Mapping[str, str]) -> tuple[str, str]:
    """The total of a column's cells, as `tasks/tally.py` defines it, and their number."""
    name, condition = quote_postgres(column.name), _unreadable(column, declared, bad)
    readable = f" FILTER (WHERE NOT {condition})" if condition else ""
    match column.kind:
        case "text":
            total = f"sum(char_length({name}::text))"
        case "timestamp":
            # Before PostgreSQL 14 these are floats: exact to the microsecond each, but not in sum.
            total = f"sum((extract(epoch FROM {name}) * 1000000)::bigint)"
        case _:
            total = f"sum({name})"
    return f"{total}{readable}", f"count({name}){readable}"
