"""Other versions of PostgreSQL, from the oldest that is supported: each has what the reading needs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from expectations.regions import REGIONS
from local.postgres import READER
from tasks.batch import Keys, Window
from tasks.errors import RegionUnfitError
from tasks.reconcile.compare import read_outside_windows
from tasks.reconcile.sides import OpenRejected
from tasks.reconcile.source_side import SourceSide
from tasks.source import slices
from tasks.source import standby as standby_module
from tasks.source.snapshot import Limits, open_snapshot
from tests.integration.conftest import good_sale
from tests.integration.packages import VERSIONS, Version
from tests.integration.sources.clusters import REGION, Cluster, running_cluster, running_standby
from tests.integration.sources.interleaving import read_during
from tests.integration.sources.reading import DAY, read, read_keys
from tests.integration.sources.test_bad_cells import read_day, view
from tests.integration.sources.test_rewritten_tables import RELOAD
from tests.integration.sources.test_settings_of_roles import EXTRA_COLUMNS
from tests.unit.sales import read_table

pytestmark = pytest.mark.more


@pytest.fixture(scope="module", params=VERSIONS, ids=str)
def of_version(directory: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    version: Version = request.param
    with running_cluster(directory, version.install(directory)) as cluster:
        ((number,),) = cluster.execute("SELECT current_setting('server_version_num')::int / 10000")
        assert number == version.number
        yield cluster


@pytest.fixture
def sales(of_version: Cluster) -> Cluster:
    of_version.empty()
    of_version.insert(*({"sale_id": key} for key in ("1", "2", "3")))
    return of_version


def test_a_region_is_read_by_its_window_and_by_keys(sales: Cluster, tmp_path: Path) -> None:
    columns = ", ".join(f"ADD {name} {kind} DEFAULT {value}" for name, (kind, value) in EXTRA_COLUMNS.items())
    sales.execute(f"ALTER TABLE sales_transactions {columns}")
    extra = dict.fromkeys(EXTRA_COLUMNS, "plain")
    by_window = read_table(*read(sales.url(), tmp_path, extra).paths)
    by_keys = read_table(*read(sales.url(), tmp_path, extra, Keys(("1", "2", "3"))).paths)
    assert by_window == by_keys
    assert by_window.num_rows == 3


def test_a_region_is_read_in_slices(sales: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_ROWS_MIN", 1)
    extracted = read(sales.url(), tmp_path, slices_max=3)
    assert read_table(*extracted.paths)["sale_id"].to_pylist() == ["1", "2", "3"]
    assert len(extracted.paths) == 3


def test_what_row_security_hides_is_not_left_out(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions ENABLE ROW LEVEL SECURITY")
    with pytest.raises(RegionUnfitError, match="BYPASSRLS"):
        read(sales.url(), tmp_path)
    sales.execute(f"ALTER ROLE {READER} BYPASSRLS")
    assert read_keys(sales.url(), tmp_path) == ["1", "2", "3"]


def test_a_table_that_is_rewritten_meanwhile_is_read_whole(sales: Cluster, tmp_path: Path) -> None:
    assert read_during(sales, RELOAD.format("sales_transactions"), tmp_path) == ["1", "2", "3"]


def test_odd_cells_reject_only_their_rows(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions ALTER total_amount TYPE numeric, ALTER quantity TYPE bigint")
    sales.insert(
        {"sale_id": "nan", "total_amount": "NaN"},
        {"sale_id": "digits", "total_amount": "1.001"},
        {"sale_id": "least", "quantity": -(2**63)},
        {"sale_id": "never", "sale_date": "infinity"},
        {"sale_id": "computed", "product_category": "x"},
        {"sale_id": "large", "payment_method": "p" * (9 * 2**20)},
    )
    view(sales, product_category="(CASE product_category WHEN 'x' THEN 1 / (quantity - 2) END)")
    found = read_day(sales, tmp_path)
    assert found.clean == ["1", "2", "3"]
    assert {row["sale_key"]: row["rules"].split()[0] for row in found.rejected} == {
        "nan": "unreadable_total_amount",
        "digits": "unreadable_total_amount",
        "least": "unreadable_quantity",
        "never": "unreadable_sale_date",
        "computed": "unreadable_product_category",
        "large": "unreadable_payment_method",
    }


def test_the_statements_of_reconcile_run_on_the_version(sales: Cluster) -> None:
    sales.insert({"sale_id": "lost", "sale_date": None, "updated_at": None}, {"sale_id": "bad"})
    rejected = OpenRejected(["bad"], [good_sale(REGION)["updated_at"]])
    engine = create_engine(sales.url().replace("postgresql://", "postgresql+psycopg2://"))
    with open_snapshot(engine, REGIONS[REGION]) as snapshot:
        side = SourceSide(snapshot.cursor, REGIONS[REGION], snapshot.table.sql, rejected)
        due, accounted = side.sums([DAY])
        rows = side.rows([DAY], {cell.bucket for cell in due})
        again = side.rows_of_keys(["1", "2", "3"])
        outside = read_outside_windows(snapshot)
    engine.dispose()
    assert [sum(of.rows for of in sums.values()) for sums in (due, accounted)] == [3, 1]
    assert sorted(again) == sorted(row for row in rows if not row.is_accounted)
    assert (outside.rows, outside.sale_ids) == (1, ("lost",))


def test_a_standby_counts_for_what_it_has_replayed(
    sales: Cluster, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_module, "IDLE_S", 1)
    with running_standby(directory, sales) as standby:
        standby.catch_up()
        whole = read(standby.url(), tmp_path, limits=Limits(standby_s=60))
        assert (whole.read.rows, whole.behind) == (3, None)
        standby.pause()
        now = datetime.now(UTC)
        sales.insert({"sale_id": "later", "sale_date": now, "updated_at": now})
        window = Window(now - timedelta(minutes=1), datetime.now(UTC))
        behind = read(standby.url(), tmp_path, wanted=window, limits=Limits(standby_s=1))
    assert behind.read.rows == 0
    assert behind.snapshot_at < window.end
    assert "its replay is paused" in (behind.behind or "")
