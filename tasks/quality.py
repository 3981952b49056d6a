"""Quality gate: runs the suites over the rows as read and the clean rows, and answers one verdict. Fails closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from prefect import get_run_logger, task

from expectations import suites
from expectations.gx import gx
from expectations.thresholds import Thresholds
from tasks.arrow_files import read_table, to_frame
from tasks.extract import Extracted
from tasks.stopwatch import Stopwatch
from tasks.transform import Transformed

BATCH = "batch"
"""The scope of a check over all regions together."""


@dataclass(frozen=True)
class Check:
    """One check's result. `scope` is a region code or BATCH; `message` says figure and threshold, never a value.

    `rows` were looked at and `bad` of them found, where the check looks at rows.
    """

    suite: str
    scope: str
    name: str
    column: str
    passed: bool
    message: str
    rows: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Verdict:
    """All checks of a batch. It passes when there are checks and all of them passed."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        return bool(self.checks) and not self.failed

    @property
    def message(self) -> str:
        """The failed checks in one line: `record count 45 is below threshold 100`."""
        if not self.checks:
            return "no check was made"
        return "; ".join(check.message for check in self.failed) or f"{len(self.checks)} checks passed"


def run_suite(suite: gx.ExpectationSuite, frame: pd.DataFrame, scope: str, context: Any) -> list[Check]:
    """One Check per expectation. An empty suite, an empty frame and a check that raised are failures."""
    if not suite.expectations:
        return [Check(suite.name, scope, "suite", "", False, f"suite {suite.name} has no expectations")]
    if frame.empty:
        return [Check(suite.name, scope, "frame", "", False, f"{scope}: no rows for suite {suite.name}")]
    # COUNTS without examples: raw values, personal data perhaps, must not enter results.
    outcome = _batch_of(frame, context).validate(
        suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0}
    )
    checks = [_check(suite.name, scope, result) for result in outcome.results]
    if len(checks) != len(suite.expectations):
        missing = f"{scope}: {len(suite.expectations) - len(checks)} expectations of {suite.name} gave no result"
        checks.append(Check(suite.name, scope, "suite", "", False, missing))
    return checks


def _batch_of(frame: pd.DataFrame, context: Any) -> Any:
    source = context.data_sources.add_or_update_pandas("memory")
    definition = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("whole")
    return definition.get_batch(batch_parameters={"dataframe": frame})


def _check(suite: str, scope: str, result: Any) -> Check:
    config = result.expectation_config
    column, figures = config.kwargs.get("column", ""), result.result
    rows, bad = (int(figures.get(name) or 0) for name in ("element_count", "unexpected_count"))
    return Check(suite, scope, config.type, column, bool(result.success), _message(scope, column, result), rows, bad)


def _message(scope: str, column: str, result: Any) -> str:
    config, figures = result.expectation_config, result.result
    if _raised(result):
        return f"{scope}: {config.type} on {column or 'the frame'} raised an error and counts as failed"
    if config.type == "expect_table_row_count_to_be_between":
        relation = "is at least" if result.success else "is below"
        return f"record count {figures['observed_value']} {relation} threshold {config.kwargs['min_value']}"
    rows, bad = figures["element_count"], figures["unexpected_count"]
    if config.type == "expect_column_values_to_not_be_null":
        return _null_message(scope, column, bad, rows, (config.meta or {}).get("threshold", "0 %"))
    return f"{scope}: {config.type} on {column} is broken by {_share(bad, rows)}, threshold 0 %"


def _null_message(scope: str, column: str, bad: int, rows: int, threshold: str) -> str:
    return f"{scope}: NULL share of {column} is {_share(bad, rows)}, threshold {threshold}"


def _share(bad: int, rows: int) -> str:
    return f"{Decimal(100 * bad) / rows:.2f} % ({bad} of {rows} rows)"


def _raised(result: Any) -> bool:
    info = result.exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception") for part in info.values()
    )


def null_shares_of_batch(of_regions: Sequence[Check], thresholds: Thresholds) -> list[Check]:
    """The NULL share of each column over all regions, by the counts of the regions' own checks."""
    checks = []
    for column in dict.fromkeys(check.column for check in of_regions if check.rows):
        counted = [check for check in of_regions if check.column == column]
        rows, bad = sum(check.rows for check in counted), sum(check.bad for check in counted)
        limit = thresholds.max_null_percentage
        message = _null_message(BATCH, column, bad, rows, f"{limit} %")
        passed = bad <= suites.most_below(limit, rows)
        checks.append(Check(counted[0].suite, BATCH, counted[0].name, column, passed, message, rows, bad))
    return checks


def rejected_share(scope: str, rejected: int, extracted: int, thresholds: Thresholds) -> Check:
    """Fails when more than `max_rejected_percentage` of the extracted rows are rejected."""
    limit = thresholds.max_rejected_percentage
    share = Decimal(100 * rejected) / extracted if extracted else Decimal(0)
    relation = "is above" if share > limit else "is within"
    message = f"{scope}: rejected {rejected} of {extracted} rows ({share:.2f} %) {relation} threshold {limit} %"
    return Check("rejected-share", scope, "rejected_share", "", share <= limit, message)


def judge(
    extracts: Sequence[Extracted], regions: Sequence[Transformed], thresholds: Thresholds, with_floor: bool
) -> Verdict:
    """Runs both suites for each region, and judges the batch by their counts.

    `with_floor`: the batch needs `min_record_count` rows.

    Without any region, all of them are closed or missing: the plan has judged that already.
    """
    if not extracts:
        return Verdict((Check("plan", BATCH, "closed_day", "", True, "closed day, no rows to judge"),), 0.0)
    watch = Stopwatch()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    checks: list[Check] = []
    for extract in extracts:
        frame = suites.input_frame(to_frame(read_table(extract.path)))
        checks += run_suite(suites.input_suite(len(frame), thresholds), frame, extract.region, context)
    checks += null_shares_of_batch(checks, thresholds)
    snapshots = {e.region: e.snapshot_at for e in extracts}
    clean = {r.region: read_table(r.clean_path) for r in regions}
    for region, table in clean.items():
        suite = suites.output_suite(region, snapshots[region])
        checks += run_suite(suite, suites.output_frame(to_frame(table)), region, context)
    if with_floor:
        checks += _floor(sum(table.num_rows for table in clean.values()), thresholds, context)
    read = {e.region: e.read.rows for e in extracts}
    checks += [rejected_share(r.region, r.rejected.rows, read[r.region], thresholds) for r in regions]
    checks.append(rejected_share(BATCH, sum(r.rejected.rows for r in regions), sum(read.values()), thresholds))
    return Verdict(tuple(checks), watch.seconds())


def _floor(rows: int, thresholds: Thresholds, context: Any) -> list[Check]:
    if rows == 0:
        return [too_few_rows(0, thresholds.min_record_count)]
    batch = pd.DataFrame({"row": np.arange(rows)})
    return run_suite(suites.batch_suite(thresholds.min_record_count), batch, BATCH, context)


def too_few_rows(rows: int, min_record_count: int) -> Check:
    """The failed check of a batch without enough rows, in the words that users know."""
    message = f"record count {rows} is below threshold {min_record_count}"
    return Check("clean-batch", BATCH, "expect_table_row_count_to_be_between", "", False, message)


@task(name="quality-gate")
def check_quality(
    extracts: Sequence[Extracted], regions: Sequence[Transformed], thresholds: Thresholds, with_floor: bool
) -> Verdict:
    """Judges the batch; the verdict is an answer, not an error."""
    verdict = judge(extracts, regions, thresholds, with_floor)
    logger = get_run_logger()
    for check in verdict.failed:
        logger.error("step=quality-gate %s", check.message)
    logger.info(
        "step=quality-gate checks=%d failed=%d seconds=%.1f", len(verdict.checks), len(verdict.failed), verdict.seconds
    )
    return verdict
