"""Quality gate: runs the suites over the rows as read and the clean rows, and answers one verdict. Fails closed."""

import importlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from prefect import get_run_logger, task

from expectations.thresholds import Thresholds
from tasks.arrow_files import read_table, to_frame
from tasks.extract import Extracted
from tasks.stopwatch import Stopwatch
from tasks.transform import Transformed

if TYPE_CHECKING:
    import great_expectations as gx

BATCH = "batch"
"""The scope of a check over all regions together."""


@dataclass(frozen=True)
class Check:
    """One check's result. `scope` is a region code or BATCH; `message` says figure and threshold, never a value."""

    suite: str
    scope: str
    name: str
    column: str
    passed: bool
    message: str


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


def load_suites_early() -> None:
    """Imports Great Expectations in a thread: it takes seconds, which pass while the databases answer."""
    threading.Thread(target=importlib.import_module, args=("expectations.suites",), daemon=True).start()


def run_suite(suite: "gx.ExpectationSuite", frame: pd.DataFrame, scope: str, context: Any) -> list[Check]:
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
    column = config.kwargs.get("column", "")
    return Check(suite, scope, config.type, column, bool(result.success), _message(scope, column, result))


def _message(scope: str, column: str, result: Any) -> str:
    config, figures = result.expectation_config, result.result
    if _raised(result):
        return f"{scope}: {config.type} on {column or 'the frame'} raised an error and counts as failed"
    if config.type == "expect_table_row_count_to_be_between":
        relation = "is at least" if result.success else "is below"
        return f"record count {figures['observed_value']} {relation} threshold {config.kwargs['min_value']}"
    rows, bad = figures["element_count"], figures["unexpected_count"]
    share = f"{Decimal(100 * bad) / rows:.2f} % ({bad} of {rows} rows)"
    if config.type == "expect_column_values_to_not_be_null":
        threshold = (config.meta or {}).get("threshold", "0 %")
        return f"{scope}: NULL share of {column} is {share}, threshold {threshold}"
    return f"{scope}: {config.type} on {column} is broken by {share}, threshold 0 %"


def _raised(result: Any) -> bool:
    info = result.exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception") for part in info.values()
    )


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
    """Runs both suites for each region and for the batch. `with_floor`: the batch needs `min_record_count` rows.

    Without any region, all of them are closed or missing: the plan has judged that already.
    """
    if not extracts:
        return Verdict((Check("plan", BATCH, "closed_day", "", True, "closed day, no rows to judge"),), 0.0)
    import great_expectations as gx

    from expectations import suites

    watch = Stopwatch()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    checks: list[Check] = []
    as_read = {e.region: suites.input_frame(to_frame(read_table(e.path))) for e in extracts}
    for region, frame in _and_all(as_read):
        checks += run_suite(suites.input_suite(len(frame), thresholds), frame, region, context)
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


def _and_all(frames: dict[str, pd.DataFrame]) -> Iterable[tuple[str, pd.DataFrame]]:
    yield from frames.items()
    yield BATCH, pd.concat(frames.values(), ignore_index=True)


def _floor(rows: int, thresholds: Thresholds, context: Any) -> list[Check]:
    from expectations import suites

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
