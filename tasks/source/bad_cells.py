"""Finds the single cells that stop a region from being read, so that only their rows are rejected. Knows no Prefect.

Three kinds: text that UTF-8 cannot express, cells that a view cannot compute, and cells of rows too large for a block.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import psycopg2

from expectations.columns import SOURCE_COLUMNS
from expectations.tables import EXTRA_ATTRIBUTES
from tasks.batch import Keys, Window
from tasks.source.statements import is_wanted, quote_postgres
from tasks.source.table import SourceTable
from tasks.source.tokens import token_of, token_of_bytes

CELL_CLASSES = ("20", "21", "22", "23", "2F", "38", "39", "P0")
"""SQLSTATE classes of the errors by which a single cell can end a statement."""
UNTRANSLATABLE = ("22P05", "22021")
"""The bytes have no equivalent in UTF-8, or are invalid in the database's own encoding."""
CELLS_MAX = 100
"""Bad cells of a column; when there are more, the column itself is at fault."""
TEXT_KEPT, BYTES_KEPT = 1000, 499
"""How much of a cell is kept: characters of text, or bytes, each as two hex digits after `\\x`."""
_FROM, _TO = "0", "g"
"""Bounds of all MD5 sums in hex digits, the upper one excluded."""


@dataclass(frozen=True)
class BadCells:
    """Bad cells by column (extra ones as `extra.<name>`) and row id, with the text that is recorded for each.

    `row_id` is an SQL expression: 32 hex digits that identify a row within one snapshot; versions of a view's sale with
    equal times share one.
    """

    row_id: str = ""
    recorded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def conditions(self) -> dict[str, str]:
        """By column, the SQL condition that the row's cell is bad."""
        return {column: _is_one_of(self.row_id, cells) for column, cells in self.recorded.items()}

    @property
    def any_condition(self) -> str:
        """The SQL condition that any cell of the row is bad."""
        return _is_one_of(self.row_id, {row for cells in self.recorded.values() for row in cells})

    @property
    def count(self) -> int:
        """The number of bad cells."""
        return sum(len(cells) for cells in self.recorded.values())

    def texts(self, row_id: str) -> dict[str, str]:
        """The texts recorded for a row's bad cells, by the stored names of their columns."""
        found = {column: cells[row_id] for column, cells in self.recorded.items() if row_id in cells}
        return {STORED_NAMES.get(column, EXTRA_ATTRIBUTES.name): text for column, text in found.items()}


NONE_BAD = BadCells()
STORED_NAMES = {column.name: column.stored_name for column in SOURCE_COLUMNS}


def table_without(bad: BadCells, table: str) -> str:
    """The table (its quoted name) with the contract's columns, NULL for bad cells, and `is_bad` for each row."""
    names = [quote_postgres(column.name) for column in SOURCE_COLUMNS]
    if not bad.recorded:
        return f"(SELECT {', '.join(names)}, false AS is_bad FROM {table}) AS source"
    conditions = bad.conditions
    cells = [
        f"CASE WHEN {conditions[column.name]} THEN NULL ELSE {name} END AS {name}"
        if column.name in conditions
        else name
        for column, name in zip(SOURCE_COLUMNS, names, strict=True)
    ]
    return f"(SELECT {', '.join(cells)}, {bad.any_condition} AS is_bad FROM {table}) AS source"


def _is_one_of(row_id: str, rows: Collection[str]) -> str:
    return f"{row_id} = ANY (ARRAY[{', '.join(repr(row) for row in sorted(rows))}]::text[])"


def may_be_of_a_cell(error: psycopg2.Error) -> bool:
    """Whether a single cell can have caused the error."""
    return error.pgcode is not None and error.pgcode.startswith(CELL_CLASSES)


@contextmanager
def undone_on_error(cursor: Any) -> Iterator[None]:
    """Sets a savepoint: an error in the body undoes what the body did, and the transaction goes on."""
    cursor.execute("SAVEPOINT part")
    try:
        yield
    except Exception:
        # A lost connection accepts no rollback; the error by which it was lost is raised.
        with suppress(psycopg2.Error):
            cursor.execute("ROLLBACK TO SAVEPOINT part")
        raise
    cursor.execute("RELEASE SAVEPOINT part")


class Finder:
    """Finds bad cells among the wanted rows of a table, in the snapshot of `cursor`.

    `extra` maps the columns beyond the contract to their class; personal cells are recorded as tokens by `token_key`.
    Without `row_bytes_max` rows may have any size.
    """

    def __init__(
        self,
        cursor: Any,
        table: SourceTable,
        wanted: Window | Keys,
        extra: Mapping[str, str] = MappingProxyType({}),
        token_key: bytes = b"",
        row_bytes_max: int | None = None,
    ) -> None:
        self._cursor = cursor
        self._table = table
        self._where = f"({is_wanted(wanted)})"
        self._token_key = token_key
        self._row_bytes_max = row_bytes_max
        self._row_id = _row_id(table)
        self._sql = {column.name: quote_postgres(column.name) for column in SOURCE_COLUMNS}
        self._sql |= {f"extra.{name}": quote_postgres(name) for name in extra}
        self._personal = {column.name for column in SOURCE_COLUMNS if column.personal}
        self._personal |= {f"extra.{name}" for name, kind in extra.items() if kind == "personal"}

    def find(self) -> BadCells:
        """Returns the bad cells; none when a column has more than CELLS_MAX of them, or no good one."""
        recorded: dict[str, dict[str, str]] = {}
        for column in self._sql:
            failing = self._failing(column)
            if failing is None:
                return NONE_BAD
            if failing:
                recorded[column] = self._texts_of_failing(column, failing)
        if self._row_bytes_max is not None:
            for column, cells in self._too_large(BadCells(self._row_id, recorded), self._row_bytes_max).items():
                recorded[column] = recorded.get(column, {}) | cells
        return BadCells(self._row_id, recorded)

    def _failing(self, column: str) -> dict[str, str] | None:
        """Returns the SQLSTATE, by row id, of each cell of a column that cannot be written in UTF-8; None for too many.

        Bisects the rows by their ids: the number of queries grows with the logarithm of the number of rows.
        """
        found: dict[str, str] = {}
        parts = [(_FROM, _TO)]
        while parts:
            part = parts.pop()
            if (sqlstate := self._error_of(column, *part)) is None:
                continue
            first, last, middle = self._ends_of(*part)
            if first == last:
                found[first] = sqlstate
            else:
                parts += [(part[0], middle), (middle, part[1])]
            if len(found) > CELLS_MAX or len(parts) > CELLS_MAX:
                return None
        return None if found and len(found) == self._rows() else found

    def _error_of(self, column: str, since: str, until: str) -> str | None:
        probe = f"count(octet_length(convert_to({self._sql[column]}::text, 'UTF8')))"
        try:
            with undone_on_error(self._cursor):
                self._ask(probe, self._between(since, until))
        except psycopg2.Error as error:
            if not may_be_of_a_cell(error):
                raise
            return str(error.pgcode)
        return None

    def _ends_of(self, since: str, until: str) -> tuple[str, str, str]:
        """The first and the last row of a part, and the row to split it at, which is never the first."""
        ends = f"min({self._row_id}), max({self._row_id}), percentile_disc(0.5) WITHIN GROUP (ORDER BY {self._row_id})"
        where = self._between(since, until)
        ((first, last, middle),) = self._ask(ends, where)
        if middle == first != last:
            ((middle,),) = self._ask(f"min({self._row_id})", f"{where} AND {self._row_id} > '{first}'")
        return first, last, middle

    def _between(self, since: str, until: str) -> str:
        return f"{self._row_id} >= '{since}' AND {self._row_id} < '{until}'"

    def _is(self, row: str) -> str:
        return f"{self._row_id} = '{row}'"

    def _rows(self) -> int:
        ((rows,),) = self._ask(f"count(DISTINCT {self._row_id})", "true")
        return int(rows)

    def _ask(self, what: str, where: str) -> list[tuple[Any, ...]]:
        # Without values for psycopg2, which would take a % in the name of a column for a place of one.
        self._cursor.execute(f"SELECT {what} FROM {self._table.sql} WHERE {self._where} AND {where}")
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def _texts_of_failing(self, column: str, failing: Mapping[str, str]) -> dict[str, str]:
        texts = {row: f"(cannot be computed, SQLSTATE {sqlstate})" for row, sqlstate in failing.items()}
        untranslatable = [row for row, sqlstate in failing.items() if sqlstate in UNTRANSLATABLE]
        for row in untranslatable:
            try:
                with undone_on_error(self._cursor):
                    texts[row] = self._text_of_bytes(column, row)
            except psycopg2.Error as error:
                # A view has converted the bytes, so that they cannot be recorded.
                if not may_be_of_a_cell(error):
                    raise
        return texts

    def _text_of_bytes(self, column: str, row: str) -> str:
        """A cell that is not UTF-8, as hex digits; only the token of a personal one."""
        own = f"convert_to({self._sql[column]}::text, getdatabaseencoding())"
        ((cell,),) = self._ask(own, self._is(row))[:1]
        content = bytes(cell)
        if column in self._personal:
            return _with_length(token_of_bytes(content, self._token_key), len(content))
        digits = "\\x" + content[:BYTES_KEPT].hex()
        return digits if len(content) <= BYTES_KEPT else f"{digits}... {self._length_and_md5(column, row)}"

    def _too_large(self, bad: BadCells, row_bytes_max: int) -> dict[str, dict[str, str]]:
        """The largest cells of each row that exceeds a block: as many as it takes until the rest fits."""
        conditions = bad.conditions
        # Sizes in CSV, which doubles quotes; a letter of another encoding takes at most three bytes in UTF-8.
        sizes = [
            f"CASE WHEN {conditions.get(column, 'false')} THEN 0 "
            f"ELSE coalesce(octet_length(replace({name}::text, '\"', '\"\"')) * {self._bytes_per_byte()} + 3, 1) END"
            for column, name in self._sql.items()
        ]
        texts: dict[str, dict[str, str]] = {}
        large = self._ask(", ".join([self._row_id, *sizes]), f"{' + '.join(sizes)} > {row_bytes_max}")
        for row, *lengths in large:
            left = sum(lengths)
            for column, length in sorted(zip(self._sql, lengths, strict=True), key=lambda cell: -cell[1]):
                if left > row_bytes_max:
                    texts.setdefault(column, {})[row] = self._text_of_large(column, row)
                    left -= length
        return texts

    def _bytes_per_byte(self) -> int:
        return 1 if self._cursor.connection.info.parameter_status("server_encoding") == "UTF8" else 3

    def _text_of_large(self, column: str, row: str) -> str:
        if column not in self._personal:
            ((text,),) = self._ask(f"left({self._sql[column]}::text, {TEXT_KEPT})", self._is(row))[:1]
            return f"{text}... {self._length_and_md5(column, row)}"
        ((text,),) = self._ask(f"{self._sql[column]}::text", self._is(row))[:1]
        return _with_length(token_of(text, self._token_key), len(text.encode()))

    def _length_and_md5(self, column: str, row: str) -> str:
        """Length and MD5 of a cell that is kept in part."""
        name = self._sql[column]
        ((length, md5),) = self._ask(f"octet_length({name}::text), md5({name}::text)", self._is(row))[:1]
        return f"({length} bytes, MD5 {md5})"


def _with_length(token: str, length: int) -> str:
    return f"{token} ({length} bytes)"


def _row_id(table: SourceTable) -> str:
    if table.has_ctid:
        return 'md5(tableoid::text || ctid::text) COLLATE "C"'
    cells = " || '|' || ".join(f"coalesce({name}::text, '')" for name in ("sale_id", "sale_date", "updated_at"))
    return f'md5({cells}) COLLATE "C"'
