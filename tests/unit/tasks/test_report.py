"""The report: one record of a run that adds up, in JSON, in tables and on a page."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tasks.lines import markdown_table
from tasks.quality import QualityCheck, Verdict
from tasks.report import (
    Findings,
    extraction_table,
    markdown_report,
    money_table,
    quality_table,
    reconciliation_table,
    rejected_table,
    summarize,
)
from tasks.tally import MALFORMED, tally_of_table
from tasks.transform import BrokenRule
from tests.unit import findings as made
from tests.unit.sales import SNAPSHOT, extracted_table, sale

WAYS_TO_END = [
    made.completed,
    made.partially_loaded,
    made.overtaken,
    made.quality_failed,
    made.refused_before_commit,
    made.too_few_answered,
    made.closed_day,
]
every_end = pytest.mark.parametrize("ended", WAYS_TO_END, ids=lambda ended: ended.__name__)


@every_end
def test_a_report_is_plain_json_and_one_page(ended: Callable[[], Findings]) -> None:
    report = summarize(ended())
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [region["region"] for region in document["regions"]] == list(ended().batch.regions)
    assert markdown_report(report).startswith("# Daily sales 2024-01-15\n\nBatch `20240115`, run 42")


@pytest.mark.parametrize(
    ("ended", "statuses"),
    [
        pytest.param(made.completed, {"US_EAST": "PUBLISHED", "EUROPE": "PUBLISHED"}, id="completed"),
        pytest.param(made.partially_loaded, {"US_EAST": "PUBLISHED", "EUROPE": "MISSING"}, id="partially-loaded"),
        pytest.param(made.overtaken, {"EUROPE": "OVERTAKEN"}, id="overtaken"),
        pytest.param(made.quality_failed, {"EUROPE": "NOT PUBLISHED"}, id="quality-failed"),
        pytest.param(made.refused_before_commit, {"EUROPE": "NOT PUBLISHED"}, id="refused-before-commit"),
        pytest.param(made.closed_day, {"EUROPE": "EMPTY"}, id="closed-day"),
    ],
)
def test_a_region_has_the_status_that_the_ledger_has(ended: Callable[[], Findings], statuses: dict[str, str]) -> None:
    assert {region.region: region.status for region in summarize(ended()).regions} == statuses


def test_figures_come_from_the_steps() -> None:
    report = summarize(made.completed())
    europe = report.regions[1]
    assert (europe.extracted, europe.clean, europe.rejected, europe.duplicates, europe.inserted) == (100, 80, 12, 8, 80)
    assert europe.rejected_by_rule == {"quantity_not_positive": 12}
    assert europe.seconds == {"extract": 0.8, "transform": 0.4, "stage": 0.3}
    assert report.seconds == {"quality-gate": 1.5, "load": 0.5, "publish": 0.6, "verify": 0.2}
    assert (report.verified, report.checks_made, report.checks_failed) == (True, 1, ())


def test_a_missing_region_has_its_cause_and_what_it_answered() -> None:
    (region,) = summarize(made.too_few_answered()).regions
    assert (region.status, region.extracted) == ("MISSING", 0)
    assert region.cause == "answered with 0 rows, min_region_record_count is 1"


def test_every_row_of_a_region_is_counted_once() -> None:
    """A row whose key belongs to another region was clean at first and counts as rejected in the end."""
    found = replace(
        made.findings([made.extracted("EUROPE", 100)]),
        transformed=[made.transformed("EUROPE", 90, rejected=6, duplicates=4)],
        verdict=made.PASSED,
        publication=made.publication(made.published("EUROPE", 88, cross_region=2)),
        verification=made.VERIFIED,
    )
    (region,) = summarize(found).regions
    assert region.rejected == 8
    assert region.rejected_by_rule == {"quantity_not_positive": 6, "cross_region_sale_id": 2}
    assert region.clean + region.rejected + region.duplicates == region.extracted
    assert region.inserted + region.updated + region.unchanged + region.superseded == region.clean


def test_checks_that_failed_are_named_whoever_found_them() -> None:
    assert summarize(made.quality_failed()).checks_failed == ("record count 45 is below threshold 100",)
    assert summarize(made.refused_before_commit()).checks_failed == ("EUROPE: rejected 60 of 100 rows",)


def test_money_is_text_per_currency() -> None:
    document = summarize(made.completed()).to_json()
    assert document["regions"][0]["money"] == {"EUR": {"total_amount": "2200.00"}}
    assert money_table(summarize(made.completed()))[0] == {
        "region": "US_EAST",
        "currency": "EUR",
        "total_amount": Decimal("2200.00"),
    }
    assert "| 2,200.00 |" in markdown_report(summarize(made.completed()))
    assert not any(isinstance(value, float | Decimal) for value in document["regions"][0]["money"]["EUR"].values())


def test_a_currency_that_holds_something_else_is_on_no_page() -> None:
    rows = extracted_table(sale(currency="a@b.com"), sale(currency="Ann Lee"), sale())
    of_region = replace(made.extracted("EUROPE", 3), source=tally_of_table(rows))
    report = summarize(made.findings([of_region]))
    assert [row["currency"] for row in money_table(report)] == [MALFORMED, "EUR"]
    shown = json.dumps([of_region.source.to_json(), report.to_json()]) + markdown_report(report)
    assert "a@b.com" not in shown
    assert "Ann Lee" not in shown


def test_the_page_names_rule_count_and_ten_keys() -> None:
    page = markdown_report(summarize(made.completed()))
    assert f"| EUROPE | quantity_not_positive | 12 | {', '.join(made.KEYS)} |" in page
    assert len(made.KEYS) == 10


def test_the_page_says_what_was_left_out_and_what_failed() -> None:
    assert "EUROPE left out: connection refused" in markdown_report(summarize(made.partially_loaded()))
    assert "- record count 45 is below threshold 100" in markdown_report(summarize(made.quality_failed()))
    assert "verified in the fact table" in markdown_report(summarize(made.completed()))
    assert "NOT published" in markdown_report(summarize(made.quality_failed()))


@pytest.mark.parametrize("key", ["a|b", "two\nlines", "a\r\nb", "<b>x</b>"], ids=repr)
def test_a_key_cannot_break_the_pages_table(key: str) -> None:
    broken = (BrokenRule("quantity_not_positive", 1, (key,)),)
    found = made.quality_failed()
    region = found.transformed[0]
    changed = replace(found, transformed=[type(region)(**{**vars(region), "broken": broken})])
    page = markdown_report(summarize(changed))
    (row,) = [line for line in page.splitlines() if "quantity_not_positive" in line]
    assert row.endswith(" |")
    assert row.replace("\\|", "").count("|") == 5


def test_tables_have_a_head_and_a_line_per_row() -> None:
    assert markdown_table([{"a": 1, "b": "x|y"}]) == "| a | b |\n| ---: | --- |\n| 1 | x\\|y |"
    assert markdown_table([]) == "None."


def test_every_table_of_the_artifacts_has_a_row_per_region_rule_or_check() -> None:
    found = made.completed()
    report = summarize(found)
    assert extraction_table(found.plan.answered)[0] == {
        "region": "US_EAST",
        "rows": 100,
        "snapshot (UTC)": SNAPSHOT.isoformat(),
        "seconds": 0.8,
        "new columns": "tier (text)",
        "lacking columns": "",
    }
    assert [row["inserted"] for row in reconciliation_table(report)] == [100, 80]
    assert [(row["region"], row["rows"]) for row in rejected_table(report)] == [("EUROPE", 12)]
    assert [row["passed"] for row in quality_table(made.REFUSED)] == ["NO", "yes"]
    assert quality_table(None) == []


def test_what_failed_stands_first_and_then_what_is_closest_to_its_limit() -> None:
    def check(name: str, passed: bool, used: float) -> QualityCheck:
        return QualityCheck("suite", "EUROPE", name, "", passed, name, used=used)

    checks = (check("far", True, 0.1), check("near", True, 0.98), check("broken", False, 0.0), check("none", True, 0.0))
    order = [row["check"] for row in quality_table(Verdict(checks, 0.0))]
    assert order == ["broken", "near", "far", "none"]
    assert [row["% of limit"] for row in quality_table(Verdict(checks, 0.0))] == [0, 98, 10, 0]
