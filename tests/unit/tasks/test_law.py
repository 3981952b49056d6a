"""The law over made-up results: when it holds, and how the error names each side that differs.

tests/integration/publish/test_law.py tests the statements themselves, and the bugs that the law catches.
"""

import json
from typing import Any, cast

import pytest

from tasks import law
from tasks.batch import Attempt
from tasks.errors import PublishRefusedError
from tasks.law import Standing, ask_tables, check_law, check_ledger, count_rules
from tasks.stage import Manifest
from tasks.tally import Tally
from tasks.transform import BrokenRule, Transformed
from tasks.warehouse.session import Session
from tests.unit.findings import extracted, transformed
from tests.unit.sales import SNAPSHOT

ATTEMPT = Attempt(42, "flow-run", "20240115", ("EUROPE",))
MANIFEST = Manifest(ATTEMPT, {"EUROPE": SNAPSHOT}, ())
Answers = dict[str, list[tuple[Any, ...]]]

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
SOURCE = Tally(14)

HOLDS: Answers = {
    "publish/count_rows": [(103, 5, 0, 3, 13, 7)],
    "publish/count_staged": [
        ("EUROPE", fate, "EUR", rows)
        for fate, rows in (("inserted", 3), ("updated", 2), ("unchanged", 4), ("superseded", 1), ("cross_region", 1))
    ],
    "publish/count_fact": [("EUROPE", fate, "EUR", rows) for fate, rows in (("inserted", 3), ("updated", 2))]
    + [("EUROPE", "unchanged", "EUR", 4)],
    "publish/count_undo": [("EUROPE", "updated", "EUR", 2)],
    "publish/count_rejected": [
        ("EUROPE", "quantity_not_positive missing_total_amount", "EUR", 1),
        ("EUROPE", "quantity_not_positive", "USD", 1),
        ("EUROPE", "cross_region_sale_id", "EUR", 1),
    ],
    "publish/count_versions": [("EUROPE", "superseded", 1), ("EUROPE", "cross_region", 1), ("EUROPE", "updated", 2)],
    "publish/count_lost_rejected": [],
    "publish/count_repeated_keys": [("", "repeated", 0), ("", "uncopied", 0)],
    "publish/count_closings": [],
    "ledger/published_entries": [("EUROPE", 14, 3, 1, 3, 2, 4, 1, json.dumps(SOURCE.to_json()))],
}
"""The results of the statements when the law holds."""


class AnsweringSession:
    """Returns rows for each statement, named by the files that are joined in it; tallies begin with their side and end
    with their number of rows as a fingerprint."""

    def __init__(self, answers: Answers) -> None:
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


def ask(answers: Answers) -> None:
    """Checks law and ledger over HOLDS with these answers in its place."""
    session = cast(Session, AnsweringSession(HOLDS | answers))
    read = extracted("EUROPE", 14)
    extracts = [type(read)(**(vars(read) | {"source": SOURCE}))]
    found = ask_tables(session, MANIFEST, ["EUROPE"])
    check_law(BEFORE, found, [outcome()], extracts)
    check_ledger(session, ATTEMPT, found.published, [outcome()], extracts)


def test_a_law_that_holds_raises_nothing() -> None:
    ask({})


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("publish/count_rows", [(102, 5, 0, 3, 13, 7)], "SALES_FACT: rows 103 against 102"),
        ("publish/count_rows", [(103, 6, 0, 3, 13, 7)], "SALES_FACT of the run: rows 5 against 6"),
        (
            "publish/count_rows",
            [(103, 5, 5, 3, 13, 7)],
            "SALES_FACT of the run under another batch or publish: rows 0 against 5",
        ),
        ("publish/count_rows", [(103, 5, 0, 3, 12, 7)], "SALES_REJECTIONS: rows 13 against 12"),
        (
            "publish/count_rows",
            [(103, 5, 0, 2, 13, 7)],
            "SALES_FACT first inserted by the run: rows 3 against 2",
        ),
        ("publish/count_rows", [(103, 5, 0, 3, 13, 6)], "SALES_REJECTION_CLOSINGS of other runs: rows 7 against 6"),
        (
            "publish/count_closings",
            [("EUROPE", "unfounded", 1)],
            "rejected rows closed without a cause: rows 0 against 1",
        ),
        ("publish/count_closings", [("EUROPE", "overlooked", 2)], "rejected rows left open: rows 0 against 2"),
        ("publish/count_fact", HOLDS["publish/count_fact"][1:], "EUROPE inserted: rows 3 against 0"),
        ("publish/count_undo", [], "EUROPE undo of updated: rows 2 against 0"),
        (
            "publish/count_undo",
            [*HOLDS["publish/count_undo"], ("US_EAST", "updated", "USD", 1)],
            "SALES_FACT_UNDO: rows 2 against 3",
        ),
        ("publish/count_versions", HOLDS["publish/count_versions"][1:], "EUROPE superseded: rows 1 against 0"),
        ("publish/count_versions", HOLDS["publish/count_versions"][:2], "EUROPE updated: rows 2 against 0"),
        (
            "publish/count_versions",
            [*HOLDS["publish/count_versions"], ("EUROPE", "renamed", 2)],
            "EUROPE new under another form of their key: rows 0 against 2",
        ),
        (
            "publish/count_versions",
            [*HOLDS["publish/count_versions"], ("EUROPE", "first_run", 2)],
            "EUROPE inserted by another run than before: rows 0 against 2",
        ),
        ("publish/count_rejected", HOLDS["publish/count_rejected"][1:], "EUROPE rejected: rows 3 against 2"),
        (
            "publish/count_rejected",
            [("EUROPE", "quantity_not_positive", "EUR", 2), ("EUROPE", "cross_region_sale_id", "EUR", 1)],
            "EUROPE rejected for missing_total_amount: rows 1 against 0",
        ),
        ("publish/count_lost_rejected", [("EUROPE", "lost", 1)], "EUROPE rejected with other cells: rows 0 against 1"),
        ("publish/count_repeated_keys", [("", "repeated", 2)], "sale_ids that stand twice: rows 0 against 2"),
        ("publish/count_repeated_keys", [("", "uncopied", 1)], "sales that the fates did not know: rows 0 against 1"),
        ("ledger/published_entries", [], "the ledger: rows 1 against 0"),
        ("ledger/published_entries", HOLDS["ledger/published_entries"] * 2, "the ledger: rows 1 against 2"),
        (
            "ledger/published_entries",
            [("US_EAST", *HOLDS["ledger/published_entries"][0][1:])],
            "regions in the ledger: rows 1 against 0",
        ),
        (
            "ledger/published_entries",
            [("EUROPE", 14, 3, 1, 2, 3, 4, 1, json.dumps(SOURCE.to_json()))],
            "EUROPE inserted in the ledger: rows 3 against 2",
        ),
        (
            "ledger/published_entries",
            [("EUROPE", 14, 3, 1, 3, 2, 4, 1, json.dumps(Tally(13).to_json()))],
            "EUROPE money in the ledger: rows 14 against 13",
        ),
    ],
)
def test_a_side_that_differs_is_named_with_both_figures(name: str, answer: Any, message: str) -> None:
    with pytest.raises(PublishRefusedError, match=f"^the law does not hold for {message}$"):
        ask({name: answer})


def test_a_row_counts_for_each_rule_that_it_broke() -> None:
    counts = count_rules([("late bad", 2), ("bad", 3), ("late", 0)])
    assert dict(counts) == {"late": 2, "bad": 5}
