"""A region that several connections read side by side: the same rows, in the same order, as one connection reads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from expectations.regions import REGIONS
from expectations.rules import Origin
from local import generator
from local.postgres import OWNER, READER
from tasks import extract
from tasks.batch import Window
from tasks.errors import may_pass
from tasks.extract import Extracted
from tasks.source import slices as module
from tasks.source import snapshot
from tasks.stopwatch import Say, say_nothing
from tests.integration.conftest import wait_for
from tests.integration.sources.clusters import REGION, TABLE, Cluster, grant_columns, running_cluster, running_standby
from tests.integration.sources.reading import DAY
from tests.integration.sources.reading import read as read_into
from tests.integration.sources.test_bad_cells import LARGE
from tests.unit.sales import Outcome, read_table, transformed

DIRT = generator.Dirt(
    nulls=0.02,
    blanks=0.02,
    duplicates=0.05,
    bad_amounts=0.02,
    bad_currencies=0.02,
    nan=0.01,
    infinite=0.01,
    unicode=0.1,
)
ROWS = 3000
START, END = Window.of_day(DAY).start, Window.of_day(DAY).end
TINY, ONE_DAY = timedelta(microseconds=1), timedelta(days=1)
TIMES: dict[str, tuple[object, object]] = {
    "first": (START, START),
    "last": (END - TINY, END - TINY),
    "too-early": (START - TINY, START - TINY),
    "too-late": (END, END),
    "changed-on-the-day": (START - TINY, START),
    "sold-on-the-day": (END - TINY, END),
    "never-sold": (None, START),
    "never-changed": (START, None),
    "sold-in-eternity": ("infinity", END - TINY),
    "changed-long-ago": (START, "-infinity"),
    "without-times": (None, None),
}
"""When sales at the edges of the window were sold and changed."""
OUTSIDE = {"too-early", "too-late", "without-times"}

IN_COPY = (
    "SELECT pid FROM pg_stat_activity WHERE usename = 'sales_reader' AND query LIKE 'COPY%' ORDER BY backend_start"
)
CONNECTED = "SELECT 1 FROM pg_stat_activity WHERE usename = 'sales_reader'"
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"


@pytest.fixture(autouse=True)
def _worth_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few rows, and many small blocks of each."""
    monkeypatch.setattr(module, "SLICE_ROWS_MIN", 1)
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 2**16)


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    fill(cluster)
    return cluster


def fill(cluster: Cluster) -> None:
    """Dirty sales of the day among those of other days, and sales at the edges of the window, some without a key."""
    for day, rows in ((DAY - ONE_DAY, 500), (DAY, ROWS), (DAY + ONE_DAY, 500)):
        generator.load(cluster.url(OWNER), [generator.generate(REGION, day, rows, seed=1, dirt=DIRT).table])
    for key, (sold, changed) in TIMES.items():
        cluster.insert(
            {"sale_id": key, "sale_date": sold, "updated_at": changed},
            {"sale_id": None, "sale_date": sold, "updated_at": changed},
        )
    # Leaves gaps in the table's pages.
    cluster.execute(f"DELETE FROM {TABLE} WHERE sale_id LIKE '{REGION}-{DAY - ONE_DAY:%Y%m%d}-%7'; ANALYZE")


@pytest.fixture(params=[2, 4])
def slices(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def read(cluster: Cluster, directory: Path, slices_max: int = 1, say: Say = say_nothing) -> Extracted:
    """Reads DAY into a new directory below `directory`."""
    return read_into(cluster.url(), Path(mkdtemp(dir=directory)), slices_max=slices_max, say=say)


def outcome_of(extracted: Extracted) -> Outcome:
    return transformed(read_table(*extracted.paths), Origin(REGIONS[REGION], datetime(2024, 1, 2, tzinfo=UTC)))


def keys_of(extracted: Extracted) -> list[str | None]:
    keys: list[str | None] = read_table(*extracted.paths)["sale_id"].to_pylist()
    return keys


def assert_equal_rows(one: pa.Table, other: pa.Table) -> None:
    assert one.combine_chunks().equals(other.combine_chunks())


def test_slices_have_what_one_connection_reads(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole, sliced = read(sales, tmp_path), read(sales, tmp_path, slices_max=slices)
    one, other = outcome_of(whole), outcome_of(sliced)
    assert (whole.source, whole.read) == (sliced.source, sliced.read)
    assert len(sliced.paths) == slices
    assert_equal_rows(one.clean, other.clean)
    assert_equal_rows(one.rejected, other.rejected)
    assert one.counted == other.counted
    assert {key for key in keys_of(sliced) if key in TIMES} == TIMES.keys() - OUTSIDE
    assert one.counted.rejected.rows > 100
    assert one.counted.duplicates.rows > 100


def test_rows_are_in_the_order_of_one_connection_and_spread_evenly(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole, sliced = read(sales, tmp_path), read(sales, tmp_path, slices_max=slices)
    assert_equal_rows(read_table(*whole.paths), read_table(*sliced.paths))
    fair = sliced.read.rows / slices
    assert all(0.5 * fair < read_table(path).num_rows < 1.5 * fair for path in sliced.paths)


def test_without_an_index_slices_have_the_same_rows(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    sales.execute("DROP INDEX sales_transactions_sale_date_idx, sales_transactions_updated_at_idx")
    assert keys_of(read(sales, tmp_path, slices_max=slices)) == keys_of(whole)


def test_a_day_without_rows_is_no_slice(cluster: Cluster, tmp_path: Path, slices: int) -> None:
    extracted = read(cluster, tmp_path, slices_max=slices)
    assert (extracted.read.rows, len(extracted.paths)) == (0, 1)


def test_few_rows_are_read_by_one_connection(
    sales: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    monkeypatch.setattr(module, "SLICE_ROWS_MIN", ROWS)
    assert len(read(sales, tmp_path, slices_max=slices).paths) == 1


def test_files_of_an_earlier_try_with_more_slices_are_removed(sales: Cluster, tmp_path: Path) -> None:
    read_into(sales.url(), tmp_path, slices_max=4)
    extracted = read_into(sales.url(), tmp_path, slices_max=2)
    assert set(tmp_path.glob("*.arrow")) == set(extracted.paths)


def sorted_keys(extracted: Extracted) -> list[str]:
    return sorted(map(str, keys_of(extracted)))


def move_into(sales: Cluster, create: str, *more: str) -> None:
    """Replaces the table by one of another form with the same rows."""
    sales.execute(f"ALTER TABLE {TABLE} RENAME TO stored")
    for statement in (create, *more, f"GRANT SELECT ON {TABLE} TO {READER}"):
        sales.execute(statement)


def test_a_partitioned_table_is_read_in_slices(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    move_into(
        sales,
        f"CREATE TABLE {TABLE} (LIKE stored) PARTITION BY HASH (store_id)",
        *(f"CREATE TABLE p{n} PARTITION OF {TABLE} FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3)),
        f"INSERT INTO {TABLE} TABLE stored",
    )
    sliced = read(sales, tmp_path, slices_max=slices)
    assert sorted_keys(sliced) == sorted_keys(whole)
    assert (len(sliced.paths), sliced.source) == (slices, whole.source)


def test_a_table_with_children_is_read_in_slices(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    move_into(sales, f"CREATE TABLE {TABLE} (LIKE stored)", f"ALTER TABLE stored INHERIT {TABLE}")
    sales.execute(f"INSERT INTO {TABLE} SELECT * FROM ONLY stored WHERE store_id < '2'")
    sales.execute("DELETE FROM ONLY stored WHERE store_id < '2'")
    sliced = read(sales, tmp_path, slices_max=slices)
    assert sorted_keys(sliced) == sorted_keys(whole)
    assert len(sliced.paths) == slices


def test_a_materialized_view_is_read_in_slices(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    move_into(sales, f"CREATE MATERIALIZED VIEW {TABLE} AS TABLE stored")
    sliced = read(sales, tmp_path, slices_max=slices)
    assert sorted_keys(sliced) == sorted_keys(whole)
    assert len(sliced.paths) == slices


def test_a_view_is_read_by_one_connection_and_that_is_logged(sales: Cluster, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    move_into(sales, f"CREATE VIEW {TABLE} AS TABLE stored")
    logged: list[str] = []
    extracted = read(sales, tmp_path, slices_max=slices, say=logged.append)
    assert sorted_keys(extracted) == sorted_keys(whole)
    assert logged == [f"step=source region={REGION} is read by one connection: {TABLE} is a view"]


def test_a_table_whose_columns_are_granted_one_by_one_is_read_by_one_connection(
    sales: Cluster, tmp_path: Path, slices: int
) -> None:
    whole = read(sales, tmp_path)
    grant_columns(sales)
    logged: list[str] = []
    extracted = read(sales, tmp_path, slices_max=slices, say=logged.append)
    assert keys_of(extracted) == keys_of(whole)
    assert logged == [
        f"step=source region={REGION} is read by one connection: {TABLE} is a table of which its reader may not read "
        "ctid, a row's place"
    ]
    sales.execute(f"GRANT SELECT (ctid, tableoid) ON {TABLE} TO {READER}")
    assert len(read(sales, tmp_path, slices_max=slices).paths) == slices


def test_a_standby_is_read_in_slices(sales: Cluster, directory: Path, tmp_path: Path, slices: int) -> None:
    whole = read(sales, tmp_path)
    with running_standby(directory, sales) as standby:
        standby.catch_up()
        sliced = read(standby, tmp_path, slices_max=slices)
    assert keys_of(sliced) == keys_of(whole)
    assert len(sliced.paths) == slices


def changing_before_each_join(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Commits a change each time before one more connection takes the snapshot."""
    join = snapshot._join

    @contextmanager
    def changed_first(*given: Any) -> Iterator[Any]:
        change()
        with join(*given) as cursor:
            yield cursor

    monkeypatch.setattr(snapshot, "_join", changed_first)


def test_commits_between_the_readers_starts_are_in_no_slice(
    sales: Cluster, tmp_path: Path, slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(sales, tmp_path)
    changes = [
        f"UPDATE {TABLE} SET total_amount = 1 WHERE store_id < '2'",
        f"DELETE FROM {TABLE} WHERE store_id > '3'",
        f"INSERT INTO {TABLE} SELECT * FROM {TABLE}",
    ]
    changing_before_each_join(monkeypatch, lambda: [sales.execute(change) for change in changes])
    sliced = read(sales, tmp_path, slices_max=slices)
    assert_equal_rows(read_table(*sliced.paths), read_table(*whole.paths))
    assert sliced.read == whole.read
    monkeypatch.undo()
    assert read(sales, tmp_path).read != whole.read, "the changes are seen by the next reading"


@contextmanager
def held_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Readers wait with their first block until the event, with much more to come."""
    go_on, parse = Event(), extract.parse_csv

    def wait_and_parse(*given: Any) -> pa.RecordBatch:
        assert go_on.wait(60)
        return parse(*given)

    with monkeypatch.context() as patch:
        patch.setattr(extract, "parse_csv", wait_and_parse)
        yield go_on


def widen(sales: Cluster) -> None:
    """Makes rows so wide that no slice of them fits into the buffers of a connection."""
    sales.execute(f"UPDATE {TABLE} SET payment_method = repeat('x', 5000)")


@pytest.mark.parametrize(
    ("number", "readers"),
    [
        pytest.param(0, 1, id="only"),
        pytest.param(0, 3, id="first"),
        pytest.param(1, 3, id="second"),
        pytest.param(2, 3, id="last"),
    ],
)
def test_a_reader_that_is_terminated_ends_all_and_the_region_is_read_again(
    sales: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, readers: int
) -> None:
    widen(sales)
    monkeypatch.setattr(extract, "CSV_BLOCK_BYTES", 2**20)
    with held_in_the_middle(monkeypatch) as go_on, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, sales, tmp_path, readers)
        wait_for(lambda: len(sales.execute(IN_COPY)) == readers, "the connections copy")
        ((terminated,),) = sales.execute("SELECT pg_terminate_backend(%s)", sales.execute(IN_COPY)[number])
        assert terminated
        go_on.set()
        with pytest.raises(psycopg2.DatabaseError) as caught:
            reading.result()
    assert may_pass(caught.value)
    wait_for(lambda: not sales.execute(CONNECTED), "no connection is left")
    again = read(sales, tmp_path, readers)
    assert (again.read, len(again.paths)) == (read(sales, tmp_path).read, readers)


def test_a_cell_that_cannot_be_read_rejects_only_its_row(sales: Cluster, tmp_path: Path, slices: int) -> None:
    sales.execute("DROP INDEX sales_transactions_sale_id_idx")
    sales.execute(f"UPDATE {TABLE} SET payment_method = repeat('x', {LARGE}) WHERE sale_id = 'last'")
    whole, sliced = read(sales, tmp_path), read(sales, tmp_path, slices_max=slices)
    assert sliced.read == sliced.source == whole.read
    rejected = outcome_of(sliced).rejected.to_pylist()
    assert [row["sale_key"] for row in rejected if "unreadable_payment_method" in row["rules"]] == ["last"]
    assert_equal_rows(outcome_of(whole).rejected, outcome_of(sliced).rejected)


def test_bytes_that_are_no_utf8_reject_only_their_row(directory: Path, tmp_path: Path, slices: int) -> None:
    with running_cluster(directory, encoding="WIN1252") as western:
        western.insert(*({"sale_id": f"good-{number:02}"} for number in range(50)), {"sale_id": "bad"})
        western.execute(f"UPDATE {TABLE} SET product_category = 'a' || chr(129) WHERE sale_id = 'bad'")
        sliced = read(western, tmp_path, slices_max=slices)
    (row,) = outcome_of(sliced).rejected.to_pylist()
    assert (row["sale_key"], row["rules"]) == ("bad", "unreadable_product_category")
    assert sliced.read.rows == 51


def test_where_a_role_has_fewer_connections_those_are_used(sales: Cluster, tmp_path: Path) -> None:
    whole = read(sales, tmp_path)
    sales.execute(f"ALTER ROLE {READER} CONNECTION LIMIT 2")
    logged: list[str] = []
    extracted = read(sales, tmp_path, slices_max=4, say=logged.append)
    assert keys_of(extracted) == keys_of(whole)
    assert len(extracted.paths) == 2
    (line,) = logged
    assert line.startswith(f"step=source region={REGION} is read by 2 of 4 connections: ")
    assert "too many connections for role" in line


def test_a_change_that_waits_for_the_first_reader_holds_up_none(
    sales: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(sales, tmp_path)
    logged: list[str] = []
    with closing(sales.connect(OWNER)) as changing, ThreadPoolExecutor(1) as pool:
        alter = f"ALTER TABLE {TABLE} ALTER quantity TYPE bigint"

        def queue_up() -> None:
            pool.submit(changing.cursor().execute, alter)
            wait_for(lambda: sales.execute(WAITING), "the change waits")

        changing_before_each_join(monkeypatch, queue_up)
        extracted = read(sales, tmp_path, slices_max=4, say=logged.append)
    assert keys_of(extracted) == keys_of(whole)
    assert len(extracted.paths) == 1
    assert logged[0].startswith(f"step=source region={REGION} is read by 1 of 4 connections: could not obtain lock")
