"""Extract: one region's window, in one read-only snapshot, by COPY into exactly typed Arrow columns."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv as pa_csv
from prefect import get_run_logger, tags, task
from prefect.blocks.system import Secret
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine

from blocks import names
from blocks.databases import engine_of
from blocks.once import load_once
from blocks.variables import Settings
from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS, Region
from tasks.batch import Batch, Keys, NamedKeys, RolledBack, Window
from tasks.errors import NeedsPersonError, RegionUnfitError
from tasks.files.arrow import open_writer
from tasks.files.room import bytes_needed, full_disk_named, room_reserved
from tasks.progress.work import progressing
from tasks.retries import RETRIES
from tasks.rollback.held_back import held_back
from tasks.source.bad_cells import NONE_BAD, BadCells, Finder, may_be_of_a_cell, table_without, undone_on_error
from tasks.source.slices import Slice, export_snapshot, open_slices, side_by_side
from tasks.source.snapshot import DEFAULT_LIMITS, Limits, limits_of, open_snapshot
from tasks.source.statements import (
    NewColumn,
    check_declared,
    copy_statement,
    lacking_columns,
    tally_statement,
    width_statement,
)
from tasks.source.table import SourceTable
from tasks.source.tokens import tokenizer
from tasks.stopwatch import Say, Stopwatch
from tasks.tally import Tally, add_up, tallies_of_rows, tally_of_table

CSV_BLOCK_BYTES = 8 * 2**20
"""Bytes of CSV that become one batch of rows, and the most that a row may have; bounds the memory of a region."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Take = Callable[[bytearray], None]
"""Works on a block of rows."""
Where = Callable[[Take], Take]
"""Chooses the thread in which blocks are worked on."""


def at_once(take: Take) -> Take:
    """Blocks are worked on in the thread of their reader."""
    return take


@dataclass(frozen=True)
class Extracted:
    """What was read from one region: Arrow IPC files, in the order of their rows, and their figures.

    `source` was counted by SQL in the same snapshot, `read` from the bytes that arrived. `snapshot_at` is the moment up
    to which the database shows all commits, by its clock (aware, UTC); `behind` says why that is not the whole window.
    `new_columns` are those that neither the contract nor the variable `extra_columns` names; of those that the variable
    names, `extra_columns` were read, and `lacking_columns` are not in the source. `why_not_whole` says why the source
    may hold sales that it does not show. Of a batch of keys, `held_back` were not read because of what was
    `rolled_back`.
    """

    region: str
    paths: tuple[Path, ...]
    snapshot_at: datetime
    source: Tally
    read: Tally
    new_columns: tuple[NewColumn, ...]
    seconds: float
    extra_columns: tuple[str, ...] = ()
    lacking_columns: tuple[str, ...] = ()
    behind: str | None = None
    why_not_whole: str | None = None
    rolled_back: RolledBack = field(default_factory=RolledBack)
    held_back: frozenset[str] = frozenset()


EXTRACTED_SCHEMA = pa.schema(
    [*(c.arrow_field for c in SOURCE_COLUMNS), ("extra_attributes", pa.string()), ("unreadable", pa.string())]
)
"""Columns of the Arrow file; `extra_attributes` and `unreadable` are JSON text or NULL."""


def read_region(
    engine: Engine,
    region: str,
    wanted: Window | Keys,
    directory: Path,
    token_key: bytes,
    extra_columns: Mapping[str, str],
    say: Say,
    limits: Limits = DEFAULT_LIMITS,
    slices_max: int = 1,
) -> Extracted:
    """Reads the wanted rows of `region` into `directory`; personal data become tokens before a byte is written.

    `extra_columns` maps names of columns beyond the contract to `plain` or `personal`. Many rows are read by
    `slices_max` connections of `engine` side by side.
    Raises RegionUnfitError when table, columns or a cell of a view do not fit, rows are hidden, or keys are looked for
    in an empty table, ScratchFullError when there is no room for them, NeedsPersonError when fewer or other rows
    arrived than the database counted, TransientError when the table was rewritten meanwhile.
    """
    watch = Stopwatch()
    needed = wanted.end if isinstance(wanted, Window) else None
    with open_snapshot(engine, REGIONS[region], limits, needed, say) as snapshot:
        cursor, table = snapshot.cursor, snapshot.table
        new = check_declared(table.declared, table.name)
        extra = {column.name: extra_columns[column.name] for column in new if column.name in extra_columns}
        exported = export_snapshot(cursor) if slices_max > 1 else None

        def read_without(bad: BadCells) -> tuple[frozenset[str], Tally, dict[Path, Tally]]:
            slices_of_rows = 1 if bad.recorded else slices_max
            held, asked = _without_held_back(cursor, table, REGIONS[region], wanted, bad)
            source = _count(cursor, table, asked, bad)
            reading = (table.sql, asked, table.declared, extra, bad.conditions, bad.row_id)
            needed_bytes = bytes_needed(source.rows, _width(cursor, width_statement(*reading)) if source.rows else 0)
            with (
                room_reserved(directory, region, source.rows, needed_bytes),
                open_slices(snapshot, exported, asked, source.rows, slices_of_rows, say) as slices,
                progressing(say, f"extract region={region}", "rows", source.rows) as work,
            ):
                statement = partial(copy_statement, *reading)
                read = copy_slices(slices, statement, directory, region, token_key, extra, work.add, bad)
            return held, source, read

        try:
            with undone_on_error(cursor):
                held, source, files = read_without(NONE_BAD)
        except (psycopg2.Error, RegionUnfitError) as error:
            if not _may_be_of_a_cell(error):
                raise
            bad = Finder(cursor, table, wanted, extra, token_key, CSV_BLOCK_BYTES).find()
            if not bad.recorded:
                raise
            say(f"step=extract region={region} cells that cannot be read: {bad.count}; their rows are rejected")
            held, source, files = read_without(bad)
        if isinstance(wanted, Keys) and not source.rows:
            _refuse_empty(cursor, table)
    read = add_up(files.values())
    if differences := source.differences(read):
        raise NeedsPersonError(
            f"the rows read are not those that the database counted ({'; '.join(differences)}): run the date again"
        )
    return Extracted(
        region=region,
        paths=tuple(files),
        snapshot_at=snapshot.at,
        source=source,
        read=read,
        new_columns=tuple(column for column in new if column.name not in extra),
        seconds=watch.seconds(),
        extra_columns=tuple(extra),
        lacking_columns=lacking_columns(table.declared, extra_columns),
        behind=snapshot.behind,
        why_not_whole=table.why_not_whole(REGIONS[region]),
        rolled_back=wanted.rolled_back if isinstance(wanted, Keys) else RolledBack(),
        held_back=held,
    )


def _may_be_of_a_cell(error: BaseException) -> bool:
    """Whether the rows could be read without a cell that caused the error."""
    return isinstance(error, RegionUnfitError) or (isinstance(error, psycopg2.Error) and may_be_of_a_cell(error))


def _without_held_back(
    cursor: Any, table: SourceTable, region: Region, wanted: Window | Keys, bad: BadCells
) -> tuple[frozenset[str], Window | Keys]:
    """Returns the keys that are held back, and what remains to be read."""
    if isinstance(wanted, Window):
        return frozenset(), wanted
    held = held_back(cursor, table_without(bad, table.sql), region, wanted.sale_ids, wanted.rolled_back)
    return held, wanted.without(held)


def _refuse_empty(cursor: Any, table: SourceTable) -> None:
    """Raises RegionUnfitError for a table without any row: somebody may be refilling it."""
    cursor.execute(f"SELECT EXISTS (SELECT FROM {table.sql})")
    if cursor.fetchone() == (False,):
        raise RegionUnfitError(f"{table.name} has no row at all: look at its database")


def _count(cursor: Any, table: SourceTable, wanted: Window | Keys, bad: BadCells) -> Tally:
    cursor.execute(tally_statement(table.sql, wanted, table.declared, bad.conditions))
    return tallies_of_rows(cursor.fetchall(), keys=0).get((), Tally())


def _width(cursor: Any, statement: str) -> float:
    cursor.execute(statement)
    ((width,),) = cursor.fetchall()
    return float(width)


def csv_columns(extra_columns: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Names and types of the CSV's columns, in the order of the SELECT."""
    types = {column.name: column.arrow_field.type for column in SOURCE_COLUMNS}
    return types | {f"extra.{name}": pa.string() for name in extra_columns} | {"unreadable": pa.string()}


class RowBlocks:
    """The file that COPY writes to: passes rows on in blocks of whole rows, of at most CSV_BLOCK_BYTES.

    PostgreSQL sends every row as one message (https://www.postgresql.org/docs/current/protocol-message-formats.html,
    CopyData), and psycopg2 writes every message with one call.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._held = bytearray()
        self._is_too_large = False

    def write(self, row: bytes) -> None:
        if len(row) > CSV_BLOCK_BYTES:
            # COPY has to run to its end: until then the connection accepts no other command.
            self._is_too_large = True
            return
        if len(self._held) + len(row) > CSV_BLOCK_BYTES:
            self.flush()
        self._held += row

    def end(self) -> None:
        """Passes on the rest. Raises RegionUnfitError when a row did not fit into a block."""
        self.flush()
        if self._is_too_large:
            raise RegionUnfitError(
                f"a row has more than {CSV_BLOCK_BYTES // 2**20} MiB of text: shorten it at the source"
            )

    def flush(self) -> None:
        """Passes on the rows that are held, if any."""
        held, self._held = self._held, bytearray()
        if held:
            self._take(held)


def copy_slices(
    slices: Mapping[Slice, Any],
    statement: Callable[..., str],
    directory: Path,
    region: str,
    token_key: bytes,
    extra_columns: Mapping[str, str],
    progress: Callable[[int], None],
    bad: BadCells,
) -> dict[Path, Tally]:
    """Copies the slices, which are read side by side by the cursors given, each to a file; returns the files in order,
    and what was counted. `statement` makes the COPY of a slice."""
    numbers = range(1, len(slices) + 1)
    paths = [directory / f"{region}.extracted{'' if number == 1 else f'-{number}'}.arrow" for number in numbers]
    for left in directory.glob(f"{region}.extracted-*.arrow"):
        left.unlink()  # by a try with more slices

    def copy(number: int, part: Slice, cursor: Any) -> Tally:
        of_slice = statement(of_slice=part.condition)
        return copy_rows(cursor, of_slice, paths[number], token_key, extra_columns, progress, bad, where)

    with full_disk_named(f"region {region}", *paths), ThreadPoolExecutor(1, "blocks") as thread:
        where = at_once if len(slices) == 1 else partial(_in, thread)
        read = side_by_side(copy, slices, _may_be_of_a_cell)
    return dict(zip(paths, read, strict=True))


def _in(thread: ThreadPoolExecutor, take: Take) -> Take:
    """Works on the blocks of several readers in one thread: a block takes several times the memory while it is worked
    on, and Arrow keeps what each thread has freed."""
    return lambda block: thread.submit(take, block).result()


def copy_rows(
    cursor: Any,
    statement: str,
    path: Path,
    token_key: bytes,
    extra_columns: Mapping[str, str],
    progress: Callable[[int], None],
    bad: BadCells = NONE_BAD,
    where: Where = at_once,
) -> Tally:
    """Runs the COPY and writes its rows to an Arrow IPC file with EXTRACTED_SCHEMA; counts them. `progress` takes the
    rows of each block.

    Holds one block of rows, which is worked on by `where`. Personal data become tokens before a byte is written. Raises
    RegionUnfitError.
    """
    tokenize, read, types = tokenizer(token_key), Tally(), csv_columns(extra_columns)
    with open_writer(path, EXTRACTED_SCHEMA) as writer:

        def take(block: bytearray) -> None:
            nonlocal read
            batch = without_personal_data(parse_csv(block, types), extra_columns, tokenize, bad)
            writer.write_batch(batch)
            read += tally_of_table(batch)
            progress(batch.num_rows)

        blocks = RowBlocks(where(take))
        cursor.copy_expert(statement, blocks)
        blocks.end()
    return read


def parse_csv(block: bytearray, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """The rows of a block of whole CSV rows, exactly typed. Raises RegionUnfitError when they cannot be parsed."""
    # The defaults would turn "", NA, nan and NULL in text into NULL.
    with _parse_errors_named():
        table = pa_csv.read_csv(
            # The parser strips a byte order mark: this one, not one at the beginning of a cell.
            pa.BufferReader(BYTE_ORDER_MARK + block),
            # A row never reaches beyond its block, so the parser must not look for its end in the next.
            read_options=pa_csv.ReadOptions(
                column_names=list(types), block_size=len(BYTE_ORDER_MARK) + len(block) + 1, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
    (batch,) = table.combine_chunks().to_batches()
    return batch


@contextmanager
def _parse_errors_named() -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid:
        # The parser's own message quotes the row, personal data and all.
        raise RegionUnfitError("rows cannot be parsed: COPY did not write what the contract's types hold") from None


def without_personal_data(
    batch: pa.RecordBatch,
    extra_columns: Mapping[str, str],
    tokenize: Callable[[pa.Array], pa.Array],
    bad: BadCells = NONE_BAD,
) -> pa.RecordBatch:
    """The batch with EXTRACTED_SCHEMA: personal columns as tokens, extra columns as one JSON text, and the texts
    recorded for bad cells."""
    contract = [tokenize(batch[c.name]) if c.personal else batch[c.name] for c in SOURCE_COLUMNS]
    extra = {
        name: tokenize(batch[f"extra.{name}"]) if kind == "personal" else batch[f"extra.{name}"]
        for name, kind in extra_columns.items()
    }
    unreadable = _with_recorded_texts(batch["unreadable"], bad) if bad.recorded else batch["unreadable"]
    return pa.record_batch([*contract, _as_json(extra, batch.num_rows), unreadable], schema=EXTRACTED_SCHEMA)


def _with_recorded_texts(unreadable: pa.Array, bad: BadCells) -> pa.Array:
    """The unreadable cells as JSON texts: a row's id, which stands for a bad cell, becomes the text recorded for it."""
    texts = []
    for text in unreadable.to_pylist():
        cells = json.loads(text) if text else {}
        known = {row: bad.texts(row) for row in set(cells.values())}
        recorded = {name: known[cell].get(name, cell) for name, cell in cells.items()}
        texts.append(json.dumps(recorded, ensure_ascii=False) if recorded else None)
    return pa.array(texts, pa.string())


def _as_json(columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
    if not columns:
        return pa.nulls(rows, pa.string())
    values = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    texts = [json.dumps(dict(zip(columns, row, strict=True)), sort_keys=True, ensure_ascii=False) for row in values]
    return pa.array(texts, pa.string())


@task(name="extract", task_run_name="extract-{region}", **RETRIES)
def extract(
    region: str,
    wanted: Window | Keys,
    directory: Path,
    extra_columns: Mapping[str, str],
    limits: Limits,
    slices_max: int = 1,
) -> Extracted:
    """Reads one region's rows through the region's SqlAlchemyConnector block."""
    logger = get_run_logger()
    connector = load_once(SqlAlchemyConnector, names.database(region))
    token_key = load_once(Secret, names.TOKEN_KEY).get().encode()
    engine = engine_of(connector, slices_max)
    try:
        extracted = read_region(
            engine, region, wanted, directory, token_key, extra_columns, logger.info, limits, slices_max
        )
    finally:
        engine.dispose()
    for column in extracted.new_columns:
        logger.warning("step=extract region=%s new column %s (%s)", region, column.name, column.declared_type)
    for name in extracted.lacking_columns:
        logger.warning("step=extract region=%s lacks column %s of extra_columns", region, name)
    if extracted.behind:
        logger.warning("step=extract region=%s %s", region, extracted.behind)
    logger.info("step=extract region=%s rows=%d seconds=%.1f", region, extracted.read.rows, extracted.seconds)
    return extracted


def extract_regions(
    batch: Batch | NamedKeys, settings: Settings, directory: Path
) -> dict[str, Extracted | BaseException]:
    """Runs `extract` for all regions of the batch side by side; a region that failed has its error as outcome."""
    extra_columns, limits = settings.extra_columns, limits_of(settings)
    slices_max = settings.extract_slices if isinstance(batch, Batch) else 1
    futures = {}
    for region, wanted in zip(batch.regions, batch.wanted, strict=True):
        with tags(names.database(region)):  # `with_options(tags=...)` loses the task run's name
            futures[region] = extract.submit(region, wanted, directory, extra_columns, limits, slices_max)
    return {region: future.result(raise_on_failure=False) for region, future in futures.items()}
