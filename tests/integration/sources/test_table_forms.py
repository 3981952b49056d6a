"""A source in another schema, under another name, or of another kind: it is read whole, or refused by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from expectations.regions import REGIONS, Region
from flows.reconcile import reconcile
from tasks.batch import Keys, Window
from tasks.errors import RegionUnfitError
from tasks.extract import Extracted, read_region
from tasks.reconcile.compare import RegionCompared, compare_region
from tasks.reconcile.days import DaysOfRegion
from tasks.reconcile.discrepancies import Discrepancy
from tasks.setup_checks.check import Finding, Outcome, run_checks
from tasks.setup_checks.sources import source_checks
from tasks.warehouse.ledger import known_states
from tasks.warehouse.states import Status
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import KEY, load, source_engine
from tests.unit.sales import read_table

CODE = "EUROPE"
SCHEMA, TABLE = "Sales of Europe", "order"
"""Mixed case, blanks, and a reserved word."""


@dataclass(frozen=True)
class Form:
    """How a source is created, as statements with {table}, its quoted name, and {schema}; the kind in words."""

    kind: str
    statements: tuple[str, ...]
    is_whole: bool = True


CHECKS = (f"source {CODE} connection", f"source {CODE} table")
LIKE = "(LIKE public.sales_transactions)"
FORMS = {
    "table": Form("a table", (f"CREATE TABLE {{table}} {LIKE}",)),
    "partitioned": Form(
        "a partitioned table",
        (
            f"CREATE TABLE {{table}} {LIKE} PARTITION BY LIST (store_id)",
            "CREATE TABLE {schema}.one PARTITION OF {table} FOR VALUES IN ('1')",
            "CREATE TABLE {schema}.others PARTITION OF {table} DEFAULT",
        ),
    ),
    "inheritance": Form(
        "a table", (f"CREATE TABLE {{table}} {LIKE}", "CREATE TABLE {schema}.child () INHERITS ({table})")
    ),
    "view": Form(
        "a view",
        (f"CREATE TABLE {{schema}}.stored {LIKE}", "CREATE VIEW {table} AS SELECT * FROM {schema}.stored"),
        is_whole=False,
    ),
    "materialized-view": Form(
        "a materialized view",
        (
            f"CREATE TABLE {{schema}}.stored {LIKE}",
            "CREATE MATERIALIZED VIEW {table} AS SELECT * FROM {schema}.stored",
        ),
        is_whole=False,
    ),
    "view-of-materialized-view": Form(
        "a view",
        (
            f"CREATE TABLE {{schema}}.stored {LIKE}",
            "CREATE MATERIALIZED VIEW {schema}.refreshed AS SELECT * FROM {schema}.stored",
            "CREATE VIEW {table} AS SELECT * FROM {schema}.refreshed",
        ),
        is_whole=False,
    ),
}
FILLED = {
    "inheritance": ("table", "child"),
    "view": ("stored",),
    "materialized-view": ("stored",),
    "view-of-materialized-view": ("stored",),
}
"""The tables that rows are inserted into, where it is not the table itself."""
REFRESHED = {"materialized-view": "{table}", "view-of-materialized-view": "{schema}.refreshed"}


@dataclass(frozen=True)
class Source:
    """The region's source of one form, with a sale of each of two stores on `day`."""

    world: World
    day: date

    def execute(self, statement: str, *values: object) -> None:
        names = {"schema": sql.Identifier(SCHEMA), "table": sql.Identifier(SCHEMA, TABLE)}
        with self.world.source(CODE) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(**names), values or None)
        connection.close()

    def insert(self, into: str, **cells: object) -> None:
        row = good_sale(CODE, self.day) | cells
        where = "{table}" if into == "table" else f"{{schema}}.{into}"
        places = ", ".join(["%s"] * len(row))
        self.execute(f"INSERT INTO {where} ({', '.join(row)}) VALUES ({places})", *row.values())

    def read(self, wanted: Window | Keys, directory: Path) -> list[str]:
        return sorted(read_table(*self.extract(wanted, directory).paths)["sale_id"].to_pylist())

    def extract(self, wanted: Window | Keys, directory: Path) -> Extracted:
        engine = source_engine(self.world, CODE)
        try:
            return read_region(engine, CODE, wanted, directory, KEY, {}, lambda line: None)
        finally:
            engine.dispose()

    def check(self) -> Finding:
        """What check-setup finds out about the table."""
        *_, finding = run_checks([check for check in source_checks() if check.name in CHECKS])
        return finding

    def compare(self) -> RegionCompared:
        engine = source_engine(self.world, CODE)
        try:
            with self.world.session() as session:
                return compare_region(engine, session, DaysOfRegion(CODE, (self.day,), ()))
        finally:
            engine.dispose()


Put = Callable[[str], Source]


@pytest.fixture
def put(world: World, day: date, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Creates a source of a form, for this region only; its name is in regions.toml."""
    source = Source(world, day)

    def put(form: str) -> Source:
        for statement in FORMS[form].statements:
            source.execute(statement)
        places = FILLED.get(form, ("table",))
        for number in (1, 2):
            source.insert(places[number % len(places)], sale_id=f"{form}-{number}", store_id=str(number))
        if form in REFRESHED:
            source.execute(f"REFRESH MATERIALIZED VIEW {REFRESHED[form]}")
        source.execute("GRANT USAGE ON SCHEMA {schema} TO sales_reader")
        source.execute("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO sales_reader")
        return source

    monkeypatch.setitem(REGIONS, CODE, replace(REGIONS[CODE], schema=SCHEMA, table=TABLE))
    source.execute("CREATE SCHEMA {schema}")
    yield put
    source.execute("DROP SCHEMA {schema} CASCADE")


def region() -> Region:
    return REGIONS[CODE]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_whole_by_day_and_by_key(put: Put, tmp_path: Path, form: str) -> None:
    source = put(form)
    assert source.read(Window.of_day(source.day), tmp_path) == [f"{form}-1", f"{form}-2"]
    assert source.read(Keys((f"{form}-2", "none")), tmp_path) == [f"{form}-2"]


@pytest.mark.parametrize("form", FORMS)
def test_what_may_show_a_part_is_compared_and_never_called_whole(
    put: Put, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(form)
    compared = source.compare()
    assert compared.count(Discrepancy.MISSING) == 2
    if FORMS[form].is_whole:
        assert compared.why_not_whole is None
        return
    assert compared.why_not_whole is not None
    assert f"{SCHEMA}.{TABLE} is {FORMS[form].kind}, which may show a part" in compared.why_not_whole
    monkeypatch.setitem(REGIONS, CODE, replace(region(), source_is_whole=True))
    assert source.compare().why_not_whole is None


@pytest.mark.parametrize("form", FORMS)
def test_a_date_is_whole_where_the_source_shows_what_is_committed_or_its_refresh_is_vouched_for(
    put: Put, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(form)
    window, last_refresh = Window.of_day(source.day), "is a materialized view, whose last refresh nobody knows"
    extracted = source.extract(window, tmp_path)
    if form not in REFRESHED:
        assert (extracted.behind, extracted.snapshot_at >= window.end) == (None, True)
        return
    assert extracted.behind is not None
    assert last_refresh in extracted.behind
    assert source.compare().behind == extracted.behind
    assert source.extract(Keys((f"{form}-1",)), tmp_path).behind is None
    found = source.check()
    assert (found.outcome, last_refresh in found.message) == (Outcome.BAD, True)
    assert in_production(source, tmp_path) == {None}

    monkeypatch.setitem(REGIONS, CODE, replace(region(), source_is_whole=True))
    vouched = source.extract(window, tmp_path)
    assert (vouched.behind, vouched.snapshot_at >= window.end) == (None, True)
    assert source.check().outcome is Outcome.OK
    assert in_production(source, tmp_path) == {Status.PUBLISHED}
    source.world.forget(source.day)


def in_production(source: Source, scratch: Path) -> set[Status | None]:
    """What the ledger says of the region's day once that is loaded."""
    load(source.world, source.day, scratch, CODE)
    with source.world.session() as session:
        return {state.in_production for state in known_states(session, source.day, source.day)}


@pytest.mark.parametrize("is_whole", [False, True], ids=["view", "whole-view"])
def test_what_is_gone_from_a_view_is_marked_only_where_it_shows_all_sales(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    source = put("view")
    monkeypatch.setitem(REGIONS, CODE, replace(region(), source_is_whole=is_whole))
    load(source.world, source.day, tmp_path, CODE)
    source.execute("DELETE FROM {schema}.stored WHERE sale_id = 'view-1'")
    asked: dict[str, Any] = {"start_date": str(source.day), "end_date": str(source.day), "regions": [CODE]}
    state = reconcile(**asked, heal_deleted=True, return_state=True)
    deleted = source.world.sql("SELECT SALE_ID FROM SALES_FACT WHERE IS_DELETED AND SALE_ID LIKE 'view-%'")
    assert deleted == ([("view-1",)] if is_whole else [])
    assert f"EUROPE is not marked: {SCHEMA}.{TABLE} is a view" in state.message or is_whole
    assert "1 gone" in state.message
    source.world.sql("DELETE FROM SALES_FACT WHERE SALE_ID LIKE 'view-%'")


def test_rows_that_no_date_reads_are_counted_and_named(put: Put) -> None:
    source = put("table")
    assert source.compare().outside.rows == 0
    source.insert("table", sale_id="lost", sale_date=None, updated_at=None)
    source.insert("table", sale_id=None, sale_date="infinity", updated_at=None)
    source.insert("table", sale_id="found", sale_date=None)
    outside = source.compare().outside
    assert (outside.rows, set(outside.sale_ids)) == (2, {"lost", "(none)"})
    assert "set updated_at at the source" in str(outside)


def test_rows_without_dates_are_not_looked_for_where_there_can_be_none(put: Put) -> None:
    source = put("table")
    source.insert("table", sale_id="lost", sale_date="infinity", updated_at="infinity")
    for name in ("sale_date", "updated_at"):
        source.execute(f"ALTER TABLE {{table}} ALTER {name} SET NOT NULL")
    assert source.compare().outside.rows == 0


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param("CREATE SEQUENCE {table}", "is a sequence: name a table or a view", id="sequence"),
        pytest.param("SELECT 1", "is missing or not visible: create it", id="nothing"),
        pytest.param(
            "DROP SCHEMA {schema}; CREATE SCHEMA {schema}",
            "the reader lacks a right: GRANT it USAGE on the schema",
            id="no-right",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(put: Put, tmp_path: Path, make: str, what: str) -> None:
    source = Source(put("table").world, date(2024, 1, 1) + timedelta(days=1))
    source.execute("DROP TABLE {table}")
    source.execute(make)
    with pytest.raises(RegionUnfitError) as caught:
        source.read(Window.of_day(source.day), tmp_path)
    assert f"{SCHEMA}.{TABLE}" in str(caught.value)
    assert what in str(caught.value)
