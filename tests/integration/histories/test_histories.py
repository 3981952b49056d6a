"""Random histories of days, outages, corrections, deletions, rollbacks, replays, heals and kills: after every step the
fact table equals a plain model, and in the end it equals the sources.

HISTORIES is how many are played, 4 by default. A failing history is printed step by step, and shrunk only with
HISTORIES_SHRINK=1, which takes long.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tasks.backfill.gaps import plan_backfill
from tasks.batch import Attempt, Batch, DateRange, Keys, NamedKeys, Window
from tasks.errors import NeedsPersonError
from tasks.reconcile.compare import Discrepancy, RegionCompared, compare_region
from tasks.reconcile.days import days_of_regions
from tasks.reconcile.deleted import mark
from tasks.rejected.replay import lacking_keys, open_keys
from tasks.rollback.roll_back import preview_rollback, roll_back
from tasks.rollback.rolled_back import rolled_back
from tasks.warehouse.ledger import known_states, start_attempt
from tasks.warehouse.past import sales_as_of
from tests.integration.conftest import World, good_sale
from tests.integration.histories.killing import killed_at
from tests.integration.histories.model import Model, Sale
from tests.integration.publish.harness import publish_staged, source_engine, stage_wanted

REGIONS = ("EUROPE", "US_WEST")
DAYS_MAX = 4
KEYS = 4
"""Per region: few, so that the same sale comes up again and again."""
STEPS = 18
FIRST_DAY = date(2021, 1, 1)
UNDO_DAYS = 35

PUBLISH_KILLS = ("publish/insert_fates", "publish/insert_undo", "publish/merge_sales_fact", "ledger/published_entries")
ROLLBACK_KILLS = (
    "rollback/delete_sales",
    "rollback/restore_sales",
    "rollback/count_left",
    "rollback/count_left_rejected",
)
MARK_KILLS = ("reconcile/insert_undo", "reconcile/mark_deleted", "reconcile/count_marked")

a_key = st.integers(0, KEYS - 1)
a_region = st.sampled_from(REGIONS)
a_day = st.integers(0, DAYS_MAX - 1)


def sometimes(kills: Iterable[str]) -> st.SearchStrategy[str | None]:
    """Mostly no kill."""
    return st.one_of(st.none(), st.none(), st.sampled_from(tuple(kills)))


def load_wanted(
    world: World, attempt: Attempt, wanted: Mapping[str, Window | Keys], read_again: bool, scratch: Path
) -> None:
    """Runs an attempt from its sources to the second look; keys of `read_again` that are not found are gone."""
    staged = stage_wanted(world, attempt, wanted, scratch)
    if read_again:
        gone = {
            of.region: lacking_keys(keys, of) for of in staged.extracts if isinstance(keys := wanted[of.region], Keys)
        }
        staged = replace(staged, gone=gone)
    publish_staged(world, staged)


def roll_back_batch(world: World, batch_id: str, cascade: bool) -> set[str]:
    """Rolls a batch back; returns the batches that were rolled back."""
    with world.session() as session:
        changes = roll_back(session, batch_id, "a history", cascade, UNDO_DAYS, str(uuid4())).changes
    return set(changes.batches) if changes else set()


def mark_gone(world: World, batch_id: str, compared: list[RegionCompared]) -> None:
    with world.session() as session:
        mark(session, batch_id, str(uuid4()), compared)


class Histories(RuleBasedStateMachine):
    """A few sales of two regions over a few days, and everything that may happen to them."""

    world: World
    numbers = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.scratch = Path(tempfile.mkdtemp(prefix="retail-sales-history-"))
        self.number = next(self.numbers)
        self.first_day = FIRST_DAY + timedelta(days=10 * self.number)
        self.moments = count(1)
        self.batches = count(1)
        self.first_seen: dict[int, datetime] = {}
        self.past: dict[int, dict[str, tuple[Any, ...]]] = {}
        """Past contents of the table, by the number of the newest transaction."""

    @initialize(sales=st.lists(st.tuples(a_region, a_key, a_day), min_size=KEYS, max_size=2 * KEYS))
    def sales_are_made(self, sales: list[tuple[str, int, int]]) -> None:
        self.world.forget_rejected()
        for table in ("SALES_FACT", "SALES_FACT_UNDO", "SALES_HELD_BACK", "ETL_BATCHES"):
            self.world.sql(f"DELETE FROM ANALYTICS.{table}")
        for region in REGIONS:
            self.world.change(region, "DELETE FROM sales_transactions WHERE updated_at >= '2018-01-03'")
        for region, key, day in sales:
            self.a_sale_is_made_or_corrected(region, key, day, False)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.in_the_end_the_table_is_what_the_sources_say()
        finally:
            shutil.rmtree(self.scratch)
            self.world.tidy()

    # What happens at the sources

    def day(self, number: int) -> date:
        return self.first_day + timedelta(days=number)

    def moment_of(self, number: int) -> datetime:
        """A time of a day, later than all before it."""
        return datetime.combine(self.day(number), time(1), UTC) + timedelta(seconds=next(self.moments))

    @rule(region=a_region, key=a_key, day=a_day, is_broken=st.booleans())
    def a_sale_is_made_or_corrected(self, region: str, key: int, day: int, is_broken: bool) -> None:
        """It may be committed after its day was read; the ledger does not change."""
        name = f"{self.number}-{region}-{key}"
        before, moment = self.model.source.get(name), self.moment_of(day)
        if before is not None and moment <= before.changed:
            return
        sold = before.sold if before else moment
        self._put(Sale(name, region, sold, moment, self._amount(), is_broken))

    @rule(region=a_region, key=a_key, is_broken=st.booleans())
    def a_correction_does_not_touch_updated_at(self, region: str, key: int, is_broken: bool) -> None:
        if before := self.model.source.get(f"{self.number}-{region}-{key}"):
            self._put(replace(before, amount=self._amount(), is_broken=is_broken))

    @rule(region=a_region, key=a_key)
    def a_sale_is_deleted(self, region: str, key: int) -> None:
        if sale := self.model.source.pop(f"{self.number}-{region}-{key}", None):
            self.world.change(region, "DELETE FROM sales_transactions WHERE sale_id = %s", (sale.key,))

    def _amount(self) -> Decimal:
        """A new one each time, between half of and twice quantity x price."""
        return Decimal("2.50") + Decimal(next(self.moments) % 300) / 100

    def _put(self, sale: Sale) -> None:
        self.world.change(sale.region, "DELETE FROM sales_transactions WHERE sale_id = %s", (sale.key,))
        cells = {
            "sale_id": sale.key,
            "sale_date": sale.sold,
            "updated_at": sale.changed,
            "total_amount": sale.amount,
            "customer_email": None,
            "discount_amount": Decimal(-1) if sale.is_broken else Decimal(0),
        }
        self.world.insert(sale.region, good_sale(sale.region) | cells)
        self.model.source[sale.key] = sale

    # What happens to the warehouse

    @rule(day=a_day, down=st.sampled_from((None, None, *REGIONS)), kill=sometimes(PUBLISH_KILLS))
    def a_day_is_loaded(self, day: int, down: str | None, kill: str | None) -> None:
        self._load_day(self.day(day), [region for region in REGIONS if region != down], kill)

    def _load_day(self, day: date, regions: list[str], kill: str | None) -> None:
        batch = Batch(day, tuple(regions))
        wanted = dict.fromkeys(regions, batch.window)
        sales = [sale for sale in self.model.source.values() if sale.is_of(day) and sale.region in regions]
        self._publish(batch, wanted, sales, kill)

    def _publish(
        self, batch: Batch | NamedKeys, wanted: Mapping[str, Window | Keys], sales: Iterable[Sale], kill: str | None
    ) -> None:
        with self.world.session() as session:
            attempt = start_attempt(session, batch, str(uuid4()), lease_minutes=15)
        arguments = (self.world, attempt, wanted, attempt.is_replay, self.scratch)
        if self._killed(kill, load_wanted, *arguments):
            self.model.begin(batch.batch_id, batch.regions)
        else:
            stays_out = self.model.stays_out()
            named = [key for keys in wanted.values() if isinstance(keys, Keys) for key in keys.sale_ids]
            looked_for = [key for key in named if key not in stays_out]
            self.model.publish(attempt.run_number, batch.batch_id, batch.regions, sales, looked_for)
        self._compare()

    def _killed(self, at: str | None, action: Callable[..., Any], *arguments: Any) -> bool:
        """Runs the action here, or in a process that is killed; returns whether it was killed."""
        if at is None:
            action(*arguments)
            return False
        if killed_at(at, action, *arguments):
            self.world.end_transactions()
            return True
        return False

    @rule(order=st.sampled_from(("oldest", "newest")))
    def a_backfill_loads_the_gaps(self, order: Any) -> None:
        days = DateRange(self.day(0), self.day(DAYS_MAX - 1))
        with self.world.session() as session:
            known = known_states(session, days.first, days.last)
        plan = plan_backfill(days, known, REGIONS, REGIONS, "missing", order)
        gaps = {(day, region) for gap in (*plan.gaps, *plan.under_way) for day in [gap.date] for region in gap.regions}
        assert gaps == {(day, region) for day in days for region in REGIONS if self.model.is_gap(day, region)}
        for gap in plan.gaps:
            self._load_day(gap.date, list(gap.regions), None)

    @precondition(lambda self: self.model.changes)
    @rule(choice=st.integers(0, 1000), cascade=st.booleans(), kill=sometimes(ROLLBACK_KILLS))
    def a_batch_is_rolled_back(self, choice: int, cascade: bool, kill: str | None) -> None:
        batches = sorted({change.batch for change in self.model.changes})
        batch = batches[choice % len(batches)]
        with self.world.session() as session:
            changes = preview_rollback(session, batch, True, UNDO_DAYS).changes
        assert changes is not None
        together = set(changes.batches)
        # A replay that has released a row of the batch is rolled back too, even if it has changed no sale.
        replays = {name for name in together if name.startswith("R")}
        assert together == set[str]().union(*(self.model.rolled_back_with(name) for name in {batch, *replays}))
        if not cascade and len(together) > 1:
            with pytest.raises(NeedsPersonError, match="later batches have changed its sales"):
                roll_back_batch(self.world, batch, cascade)
        elif not self._killed(kill, roll_back_batch, self.world, batch, cascade):
            self.model.roll_back(together, REGIONS)
        self._compare()

    @rule(kill=sometimes(PUBLISH_KILLS))
    def rejected_rows_are_replayed(self, kill: str | None) -> None:
        with self.world.session() as session:
            keys = open_keys(session, REGIONS).keys
        if keys:
            self._publish_keys(self._name("R"), keys, kill)

    def _publish_keys(self, batch_id: str, keys: Mapping[str, Keys], kill: str | None) -> None:
        """Loads sales by their keys, without those that were rolled back."""
        with self.world.session() as session:
            batch = NamedKeys(batch_id, keys).with_rolled_back(rolled_back(session, REGIONS))
        wanted = {sale_id for of_region in keys.values() for sale_id in of_region.sale_ids} - self.model.stays_out()
        sales = [sale for sale in self.model.source.values() if sale.key in wanted]
        self._publish(batch, batch.keys, sales, kill)

    def _name(self, letter: str) -> str:
        return f"{letter}{self.first_day:%Y%m%d}T{next(self.batches):06d}Z"

    @rule(heal_deleted=st.booleans(), kill=sometimes(PUBLISH_KILLS), kill_mark=sometimes(MARK_KILLS))
    def sources_and_table_are_reconciled(self, heal_deleted: bool, kill: str | None, kill_mark: str | None) -> None:
        compared = self._compare_regions()
        found = {sale.sale_id for of in compared for sale in of.of(Discrepancy.MISSING, Discrepancy.DIFFERS)}
        assert found == {sale.key for sale in self.model.to_heal(self._accounted())}
        gone = {sale.sale_id for of in compared for sale in of.of(Discrepancy.GONE)}
        assert gone == self.model.to_mark()
        older = {sale.sale_id for of in compared for sale in of.of(Discrepancy.OLDER)}
        assert older == self.model.older(self._accounted())

        batch_id = self._name("H")
        healed = {of.region: of.of(Discrepancy.MISSING, Discrepancy.DIFFERS) for of in compared}
        keys = {region: Keys(tuple(sale.sale_id for sale in of)) for region, of in healed.items() if of}
        if keys:
            self._publish_keys(batch_id, keys, kill)
        if heal_deleted and gone:
            if not self._killed(kill_mark, mark_gone, self.world, batch_id, compared):
                ((run_number,),) = self.world.sql("SELECT MAX(RUN_NUMBER) FROM ETL_BATCHES")
                self.model.mark_deleted(run_number, batch_id, sorted(gone))
            self._compare()

    def _compare_regions(self) -> list[RegionCompared]:
        days_of_history = DateRange(self.day(0), self.day(DAYS_MAX - 1))
        with self.world.session() as session:
            known = known_states(session, None, days_of_history.last)
            compared = []
            for days in days_of_regions(known, days_of_history, REGIONS):
                engine = source_engine(self.world, days.region)
                compared.append(compare_region(engine, session, days))
                engine.dispose()
        return compared

    def _accounted(self) -> dict[str, set[datetime | None]]:
        """The versions among the open rejected rows, by key."""
        accounted: dict[str, set[datetime | None]] = {}
        open_rows = "SELECT SALE_ID, VERSION_AT FROM SALES_REJECTED WHERE STATUS IN ('OPEN', 'STILL_BAD')"
        for sale_id, version_at in self.world.sql(open_rows):
            accounted.setdefault(sale_id, set()).add(version_at)
        return accounted

    # What must hold

    def _compare(self) -> None:
        """The fact table equals the model row by row, and no rejected row with a newer version is open."""
        rows = self.world.sql(
            "SELECT SALE_ID, REGION, TOTAL_AMOUNT, UPDATED_AT, ETL_BATCH_ID, IS_DELETED FROM SALES_FACT"
        )
        assert len(rows) == len({key for key, *_ in rows})
        shown = {key: stored.shown() for key, stored in self.model.table.items()}
        assert {key: tuple(cells) for key, *cells in rows} == shown
        self._compare_rejected()
        ((number,),) = self.world.sql("SELECT ORDINAL FROM ETL_LOCK")
        self._compare_past(*list(self.past)[-1:])
        self.past[number] = shown

    def _compare_past(self, *numbers: int) -> None:
        """The past of the table can still be queried."""
        for number in numbers:
            rows = self.world.sql(
                "SELECT SALE_ID, REGION, TOTAL_AMOUNT, UPDATED_AT, ETL_BATCH_ID, IS_DELETED "
                f"FROM ({sales_as_of(number)}) AS PAST"
            )
            assert len(rows) == len({key for key, *_ in rows})
            assert {key: tuple(cells) for key, *cells in rows} == self.past[number]

    def _compare_rejected(self) -> None:
        """Compares statuses of rejected rows, times at which their keys were first seen, and held-back keys."""
        found = self.world.sql(
            "SELECT SALE_KEY, ETL_BATCH_ID, ETL_RUN_NUMBER, STATUS, FIRST_SEEN_AT FROM SALES_REJECTED "
            "ORDER BY ETL_RUN_NUMBER, SALE_KEY"
        )
        expected = sorted(self.model.statuses().items(), key=lambda known: (known[0].run, known[0].sale.key))
        assert [tuple(cells) for *cells, _ in found] == [(r.sale.key, r.batch, r.run, status) for r, status in expected]
        for (rejected, _), (*_, first_seen_at) in zip(expected, found, strict=True):
            assert self.first_seen.setdefault(rejected.seen, first_seen_at) == first_seen_at
        moments = [moment for _, moment in sorted(self.first_seen.items())]
        assert moments == sorted(moments)
        with self.world.session() as session:
            held = [key for of in rolled_back(session, REGIONS).values() for key in of.keys]
        assert sorted(held) == sorted(self.model.held_keys())

    def in_the_end_the_table_is_what_the_sources_say(self) -> None:
        """Loads every day again, whatever has happened, and marks the sales that are gone."""
        for number in range(DAYS_MAX):
            self._load_day(self.day(number), list(REGIONS), None)
        self.rejected_rows_are_replayed(None)
        self.sources_and_table_are_reconciled(True, None, None)
        self._compare_past(*self.past)
        shown = {key: stored.sale for key, stored in self.model.table.items() if not stored.is_deleted}
        good = {key: sale for key, sale in self.model.source.items() if not sale.is_broken}
        # A source that went back in time does not remove the newer version.
        assert {key: shown[key] for key in good if shown[key].changed <= good[key].changed} == {
            key: sale for key, sale in good.items() if shown[key].changed <= sale.changed
        }
        # A broken sale may have an older good version in the table.
        assert shown.keys() <= self.model.source.keys() | {key for key in shown if self.model.is_held_back(shown[key])}
        broken = self.model.source.keys() - good.keys()
        assert self._accounted().keys() >= {
            key for key in broken if key not in shown or shown[key].changed <= self.model.source[key].changed
        }
        assert self._accounted().keys() <= broken


@pytest.fixture
def histories(world: World) -> type[Histories]:
    Histories.world = world
    return Histories


def test_random_histories_end_as_a_plain_model_says(histories: type[Histories]) -> None:
    phases = [Phase.generate, *([Phase.shrink] if os.environ.get("HISTORIES_SHRINK") == "1" else [])]
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=int(os.environ.get("HISTORIES", "4")),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
