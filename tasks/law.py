"""The conservation law, asked before COMMIT: every row that was read has one fate, by count and by exact totals.

    source = inserted + updated + unchanged + superseded + duplicates + rejected

The source was counted by its database, the fates and the tables are counted here by the warehouse: no side takes the
other's word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expectations.thresholds import Thresholds
from tasks.errors import PublishRefusedError
from tasks.extract import Extracted
from tasks.quality import BATCH, Check, rejected_share
from tasks.statements import StagingTables, render
from tasks.tally import Tally, add_up, tallies_of_rows
from tasks.transform import Transformed
from tasks.warehouse import Session

WRITTEN_FATES = ("inserted", "updated")
TALLIED_FATES = (*WRITTEN_FATES, "unchanged", "superseded")
IN_TABLE_FATES = (*WRITTEN_FATES, "unchanged")
CROSS_REGION = "cross_region"


@dataclass(frozen=True)
class Published:
    """One region's clean rows by fate; each is a Tally of the staged rows."""

    region: str
    inserted: Tally
    updated: Tally
    unchanged: Tally
    superseded: Tally
    cross_region: Tally

    def of(self, fate: str) -> Tally:
        tally: Tally = getattr(self, fate)
        return tally


def count_fates(session: Session, tables: StagingTables, regions: Sequence[str]) -> tuple[Published, ...]:
    """The staged clean rows of each region by fate."""
    counted = tallies_of_rows(session.query(render("publish/count_staged", **vars(tables))), keys=2)
    fates = (*TALLIED_FATES, CROSS_REGION)
    return tuple(Published(region, **{f: counted.get((region, f), Tally()) for f in fates}) for region in regions)


def check_law(
    session: Session,
    tables: StagingTables,
    run_number: int,
    regions: Sequence[Published],
    transformed: Sequence[Transformed],
    extracts: Sequence[Extracted],
) -> None:
    """Raises PublishRefusedError naming region, fate and figures when the law does not hold.

    `regions` and `transformed` are of the same regions, in the same order.
    """
    if not regions:
        return
    in_table = tallies_of_rows(session.query(render("publish/count_fact", **vars(tables))), keys=2)
    can_undo = _counts(session.query(render("publish/count_undo"), [run_number]))
    rejected = tallies_of_rows(session.query(render("publish/count_rejected"), [run_number]), keys=1)
    sources = {extracted.region: extracted.source for extracted in extracts}
    for published, of_region in zip(regions, transformed, strict=True):
        region = published.region
        for fate in IN_TABLE_FATES:
            _demand(f"{region} {fate}", published.of(fate), in_table.get((region, fate), Tally()))
        for fate in WRITTEN_FATES:
            _demand(f"{region} undo of {fate}", Tally(published.of(fate).rows), can_undo.get((region, fate), Tally()))
        all_rejected = of_region.rejected + published.cross_region
        _demand(f"{region} rejected", all_rejected.money(), rejected.get((region,), Tally()))
        fates = add_up(published.of(fate) for fate in (*TALLIED_FATES, CROSS_REGION))
        _demand(f"{region} staged", of_region.clean, fates)
        _demand(f"{region} source", sources[region], fates + of_region.duplicates + of_region.rejected)


def _counts(rows: Sequence[Sequence[object]]) -> Mapping[tuple[str, str], Tally]:
    return {(str(region), str(fate)): Tally(int(str(count))) for region, fate, count in rows}


def _demand(what: str, expected: Tally, found: Tally) -> None:
    if differences := expected.differences(found):
        raise PublishRefusedError(f"the law does not hold for {what}: {'; '.join(differences)}")


def judge_rejected(
    regions: Sequence[Published],
    transformed: Sequence[Transformed],
    extracts: Sequence[Extracted],
    thresholds: Thresholds,
) -> Check | None:
    """The first failed check of the share of rejected rows, cross-region keys included."""
    read = {extracted.region: extracted.read.rows for extracted in extracts}
    rejected = {p.region: p.cross_region.rows + t.rejected.rows for p, t in zip(regions, transformed, strict=True)}
    shares = [rejected_share(region, rows, read[region], thresholds) for region, rows in rejected.items()]
    shares.append(rejected_share(BATCH, sum(rejected.values()), sum(read[region] for region in rejected), thresholds))
    return next((check for check in shares if not check.passed), None)
