"""Checks of the regional databases: connections, table, standby, clock, extra columns, and keys shared by regions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from blocks import names
from blocks.databases import engine_of
from blocks.variables import read_variable
from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS, Region
from tasks.errors import SalesEtlError
from tasks.reconcile.compare import read_outside_windows
from tasks.setup_checks.check import Check, SetupFaultError, compare_clocks
from tasks.source.slices import export_snapshot, open_readers
from tasks.source.snapshot import Limits, Snapshot, connected, open_snapshot, read_position, reading
from tasks.source.standby import Position, why_behind
from tasks.source.statements import HAS_KEY, check_declared, lacking_columns, quote_postgres, without_digits
from tasks.source.table import SourceTable

LIMITS = Limits(statement_s=20, lock_s=10)
KEYS_COMPARED = 1000
"""The newest keys of each region that are looked up in the others."""

PREFIX_ADVICE = (
    "Databases that number by themselves need prefix_keys = true in expectations/regions.toml before their first load"
)

REACHABLE = "does it run, is its port open to this machine, are address, user and password of the block right"


def source_checks() -> list[Check]:
    """Connection, table, dates, server and clock of each region; then extra columns and keys across regions."""
    each = [check for region in REGIONS.values() for check in _checks_of(region)]
    return [
        *each,
        Check(
            "extra columns", _look_at_extra_columns, "look at the columns by hand", needs=("variable extra_columns",)
        ),
        Check(
            "connections of sources",
            _open_readers,
            "allow the users of the sources' blocks, and the poolers before them, as many connections as the variable "
            "extract_slices says, or set it to 1",
            needs=("variable extract_slices",),
        ),
        Check("sale ids across regions", _compare_keys, "compare sale_id between the databases by hand"),
    ]


def _checks_of(region: Region) -> Iterator[Check]:
    name, connection = f"source {region.code}", f"source {region.code} connection"
    block = f"block sqlalchemy-connector/{names.database(region.code)}"
    yield Check(connection, partial(_connect, region), f"check {block} and the database: {REACHABLE}?")
    yield Check(
        f"{name} table", partial(_look_at_table, region), f"look at the database of {block}", needs=(connection,)
    )
    yield Check(
        f"{name} dates",
        partial(_look_for_rows_without_date, region),
        "look at the rows by hand",
        needs=(f"{name} table",),
    )
    yield Check(
        f"{name} server", partial(_look_at_server, region), f"look at the database of {block}", needs=(connection,)
    )
    yield Check(
        f"{name} clock", partial(_compare_clock, region), f"look at the database of {block}", needs=(connection,)
    )


@contextmanager
def _engine(region: Region, connections: int = 1) -> Iterator[Engine]:
    try:
        connector = SqlAlchemyConnector.load(names.database(region.code))
    except ValueError as error:
        raise SetupFaultError(
            f"block sqlalchemy-connector/{names.database(region.code)} is missing or unreadable: "
            f"set PG_{region.code}_URL and run `{names.HERE}python -m blocks.register`"
        ) from error
    engine = engine_of(connector, connections)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_source(region: Region) -> Iterator[Any]:
    """A psycopg2 cursor in a read-only transaction of the region's database, as loads use it."""
    with _engine(region) as engine, connected(engine) as driver, reading(driver, LIMITS) as cursor:
        yield cursor


@contextmanager
def open_table(region: Region) -> Iterator[Snapshot]:
    """A snapshot of the region's table, as loads take it."""
    with _engine(region) as engine, open_snapshot(engine, region, LIMITS) as snapshot:
        yield snapshot


def _connect(region: Region) -> str:
    with open_source(region) as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_user")
        version, user = cursor.fetchone()
    return f"PostgreSQL {version} as {user}"


def _look_at_table(region: Region) -> str:
    """Checks its kind, the declared types, the right to read each column, and that the columns can be read together."""
    with open_table(region) as snapshot:
        cursor, table = snapshot.cursor, snapshot.table
        new = check_declared(table.declared, table.name)
        columns = [column.name for column in SOURCE_COLUMNS]
        if refused := _refused_columns(snapshot, columns):
            raise SetupFaultError(refused)
        cursor.execute(f"SELECT {', '.join(map(quote_postgres, columns))} FROM {table.sql} LIMIT 1")
        if behind := table.why_behind(region):
            raise SetupFaultError(f"its days stay gaps: {behind}")
    more = f"; beyond the contract: {', '.join(column.name for column in new)}" if new else ""
    part = "" if table.why_not_whole(region) is None else "; nothing is marked as deleted, as it may show a part"
    return f"{len(columns)} columns of {table.name}, {table.kind}, can be read{more}{part}"


def _refused_columns(snapshot: Snapshot, columns: Iterable[str]) -> str:
    """Says which of the table's columns the block's user may not read; empty when none."""
    snapshot.cursor.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE NOT has_column_privilege(%s::regclass, name, 'SELECT')",
        (list(columns), snapshot.table.sql),
    )
    refused = ", ".join(name for (name,) in snapshot.cursor.fetchall())
    grant = f"GRANT SELECT ON {snapshot.table.relations[0].name} TO the block's user"
    return f"no right to read {refused}: {grant}" if refused else ""


def _look_for_rows_without_date(region: Region) -> str:
    with open_table(region) as snapshot:
        outside = read_outside_windows(snapshot)
    if outside.rows:
        raise SetupFaultError(str(outside))
    return "every row has a date that reads it"


def _look_at_server(region: Region) -> str:
    """Returns `describe_server` of the region's database."""
    with _engine(region) as engine, connected(engine) as driver:
        return describe_server(read_position(driver, LIMITS))


def describe_server(position: Position) -> str:
    """Returns a server's role, and how far a standby has replayed.

    Raises SetupFaultError for a standby that does not show all of yesterday (UTC) yet.
    """
    if not position.is_standby:
        return "a primary"
    midnight = position.clock.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if position.shows(midnight):
        return f"a standby that shows sales until {position.replayed_in_words}"
    if position.may_be_idle(midnight):
        return f"a standby that has nothing to replay since {position.replayed_in_words}"
    raise SetupFaultError(why_behind(position))


def _compare_clock(region: Region) -> str:
    with open_source(region) as cursor:
        asked_at = datetime.now(UTC)
        cursor.execute("SELECT clock_timestamp()")
        (theirs,) = cursor.fetchone()
        answered_at = datetime.now(UTC)
    return compare_clocks(asked_at, theirs, answered_at, f"the database of {region.code}")


# Extra columns


def _look_at_extra_columns() -> str:
    """Returns `describe_extra_columns`. Raises SetupFaultError, too, for columns that the block's user may not read."""
    columns, lacking, refused = read_variable("extra_columns"), dict[str, Sequence[str]](), list[str]()
    for region in REGIONS.values():
        with _unless_unreachable(), open_table(region) as snapshot:
            lacking[region.code] = lacking_columns(snapshot.table.declared, columns)
            if of_region := _refused_columns(snapshot, (name for name in columns if name in snapshot.table.declared)):
                refused.append(f"{region.code}: {of_region}")
    if refused:
        raise SetupFaultError("; ".join(refused))
    return describe_extra_columns(columns, lacking)


def describe_extra_columns(columns: Iterable[str], lacking: Mapping[str, Sequence[str]]) -> str:
    """Returns which regions lack which columns. Raises SetupFaultError naming columns that no source has.

    `lacking` holds, per region that could be read, those of `columns` that its source lacks.
    """
    without = {name: [code for code in lacking if name in lacking[code]] for name in columns}
    lacks = "; ".join(f"lacking in {', '.join(codes)}: {name}" for name, codes in without.items() if codes)
    nowhere = [name for name, codes in without.items() if len(codes) == len(lacking)]
    if lacks and nowhere:
        raise SetupFaultError(
            f"no source has {', '.join(nowhere)}: correct the name with `{names.HERE}python -m blocks.variables "
            f"extra_columns '{{...}}'`, or mend the sources ({lacks})"
        )
    if lacks:
        return f"{lacks}; mend the source if it should have the column; what is stored stays"
    return f"{', '.join(without) or 'none'} in {', '.join(lacking) or 'no region'}"


# Connections


def _open_readers() -> str:
    """Opens as many connections to each region as read it side by side."""
    wanted, found, logged = read_variable("extract_slices"), dict[str, int](), list[str]()
    for region in REGIONS.values():
        with (
            _unless_unreachable(),
            _engine(region, wanted) as engine,
            open_snapshot(engine, region, LIMITS) as snapshot,
            open_readers(snapshot, export_snapshot(snapshot.cursor), wanted, logged.append) as readers,
        ):
            found[region.code] = len(readers) if snapshot.table.has_ctid else 1
    return describe_connections(wanted, found, logged)


def describe_connections(wanted: int, found: Mapping[str, int], logged: Sequence[str]) -> str:
    """Returns how many connections read each region. Raises SetupFaultError with what was `logged` where fewer were had
    than `wanted`."""
    if logged:
        raise SetupFaultError(
            f"{'; '.join(line.removeprefix('step=source ') for line in logged)}: allow the block's user, and a pooler "
            "before the database, more connections, or lower the variable extract_slices"
        )
    alone = [code for code, readers in found.items() if readers < wanted]
    one = f"; 1 for {', '.join(alone)}, a view or without the right to read ctid" if alone else ""
    return f"{wanted} for each region{one}"


# Keys


def _compare_keys() -> str:
    """Compares the regions that share one numbering: those without the prefix option."""
    compared = [region for region in REGIONS.values() if not region.prefix_keys]
    newest: dict[str, list[str]] = {}
    for region in compared:
        with _unless_unreachable(), open_table(region) as snapshot:
            newest[region.code] = read_newest_keys(snapshot.cursor, snapshot.table.sql)
    shared: dict[str, list[str]] = {}
    for code in newest:
        others = {other: keys for other, keys in newest.items() if other != code}
        with open_table(REGIONS[code]) as snapshot:
            shared[code] = find_keys(snapshot.cursor, snapshot.table, [key for keys in others.values() for key in keys])
    return describe_overlap(newest, shared, [region.code for region in compared if region.code not in newest])


@contextmanager
def _unless_unreachable() -> Iterator[None]:
    """Skips a region that cannot be read: its own checks report it."""
    try:
        yield
    except (SQLAlchemyError, SalesEtlError):
        pass
    except Exception as error:
        if getattr(error, "pgcode", "") not in ("42P01", "42703", "42501", None):
            raise


def read_newest_keys(cursor: Any, table: str) -> list[str]:
    """The keys of the rows that changed last, as text; `table` is a quoted name."""
    cursor.execute(
        f"SELECT sale_id::text FROM {table} WHERE {HAS_KEY} ORDER BY updated_at DESC NULLS LAST LIMIT %s",
        (KEYS_COMPARED,),
    )
    return [key for (key,) in cursor.fetchall()]


def find_keys(cursor: Any, table: SourceTable, keys: Sequence[str]) -> list[str]:
    """Returns those of `keys` that the table holds. Compares in the column's own type, so that its index is used."""
    kind = without_digits(table.declared.get("sale_id", "text"))
    fitting = [key for key in keys if kind not in _WHOLE or (key.isascii() and key.isdecimal())]
    compared = "sale_id" if kind in _COMPARED_UNCAST else "sale_id::text"
    array = f"{kind}[]" if kind in _COMPARED_UNCAST else "text[]"
    cursor.execute(
        f'SELECT DISTINCT sale_id::text COLLATE "C" FROM {table.sql} WHERE {compared} = ANY(%s::{array}) LIMIT %s',
        (fitting, KEYS_COMPARED),
    )
    return [key for (key,) in cursor.fetchall()]


_WHOLE = ("smallint", "integer", "bigint", "numeric")
_COMPARED_UNCAST = ("bigint", "numeric", "text", "character varying")


def describe_overlap(
    newest: Mapping[str, Sequence[str]], shared: Mapping[str, Iterable[str]], left_out: Sequence[str]
) -> str:
    """Returns what was compared. Raises SetupFaultError naming the regions and an example when keys are shared.

    `shared` holds, per region, keys of other regions that it holds too.
    """
    pairs = {
        (code, other): sorted(set(keys) & set(newest[other]))
        for code, keys in shared.items()
        for other in newest
        if other != code
    }
    overlapping = {pair: keys for pair, keys in pairs.items() if keys}
    if overlapping:
        (code, other), keys = max(overlapping.items(), key=lambda item: len(item[1]))
        regions = sorted({region for pair in overlapping for region in pair}, key=list(newest).index)
        raise SetupFaultError(
            f"{', '.join(regions)} use the same sale_id: {len(keys)} of the {len(newest[other])} newest of {other} "
            f"are in {code} too, e.g. {keys[0]}: correct the sources. {PREFIX_ADVICE}"
        )
    missing = f"; not compared: {', '.join(left_out)}" if left_out else ""
    return f"none of the {KEYS_COMPARED} newest of {', '.join(newest) or 'no region'} is in another region{missing}"
