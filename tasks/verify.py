"""Verify: looks at the fact table after COMMIT with queries written otherwise than those of publish."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prefect import get_run_logger, task

from blocks.once import load_once
from blocks.snowflake import SnowflakeHostConnector
from tasks.attempt import Attempt
from tasks.attributes import attribute_values
from tasks.errors import NeedsPersonError, SalesEtlError, TransientError, one_line
from tasks.load import drop_staging_tables
from tasks.publish import Publication
from tasks.retries import RETRIES
from tasks.rollback import roll_back_run
from tasks.stage import Manifest
from tasks.statements import render, union_all
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally, add_up, tallies_of_rows
from tasks.warehouse import Row, Session, open_session

ExtraColumns = Mapping[str, Sequence[str]]
"""The columns beyond the contract that were read of each region."""


@dataclass(frozen=True)
class Comparison:
    """One region's figures: what the manifest's files and fates promise, and what the table shows."""

    region: str
    expected: Tally
    found: Tally

    @property
    def holds(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True)
class Verification:
    """The second look at a published batch."""

    comparisons: tuple[Comparison, ...]
    repeated_keys: int
    seconds: float


def expected_in_table(manifest: Manifest, publication: Publication) -> dict[str, Tally]:
    """Per published region, the manifest's clean rows without those that gave way to another row of the table."""
    expected = {}
    for published in publication.regions:
        files = [file.tally or Tally() for file in manifest.files_of("clean") if file.region == published.region]
        expected[published.region] = add_up(files).minus(published.superseded + published.cross_region)
    return expected


def compare(session: Session, manifest: Manifest, publication: Publication) -> Verification:
    """Compares what the manifest promises, the staged rows that should stand, and those that the table shows: rows,
    exact money, and a fingerprint of every column.

    Where they differ, the rows are looked for one by one: those that another run has changed since the COMMIT count as
    found.
    """
    return _compare(session, manifest.attempt, manifest.extra_columns, expected_in_table(manifest, publication))


def compare_staged(session: Session, attempt: Attempt, extra_columns: ExtraColumns) -> Verification:
    """The same where the publish's answer is lost: expected are the staged rows that should stand."""
    return _compare(session, attempt, extra_columns, None)


def _compare(
    session: Session, attempt: Attempt, extra_columns: ExtraColumns, expected: Mapping[str, Tally] | None
) -> Verification:
    watch = Stopwatch()
    shown = session.query(shown_query(attempt, extra_columns))
    ((repeated_keys, *_),) = _of_side("repeated", shown).values()
    staged, found = _of_side("staged", shown), _of_side("fact", shown)
    tallies = _tallies(found)
    if expected is None:
        of_staged = _tallies(staged)
        expected = {region: of_staged.get((region,), Tally()) for region in attempt.regions}
    if staged != found or any(tally != tallies.get((region,), Tally()) for region, tally in expected.items()):
        tallies = _found_one_by_one(session, attempt, extra_columns)
    comparisons = tuple(
        Comparison(region, tally, tallies.get((region,), Tally())) for region, tally in expected.items()
    )
    return Verification(comparisons, int(repeated_keys), watch.seconds())


def shown_query(attempt: Attempt, extra_columns: ExtraColumns) -> str:
    """The question for both sides' fingerprints and for keys that repeat, one round trip for two."""
    names = _names(attempt, extra_columns)
    return union_all((render("verify/shown_sales", **names), render("verify/repeated_keys", **names)))


def _of_side(asked: str, shown: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Rows, totals and fingerprint of one side, by region and currency."""
    return {(region, currency): tuple(figures) for side, region, currency, *figures in shown if side == asked}


def _tallies(side: Mapping[tuple[str, str], Row]) -> dict[tuple[str, ...], Tally]:
    return tallies_of_rows(((*key, *figures[:-1]) for key, figures in side.items()), keys=1)


def _found_one_by_one(session: Session, attempt: Attempt, extra_columns: ExtraColumns) -> dict[tuple[str, ...], Tally]:
    names = _names(attempt, extra_columns)
    matching = tallies_of_rows(session.query(render("verify/matching_rows", **names)), keys=1)
    changed_since = render("verify/changed_since", **names)
    changed = tallies_of_rows(session.query(changed_since, [attempt.run_number]), keys=1)
    return {key: matching.get(key, Tally()) + changed.get(key, Tally()) for key in {*matching, *changed}}


def _names(attempt: Attempt, extra_columns: ExtraColumns) -> dict[str, str]:
    return vars(attempt.staging_tables) | attribute_values(extra_columns)


def refuse_differences(comparisons: Sequence[Comparison], repeated_keys: int) -> None:
    """Raises NeedsPersonError when the table does not show what was published."""
    wrong = [f"{c.region}: {', '.join(c.expected.differences(c.found))}" for c in comparisons if not c.holds]
    if repeated_keys:
        wrong.append(f"{repeated_keys} rows repeat a sale_id")
    if wrong:
        raise NeedsPersonError(f"the fact table does not show the published batch: {'; '.join(wrong)}")


def put_back_unless_shown(session: Session, attempt: Attempt, verification: Verification) -> None:
    """Puts the run's rows back when the table does not show what was published, and raises NeedsPersonError.

    Raises TransientError when the warehouse does not answer meanwhile.
    """
    try:
        refuse_differences(verification.comparisons, verification.repeated_keys)
    except NeedsPersonError as error:
        try:
            roll_back_run(session, attempt, one_line(error))
        except NeedsPersonError as obstacle:
            raise NeedsPersonError(f"{error}; it was not put back now: {obstacle}") from error
        except SalesEtlError as obstacle:
            raise TransientError(f"{error}; whether it was put back is not known: {obstacle}") from error
        raise NeedsPersonError(f"{error}; the batch was put back as it was before this run") from error


@task(name="verify", **RETRIES)
def verify(manifest: Manifest, publication: Publication, connector_block: str, warehouse: str) -> Verification:
    """The second look: a batch that the table does not show is put back. Staging tables are dropped afterwards."""
    connector = load_once(SnowflakeHostConnector, connector_block)
    with open_session(connector, warehouse, f"retail-sales verify {manifest.attempt.batch_id}") as session:
        verification = compare(session, manifest, publication)
        put_back_unless_shown(session, manifest.attempt, verification)
        with suppress(SalesEtlError):  # what stays is swept by a later run
            drop_staging_tables(session, manifest.attempt.staging_tables)
    get_run_logger().info("step=verify regions=%d seconds=%.1f", len(verification.comparisons), verification.seconds)
    return verification
