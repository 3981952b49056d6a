"""The second look at a published batch: whether the fact table shows it, by other queries than those of publish."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.batch import Attempt
from tasks.errors import NeedsPersonError
from tasks.stopwatch import Stopwatch
from tasks.tally import Tally, tallies_of_rows
from tasks.warehouse.attributes import attribute_values
from tasks.warehouse.past import publish_of_run, sales_as_of
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render, union_all

ExtraColumns = Mapping[str, Sequence[str]]
"""The columns beyond the contract that were read of each region."""


@dataclass(frozen=True)
class Comparison:
    """One region's figures: those that the manifest's files and fates promise, and those of the table."""

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


def look(
    session: Session, attempt: Attempt, extra_columns: ExtraColumns, expected: Mapping[str, Tally] | None = None
) -> Verification:
    """Compares the `expected` tallies per region, the staged rows that should be in the table, and the rows that are:
    rows, exact money, and a fingerprint of every column. Without `expected`, when the publish's promise is no longer
    known, the staged rows take its place.

    Where they differ, the rows are looked for one by one, in the table as it was right after the publish: others may
    have changed or rolled back sales since. Raises NeedsPersonError when that is no longer known.
    """
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
    """The query for both sides' fingerprints and for repeated keys: one round trip for two."""
    names = _names(attempt, extra_columns)
    return union_all((render("verify/shown_sales", **names), render("verify/repeated_keys", **names)))


def _of_side(wanted: str, shown: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Rows, totals and fingerprint of one side, by region and currency."""
    return {(region, currency): tuple(figures) for side, region, currency, *figures in shown if side == wanted}


def _tallies(side: Mapping[tuple[str, str], Row]) -> dict[tuple[str, ...], Tally]:
    return tallies_of_rows(((*key, *figures[:-1]) for key, figures in side.items()), keys=1)


def _found_one_by_one(session: Session, attempt: Attempt, extra_columns: ExtraColumns) -> dict[tuple[str, ...], Tally]:
    past = sales_as_of(publish_of_run(session, attempt.run_number))
    statement = render("verify/matching_rows", past=past, **_names(attempt, extra_columns))
    return tallies_of_rows(session.query(statement), keys=1)


def _names(attempt: Attempt, extra_columns: ExtraColumns) -> dict[str, str]:
    return vars(attempt.staging_tables) | attribute_values(extra_columns)


def refuse_differences(comparisons: Sequence[Comparison], repeated_keys: int) -> None:
    """Raises NeedsPersonError when the table does not show what was published."""
    wrong = [f"{c.region}: {', '.join(c.expected.differences(c.found))}" for c in comparisons if not c.holds]
    if repeated_keys:
        wrong.append(f"{repeated_keys} rows repeat a sale_id")
    if wrong:
        raise NeedsPersonError(f"the fact table does not show the published batch: {'; '.join(wrong)}")
