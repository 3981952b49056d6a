"""The gate fails closed, and its messages name figure and threshold, never a value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
import pyarrow as pa
import pytest

from expectations import suites
from expectations.tables import CLEAN_SCHEMA
from expectations.thresholds import Thresholds
from tasks import quality
from tasks.extract import Extracted
from tasks.files.arrow import open_writer
from tasks.quality import BATCH, QualityCheck, Verdict, judge, rejected_share, run_suite, too_few_rows
from tasks.transform import Transformed, transform_region
from tests.unit.sales import Row, extract_of, extracted_table, sale, sales, transformed


@pytest.fixture(scope="module")
def context() -> Any:
    ephemeral = gx.get_context(mode="ephemeral")
    ephemeral.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return ephemeral


@pytest.fixture
def _short_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites of two columns: whole ones take long, and test_suites.py tests each expectation."""

    def shortened(make: Callable[..., gx.ExpectationSuite]) -> Callable[..., gx.ExpectationSuite]:
        def short(*given: Any) -> gx.ExpectationSuite:
            suite = make(*given)
            kept: list[Any] = [e for e in suite.expectations if getattr(e, "column", "") in ("quantity", "store_id")]
            return gx.ExpectationSuite(suite.name, expectations=kept)

        return short

    for name in ("input_suite", "output_suite"):
        monkeypatch.setattr(suites, name, shortened(getattr(suites, name)))


def region(directory: Path, *rows: Row, code: str = "EUROPE") -> tuple[Extracted, Transformed]:
    extract = extract_of(extracted_table(*rows), directory, code)
    return extract, transform_region(extract, directory)


def failed_messages(verdict: Verdict) -> list[str]:
    return [check.message for check in verdict.failed]


FRAME = pd.DataFrame({"sale_id": ["a", "b"], "secret": ["somebody@example.com", "somebody@example.com"]})


@pytest.mark.parametrize(
    ("expectations", "frame", "message"),
    [
        pytest.param([], FRAME, "suite s has no expectations", id="empty-suite"),
        pytest.param(
            [gxe.ExpectColumnValuesToBeUnique(column="sale_id")], FRAME[:0], "EUROPE: no rows for suite s", id="rows"
        ),
        pytest.param(
            [gxe.ExpectColumnValuesToBeUnique(column="absent")],
            FRAME,
            "EUROPE: expect_column_values_to_be_unique on absent raised an error and counts as failed",
            id="missing-column",
        ),
        pytest.param(
            [gxe.ExpectColumnValuesToBeBetween(column="secret", min_value=0)],
            FRAME,
            "EUROPE: expect_column_values_to_be_between on secret raised an error and counts as failed",
            id="a-check-that-raises",
        ),
        pytest.param(
            [gxe.ExpectColumnValuesToBeUnique(column="secret")],
            FRAME,
            "EUROPE: expect_column_values_to_be_unique on secret is broken by 100.00 % (2 of 2 rows), threshold 0 %",
            id="broken",
        ),
    ],
)
def test_a_suite_fails_closed(expectations: list[Any], frame: pd.DataFrame, message: str, context: Any) -> None:
    checks = run_suite(gx.ExpectationSuite("s", expectations=expectations), [frame], "EUROPE", context)
    assert [(check.passed, check.message) for check in checks] == [(False, message)]
    assert "somebody" not in repr(checks)


def test_a_check_that_raises_does_not_hide_the_others(context: Any) -> None:
    suite = gx.ExpectationSuite(
        "s",
        expectations=[
            gxe.ExpectColumnValuesToBeUnique(column="absent"),
            gxe.ExpectColumnValuesToBeUnique(column="secret"),
            gxe.ExpectColumnValuesToBeUnique(column="sale_id"),
        ],
    )
    checks = run_suite(suite, [FRAME], "EUROPE", context)
    assert {check.column: check.passed for check in checks} == {"absent": False, "secret": False, "sale_id": True}


@pytest.mark.parametrize(
    ("bad", "passed"),
    [
        pytest.param([0, 0], True, id="none"),
        pytest.param([2, 0], True, id="many-in-one-frame-and-few-in-all"),
        pytest.param([1, 1], True, id="at-the-limit"),
        pytest.param([0, 3], False, id="above-it"),
    ],
)
def test_counts_are_summed_over_frames_and_judged_once(bad: list[int], passed: bool, context: Any) -> None:
    suite = gx.ExpectationSuite("s", expectations=[gxe.ExpectColumnValuesToNotBeNull(column="n", mostly=0.8)])
    frames = [pd.DataFrame({"n": [None] * nulls + [1.0] * (5 - nulls)}) for nulls in bad]
    (check,) = run_suite(suite, [*frames, frames[0][:0]], "EUROPE", context)
    assert (check.passed, check.rows, check.bad) == (passed, 10, sum(bad))
    assert f"({sum(bad)} of 10 rows)" in check.message


def test_a_check_that_raises_on_one_frame_fails_for_all(context: Any) -> None:
    suite = gx.ExpectationSuite("s", expectations=[gxe.ExpectColumnValuesToBeUnique(column="n")])
    frames = [pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"other": [1, 2]}), pd.DataFrame({"n": [3, 4]})]
    (check,) = run_suite(suite, frames, "EUROPE", context)
    assert not check.passed
    assert check.message.endswith("raised an error and counts as failed")


def test_a_check_without_a_result_fails(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = gx.ExpectationSuite("s", expectations=[gxe.ExpectColumnValuesToBeUnique(column="sale_id")])
    monkeypatch.setattr(quality, "_results", lambda *arguments: {})
    (check,) = run_suite(suite, [FRAME], "EUROPE", context)
    assert not check.passed
    assert check.message == "EUROPE: expect_column_values_to_be_unique on sale_id gave no result and counts as failed"


def test_rows_are_counted_over_frames(context: Any) -> None:
    (check,) = run_suite(suites.batch_suite(4), [FRAME, FRAME], BATCH, context)
    assert (check.passed, check.message) == (True, "record count 4 is at least threshold 4")


def test_a_region_is_judged_whole_however_many_frames_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches, a frame each; the second and third hold a NULL, and keys are judged across frames."""
    rows = [*sales(20), *sales(19), sale(sale_id="20", store_id=None), *sales(18), sale(store_id=None)]
    table = pa.concat_tables([extracted_table(*part) for part in (rows[:20], rows[20:40], rows[40:])])
    monkeypatch.setattr(quality, "FRAME_BYTES", 1)
    monkeypatch.setattr(quality, "KEY_FRAME_ROWS", 7)
    extract = extract_of(table, tmp_path)
    verdict = judge([extract], [transform_region(extract, tmp_path)], Thresholds(), with_floor=False)
    by_name = {(c.suite, c.scope, c.name, c.column): c for c in verdict.checks}
    nulls = by_name["rows-as-read", "EUROPE", "expect_column_values_to_not_be_null", "store_id"]
    assert (nulls.passed, nulls.rows, nulls.bad) == (True, 59, 2)
    keys = by_name["clean-keys", "EUROPE", "expect_column_values_to_be_unique", "sale_id"]
    assert (keys.passed, keys.rows) == (True, 20)

    twice = transform_region(extract, tmp_path)
    with open_writer(twice.clean_file, CLEAN_SCHEMA) as writer:
        for keys_of_batch in (("1", "2", "3"), ("4",), ("5", "2")):
            writer.write_table(transformed(extracted_table(*(sale(sale_id=key) for key in keys_of_batch))).clean)
    assert failed_messages(judge([extract], [twice], Thresholds(), with_floor=False)) == [
        "EUROPE: expect_column_values_to_be_unique on sale_id is broken by 33.33 % (2 of 6 rows), threshold 0 %"
    ]


def test_a_verdict_without_checks_does_not_pass() -> None:
    assert not Verdict((), 0.0).passed
    assert Verdict((), 0.0).message == "no check was made"


def test_a_verdict_names_every_failed_check_in_one_line() -> None:
    good = QualityCheck("s", "EUROPE", "n", "c", True, "fine")
    bad = [QualityCheck("s", "EUROPE", "n", "c", False, message) for message in ("one", "two")]
    assert Verdict((good, *bad), 0.0).message == "one; two"
    assert not Verdict((good, *bad), 0.0).passed
    assert Verdict((good,), 0.0).message == "1 checks passed"


def test_good_rows_pass_without_a_floor(tmp_path: Path) -> None:
    extract, of_region = region(tmp_path, *sales(3), sale(sale_id="3"))
    verdict = judge([extract], [of_region], Thresholds(), with_floor=False)
    assert failed_messages(verdict) == []
    assert verdict.passed
    assert {check.scope for check in verdict.checks} == {"EUROPE", BATCH}
    assert {check.suite for check in verdict.checks} == {"rows-as-read", "clean-rows", "clean-keys", "rejected-share"}


@pytest.mark.usefixtures("_short_suites")
def test_regions_are_judged_each_and_together(tmp_path: Path) -> None:
    """45 clean rows; the west's one NULL of 20 rows reaches 5 %, though it is far below it in the batch."""
    east = region(tmp_path, *sales(26, region="us-east"), code="US_EAST")
    west = region(tmp_path, *sales(19, region="us-west"), sale(region="us-west", store_id=None), code="US_WEST")
    verdict = judge([east[0], west[0]], [east[1], west[1]], Thresholds(), with_floor=True)
    assert verdict.message == (
        "US_WEST: NULL share of store_id is 5.00 % (1 of 20 rows), threshold 5.0 %; "
        "record count 45 is below threshold 100"
    )


@pytest.mark.usefixtures("_short_suites")
def test_a_region_of_bad_rows_only_fails_and_shows_no_value(tmp_path: Path) -> None:
    marks = {"sale_id": "K-Marker", "customer_id": "C-Marker", "region": "R-Marker", "customer_email_token": "T-Marker"}
    extract, of_region = region(tmp_path, sale(**marks, quantity=None))
    verdict = judge([extract], [of_region], Thresholds(), with_floor=True)
    assert failed_messages(verdict) == [
        "EUROPE: NULL share of quantity is 100.00 % (1 of 1 rows), threshold 5.0 %",
        "batch: NULL share of quantity is 100.00 % (1 of 1 rows), threshold 5.0 %",
        "EUROPE: no rows for suite clean-rows",
        "EUROPE: no rows for suite clean-keys",
        "record count 0 is below threshold 100",
        "EUROPE: rejected 1 of 1 rows (100.00 %) is above threshold 5.0 %",
        "batch: rejected 1 of 1 rows (100.00 %) is above threshold 5.0 %",
    ]
    assert "Marker" not in repr(verdict)


def test_a_bad_row_of_a_closed_region_is_judged_by_itself(tmp_path: Path) -> None:
    """Beside it, an open region with a row too many without a quantity keeps its limits, also in the batch."""
    extract, of_region = region(tmp_path, sale(quantity=0, store_id=None))
    verdict = judge([extract], [of_region], Thresholds(), with_floor=False, closed={"EUROPE"})
    assert (verdict.passed, [check.message for check in verdict.checks]) == (
        True,
        ["closed day, no clean rows to judge"],
    )
    assert not judge([extract], [of_region], Thresholds(), with_floor=True, closed={"EUROPE"}).passed
    assert not judge([extract], [of_region], Thresholds(), with_floor=False, closed={"US_WEST"}).passed


@pytest.mark.usefixtures("_short_suites")
def test_the_limits_of_an_open_region_count_no_row_of_a_closed_one(tmp_path: Path) -> None:
    west = region(tmp_path, *sales(19, region="us-west"), sale(region="us-west", quantity=0), code="US_WEST")
    europe = region(tmp_path, sale(sale_id="1"), sale(sale_id="2", quantity=0, store_id=None))
    extracts, regions = [west[0], europe[0]], [west[1], europe[1]]
    verdict = judge(extracts, regions, Thresholds(), with_floor=False, closed={"EUROPE"})
    assert verdict.passed, verdict.message
    assert {check.suite for check in verdict.checks if check.scope == "EUROPE"} == {"clean-rows", "clean-keys"}
    (of_batch,) = [c for c in verdict.checks if (c.suite, c.scope) == ("rejected-share", BATCH)]
    assert of_batch.message == "batch: rejected 1 of 20 rows (5.00 %) is within threshold 5.0 %"
    assert failed_messages(judge(extracts, regions, Thresholds(), with_floor=False)) != []


def test_without_any_region_the_plan_has_judged_already() -> None:
    verdict = judge([], [], Thresholds(), with_floor=False)
    assert verdict.passed
    assert verdict.message == "1 checks passed"


@pytest.mark.parametrize(
    ("rejected", "extracted", "passed", "share"),
    [
        pytest.param(0, 100, True, "0.00", id="none"),
        pytest.param(5, 100, True, "5.00", id="exactly-the-threshold-passes"),
        pytest.param(50_001, 1_000_000, False, "5.00", id="just-above-though-it-rounds-to-it"),
        pytest.param(6, 100, False, "6.00", id="above"),
        pytest.param(1, 1, False, "100.00", id="all"),
        pytest.param(0, 0, True, "0.00", id="no-rows"),
    ],
)
def test_the_share_of_rejected_rows(rejected: int, extracted: int, passed: bool, share: str) -> None:
    check = rejected_share("EUROPE", rejected, extracted, Thresholds())
    relation = "within" if passed else "above"
    assert check.passed is passed
    assert check.message == f"EUROPE: rejected {rejected} of {extracted} rows ({share} %) is {relation} threshold 5.0 %"


def test_too_few_rows_is_a_failed_check() -> None:
    assert too_few_rows(45, 100).message == "record count 45 is below threshold 100"
    assert not too_few_rows(45, 100).passed
