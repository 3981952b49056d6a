"""The law over made-up results: when it holds, and how the error names each side that differs.

tests/integration/publish/test_law.py tests the statements themselves, and the bugs that the law catches.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

import pytest

from expectations.thresholds import Thresholds
from tasks import law
from tasks.batch import Attempt
from tasks.errors import PublishRefusedError
from tasks.law import Published, Standing, ask_tables, check_law, check_ledger, count_rules, judge_rejected
from tasks.stage import Manifest
from tasks.tally import Tally
from tasks.transform import BrokenRule, Transformed
from tasks.warehouse.session import Session
from tests.unit.findings import extracted, transformed
from tests.unit.sales import SNAPSHOT

ATTEMPT = Attempt(42, "flow-run", "20240115", ("EUROPE",))
MANIFEST = Manifest(ATTEMPT, {"EUROPE": SNAPSHOT}, ())
SOURCE = Tally(14)

BEFORE = Standing(
    100,
    of_run=0,
    misnamed=0,
    inserted=0,
    rejections=10,
    closings=7,
    of_keys={("EUROPE", "updated"): Tally(2)},
    fingerprints={("EUROPE", "EUR"): 2},
)

Answer = tuple[Any, ...]
"""A row that a statement returns."""


class TableRows(NamedTuple):
    """The row of publish/count_rows. Its defaults are those of a law that holds."""

    fact: int = 103
    of_run: int = 5
    misnamed: int = 0
    inserted: int = 3
    rejections: int = 13
    closings: int = 7


class LedgerEntry(NamedTuple):
    """A row of ledger/published_entries. Its defaults are those of a law that holds."""

    region: str = "EUROPE"
    extracted: int = 14
    rejected: int = 3
    duplicates: int = 1
    inserted: int = 3
    updated: int = 2
    unchanged: int = 4
    superseded: int = 1
    money: str = json.dumps(SOURCE.to_json())


def tally(kind: str, rows: int, currency: str = "EUR", region: str = "EUROPE") -> Answer:
    """A row of a statement that counts rows and money: those of a fate, or of the rules that they broke."""
    return (region, kind, currency, rows)


def count(kind: str, rows: int, region: str = "EUROPE") -> Answer:
    """A row of a statement that counts rows alone."""
    return (region, kind, rows)


HOLDS: Mapping[str, Sequence[Answer]] = {
    "publish/count_rows": [TableRows()],
    "publish/count_staged": [
        tally("inserted", 3),
        tally("updated", 2),
        tally("unchanged", 4),
        tally("superseded", 1),
        tally("cross_region", 1),
    ],
    "publish/count_fact": [tally("inserted", 3), tally("updated", 2), tally("unchanged", 4)],
    "publish/count_undo": [tally("updated", 2)],
    "publish/count_rejected": [
        tally("quantity_not_positive missing_total_amount", 1),
        tally("quantity_not_positive", 1, "USD"),
        tally("cross_region_sale_id", 1),
    ],
    "publish/count_versions": [count("superseded", 1), count("cross_region", 1), count("updated", 2)],
    "publish/count_lost_rejected": [],
    "publish/count_repeated_keys": [count("repeated", 0, region=""), count("uncopied", 0, region="")],
    "publish/count_closings": [],
    "ledger/published_entries": [LedgerEntry()],
}
"""The results of the statements when the law holds."""


def without(statement: str, kind: str) -> list[Answer]:
    """The statement's results when the law holds, but for the rows of one kind."""
    return [row for row in HOLDS[statement] if row[1] != kind]


class AnsweringSession:
    """Returns rows for each statement, named by the files that are joined in it; tallies begin with their side and end
    with their number of rows as a fingerprint."""

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self.answers = answers

    def query(self, name: str, values: object = ()) -> list[tuple[Any, ...]]:
        return [row for part in name.split("\nUNION ALL\n") for row in self._rows(part)]

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        side = name.removeprefix("publish/count_")
        is_tally = side in ("staged", "fact", "undo", "rejected")
        return [(side, *row, row[3]) if is_tally else row for row in self.answers[name]]


@pytest.fixture(autouse=True)
def _statements_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(law, "render", lambda name, **values: name)


def outcome() -> Transformed:
    broken = (BrokenRule("quantity_not_positive", 2, ("1", "2")), BrokenRule("missing_total_amount", 1, ("1",)))
    made = transformed("EUROPE", 0)
    counts = {"clean": Tally(11), "rejected": Tally(2), "duplicates": Tally(1), "broken": broken}
    return Transformed(**(vars(made) | counts))


def ask(answers: Mapping[str, Sequence[Answer]]) -> None:
    """Checks law and ledger over HOLDS, with these answers in place of its own."""
    session = cast(Session, AnsweringSession({**HOLDS, **answers}))
    read = extracted("EUROPE", 14)
    extracts = [type(read)(**(vars(read) | {"source": SOURCE}))]
    found = ask_tables(session, MANIFEST, ["EUROPE"])
    check_law(BEFORE, found, [outcome()], extracts)
    check_ledger(session, ATTEMPT, found.published, [outcome()], extracts)


def test_a_law_that_holds_raises_nothing() -> None:
    ask({})


@pytest.mark.parametrize(
    ("statement", "answer", "message"),
    [
        pytest.param(
            "publish/count_rows", [TableRows(fact=102)], "SALES_FACT: rows 103 against 102", id="a-sale-is-gone"
        ),
        pytest.param(
            "publish/count_rows",
            [TableRows(of_run=6)],
            "SALES_FACT of the run: rows 5 against 6",
            id="a-sale-names-the-run-that-did-not-write-it",
        ),
        pytest.param(
            "publish/count_rows",
            [TableRows(misnamed=5)],
            "SALES_FACT of the run under another batch or publish: rows 0 against 5",
            id="sales-name-another-batch",
        ),
        pytest.param(
            "publish/count_rows",
            [TableRows(rejections=12)],
            "SALES_REJECTIONS: rows 13 against 12",
            id="a-rejected-row-is-gone",
        ),
        pytest.param(
            "publish/count_rows",
            [TableRows(inserted=2)],
            "SALES_FACT first inserted by the run: rows 3 against 2",
            id="a-new-sale-names-another-first-run",
        ),
        pytest.param(
            "publish/count_rows",
            [TableRows(closings=6)],
            "SALES_REJECTION_CLOSINGS of other runs: rows 7 against 6",
            id="a-closing-of-another-run-is-gone",
        ),
        pytest.param(
            "publish/count_closings",
            [count("unfounded", 1)],
            "rejected rows closed without a cause: rows 0 against 1",
            id="a-rejected-row-is-closed-without-a-cause",
        ),
        pytest.param(
            "publish/count_closings",
            [count("overlooked", 2)],
            "rejected rows left open: rows 0 against 2",
            id="rejected-rows-are-left-open",
        ),
        pytest.param(
            "publish/count_fact",
            without("publish/count_fact", "inserted"),
            "EUROPE inserted: rows 3 against 0",
            id="new-sales-are-not-in-the-table",
        ),
        pytest.param(
            "publish/count_undo", [], "EUROPE undo of updated: rows 2 against 0", id="replaced-versions-are-not-kept"
        ),
        pytest.param(
            "publish/count_undo",
            [*HOLDS["publish/count_undo"], tally("updated", 1, "USD", region="US_EAST")],
            "SALES_FACT_UNDO: rows 2 against 3",
            id="a-version-of-a-region-outside-the-batch-is-kept",
        ),
        pytest.param(
            "publish/count_versions",
            without("publish/count_versions", "superseded"),
            "EUROPE superseded: rows 1 against 0",
            id="no-newer-version-of-a-superseded-row",
        ),
        pytest.param(
            "publish/count_versions",
            without("publish/count_versions", "updated"),
            "EUROPE updated: rows 2 against 0",
            id="no-older-version-of-the-updated-rows",
        ),
        pytest.param(
            "publish/count_versions",
            [*HOLDS["publish/count_versions"], count("renamed", 2)],
            "EUROPE new under another form of their key: rows 0 against 2",
            id="sales-would-stand-twice-with-and-without-a-prefix",
        ),
        pytest.param(
            "publish/count_versions",
            [*HOLDS["publish/count_versions"], count("first_run", 2)],
            "EUROPE inserted by another run than before: rows 0 against 2",
            id="updated-sales-name-another-first-run-than-before",
        ),
        pytest.param(
            "publish/count_rejected",
            without("publish/count_rejected", "quantity_not_positive missing_total_amount"),
            "EUROPE rejected: rows 3 against 2",
            id="a-rejected-row-is-not-in-its-table",
        ),
        pytest.param(
            "publish/count_rejected",
            [tally("quantity_not_positive", 2), tally("cross_region_sale_id", 1)],
            "EUROPE rejected for missing_total_amount: rows 1 against 0",
            id="a-rejected-row-has-lost-one-of-its-rules",
        ),
        pytest.param(
            "publish/count_lost_rejected",
            [count("lost", 1)],
            "EUROPE rejected with other cells: rows 0 against 1",
            id="a-rejected-row-has-other-cells-than-the-staged-one",
        ),
        pytest.param(
            "publish/count_repeated_keys",
            [count("repeated", 2, region="")],
            "sale_ids that stand twice: rows 0 against 2",
            id="sales-stand-twice",
        ),
        pytest.param(
            "publish/count_repeated_keys",
            [count("uncopied", 1, region="")],
            "sales that the fates did not know: rows 0 against 1",
            id="a-sale-is-neither-old-nor-new",
        ),
        pytest.param("ledger/published_entries", [], "the ledger: rows 1 against 0", id="the-ledger-lacks-the-region"),
        pytest.param(
            "ledger/published_entries",
            [LedgerEntry(), LedgerEntry()],
            "the ledger: rows 1 against 2",
            id="the-ledger-has-the-region-twice",
        ),
        pytest.param(
            "ledger/published_entries",
            [LedgerEntry("US_EAST")],
            "regions in the ledger: rows 1 against 0",
            id="the-ledger-names-another-region",
        ),
        pytest.param(
            "ledger/published_entries",
            [LedgerEntry(inserted=2, updated=3)],
            "EUROPE inserted in the ledger: rows 3 against 2",
            id="the-ledger-has-other-fates",
        ),
        pytest.param(
            "ledger/published_entries",
            [LedgerEntry(money=json.dumps(Tally(13).to_json()))],
            "EUROPE money in the ledger: rows 14 against 13",
            id="the-ledger-has-other-money",
        ),
    ],
)
def test_a_side_that_differs_is_named_with_both_figures(statement: str, answer: Sequence[Answer], message: str) -> None:
    with pytest.raises(PublishRefusedError, match=f"^the law does not hold for {message}$"):
        ask({statement: answer})


def test_a_row_counts_for_each_rule_that_it_broke() -> None:
    counts = count_rules([("late bad", 2), ("bad", 3), ("late", 0)])
    assert dict(counts) == {"late": 2, "bad": 5}


def test_rejected_rows_of_a_closed_region_reach_no_limit() -> None:
    """All 14 rows of the east and 2 of Europe's 14 are rejected."""
    regions = [Published(region, {}) for region in ("US_EAST", "EUROPE")]
    of_regions = [transformed("US_EAST", 0, rejected=14), transformed("EUROPE", 12, rejected=2)]
    extracts = [extracted(of.region, 14) for of in of_regions]
    limit = Thresholds(max_rejected_percentage=Decimal(15))
    refused = judge_rejected(regions, of_regions, extracts, limit)
    assert refused is not None
    assert refused.scope == "US_EAST"
    assert judge_rejected(regions, of_regions, extracts, limit, closed={"US_EAST"}) is None
    assert judge_rejected(regions, of_regions, extracts, limit, closed={"US_EAST", "EUROPE"}) is None
