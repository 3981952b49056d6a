"""A region whose table is declared in other ways: values that its database can write exactly are read."""

import shutil
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import narwhals as nw
import psycopg2
import pyarrow as pa
import pytest
from psycopg2.extensions import AsIs
from sqlalchemy import create_engine

from expectations.columns import BLANKS, SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.rules import Origin, blank
from local import postgres
from local.environment import state_dir
from tasks.batch import Window
from tasks.errors import RegionUnfitError
from tasks.extract import Extracted, read_region
from tasks.source.statements import CURRENCY_NAME, HAS_KEY
from tasks.source.table import DECLARED_COLUMNS
from tasks.tally import MALFORMED, NO_CURRENCY, currency_name
from tests.integration.conftest import World, free_port, good_sale, wait_for
from tests.integration.publish.harness import KEY
from tests.unit.expectations.test_rules import BAD_CODES, GOOD_CODES
from tests.unit.sales import Outcome, read_table, transformed

DAY = date(2024, 1, 1)
SCHEMA = "declared_otherwise"


@dataclass(frozen=True)
class Table:
    """An empty sales_transactions in a separate schema, which the pipeline finds by its search path."""

    url: str

    def change(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        connection = psycopg2.connect(self.url, options=f"-csearch_path={SCHEMA}")
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
        connection.close()

    def insert(self, **cells: Any) -> None:
        row = good_sale("EUROPE", DAY) | cells
        columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.change(f"INSERT INTO sales_transactions ({columns}) VALUES ({places})", tuple(row.values()))

    def ask(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.url, options=f"-csearch_path={SCHEMA}")
        with connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        connection.close()
        return rows

    def declared(self) -> dict[str, str]:
        """Types as the pipeline sees them."""
        return {name: kind for name, kind, _ in self.ask(DECLARED_COLUMNS, ("sales_transactions",))}

    def read(self, directory: Path) -> Extracted:
        url = self.url.replace("postgresql://", "postgresql+psycopg2://")
        engine = create_engine(url, connect_args={"options": f"-csearch_path={SCHEMA}"})
        try:
            return read_region(engine, "EUROPE", Window.of_day(DAY), directory, KEY, {}, lambda line: None)
        finally:
            engine.dispose()

    def transformed(self, directory: Path) -> Outcome:
        extracted = self.read(directory)
        return transformed(read_table(*extracted.paths), Origin(REGIONS["EUROPE"], extracted.snapshot_at))


@pytest.fixture
def table(world: World) -> Iterator[Table]:
    world.change("EUROPE", f"CREATE SCHEMA {SCHEMA}")
    try:
        world.change("EUROPE", f"CREATE TABLE {SCHEMA}.sales_transactions (LIKE public.sales_transactions)")
        yield Table(world.environment["PG_EUROPE_OWNER_URL"])
    finally:
        world.change("EUROPE", f"DROP SCHEMA {SCHEMA} CASCADE")


@contextmanager
def cluster_of_bytes() -> Iterator[str]:
    """The URL of a separate PostgreSQL whose encoding is SQL_ASCII."""
    cluster, user, port = state_dir() / "postgres" / "bytes", postgres.system_user(), free_port()
    cluster.mkdir(mode=0o700)
    if user:
        shutil.chown(cluster, user)
    init = ("initdb", "-D", str(cluster), "-U", "postgres", "--auth=trust", "--encoding=SQL_ASCII", "--locale=C")
    subprocess.run([postgres.program(init[0]), *init[1:]], user=user, cwd="/", check=True, capture_output=True)
    quiet = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
    command = [postgres.program("postgres"), "-D", str(cluster), "-p", str(port), *quiet]
    server = subprocess.Popen(command, user=user, cwd="/", stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), "a PostgreSQL with the encoding SQL_ASCII")
        yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(cluster)


def answers(port: int) -> bool:
    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.mark.usefixtures("world")
def test_a_database_that_does_not_say_what_its_bytes_mean_is_refused(tmp_path: Path) -> None:
    with cluster_of_bytes() as url:
        engine = create_engine(url)
        with pytest.raises(RegionUnfitError, match="encoding SQL_ASCII.*ENCODING 'UTF8'"):
            read_region(engine, "EUROPE", Window.of_day(DAY), tmp_path, KEY, {}, lambda line: None)
        engine.dispose()


@pytest.mark.parametrize(
    ("declared", "least", "rule"),
    [
        pytest.param("smallint", -(2**15), "quantity_not_positive", id="int2"),
        pytest.param("integer", -(2**31), "quantity_not_positive", id="int4"),
        pytest.param("bigint", -(2**63), "unreadable_quantity", id="int8"),
    ],
)
def test_the_smallest_integer_rejects_its_row_and_not_the_region(
    table: Table, tmp_path: Path, declared: str, least: int, rule: str
) -> None:
    table.change(f"ALTER TABLE sales_transactions ALTER quantity TYPE {declared}")
    table.insert(sale_id="good")
    table.insert(sale_id="least", quantity=least)
    rows = table.transformed(tmp_path)
    assert rows.clean["sale_id"].to_pylist() == ["good"]
    assert rows.rejected["sale_id"].to_pylist() == ["least"]
    assert rows.rejected["quantity"].to_pylist() == [str(least)]
    assert rule in [broken.rule for broken in rows.counted.broken]


@pytest.mark.parametrize("column", ["unit_price", "discount_amount", "tax_amount", "total_amount"])
@pytest.mark.parametrize(("declared", "least"), [("smallint", -(2**15)), ("integer", -(2**31)), ("bigint", -(2**63))])
def test_the_smallest_integer_as_an_amount_rejects_its_row(
    table: Table, tmp_path: Path, column: str, declared: str, least: int
) -> None:
    table.change(f"ALTER TABLE sales_transactions ALTER {column} TYPE {declared}")
    table.insert(**{column: least})
    rows = table.transformed(tmp_path)
    assert (rows.clean.num_rows, rows.rejected.num_rows) == (0, 1)
    (written,) = rows.rejected[column].to_pylist()
    assert int(written.partition(".")[0]) == least


@dataclass(frozen=True)
class Fault:
    """A view that cannot be read: the expression of its unit_price, what that needs, and the error that results."""

    expression: str
    needs: str
    error: str
    words: str


def function(body: str) -> str:
    """A function of a cell whose errors may quote its argument."""
    return f"CREATE FUNCTION price_of(cell text) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN 1; END $$"


OF_FUNCTION = "price_of(customer_email)"
FAULTS = {
    "conversion": Fault(
        "customer_email::numeric",
        "",
        "InvalidTextRepresentation (SQLSTATE 22P02)",
        "correct the cell, or the expression",
    ),
    "division": Fault(
        "1 / (quantity - 2)::numeric", "", "DivisionByZero (SQLSTATE 22012)", "divides by a cell that is 0"
    ),
    "domain": Fault(
        "length(customer_email::of_two)",
        "CREATE DOMAIN of_two AS text CHECK (length(VALUE) = 2)",
        "CheckViolation (SQLSTATE 23514)",
        "a cell breaks a constraint of the type",
    ),
    "writes": Fault(
        OF_FUNCTION,
        function("INSERT INTO stored (sale_id) VALUES (cell)"),
        "ReadOnlySqlTransaction (SQLSTATE 25006)",
        "a function of a view writes, and sources are only read",
    ),
    "raises": Fault(
        OF_FUNCTION,
        function("RAISE EXCEPTION 'no price for %', cell USING DETAIL = cell, HINT = cell"),
        "RaiseException (SQLSTATE P0001)",
        "a function of a view raised an error of its own",
    ),
    "raises-as-a-refusal": Fault(
        OF_FUNCTION,
        function("RAISE EXCEPTION 'no price for %', cell USING ERRCODE = '42501'"),
        "InsufficientPrivilege (SQLSTATE 42501)",
        "the reader lacks a right",
    ),
    "raises-a-code-of-its-own": Fault(
        OF_FUNCTION,
        function("RAISE EXCEPTION 'no price for %', cell USING ERRCODE = 'Y1234'"),
        "(SQLSTATE Y1234)",
        "PostgreSQL knows no such class",
    ),
    "name-in-a-cell": Fault(
        "length(split_part(customer_email, '@', 1)::regclass::text)",
        "",
        "InvalidSchemaName (SQLSTATE 3F000)",
        "a schema is missing",
    ),
    "name-of-three-parts-in-a-cell": Fault(
        "length(customer_email::regclass::text)",
        "",
        "FeatureNotSupported (SQLSTATE 0A000)",
        "what this server does not support",
    ),
    "two-rows": Fault(
        "(SELECT n FROM generate_series(1, quantity) AS n)::numeric",
        "",
        "CardinalityViolation (SQLSTATE 21000)",
        "a subquery in a view found several rows",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_view_that_cannot_be_read_is_named_by_its_fault_and_quotes_no_cell(
    table: Table, tmp_path: Path, fault: Fault
) -> None:
    table.insert(sale_id="1", customer_email="find.me@example.com", quantity=2)
    columns = ", ".join(f"{fault.expression} AS {c.name}" if c.name == "unit_price" else c.name for c in SOURCE_COLUMNS)
    table.change("ALTER TABLE sales_transactions RENAME TO stored")
    if fault.needs:
        table.change(fault.needs.replace("%", "%%"))
    table.change(f"CREATE VIEW sales_transactions AS SELECT {columns} FROM stored")
    with pytest.raises(RegionUnfitError) as caught:
        table.read(tmp_path)
    assert fault.error in str(caught.value)
    assert fault.words in str(caught.value)
    assert "find.me" not in "".join(traceback.format_exception(caught.value))


def test_a_right_that_the_reader_lacks_is_named(world: World, table: Table, tmp_path: Path) -> None:
    table.change(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
    with pytest.raises(
        RegionUnfitError, match=r"\(SQLSTATE 42501: permission denied for table sales_transactions\): the"
    ):
        Table(world.environment["PG_EUROPE_URL"]).read(tmp_path)


def test_sql_and_rules_agree_on_which_keys_are_blank(table: Table) -> None:
    """Every ASCII character except NUL, and the white space of other scripts, alone and after a blank."""
    characters = [*map(chr, range(1, 128)), "\x85", "\xa0", "\u2003", "\u2028", "\u200b", "\u3000", "\ufeff"]
    texts = ["", None, *characters, *(f" {character}" for character in characters)]
    for text in texts:
        table.insert(sale_id=text)
    rows = nw.from_native(pa.table({"sale_id": pa.array(texts)}))
    by_rules = set(rows.filter(~blank("sale_id"))["sale_id"].to_list())
    by_sql = {key for (key,) in table.ask(f"SELECT sale_id FROM sales_transactions WHERE {HAS_KEY}")}
    assert by_sql == by_rules
    assert len(by_sql) == len(texts) - 2 - 2 * len(BLANKS)


def test_sql_and_totals_agree_on_what_a_currency_is(table: Table, tmp_path: Path) -> None:
    texts = [*GOOD_CODES, *BAD_CODES, "", None, "a@b.com"]
    for number, text in enumerate(texts):
        table.insert(sale_id=str(number), currency=text)
    named = table.ask(f"SELECT currency, {CURRENCY_NAME} FROM sales_transactions")
    assert len(named) == len(texts)
    assert all((name or NO_CURRENCY) == currency_name(text) for text, name in named)
    extracted = table.read(tmp_path)
    assert {currency for currency, _ in extracted.source.amounts} == {*GOOD_CODES, NO_CURRENCY, MALFORMED}
    assert extracted.source == extracted.read


DOMAINS = {
    "sale_id": "text",
    "sale_date": "timestamptz",
    "quantity": "smallint",
    "unit_price": "numeric(10,4)",
    "total_amount": "numeric(12,2)",
    "currency": "character(3)",
    "updated_at": "timestamptz(3)",
}


def test_domains_over_fitting_types_and_enums_as_text_are_read_like_their_values(table: Table, tmp_path: Path) -> None:
    for name, base in DOMAINS.items():
        table.change(f"CREATE DOMAIN of_{name} AS {base}")
        table.change(f"CREATE DOMAIN own_{name} AS of_{name} CHECK (VALUE IS NOT NULL)")
        table.change("ALTER TABLE sales_transactions ALTER %s TYPE %s", (AsIs(name), AsIs(f"own_{name}")))
    table.change("CREATE TYPE payment AS ENUM ('cash', 'card')")
    table.change("ALTER TABLE sales_transactions ALTER payment_method TYPE payment USING payment_method::payment")
    table.insert(sale_id="1", unit_price="1.5000")
    table.insert(sale_id="2", quantity=-(2**15), payment_method="card")
    rows = table.transformed(tmp_path)
    (clean,), (rejected,) = rows.clean.to_pylist(), rows.rejected.to_pylist()
    good = good_sale("EUROPE", DAY)
    assert {name: clean[name] for name in ("sale_id", "sale_date", "quantity", "currency", "payment_method")} == {
        "sale_id": "1",
        "sale_date": good["sale_date"],
        "quantity": 2,
        "currency": "USD",
        "payment_method": "cash",
    }
    assert (str(clean["unit_price"]), str(clean["total_amount"])) == ("1.500000", "3.00")
    assert (rejected["sale_id"], rejected["quantity"], rejected["payment_method"]) == ("2", "-32768", "card")


def test_types_are_named_with_length_and_digits_those_of_a_domain_by_its_base(table: Table) -> None:
    table.change("CREATE DOMAIN price AS numeric(10,4)")
    table.change("CREATE DOMAIN price_of_shop AS price")
    table.change("CREATE TYPE payment AS ENUM ('cash')")
    table.change(
        "ALTER TABLE sales_transactions ADD a price_of_shop, ADD b payment, ADD c varchar(9), ADD d char(3), "
        "ADD e timestamptz(3), ADD f text[], ADD g bpchar"
    )
    assert list(table.declared().items())[-7:] == [
        ("a", "numeric(10,4)"),
        ("b", "enum"),
        ("c", "character varying(9)"),
        ("d", "character(3)"),
        ("e", "timestamp(3) with time zone"),
        ("f", "text[]"),
        ("g", "character"),
    ]


@pytest.mark.parametrize(
    ("column", "make_type", "named"),
    [
        pytest.param("unit_price", "CREATE DOMAIN t AS double precision", "double precision", id="domain-over-float"),
        pytest.param("quantity", "CREATE TYPE t AS ENUM ('1')", "enum", id="enum-as-number"),
    ],
)
def test_what_does_not_fit_is_named(table: Table, tmp_path: Path, column: str, make_type: str, named: str) -> None:
    table.change(make_type)
    table.change(f"ALTER TABLE sales_transactions ALTER {column} TYPE t USING NULL")
    with pytest.raises(RegionUnfitError, match=f"column sales_transactions.{column} is {named}, which does not fit"):
        table.read(tmp_path)
