"""Reconcile finds and loads what daily runs never see, and leaves alone what other flows have to do."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.artifacts import Artifact
from prefect.states import State

from expectations.columns import SOURCE_COLUMNS
from expectations.regions import REGIONS
from flows import reconcile as reconcile_module
from flows.clean_staging import clean_staging
from flows.reconcile import reconcile
from flows.rollback import rollback
from flows.support import reconciled
from flows.support.reconciled import DAYS_KEY, SALES_KEY, Reconciled
from local import generator
from tasks.batch import NamedKeys
from tasks.errors import NeedsPersonError
from tasks.reconcile import compare, discrepancies
from tasks.reconcile.discrepancies import Discrepancy
from tasks.reconcile.fingerprint import COMPARED_COLUMNS, source_fingerprint, table_fingerprint
from tasks.reconcile.sides import OpenRejected
from tasks.reconcile.source_side import SourceSide
from tasks.source.snapshot import open_snapshot
from tasks.warehouse.ledger import start_attempt
from tests.integration.conftest import World, good_sale
from tests.integration.processes import run_python, start_python
from tests.integration.publish.harness import (
    begin,
    keys_of,
    publish_staged,
    source_engine,
    stage_attempt,
    stage_wanted,
)
from tests.integration.shop import Shop

DIRT = generator.Dirt.of(0.1)
NO_EMAIL = {"customer_email": None}
"""The harness has another token key: what a heal reads again would differ."""


def run(shop: Shop, *days: date, **parameters: Any) -> State:
    """Reconciles the shop's day, or from the first to the second of `days`."""
    first, last = days or (shop.day, shop.day)
    given = {"start_date": str(first), "end_date": str(last), "regions": ["EUROPE"]} | parameters
    state: State = reconcile(**given, return_state=True)
    return state


@pytest.fixture
def shop(world: World, day: date) -> Iterator[Shop]:
    yield Shop(world, day, "reconcile", NO_EMAIL)
    world.tidy()


def found(state: State) -> dict[str, int]:
    reconciled = state.result()
    assert isinstance(reconciled, Reconciled), state.message
    return {str(kind): reconciled.count(kind) for kind in Discrepancy if reconciled.count(kind)}


def loaded(state: State) -> dict[str, int] | None:
    fates = state.result().loaded
    return None if fates is None else {fate: rows for fate, rows in fates.items() if rows}


@pytest.mark.parametrize("dirt", [generator.CLEAN, DIRT], ids=["clean", "dirty"])
def test_a_day_that_was_loaded_agrees_with_its_sources(shop: Shop, tmp_path: Path, dirt: generator.Dirt) -> None:
    """Duplicates, rejected rows, rows without a key, NaN and infinity are all accounted for."""
    shop.world.fill(shop.day, rows=400, dirt=dirt)
    shop.load(tmp_path, *REGIONS)
    before = shop.tables()
    state = run(shop, regions=None)
    assert (found(state), loaded(state)) == ({}, None)
    assert str(state.message).endswith("4 days of regions: 0 missing, 0 differs, 0 gone, 0 older")
    assert shop.tables() == before
    days = [of_day for region in state.result().compared for of_day in region.days]
    assert all(of_day.at_source == of_day.in_table and of_day.at_source.rows > 300 for of_day in days)
    assert all((of_day.accounted.rows > 0) == (dirt is DIRT) for of_day in days)


def test_a_transaction_that_was_committed_after_the_run_is_loaded(shop: Shop, tmp_path: Path) -> None:
    shop.sell("seen")
    connection = shop.world.source("EUROPE")
    with connection, connection.cursor() as cursor:
        sale = good_sale("EUROPE", shop.day) | NO_EMAIL | {"sale_id": shop.key("late")}
        places = ", ".join(["%s"] * len(sale))
        cursor.execute(f"INSERT INTO sales_transactions ({', '.join(sale)}) VALUES ({places})", list(sale.values()))
        shop.load(tmp_path)
    connection.close()
    assert shop.sales() == {"seen": ("3.00", "2")}

    state = run(shop)
    assert (state.name, found(state), loaded(state)) == ("Completed", {"missing": 1}, {"inserted": 1})
    assert shop.sales() == {"late": ("3.00", "H"), "seen": ("3.00", "2")}
    assert shop.world.ledger(state.result().heal) == {"EUROPE": "PUBLISHED"}
    assert f"; {state.result().heal}: 1 inserted" in str(state.message)
    shown: Any = Artifact.get(SALES_KEY)
    assert shop.key("late") in shown.data

    again = run(shop)
    assert (found(again), loaded(again)) == ({}, None)


def differences(shop: Shop, scratch: Path) -> None:
    """A day on which a sale of each kind differs, and one does not."""
    shop.sell("same", "changed", "removed", "back")
    later = shop.noon() + timedelta(hours=1)
    shop.change("back", f"updated_at = '{later}'")
    shop.load(scratch)
    shop.sell("new")
    shop.change("changed", "total_amount = 4.00, discount_amount = 0")
    shop.change("back", f"updated_at = '{later - timedelta(hours=1)}'")
    shop.remove("removed")


ALL = {"missing": 1, "differs": 1, "gone": 1, "older": 1}
AMOUNTS_AFTER = {"back": "3.00", "changed": "4.00", "new": "3.00", "removed": "deleted", "same": "3.00"}
"""When all of it is healed."""


@pytest.mark.account
def test_each_difference_is_reported_and_healed_as_asked(shop: Shop, tmp_path: Path) -> None:
    differences(shop, tmp_path)
    before = shop.tables()
    for quiet in ({"dry_run": True, "heal_deleted": True}, {"heal": False}):
        state = run(shop, **quiet)
        assert (found(state), loaded(state), state.result().marked) == (ALL, None, None)
        assert shop.tables() == before
    dry = "; 2 would be loaded; heal_deleted=true marks what is gone"
    assert str(run(shop, dry_run=True).message).endswith(dry)
    dry = "; 2 not loaded; 1 would be marked as deleted"
    assert str(run(shop, heal=False, heal_deleted=True, dry_run=True).message).endswith(dry)

    healed = run(shop)
    assert (found(healed), loaded(healed)) == (ALL, {"inserted": 1, "updated": 1})
    after = {"back": ("3.00", "2"), "changed": ("4.00", "H"), "new": ("3.00", "H"), "same": ("3.00", "2")}
    assert shop.sales() == after | {"removed": ("3.00", "2")}

    marked = run(shop, heal_deleted=True)
    assert (found(marked), loaded(marked), marked.result().marked) == ({"gone": 1, "older": 1}, None, 1)
    assert shop.sales() == after | {"removed": ("deleted", "H")}
    assert shop.world.ledger(marked.result().deletion) == {"EUROPE": "PUBLISHED"}
    assert found(run(shop, heal_deleted=True)) == {"older": 1}

    for batch in (marked.result().deletion, healed.result().heal):
        assert rollback(date=batch, reason="a test", return_state=True).name == "Completed"
    assert shop.tables() == before
    for _ in range(2):
        held = run(shop, heal_deleted=True)
        assert (found(held), held.result().compared[0].held_sales) == ({"older": 1}, 3), "a person has said no"
        assert shop.tables() == before
        for table, column in (("SALES_FACT_UNDO", "UNDO_RECORDED_AT"), ("SALES_HELD_BACK", "HELD_AT")):
            shop.world.sql(f"UPDATE {table} SET {column} = DATEADD('day', -400, {column})")
        assert clean_staging(return_state=True).name == "Completed", "held back for longer than the undo log is kept"
    shop.load(tmp_path)
    assert shop.sales() == {
        "back": ("3.00", "2"),
        "changed": ("4.00", "2"),
        "new": ("3.00", "2"),
        "removed": ("3.00", "2"),
        "same": ("3.00", "2"),
    }, "a date that is named is loaded"
    assert run(shop, heal_deleted=True).result().marked == 1, "and its gone sale is not held back any more"


def test_what_a_heal_had_rejected_is_held_back_with_it(shop: Shop, tmp_path: Path) -> None:
    shop.sell("good")
    shop.load(tmp_path)
    shop.sell("late", quantity=0)
    shop.change("good", "quantity = 0")
    state = run(shop)
    assert loaded(state) == {"rejected": 2}
    assert rollback(date=state.result().heal, reason="a test", return_state=True).name == "Completed"
    for cells in ("quantity = 0", "quantity = 3, total_amount = 4.50"):
        shop.change("late", cells)
        shop.change("good", cells)
        held = run(shop)
        assert (found(held), held.result().compared[0].held_sales) == ({}, 2)
        assert shop.sales() == {"good": ("3.00", "2")}
    shop.load(tmp_path)
    assert shop.sales() == {"good": ("4.50", "2"), "late": ("4.50", "2")}
    assert found(run(shop)) == {}


def test_a_key_of_a_heal_stays_held_back_where_the_version_before_it_has_a_higher_run_number(
    shop: Shop, tmp_path: Path
) -> None:
    """The heal began first and published last; the order of the publishes counts."""
    shop.sell("sale")
    wanted = {"EUROPE": keys_of(shop.world, "EUROPE", shop.key("sale"))}
    with shop.world.session() as session:
        heal = start_attempt(session, NamedKeys(f"H{shop.day:%Y%m%d}T120000Z", wanted), str(uuid4()), lease_minutes=15)
    shop.load(tmp_path)
    shop.change("sale", "total_amount = 4.00, discount_amount = 0")
    publish_staged(shop.world, stage_wanted(shop.world, heal, wanted, tmp_path))
    assert shop.sales() == {"sale": ("4.00", "H")}
    assert rollback(date=heal.batch_id, reason="a test", return_state=True).name == "Completed"
    assert shop.sales() == {"sale": ("3.00", "2")}
    held = run(shop)
    assert (found(held), held.result().compared[0].held_sales) == ({}, 1)
    shop.load(tmp_path)
    assert shop.sales() == {"sale": ("4.00", "2")}
    shop.change("sale", "total_amount = 5.00")
    assert loaded(run(shop)) == {"updated": 1}, "a run of its date has written it, and freed it"


def test_a_deleted_sale_that_comes_back_is_no_longer_deleted(shop: Shop, tmp_path: Path) -> None:
    shop.sell("back", "stays")
    shop.load(tmp_path)
    shop.remove("back")
    assert run(shop, heal_deleted=True).result().marked == 1
    shop.load(tmp_path)
    assert shop.sales()["back"] == ("deleted", "H"), "a rerun of its date does not find it"
    shop.sell("back")
    state = run(shop)
    assert (found(state), loaded(state)) == ({"missing": 1}, {"updated": 1})
    assert shop.sales() == {"back": ("3.00", "H"), "stays": ("3.00", "2")}
    assert found(run(shop)) == {}


def test_a_deleted_sale_that_comes_back_in_an_older_version_is_shown(shop: Shop, tmp_path: Path) -> None:
    """The source was restored: what it has now counts."""
    noon = shop.noon()
    shop.sell("back", updated_at=noon + timedelta(hours=1))
    shop.sell("stays")
    shop.load(tmp_path)
    shop.remove("back")
    run(shop, heal_deleted=True)
    shop.sell("back", total_amount="2.50", discount_amount=0)
    assert loaded(run(shop)) == {"updated": 1}
    assert shop.sales()["back"] == ("2.50", "H")
    assert found(run(shop)) == {}


def test_a_source_that_is_empty_is_not_believed(shop: Shop, tmp_path: Path) -> None:
    shop.sell("one", "two")
    shop.load(tmp_path)
    shop.remove("one")
    shop.remove("two")
    state = run(shop, heal_deleted=True)
    assert state.is_failed()
    assert "EUROPE answers with 0 sales of these dates" in str(state.message)
    assert shop.sales() == {"one": ("3.00", "2"), "two": ("3.00", "2")}


def test_several_versions_of_a_sale_over_several_days(shop: Shop, tmp_path: Path) -> None:
    """As a source without a key may have them; another sale makes the first day differ."""
    second = shop.day + timedelta(days=1)
    shop.sell("twice", "filler")
    shop.sell("twice", total_amount="2.50", discount_amount=0, updated_at=shop.noon(1))
    shop.load(tmp_path)
    shop.on(second).load(tmp_path)
    assert found(run(shop, shop.day, second)) == {}
    shop.sell("late")
    assert found(run(shop, shop.day, second)) == {"missing": 1}
    assert found(run(shop, shop.day, second)) == {}


def test_a_correction_that_lies_in_no_calendar_is_rejected_like_any_other(shop: Shop, tmp_path: Path) -> None:
    shop.sell("odd", "stays")
    shop.load(tmp_path)
    shop.change("odd", "sale_date = '20240-01-15'")
    assert found(run(shop)) == {}


def test_what_was_read_before_a_sale_was_deleted_does_not_bring_it_back(shop: Shop, tmp_path: Path) -> None:
    shop.sell("gone", "stays")
    shop.load(tmp_path)
    slow = stage_attempt(shop.world, begin(shop.world, shop.day, "EUROPE"), shop.day, tmp_path)
    shop.remove("gone")
    run(shop, heal_deleted=True)
    publish_staged(shop.world, slow)
    assert shop.sales()["gone"] == ("deleted", "H")


def test_a_late_row_that_breaks_a_rule_is_rejected_and_then_accounted_for(shop: Shop, tmp_path: Path) -> None:
    shop.sell("good")
    shop.load(tmp_path)
    shop.sell("bad", quantity=0)
    state = run(shop)
    assert (found(state), loaded(state)) == ({"missing": 1}, {"rejected": 1})
    again = run(shop)
    assert (found(again), loaded(again)) == ({}, None)
    assert shop.sales() == {"good": ("3.00", "2")}
    (of_day,) = again.result().compared[0].days
    assert [of_day.at_source.rows, of_day.accounted.rows, of_day.in_table.rows] == [1, 1, 1]


def test_a_bad_correction_leaves_the_older_version_and_is_no_difference(shop: Shop, tmp_path: Path) -> None:
    later = shop.day + timedelta(days=1)
    shop.sell("corrected", "filler")
    shop.load(tmp_path)
    shop.change("corrected", f"quantity = 0, updated_at = '{shop.noon(1)}'")
    shop.on(later).load(tmp_path)
    assert found(run(shop, shop.day, later)) == {}
    assert shop.sales()["corrected"] == ("3.00", "2")


def test_what_is_not_due_yet_is_left_to_the_next_load(shop: Shop, tmp_path: Path) -> None:
    """A correction of today, a sale of today, and a day that failed."""
    shop.sell("corrected", "filler")
    shop.load(tmp_path)
    shop.change("corrected", f"quantity = 3, total_amount = 4.50, updated_at = '{shop.noon(1)}'")
    shop.sell("new", sale_date=shop.noon(1), updated_at=shop.noon(1))
    assert found(run(shop, shop.day, shop.day + timedelta(days=1))) == {}
    assert shop.sales() == {"corrected": ("3.00", "2"), "filler": ("3.00", "2")}


def test_a_date_that_was_rolled_back_is_held_back(shop: Shop, tmp_path: Path) -> None:
    second = shop.day + timedelta(days=1)
    noon = shop.noon(1)
    shop.sell("first", "moved")
    shop.load(tmp_path)
    shop.sell("second", sale_date=noon, updated_at=noon)
    shop.change("moved", f"updated_at = '{noon}'")
    shop.on(second).load(tmp_path)
    assert rollback(date=str(second), reason="a test", return_state=True).name == "Completed"

    state = run(shop, shop.day, second)
    assert (found(state), loaded(state)) == ({}, None)
    assert state.result().compared[0].held_back == {second: 2}
    assert "2 held back, their dates or heals were rolled back" in str(state.message)
    shown: Any = Artifact.get(DAYS_KEY)
    assert "held back: rolled back" in shown.data
    assert shop.sales() == {"first": ("3.00", "2"), "moved": ("3.00", "2")}

    # A sale belongs to both days, that on which it was sold and that on which it was changed.
    third = second + timedelta(days=1)
    shop.on(third).load(tmp_path)
    shop.sell("late", sale_date=noon, updated_at=shop.noon(2))
    held = run(shop, shop.day, third)
    assert (found(held), held.result().compared[0].held_sales) == ({}, 1)

    # An older version beside it, as a source without a key may have: to read the sale again would bring it back.
    shop.sell("second", total_amount="2.50", discount_amount=0)
    assert (found(run(shop, shop.day, second)), len(shop.sales())) == ({}, 2)


def test_a_heal_that_meets_a_rollback_loads_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.sell("sold")
    shop.load(tmp_path)
    heal = begin(shop.world, shop.day, "EUROPE")
    staged = stage_attempt(shop.world, replace(heal, batch_id="H20240116T091500Z"), shop.day, tmp_path)
    assert rollback(date=str(shop.day), reason="a test", return_state=True).name == "Completed"
    with pytest.raises(NeedsPersonError, match=f"what was rolled back stays out, .*{shop.day:%Y%m%d} of EUROPE"):
        publish_staged(shop.world, staged)
    assert shop.sales() == {}


def test_an_empty_day_that_has_sales_now_is_healed(shop: Shop) -> None:
    closed = f'{{"EUROPE": ["{shop.day}"]}}'
    with shop.world.variable("closed_days", closed):
        assert shop.world.run(shop.day, ["EUROPE"]).state.is_completed()
    assert shop.world.ledger(f"{shop.day:%Y%m%d}") == {"EUROPE": "EMPTY"}
    shop.sell("sunday")
    assert loaded(run(shop)) == {"inserted": 1}
    assert shop.sales() == {"sunday": ("3.00", "H")}


def test_a_region_that_is_down_is_named_and_the_others_are_healed(shop: Shop, tmp_path: Path) -> None:
    for region in ("EUROPE", "US_WEST"):
        shop.sell(region, region=region)
    shop.load(tmp_path, "EUROPE", "US_WEST")
    shop.sell("late")
    shop.world.change("US_WEST", "ALTER TABLE sales_transactions RENAME TO sales_elsewhere")
    try:
        state = run(shop, regions=["EUROPE", "US_WEST"])
    finally:
        shop.world.change("US_WEST", "ALTER TABLE sales_elsewhere RENAME TO sales_transactions")
    assert (state.name, found(state)) == ("PartiallyLoaded", {"missing": 1})
    assert "US_WEST could not be read: table sales_transactions is missing" in str(state.message)
    assert shop.sales()["late"] == ("3.00", "H")


def test_many_sales_are_compared_in_portions_and_healed_in_turns(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.world.fill(shop.day, rows=300, regions=("EUROPE",))
    shop.load(tmp_path)
    shop.sell(*(str(number) for number in range(40)))
    monkeypatch.setattr(discrepancies, "ROWS_AT_ONCE", 20)
    for module in (compare, reconcile_module, reconciled):
        monkeypatch.setattr(module, "KEYS_MAX", 30)
    state = run(shop)
    assert (found(state), loaded(state)) == ({"missing": 40}, {"inserted": 30})
    assert "run it again for the rest" in str(state.message)
    assert loaded(run(shop)) == {"inserted": 10}
    assert found(run(shop)) == {}


def test_a_change_of_any_column_shows(shop: Shop, tmp_path: Path) -> None:
    other = {
        "text": "'other'",
        "timestamp": "{} - interval '1 microsecond'",
        "integer": "{} + 1",
        "price": "{} + 0.000001",
        "money": "{} + 0.01",
    }
    names = [column.name for column in COMPARED_COLUMNS]
    shop.sell("untouched", *names)
    shop.load(tmp_path)
    for column in COMPARED_COLUMNS:
        shop.change(column.name, f'"{column.name}" = {other[column.kind].format(column.name)}')
    state = run(shop, heal=False)
    kinds = {sale.sale_id: str(sale.kind) for sale in state.result().compared[0].differing}
    # A sale that goes back in time is older, not different.
    assert kinds == {shop.key(name): "older" if name == "updated_at" else "differs" for name in names}


@pytest.mark.account
def test_a_fingerprint_is_the_same_on_both_sides(shop: Shop, tmp_path: Path) -> None:
    """Odd texts, fractions of a second, empty text and NULL, an amount of many digits."""
    odd: dict[str, dict[str, Any]] = {
        "plain": {},
        "text": {"store_id": "Käse 🧀 'quoted' \\ \t", "customer_id": " blank "},
        "empty": {"product_category": ""},
        "null": {"product_category": None},
        "moment": {"sale_date": datetime.fromisoformat(f"{shop.day}T10:00:00.123456+05:30")},
        "before-1970": {"sale_date": datetime.fromisoformat("1969-12-31T23:59:59.999999+00:00")},
        "digits": {"quantity": 10**9, "unit_price": "0.999999", "total_amount": "999999999.99"},
    }
    for name, cells in odd.items():
        shop.sell(name, **cells)
    shop.load(tmp_path)
    in_table = shop.world.sql(
        f"SELECT SALE_ID, {table_fingerprint()} FROM SALES_FACT WHERE SALE_ID LIKE ?", (shop.key("%"),)
    )
    with shop.world.source("EUROPE") as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT sale_id, {source_fingerprint('sale_id')} FROM sales_transactions WHERE sale_id LIKE %s",
            (shop.key("%"),),
        )
        at_source = {key: fingerprint % 2**64 for key, fingerprint in cursor.fetchall()}
    connection.close()
    assert len(at_source) == len(set(at_source.values())) == len(odd)
    assert {key: int(fingerprint) for key, fingerprint in in_table} == at_source


def test_keys_with_the_prefix_of_their_region(shop: Shop) -> None:
    shop.sell("1")
    engine = source_engine(shop.world, "EUROPE")
    key = f"EUROPE:{shop.key('1')}"
    with open_snapshot(engine, REGIONS["EUROPE"]) as snapshot:
        region = replace(REGIONS["EUROPE"], prefix_keys=True)
        side = SourceSide(snapshot.cursor, region, snapshot.table.sql, OpenRejected([], []))
        (row,) = side.rows_of_keys([key])
        due, _ = side.sums([shop.day])
    engine.dispose()
    assert (row.key, row.day, sum(of.rows for of in due.values())) == (key, shop.day, 1)


def test_every_column_is_compared_but_those_that_sql_cannot() -> None:
    left_out = {column.name for column in SOURCE_COLUMNS} - {column.name for column in COMPARED_COLUMNS}
    assert left_out == {"sale_id", "customer_email", "region"}


KILLED = """
import os, signal, sys
from tasks import publish
from tasks.reconcile import deleted
for module in (publish, deleted):
    def render(name, real=module.render, **values):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(name, **values)
    module.render = render
from flows.reconcile import reconcile
reconcile(start_date=sys.argv[2], end_date=sys.argv[2], regions=["EUROPE"], heal_deleted=True)
"""


@pytest.mark.parametrize("at", ["publish/close_rejected", "reconcile/count_marked"])
def test_killed_in_the_middle_the_next_one_does_the_rest(shop: Shop, tmp_path: Path, at: str) -> None:
    differences(shop, tmp_path)
    killed = run_python("-c", KILLED, at, str(shop.day))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    shop.world.end_transactions()
    assert shop.sales()["removed"] == ("3.00", "2")
    run(shop, heal_deleted=True)
    assert shop.amounts() == AMOUNTS_AFTER
    assert found(run(shop)) == {"older": 1}


def test_two_at_once_and_a_daily_run_beside_them(shop: Shop, tmp_path: Path) -> None:
    differences(shop, tmp_path)
    other = shop.day + timedelta(days=2)
    shop.world.fill(other, rows=120, regions=("EUROPE",))
    reconciling: Sequence[str] = (str(shop.day), str(shop.day), "--regions", "EUROPE", "--heal-deleted")
    programs = [
        start_python("-m", "flows.reconcile", *reconciling),
        start_python("-m", "flows.reconcile", *reconciling),
        start_python("-m", "flows.daily_sales", str(other), "EUROPE"),
    ]
    ends = [program.ended() for program in programs]
    assert [end.returncode for end in ends] == [0, 0, 0], "\n".join(end.stderr for end in ends)
    assert shop.amounts() == AMOUNTS_AFTER
    ((twice,),) = shop.world.sql("SELECT COUNT(*) - COUNT(DISTINCT SALE_ID) FROM SALES_FACT")
    assert twice == 0
