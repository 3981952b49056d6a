"""A cell that cannot be read rejects its row, and the rest of the region is loaded."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.rules import Origin
from local.postgres import READER
from tasks.errors import RegionUnfitError
from tasks.reconcile.compare import RegionCompared, compare_region
from tasks.reconcile.days import DaysOfRegion
from tasks.reconcile.discrepancies import Discrepancy
from tasks.source import bad_cells
from tasks.source.tokens import token_of, token_of_bytes
from tests.integration.conftest import World, good_sale
from tests.integration.publish.harness import KEY, source_engine
from tests.integration.sources.clusters import TABLE, Cluster, grant_columns, running_cluster
from tests.integration.sources.reading import read
from tests.unit.sales import Outcome, read_table, transformed

LARGE = 9 * 2**20
TEXT_COLUMNS = [c.name for c in SOURCE_COLUMNS if c.kind == "text" and not c.personal]


@dataclass(frozen=True)
class Read:
    """The rows read of a day, by fate."""

    outcome: Outcome
    rows: int

    @property
    def clean(self) -> list[str]:
        return sorted(self.outcome.clean["sale_id"].to_pylist())

    @property
    def rejected(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self.outcome.rejected.to_pylist()
        return rows


def read_day(cluster: Cluster, directory: Path, **extra_columns: str) -> Read:
    extracted = read(cluster.url(), directory, extra_columns)
    origin = Origin(REGIONS["EUROPE"], extracted.snapshot_at)
    table = read_table(*extracted.paths)
    assert extracted.source == extracted.read
    return Read(transformed(table, origin), table.num_rows)


def put(cluster: Cluster, column: str, value: str, *, others: int = 20) -> None:
    """Inserts a row with the key `bad` and this SQL expression in a cell, and `others` that are good."""
    cluster.insert(*({"sale_id": f"good-{number:02}"} for number in range(others)), {"sale_id": "bad"})
    # An index cannot hold keys of this length.
    cluster.execute("DROP INDEX sales_transactions_sale_id_idx")
    cluster.execute(f"UPDATE {TABLE} SET {column} = {value} WHERE sale_id = 'bad'")


GOOD = [f"good-{number:02}" for number in range(20)]


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_a_cell_that_is_too_large_rejects_only_its_row(cluster: Cluster, tmp_path: Path, column: str) -> None:
    put(cluster, column, f"repeat('x', {LARGE})")
    found = read_day(cluster, tmp_path)
    assert found.clean == GOOD
    (row,) = found.rejected
    assert f"unreadable_{column}" in row["rules"].split()
    md5 = hashlib.md5(b"x" * LARGE).hexdigest()
    assert row[column] == f"{'x' * 1000}... ({LARGE} bytes, MD5 {md5})"
    assert row["sale_key"] == (None if column == "sale_id" else "bad")
    assert f"missing_{column}" not in row["rules"]


def test_a_large_personal_cell_is_kept_as_the_token_of_the_whole_cell_and_its_length(
    cluster: Cluster, tmp_path: Path
) -> None:
    put(cluster, "customer_email", f"'  Ann' || repeat('X', {LARGE})")
    (row,) = read_day(cluster, tmp_path).rejected
    token = token_of("ann" + "x" * LARGE, KEY)
    assert row["customer_email_token"] == f"{token} ({LARGE + 5} bytes)"
    assert row["rules"] == "unreadable_customer_email"


def test_cells_that_are_too_large_together_are_left_out_largest_first(cluster: Cluster, tmp_path: Path) -> None:
    put(cluster, "product_category", f"repeat('\"', {3 * 2**20})")
    cluster.execute(f"UPDATE {TABLE} SET payment_method = repeat('p', {5 * 2**20}) WHERE sale_id = 'bad'")
    (row,) = read_day(cluster, tmp_path).rejected
    assert row["rules"] == "unreadable_product_category"
    assert row["payment_method"] == "p" * 5 * 2**20


def test_an_extra_column_that_is_too_large_rejects_its_row(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute(f"ALTER TABLE {TABLE} ADD note text; ALTER TABLE {TABLE} ADD birth text")
    put(cluster, "note", f"repeat('n', {LARGE})")
    cluster.execute(f"UPDATE {TABLE} SET birth = '1970' WHERE sale_id = 'good-03'")
    found = read_day(cluster, tmp_path, note="plain", birth="personal")
    assert found.clean == GOOD
    (row,) = found.rejected
    assert row["rules"] == "unreadable_extra_attributes"
    assert row["extra_attributes"].startswith("n" * 1000 + "... (")


def test_a_percent_sign_in_the_name_of_an_extra_column_is_part_of_the_name(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute(f'ALTER TABLE {TABLE} ADD "vat_%" text; ALTER TABLE {TABLE} ADD "%s" text')
    put(cluster, '"vat_%"', f"repeat('7', {LARGE})")
    found = read_day(cluster, tmp_path, **{"vat_%": "plain", "%s": "personal"})
    assert found.clean == GOOD
    (row,) = found.rejected
    assert row["rules"] == "unreadable_extra_attributes"


@pytest.fixture(scope="module")
def western(directory: Path) -> Iterator[Cluster]:
    with running_cluster(directory, encoding="WIN1252") as cluster:
        yield cluster


@pytest.fixture
def without_utf8(western: Cluster) -> Cluster:
    """A database in an encoding in which the byte 0x81 stands for no letter."""
    western.empty()
    return western


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_bytes_without_an_equivalent_in_utf8_reject_only_their_row(
    without_utf8: Cluster, tmp_path: Path, column: str
) -> None:
    put(without_utf8, column, "'a' || chr(129) || chr(228)")
    found = read_day(without_utf8, tmp_path)
    assert found.clean == GOOD
    (row,) = found.rejected
    assert f"unreadable_{column}" in row["rules"].split()
    assert row[column] == r"\x6181e4"


def test_letters_of_another_encoding_are_read_unchanged(without_utf8: Cluster, tmp_path: Path) -> None:
    put(without_utf8, "product_category", "'K' || chr(228) || 'se'")
    (category,) = {
        row["product_category"]
        for row in read_day(without_utf8, tmp_path).outcome.clean.to_pylist()
        if row["sale_id"] == "bad"
    }
    assert category == "Käse"


def test_personal_bytes_are_kept_as_token_and_length(without_utf8: Cluster, tmp_path: Path) -> None:
    put(without_utf8, "customer_email", "'Ann' || chr(129)")
    (row,) = read_day(without_utf8, tmp_path).rejected
    token = token_of_bytes(b"Ann\x81", KEY)
    assert row["customer_email_token"] == f"{token} (4 bytes)"


@pytest.mark.parametrize("column", ["product_category", "sale_id"])
def test_bytes_of_a_table_whose_columns_are_granted_one_by_one_reject_only_their_row(
    without_utf8: Cluster, tmp_path: Path, column: str
) -> None:
    put(without_utf8, column, "'a' || chr(129)")
    grant_columns(without_utf8)
    found = read_day(without_utf8, tmp_path)
    assert found.clean == GOOD
    (row,) = found.rejected
    assert row[column] == r"\x6181"


def view(cluster: Cluster, **expressions: str) -> None:
    """Replaces the table by a view whose columns are computed by expressions."""
    columns = ", ".join(f"{expressions.get(c.name, c.name)} AS {c.name}" for c in SOURCE_COLUMNS)
    cluster.execute(f"ALTER TABLE {TABLE} RENAME TO stored")
    cluster.execute(f"CREATE VIEW {TABLE} AS SELECT {columns} FROM stored")
    cluster.execute(f"GRANT SELECT ON {TABLE} TO {READER}")


@pytest.mark.parametrize(
    ("column", "expression", "sqlstate"),
    [
        pytest.param("unit_price", "product_category::numeric", "22P02", id="cast"),
        pytest.param("total_amount", "3.00 / (length(product_category) - 5)", "22012", id="division"),
        pytest.param("payment_method", "(SELECT t FROM repeat('ab', length(product_category) - 4) AS t, "
                     "generate_series(1, length(product_category) - 3))", "21000", id="two-rows"),
    ],
)  # fmt: skip
def test_a_cell_that_a_view_cannot_compute_rejects_only_its_row(
    cluster: Cluster, tmp_path: Path, column: str, expression: str, sqlstate: str
) -> None:
    cluster.insert(*({"sale_id": key, "product_category": "1.50"} for key in GOOD))
    cluster.insert({"sale_id": "bad", "product_category": "find me"[:5]})
    view(cluster, **{column: expression})
    found = read_day(cluster, tmp_path)
    (row,) = [row for row in found.rejected if f"unreadable_{column}" in row["rules"].split()]
    assert (row["sale_key"], row[column]) == ("bad", f"(cannot be computed, SQLSTATE {sqlstate})")
    assert found.rows == len(GOOD) + 1


def test_a_column_that_fails_in_every_row_is_the_regions_error(cluster: Cluster, tmp_path: Path) -> None:
    cluster.insert({"sale_id": "1"}, {"sale_id": "2"})
    view(cluster, unit_price="product_category::numeric")
    with pytest.raises(RegionUnfitError, match="SQLSTATE 22P02"):
        read_day(cluster, tmp_path)


def test_a_column_that_fails_in_many_rows_is_the_regions_error(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad_cells, "CELLS_MAX", 5)
    cluster.insert(*({"sale_id": str(n), "product_category": "1" if n < 10 else "x"} for n in range(20)))
    view(cluster, unit_price="product_category::numeric")
    with pytest.raises(RegionUnfitError, match="SQLSTATE 22P02"):
        read_day(cluster, tmp_path)


def test_several_bad_cells_are_all_found(cluster: Cluster, tmp_path: Path) -> None:
    bad = {"3", "7", "11", "250"}
    cluster.insert(*({"sale_id": str(n), "product_category": "x" if str(n) in bad else "1.5"} for n in range(300)))
    view(cluster, unit_price="product_category::numeric")
    found = read_day(cluster, tmp_path)
    assert {row["sale_key"] for row in found.rejected} == bad
    assert len(found.clean) == 296


def test_recorded_texts_are_json_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    put(cluster, "product_category", f"'\"sale_id\"' || chr(10) || repeat('x', {LARGE})")
    extracted = read(cluster.url(), tmp_path)
    (recorded,) = [text for text in read_table(*extracted.paths)["unreadable"].to_pylist() if text]
    assert list(json.loads(recorded)) == ["product_category"]
    (row,) = read_day(cluster, tmp_path).rejected
    assert row["rules"] == "unreadable_product_category"


def compared_by_view(world: World, days: DaysOfRegion) -> RegionCompared:
    """Compares Europe, by a view that computes a number from the category of each sale."""
    columns = ", ".join(
        "product_category::numeric AS unit_price" if c.name == "unit_price" else c.name for c in SOURCE_COLUMNS
    )
    world.change("EUROPE", f"CREATE VIEW computed AS SELECT {columns} FROM sales_transactions")
    world.change("EUROPE", "GRANT SELECT ON computed TO sales_reader")
    engine = source_engine(world, "EUROPE")
    try:
        with pytest.MonkeyPatch.context() as patch, world.session() as session:
            patch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], table="computed"))
            return compare_region(engine, session, days)
    finally:
        engine.dispose()
        world.change("EUROPE", "DROP VIEW computed")


def test_reconcile_leaves_alone_what_extract_rejects(world: World, day: date) -> None:
    keys = [f"reconcile-{number}-{day}" for number in range(8)]
    world.insert("EUROPE", *(good_sale("EUROPE", day) | {"sale_id": key, "product_category": "1.5"} for key in keys))
    world.change("EUROPE", "UPDATE sales_transactions SET product_category = 'x' WHERE sale_id = %s", (keys[3],))
    compared = compared_by_view(world, DaysOfRegion("EUROPE", (day,), ()))
    assert sorted(sale.key for sale in compared.of(Discrepancy.MISSING)) == [*keys[:3], *keys[4:]]
    (of_day,) = compared.days
    assert (of_day.at_source.rows, of_day.accounted.rows) == (7, 1)


def test_a_bad_cell_of_a_day_that_was_rolled_back_stops_no_other_day(world: World, day: date) -> None:
    due, held_back = day, day + timedelta(days=1)
    for of, category in ((due, "1.5"), (held_back, "2.5"), (held_back, "x")):
        sale = good_sale("EUROPE", of) | {"sale_id": f"edge-{category}-{day}", "product_category": category}
        world.insert("EUROPE", sale)
    compared = compared_by_view(world, DaysOfRegion("EUROPE", (due,), (held_back,)))
    assert [sale.key for sale in compared.of(Discrepancy.MISSING)] == [f"edge-1.5-{day}"]
    assert compared.held_back == {held_back: 1}
