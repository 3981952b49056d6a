"""Findings made by hand: what the steps of a run on 2024-01-15 could have returned, without running them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from tasks.batch import Attempt, Batch
from tasks.extract import Extracted
from tasks.law import Fate, Published
from tasks.plan import Plan
from tasks.publish import Publication
from tasks.quality import QualityCheck, Verdict
from tasks.report import Findings
from tasks.source.statements import NewColumn
from tasks.stage import Manifest
from tasks.tally import Amount, Tally
from tasks.transform import BrokenRule, Transformed
from tasks.warehouse.ledger import Entry
from tasks.warehouse.second_look import Verification
from tasks.warehouse.states import Status
from tests.unit.sales import SNAPSHOT

DAY = date(2024, 1, 15)
KEYS = tuple(f"key-{number}" for number in range(10))
ATTEMPT = Attempt(42, "flow-run", "20240115", ())
PASSED = Verdict((QualityCheck("clean-rows", "EUROPE", "unique", "sale_id", True, "fine"),), 1.5)
REFUSED = Verdict(
    (QualityCheck("clean-batch", "batch", "rows", "", False, "record count 45 is below threshold 100"), *PASSED.checks),
    1.5,
)
VERIFIED = Verification((), 0, 0.2)


def euros(rows: int, total: str = "0.00") -> Tally:
    return Tally(rows, {("EUR", "total_amount"): Amount(Decimal(total))} if rows else {})


def extracted(region: str, rows: int) -> Extracted:
    tally = euros(rows, "2200.00")
    return Extracted(region, (Path("x.arrow"),), SNAPSHOT, tally, tally, (NewColumn("tier", "text"),), 0.8)


def transformed(region: str, clean: int, rejected: int = 0, duplicates: int = 0) -> Transformed:
    broken = (BrokenRule("quantity_not_positive", rejected, KEYS[:rejected]),) if rejected else ()
    path = Path("x.arrow")
    return Transformed(region, path, path, euros(clean), euros(rejected), euros(duplicates), broken, 0.4)


def published(region: str, inserted: int, cross_region: int = 0) -> Published:
    return Published(region, {Fate.INSERTED: euros(inserted), Fate.CROSS_REGION: euros(cross_region)})


def publication(
    *regions: Published, overtaken: tuple[str, ...] = (), refused: QualityCheck | None = None
) -> Publication:
    return Publication(regions, overtaken, refused, 0.5, 0.6)


def missing(region: str) -> Entry:
    return Entry(region, Status.MISSING, cause="connection refused")


def findings(present: Sequence[Extracted], left_out: Sequence[Entry] = ()) -> Findings:
    regions = tuple([e.region for e in present] + [entry.region for entry in left_out])
    attempt = replace(ATTEMPT, regions=regions)
    return Findings(Batch(DAY, regions), attempt, Plan(tuple(present), tuple(left_out), tuple(present)))


def completed() -> Findings:
    """Two regions published, with 100 rows each; 12 of Europe's broke a rule and 8 were older versions."""
    return replace(
        findings([extracted("US_EAST", 100), extracted("EUROPE", 100)]),
        transformed=[transformed("US_EAST", 100), transformed("EUROPE", 80, rejected=12, duplicates=8)],
        verdict=PASSED,
        manifest=Manifest(ATTEMPT, {}, (), seconds={"US_EAST": 0.3, "EUROPE": 0.3}),
        publication=publication(published("US_EAST", 100), published("EUROPE", 80)),
        verification=VERIFIED,
    )


def partially_loaded() -> Findings:
    return replace(
        findings([extracted("US_EAST", 100)], [missing("EUROPE")]),
        transformed=[transformed("US_EAST", 100)],
        verdict=PASSED,
        publication=publication(published("US_EAST", 100)),
        verification=VERIFIED,
    )


def overtaken() -> Findings:
    return replace(
        findings([extracted("EUROPE", 100)]),
        transformed=[transformed("EUROPE", 100)],
        verdict=PASSED,
        publication=publication(overtaken=("EUROPE",)),
        verification=VERIFIED,
    )


def quality_failed() -> Findings:
    return replace(
        findings([extracted("EUROPE", 100)]), transformed=[transformed("EUROPE", 45, rejected=55)], verdict=REFUSED
    )


def refused_before_commit() -> Findings:
    """The gate had passed; then cross-region keys raised the rejected rows above the limit."""
    check = QualityCheck("rejected-share", "EUROPE", "rejected_share", "", False, "EUROPE: rejected 60 of 100 rows")
    return replace(
        findings([extracted("EUROPE", 100)]),
        transformed=[transformed("EUROPE", 100)],
        verdict=PASSED,
        publication=publication(refused=check),
    )


def too_few_answered() -> Findings:
    """No region is left: the verdict is the plan's."""
    entry = Entry("EUROPE", Status.MISSING, cause="answered with 0 rows, min_region_record_count is 1")
    planned_regions = Plan((), (entry,), (extracted("EUROPE", 0),))
    attempt = Attempt(42, "flow-run", "20240115", ("EUROPE",))
    return Findings(Batch(DAY, ("EUROPE",)), attempt, planned_regions, verdict=REFUSED)


def closed_day() -> Findings:
    return replace(
        findings([], [Entry("EUROPE", Status.EMPTY, cause="closed day")]),
        verdict=PASSED,
        publication=publication(),
        verification=VERIFIED,
    )
