"""A plain model of sources, fact table and ledger: dictionaries, and the rules of docs in the shortest form."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

PUBLISHED, ROLLED_BACK = "PUBLISHED", "ROLLED_BACK"


@dataclass(frozen=True)
class Sale:
    """A sale as its source has it now. `changed` is `updated_at`; a broken one breaks a rule."""

    key: str
    region: str
    sold: datetime
    changed: datetime
    amount: Decimal
    is_broken: bool

    @property
    def arrived(self) -> date:
        return max(self.sold, self.changed).date()

    def is_of(self, day: date) -> bool:
        """Whether the daily run of `day` reads it."""
        return day in (self.sold.date(), self.changed.date())


@dataclass(frozen=True)
class Stored:
    """A sale as the fact table shows it. `read` numbers the reads of the sources in their order."""

    sale: Sale
    read: int
    run: int
    batch: str
    is_deleted: bool = False

    def shown(self) -> tuple[str, Decimal, datetime, str, bool]:
        return self.sale.region, self.sale.amount, self.sale.changed, self.batch, self.is_deleted


@dataclass(frozen=True)
class Change:
    """One run's change of one sale; None stands for no row."""

    run: int
    batch: str
    key: str
    before: Stored | None


@dataclass(frozen=True)
class Held:
    """A sale that no heal may bring back: `run`, which was rolled back, had changed or rejected it. `days` are those of
    the version that the run had marked as deleted, or changed."""

    key: str
    run: int
    region: str | None
    days: frozenset[date] = frozenset()

    @classmethod
    def of(cls, change: Change) -> "Held":
        if change.before is None:
            return cls(change.key, change.run, None)
        sale = change.before.sale
        return cls(change.key, change.run, sale.region, frozenset((sale.sold.date(), sale.changed.date())))


@dataclass(frozen=True)
class Rejected:
    """A version that broke a rule, as `run` read it. `seen` numbers the times at which keys were first rejected."""

    sale: Sale
    read: int
    run: int
    batch: str
    seen: int

    @property
    def is_replayed(self) -> bool:
        return self.batch.startswith("R")

    def is_covered_by(self, stored: Stored | None) -> bool:
        """Whether a newer valid version is stored, or one that is not older and was published later."""
        if stored is None or stored.is_deleted:
            return False
        if stored.sale.changed > self.sale.changed:
            return True
        return stored.run > self.run and stored.sale.changed == self.sale.changed

    def gives_way_to(self, other: "Rejected") -> bool:
        """Whether `other` replaces it: from its batch or a replay, or, for a row of a replay, from any run."""
        later = other.sale.key == self.sale.key and other.run > self.run
        return later and (other.batch == self.batch or other.is_replayed or self.is_replayed)


@dataclass(frozen=True)
class Closing:
    """Why a rejected row is no longer open: a change by `batch`, while that and the covering version are in effect.
    `covering` is the batch of the version that stands for the row, None when its source no longer has it."""

    rejected: Rejected
    status: str
    batch: str | None
    covering: str | None


@dataclass
class Model:
    """The contents of sources and warehouse. `shown` is the state of each batch and region in production; `named` are
    those of which a run has failed since."""

    source: dict[str, Sale] = field(default_factory=dict)
    table: dict[str, Stored] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    shown: dict[tuple[str, str], str] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)
    held: list[Held] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    reopened: set[Rejected] = field(default_factory=set)
    """Rejected rows whose closing was rolled back since."""
    newest: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The runs in effect of each batch and region."""
    reads: int = 0
    first_seen: int = 0

    def publish(
        self, run: int, batch: str, regions: Collection[str], sales: Iterable[Sale], looked_for: Collection[str] = ()
    ) -> None:
        """Newer wins, by `changed` and then by the read; broken sales take no part, and deleted ones give way. A replay
        has `looked_for` these keys."""
        self.reads += 1
        sales = list(sales)
        for sale in sales:
            before = self.table.get(sale.key)
            gives_way = before is None or before.is_deleted or before.sale.changed <= sale.changed
            is_same = before is not None and not before.is_deleted and before.sale == sale
            if gives_way and not is_same and not sale.is_broken:
                self._write(run, batch, sale.key, Stored(sale, self.reads, run, batch))
        self._reject(run, batch, regions, [sale for sale in sales if sale.is_broken])
        if batch.startswith("R"):
            self._replay(batch, sales, looked_for)
        self._close_covered(batch)
        self.named -= {(batch, region) for region in regions}
        again = {sale.key for sale in sales if sale.is_broken and batch.isdigit()}
        self.held = [
            held
            for held in self.held
            if held.key not in again and (held.region not in regions or batch not in {f"{d:%Y%m%d}" for d in held.days})
        ]
        self.shown |= {(batch, region): PUBLISHED for region in regions}

    def _reject(self, run: int, batch: str, regions: Iterable[str], broken: Iterable[Sale]) -> None:
        found = []
        for sale in broken:
            seen = [rejected.seen for rejected in self.known_rejected() if rejected.sale.key == sale.key]
            if not seen:
                self.first_seen += 1
            found.append(Rejected(sale, self.reads, run, batch, min(seen, default=self.first_seen)))
        self.rejected += found
        for region in regions:
            self.newest.setdefault((batch, region), []).append(run)

    def _replay(self, batch: str, sales: Iterable[Sale], looked_for: Collection[str]) -> None:
        good = {sale.key for sale in sales if not sale.is_broken}
        gone = set(looked_for) - {sale.key for sale in sales}
        for rejected in self.open_rejected():
            key = rejected.sale.key
            if key in good:
                self.closings.append(Closing(rejected, "RELEASED", batch, self.table[key].batch))
            if key in gone:
                self.closings.append(Closing(rejected, "GONE", batch, None))

    def _close_covered(self, batch: str | None) -> None:
        for rejected in self.open_rejected():
            stored = self.table.get(rejected.sale.key)
            if stored is not None and rejected.is_covered_by(stored):
                self.closings.append(Closing(rejected, "CLOSED", batch, stored.batch))

    def known_rejected(self) -> list[Rejected]:
        """Those that neither a newer run of their batch nor a later rejection of their key has replaced."""
        closed = {closing.rejected for closing in self.closings}
        return [
            rejected
            for rejected in self.rejected
            if rejected in closed or not (self._is_replaced_by_its_batch(rejected) or self._is_found_again(rejected))
        ]

    def _is_replaced_by_its_batch(self, rejected: Rejected) -> bool:
        """Whether a newer run of its batch replaces it, which needs it to have been open then."""
        newest = max(self.newest[rejected.batch, rejected.sale.region])
        return rejected.run != newest and rejected not in self.reopened

    def _is_found_again(self, rejected: Rejected) -> bool:
        return any(rejected.gives_way_to(other) for other in self.rejected)

    def statuses(self) -> dict[Rejected, str]:
        """The status of each row that was not replaced."""
        closed = {closing.rejected: closing.status for closing in self.closings}
        return {r: closed.get(r, "STILL_BAD" if r.is_replayed else "OPEN") for r in self.known_rejected()}

    def open_rejected(self) -> list[Rejected]:
        """The open ones."""
        closed = {closing.rejected for closing in self.closings}
        return [rejected for rejected in self.known_rejected() if rejected not in closed]

    def begin(self, batch: str, regions: Iterable[str]) -> None:
        """Records a killed run, whose date is a gap now."""
        self.named |= {(batch, region) for region in regions}

    def mark_deleted(self, run: int, batch: str, keys: Iterable[str]) -> None:
        self.reads += 1
        for key in keys:
            self.shown[batch, self.table[key].sale.region] = PUBLISHED
            self._write(
                run, batch, key, replace(self.table[key], read=self.reads, run=run, batch=batch, is_deleted=True)
            )

    def _write(self, run: int, batch: str, key: str, stored: Stored) -> None:
        self.changes.append(Change(run, batch, key, self.table.get(key)))
        self.table[key] = stored

    def rolled_back_with(self, batch: str) -> set[str]:
        """The batch and those that have changed its sales since."""
        batches = {batch}
        while later := self._later(batches) - batches:
            batches |= later
        return batches

    def _later(self, batches: set[str]) -> set[str]:
        runs = {change.run for change in self.changes if change.batch in batches}
        return {change.batch for change in self.changes if change.before is not None and change.before.run in runs}

    def roll_back(self, batches: set[str], regions: Iterable[str]) -> None:
        """Restores every sale to its version before the first of these batches."""
        seen = set[str]()
        for change in [change for change in self.changes if change.batch in batches]:
            if change.key not in seen:
                seen.add(change.key)
                self.table.pop(change.key)
                if change.before is not None:
                    self.table[change.key] = change.before
        healed = [*self.changes, *(Change(r.run, r.batch, r.sale.key, None) for r in self.rejected)]
        self.held += [Held.of(c) for c in healed if c.batch in batches and c.batch.startswith("H")]
        self.rejected = [rejected for rejected in self.rejected if rejected.batch not in batches]
        void = [closing for closing in self.closings if batches & {closing.batch, closing.covering}]
        self.closings = [closing for closing in self.closings if closing not in void]
        self.closings = [closing for closing in self.closings if closing.rejected.batch not in batches]
        self.reopened |= {closing.rejected for closing in void}
        for of_batch in [key for key in self.newest if key[0] in batches]:
            del self.newest[of_batch]
        self._close_covered(None)
        self.changes = [change for change in self.changes if change.batch not in batches]
        of_dates = {(batch, region) for batch in batches if batch.isdigit() for region in regions}
        of_keys = {key for key in self.shown if key[0] in batches}
        self.named -= of_dates
        self.shown |= dict.fromkeys(of_dates | of_keys, ROLLED_BACK)

    def status_of(self, day: date, region: str) -> str | None:
        return self.shown.get((f"{day:%Y%m%d}", region))

    def is_gap(self, day: date, region: str) -> bool:
        """Whether a backfill loads it: it is not in production, or it was rolled back and a run has failed since."""
        status = self.status_of(day, region)
        return status is None or (status == ROLLED_BACK and (f"{day:%Y%m%d}", region) in self.named)

    def to_heal(self, accounted: Mapping[str, set[datetime | None]]) -> list[Sale]:
        """The sales that reconcile loads: their day was read, and the table differs.

        `accounted` are the versions among the open rejected rows, by key.
        """
        return [
            sale
            for sale in self.source.values()
            if self.status_of(sale.arrived, sale.region) == PUBLISHED
            and sale.changed not in accounted.get(sale.key, set())
            and self._differs(sale)
            and not self.is_held_back(sale)
        ]

    def is_held_back(self, sale: Sale) -> bool:
        """Whether a day on which it was sold or changed was rolled back, or a heal that no run has followed."""
        return self._is_held(sale.key) or self.is_of_rolled_back_day(sale)

    def is_of_rolled_back_day(self, sale: Sale) -> bool:
        """Whether it was sold or changed on such a day."""
        days = (sale.sold.date(), sale.changed.date())
        return any(self.status_of(day, sale.region) == ROLLED_BACK for day in days)

    def stays_out(self) -> set[str]:
        """The keys that replays and heals do not read."""
        return self.held_keys() | {sale.key for sale in self.source.values() if self.is_held_back(sale)}

    def held_keys(self) -> set[str]:
        """The keys of rolled back heals that no run has followed."""
        return {held.key for held in self.held if self._is_held(held.key)}

    def _is_held(self, key: str) -> bool:
        stored = self.table.get(key)
        return any(held.key == key and (stored is None or stored.run < held.run) for held in self.held)

    def _differs(self, sale: Sale) -> bool:
        stored = self.table.get(sale.key)
        if stored is None or stored.is_deleted:
            return True
        # Whether a sale breaks a rule is part of its content.
        return stored.sale != sale and stored.sale.changed <= sale.changed

    def older(self, accounted: Mapping[str, set[datetime | None]]) -> set[str]:
        """The keys of sales of which the table has a newer version than the source."""
        return {
            sale.key
            for sale in self.source.values()
            if (stored := self.table.get(sale.key)) is not None
            and not stored.is_deleted
            and stored.sale.changed > sale.changed
            and self.status_of(stored.sale.arrived, sale.region) == PUBLISHED
            and self._counts(sale)
            and sale.changed not in accounted.get(sale.key, set())
            and not self.is_held_back(sale)
        }

    def _counts(self, sale: Sale) -> bool:
        """Whether its day was read, or lies before all days that were."""
        read = {
            batch for (batch, region), status in self.shown.items() if region == sale.region and status == PUBLISHED
        }
        day = f"{sale.arrived:%Y%m%d}"
        return day in read or day < min(batch for batch in read if batch.isdigit())

    def to_mark(self) -> set[str]:
        """The keys of sales that their source no longer has and the table has on a day that was read."""
        return {
            key
            for key, stored in self.table.items()
            if key not in self.source
            and not stored.is_deleted
            and not self._is_held(key)
            and self.status_of(stored.sale.arrived, stored.sale.region) == PUBLISHED
        }
