"""Quality gate: runs the suites over the rows as read and the clean rows, and returns one verdict. Fails closed."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from prefect import get_run_logger, task

from expectations import suites
from expectations.gx import configurations_kept, gx
from expectations.thresholds import Thresholds
from tasks.extract import Extracted
from tasks.files.arrow import in_tables, read_batches, to_frame
from tasks.files.keys import key_codes, key_hashes
from tasks.retries import ONCE
from tasks.stopwatch import Stopwatch
from tasks.transform import Transformed

BATCH = "batch"
"""The scope of a check over all regions together."""

FRAME_BYTES = 128 * 2**20
"""The Arrow memory with which a frame is complete and is judged; bounds the memory of the gate."""

KEY_FRAME_ROWS = 1_000_000

ROW_COUNT = "expect_table_row_count_to_be_between"


@dataclass(frozen=True)
class QualityCheck:
    """One check's result. `scope` is a region code or BATCH; `message` says figure and threshold, never a value.

    `rows` were checked, or counted, and `bad` of them failed. `used` is the share of its limit that the figure
    takes: 1.0 is at the limit. `kwargs` are those of the expectation, if it is one of Great Expectations, and
    `description` says what it expects where that says more.
    """

    suite: str
    scope: str
    name: str
    column: str
    passed: bool
    message: str
    rows: int = 0
    bad: int = 0
    used: float = field(default=0.0, compare=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, compare=False)
    description: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Verdict:
    """All checks of a batch. It passes when there are checks and all of them passed."""

    checks: tuple[QualityCheck, ...]
    seconds: float

    @property
    def failed(self) -> tuple[QualityCheck, ...]:
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


def run_suite(suite: gx.ExpectationSuite, frames: Iterable[Any], scope: str, context: Any) -> list[QualityCheck]:
    """One QualityCheck per expectation: its counts are summed over the frames and judged once.

    A suite without expectations, no rows at all, a check that raised and one without a result count as failed.
    """
    if not suite.expectations:
        return [QualityCheck(suite.name, scope, "suite", "", False, f"suite {suite.name} has no expectations")]
    results = list(map(partial(_results, suite, context), filter(_has_rows, frames)))  # no name keeps a frame alive
    if not results:
        return [QualityCheck(suite.name, scope, "frame", "", False, f"{scope}: no rows for suite {suite.name}")]
    configs = [expectation.configuration for expectation in suite.expectations]
    judged = (_check(suite.name, scope, config, [found.get(_id(config)) for found in results]) for config in configs)
    return [
        replace(check, kwargs=config.kwargs, description=config.description)
        for check, config in zip(judged, configs, strict=True)
    ]


def _has_rows(frame: Any) -> bool:
    """Whether a frame has rows. An engine's frame has: no rows would be no file, and so no frame."""
    return len(frame) > 0 if isinstance(frame, pd.DataFrame) else True


def _results(suite: gx.ExpectationSuite, context: Any, frame: Any) -> dict[tuple[str, str], Any]:
    """Great Expectations' result of each expectation by `_id`."""
    source = "memory" if isinstance(frame, pd.DataFrame) else "engine"
    batch = _batch_definition(context, source).get_batch(batch_parameters={"dataframe": frame})
    # Counts without examples: results must not hold raw values, which may be personal data.
    with configurations_kept():
        outcome = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
    return {_id(result.expectation_config): result for result in outcome.results}


def _batch_definition(context: Any, name: str) -> Any:
    """The context's one batch definition of a source: making another for each frame takes longer than some suites."""
    if name not in context.data_sources.all():
        sources = context.data_sources
        # Kept frames would take the engine's memory, and not every engine keeps them.
        source = sources.add_pandas(name) if name == "memory" else sources.add_spark(name, persist=False)
        source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("whole")
    return context.data_sources.get(name).get_asset("rows").get_batch_definition("whole")


def _id(config: Any) -> tuple[str, str]:
    return config.type, config.kwargs.get("column", "")


def _check(suite: str, scope: str, config: Any, results: Sequence[Any]) -> QualityCheck:
    """Judges one expectation by its results over all frames."""
    name, column = _id(config)
    for failure, has_failed in (("gave no result", _is_missing), ("raised an error", _raised)):
        if any(map(has_failed, results)):
            message = f"{scope}: {name} on {column or 'the frame'} {failure} and counts as failed"
            return QualityCheck(suite, scope, name, column, False, message)
    if name == ROW_COUNT:
        rows = sum(result.result["observed_value"] for result in results)
        passed, least = rows >= config.kwargs["min_value"], config.kwargs["min_value"]
        relation = "is at least" if passed else "is below"
        message = f"record count {rows} {relation} threshold {least}"
        return QualityCheck(suite, scope, name, column, passed, message, rows, used=_used(least, rows))
    rows, bad = (sum(result.result[count] for result in results) for count in ("element_count", "unexpected_count"))
    mostly = config.kwargs.get("mostly", 1)
    passed, used = (rows - bad) / rows >= mostly, _used(bad / rows, 1 - mostly)
    return QualityCheck(suite, scope, name, column, passed, _message(scope, config, rows, bad), rows, bad, used)


def _message(scope: str, config: Any, rows: int, bad: int) -> str:
    name, column = _id(config)
    if name == "expect_column_values_to_not_be_null":
        return _null_message(scope, column, bad, rows, (config.meta or {}).get("threshold", "0 %"))
    return f"{scope}: {name} on {column} is broken by {_share(bad, rows)}, threshold 0 %"


def _null_message(scope: str, column: str, bad: int, rows: int, threshold: str) -> str:
    return f"{scope}: NULL share of {column} is {_share(bad, rows)}, threshold {threshold}"


def _share(bad: int, rows: int) -> str:
    return f"{Decimal(100 * bad) / rows:.2f} % ({bad} of {rows} rows)"


def _used(figure: float, limit: float) -> float:
    """The share of its limit that a figure takes; 0 for a limit of 0."""
    return figure / limit if limit else 0.0


def _is_missing(result: Any) -> bool:
    return result is None


def _raised(result: Any) -> bool:
    info = result.exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception") for part in info.values()
    )


def null_shares_of_batch(of_regions: Sequence[QualityCheck], thresholds: Thresholds) -> list[QualityCheck]:
    """The NULL share of each column over all regions, by the counts of the regions' own checks."""
    checks = []
    for column in dict.fromkeys(check.column for check in of_regions if check.rows):
        counted = [check for check in of_regions if check.column == column]
        rows, bad = sum(check.rows for check in counted), sum(check.bad for check in counted)
        limit = thresholds.max_null_percentage
        message = _null_message(BATCH, column, bad, rows, f"{limit} %")
        passed = bad <= suites.most_below(limit, rows)
        used = _used(100 * bad / rows, float(limit))
        kwargs = {"column": column, "mostly": suites.smallest_share_above(limit, rows)}
        name = (counted[0].suite, BATCH, counted[0].name, column)
        described = suites.fewer_nulls(thresholds)
        checks.append(QualityCheck(*name, passed, message, rows, bad, used, kwargs, described))
    return checks


def rejected_share(scope: str, rejected: int, extracted: int, thresholds: Thresholds) -> QualityCheck:
    """Fails when more than `max_rejected_percentage` of the extracted rows are rejected."""
    limit = thresholds.max_rejected_percentage
    share = Decimal(100 * rejected) / extracted if extracted else Decimal(0)
    relation = "is above" if share > limit else "is within"
    message = f"{scope}: rejected {rejected} of {extracted} rows ({share:.2f} %) {relation} threshold {limit} %"
    used = _used(float(share), float(limit))
    return QualityCheck("rejected-share", scope, "rejected_share", "", share <= limit, message, used=used)


def rejected_shares(
    rejected: Mapping[str, int], extracts: Sequence[Extracted], thresholds: Thresholds
) -> list[QualityCheck]:
    """The share of rejected rows of each region in `rejected`, and of all of them together."""
    read = {extract.region: extract.read.rows for extract in extracts}
    shares = [rejected_share(region, rows, read[region], thresholds) for region, rows in rejected.items()]
    of_all = rejected_share(BATCH, sum(rejected.values()), sum(read[region] for region in rejected), thresholds)
    return [*shares, of_all]


class Frames(Protocol):
    """The frames of a batch that the suites judge; together those of a region have all its rows."""

    def as_read(self, extracted: Extracted) -> Iterable[Any]:
        """For `input_suite`."""

    def clean(self, region: Transformed) -> Iterable[Any]:
        """For `output_suite`."""

    def keys(self, region: Transformed) -> Iterable[Any]:
        """For `keys_suite`; equal keys share a frame."""


class LocalFrames:
    """Frames of pandas, from the files on the scratch disk."""

    def as_read(self, extracted: Extracted) -> Iterator[pd.DataFrame]:
        return map(suites.input_frame, _frames(*extracted.paths))

    def clean(self, region: Transformed) -> Iterator[pd.DataFrame]:
        return map(suites.output_frame, _frames(region.clean_file))

    def keys(self, region: Transformed) -> Iterator[pd.DataFrame]:
        return _key_frames(region.clean_file)


def judge(
    extracts: Sequence[Extracted],
    regions: Sequence[Transformed],
    thresholds: Thresholds,
    with_floor: bool,
    closed: Collection[str] = (),
    frames: Frames | None = None,
) -> Verdict:
    """Runs both suites for each region, and judges the batch by their counts.

    `with_floor`: the batch needs `min_record_count` rows. The rows of regions that are `closed` are judged one by one,
    without percentages: a single one may be all that came. `frames` are those of an engine; else the files are read.

    Without any region, all of them are closed or missing, which the plan has judged already.
    """
    watch, context, frames = Stopwatch(), _context(), frames or LocalFrames()
    of_open = [region for region in regions if region.region not in closed]
    checks: list[QualityCheck] = []
    for extract in (extract for extract in extracts if extract.region not in closed):
        suite = suites.input_suite(extract.read.rows, thresholds)
        checks += run_suite(suite, frames.as_read(extract), extract.region, context)
    checks += null_shares_of_batch(checks, thresholds)
    with_rows = [region for region in regions if region.clean.rows or region.region not in closed]
    checks += _clean_rows(extracts, with_rows, context, frames)
    if with_floor and extracts:
        checks += _floor(sum(region.clean.rows for region in regions), thresholds, context)
    if of_open:
        checks += rejected_shares({region.region: region.rejected.rows for region in of_open}, extracts, thresholds)
    if not checks:
        checks.append(QualityCheck("plan", BATCH, "closed_day", "", True, "closed day, no clean rows to judge"))
    return Verdict(tuple(checks), watch.seconds())


def judge_rows(extracts: Sequence[Extracted], regions: Sequence[Transformed]) -> Verdict:
    """Judges only the clean rows, without floor and percentages; regions without any are skipped."""
    watch = Stopwatch()
    with_rows = [region for region in regions if region.clean.rows]
    return Verdict(tuple(_clean_rows(extracts, with_rows, _context(), LocalFrames())), watch.seconds())


def _context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return context


def _clean_rows(
    extracts: Sequence[Extracted], regions: Sequence[Transformed], context: Any, frames: Frames
) -> list[QualityCheck]:
    snapshots, checks = {e.region: e.snapshot_at for e in extracts}, []
    for region in regions:
        suite = suites.output_suite(region.region, snapshots[region.region])
        checks += run_suite(suite, frames.clean(region), region.region, context)
        checks += run_suite(suites.keys_suite(), frames.keys(region), region.region, context)
    return checks


def _frames(*paths: Path) -> Iterator[pd.DataFrame]:
    return map(to_frame, in_tables(read_batches(*paths), FRAME_BYTES))


def _key_frames(path: Path) -> Iterator[pd.DataFrame]:
    """Frames of the rows' key codes, split so that equal codes share a frame."""
    rows = sum(batch.num_rows for batch in read_batches(path))
    codes = key_codes(key_hashes(read_batches(path), rows), read_batches(path))
    parts = len(codes) // KEY_FRAME_ROWS + 1
    return (suites.keys_frame(codes[codes % parts == part]) for part in range(parts))


def _floor(rows: int, thresholds: Thresholds, context: Any) -> list[QualityCheck]:
    if rows == 0:
        return [too_few_rows(0, thresholds.min_record_count)]
    batch = pd.DataFrame(index=pd.RangeIndex(rows))
    return run_suite(suites.batch_suite(thresholds.min_record_count), [batch], BATCH, context)


def too_few_rows(rows: int, min_record_count: int) -> QualityCheck:
    """The failed check of a batch with too few rows, worded as the suite words it."""
    message = f"record count {rows} is below threshold {min_record_count}"
    return QualityCheck("clean-batch", BATCH, ROW_COUNT, "", False, message)


@task(name="quality-gate", **ONCE)
def check_quality(
    extracts: Sequence[Extracted],
    regions: Sequence[Transformed],
    thresholds: Thresholds,
    with_floor: bool,
    closed: Collection[str],
) -> Verdict:
    """Judges the batch; a verdict that fails is returned, not raised."""
    return logged(judge(extracts, regions, thresholds, with_floor, closed))


@task(name="quality-gate", **ONCE)
def check_rows(extracts: Sequence[Extracted], regions: Sequence[Transformed]) -> Verdict:
    """Judges the clean rows of a batch of named keys."""
    return logged(judge_rows(extracts, regions))


def logged(verdict: Verdict) -> Verdict:
    """Logs a verdict and returns it."""
    logger = get_run_logger()
    for check in verdict.failed:
        logger.error("step=quality-gate %s", check.message)
    logger.info(
        "step=quality-gate checks=%d failed=%d seconds=%.1f", len(verdict.checks), len(verdict.failed), verdict.seconds
    )
    return verdict
