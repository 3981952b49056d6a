"""The conservation law, checked before COMMIT: every row that was read has one fate, by count and by exact totals.

    source = inserted + updated + unchanged + superseded + duplicates + rejected

The source was counted by its database; the fates and the tables are counted here by the warehouse, independently. By
the law, too, rows outside the batch stay, replaced versions are kept, and the ledger agrees: docs/law.md.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from expectations.rules import CROSS_REGION_RULE
from expectations.thresholds import Thresholds
from tasks.batch import Attempt
from tasks.errors import PublishRefusedError
from tasks.extract import Extracted
from tasks.quality import QualityCheck, rejected_shares
from tasks.stage import Manifest
from tasks.tally import Tally, add_up, tallies_of_rows
from tasks.transform import RULE_SEPARATOR, Transformed
from tasks.warehouse.attributes import attribute_values
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render, snapshots_query, subqueries_of, union_all


class Fate(StrEnum):
    """The fates of staged clean rows, as sql/publish/insert_fates.sql writes them."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    CROSS_REGION = "cross_region"


WRITTEN_FATES = (Fate.INSERTED, Fate.UPDATED)
TALLIED_FATES = (*WRITTEN_FATES, Fate.UNCHANGED, Fate.SUPERSEDED)
IN_TABLE_FATES = (*WRITTEN_FATES, Fate.UNCHANGED)
GIVING_WAY = (Fate.SUPERSEDED, Fate.CROSS_REGION, Fate.UPDATED)
"""Fates in which one version gives way to another, which the tables hold."""
CHANGED_UNREAD = "changed_unread"
"""Attributes that the run has not read and that changed."""
CLOSINGS = {"unfounded": "rejected rows closed without a cause", "overlooked": "rejected rows left open"}
"""What sql/publish/count_closings.sql counts, with the words of the error."""
FIRST_RUN = "first_run"
"""Sales that no longer name the run that first inserted them."""
RENAMED = "renamed"
"""Sales that would count twice, because the region's `prefix_keys` has changed since they were loaded."""
LOST = "lost"
"""Staged rejected rows that are not in the table cell by cell."""
REPEATED = "repeated"
"""Rows of the fact table that repeat a key, whatever their region."""
UNCOPIED = "uncopied"
"""Rows of the fact table that neither stood when the fates were decided nor are new."""

Tallies = Mapping[tuple[str, ...], Tally]
"""By region and fate, or by region and broken rules."""
Fingerprints = Mapping[tuple[str, str], int]
"""Hashes over every column of some rows, by region and currency."""


@dataclass(frozen=True)
class Published:
    """One region's staged clean rows by fate."""

    region: str
    fates: Mapping[Fate, Tally]

    def of(self, fate: Fate) -> Tally:
        return self.fates.get(fate, Tally())


@dataclass(frozen=True)
class Standing:
    """The contents of the tables at one moment of a publish, as sql/publish/count_rows.sql counts them; `closings` are
    those of other runs. `of_keys` are the rows of SALES_FACT that will be replaced, with their `fingerprints`; after
    the MERGE, the rows with the batch's keys."""

    fact: int
    of_run: int
    misnamed: int
    inserted: int
    rejections: int
    closings: int
    of_keys: Tallies
    fingerprints: Fingerprints = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The warehouse's side of the law after all writes: each region's staged clean rows by fate, and the contents of
    the tables. `rows` are numbers of rows by region and kind."""

    published: tuple[Published, ...]
    after: Standing
    undo: Tallies
    undo_fingerprints: Fingerprints
    rejected: Tallies
    rows: Mapping[tuple[str, str], int]


def count_standing(session: Session, manifest: Manifest) -> Standing:
    """The contents of the tables before the first write that readers will see."""
    statement = render("publish/count_replaced", **vars(manifest.attempt.staging_tables))
    replaced = session.query(statement)
    return _standing(session, manifest.attempt, _by_side(replaced)["fact"], _fingerprints("fact", replaced))


def _standing(
    session: Session, attempt: Attempt, of_keys: Tallies, fingerprints: Fingerprints | None = None
) -> Standing:
    run = attempt.run_number
    (counts,) = session.query(render("publish/count_rows"), [run, run, attempt.batch_id, run, run])
    fact, of_run, misnamed, inserted, rejections, closings = (int(count) for count in counts)
    return Standing(fact, of_run, misnamed, inserted, rejections, closings, of_keys, fingerprints or {})


def _by_side(rows: Iterable[Row]) -> Mapping[str, Tallies]:
    """The tallies of each side, by region and fate, or by region and broken rules."""
    sides: dict[str, dict[tuple[str, ...], Tally]] = {side: {} for side in ("staged", "fact", "undo", "rejected")}
    for (side, *key), tally in tallies_of_rows((row[:-1] for row in rows), keys=3).items():
        sides[side][tuple(key)] = tally
    return sides


def _fingerprints(side: str, rows: Iterable[Row]) -> Fingerprints:
    of_side = (row for row in rows if row[0] == side)
    return {(region, currency): int(fingerprint) for _, region, _, currency, *_, fingerprint in of_side}


def check_law(
    before: Standing, found: Found, transformed: Sequence[Transformed], extracts: Sequence[Extracted]
) -> None:
    """Raises PublishRefusedError naming region, fate and figures when the law does not hold.

    `before` are the contents of the tables before the first write, `transformed` the regions of `found`, in its order.
    """
    sources = {extracted.region: extracted.source for extracted in extracts}
    for published, of_region in zip(found.published, transformed, strict=True):
        _check_sales(published, before, found)
        _check_rejected(published, of_region, found)
        fates = add_up(published.of(fate) for fate in Fate)
        _require(f"{published.region} staged", of_region.clean, fates)
        read = fates + of_region.duplicates + of_region.rejected
        _require(f"{published.region} source", sources[published.region], read)
    _check_whole_tables(before, found, transformed)


def ask_tables(session: Session, manifest: Manifest, regions: Sequence[str]) -> Found:
    """Counts the staged rows and the tables after all writes."""
    run = manifest.attempt.run_number
    tallies = session.query(tallies_query(manifest), [run, run])
    sides = _by_side(tallies)
    counted = session.query(rows_query(manifest), [run, run, run, run, run, manifest.attempt.batch_id])
    return Found(
        published=tuple(
            Published(region, {fate: sides["staged"].get((region, fate), Tally()) for fate in Fate})
            for region in regions
        ),
        after=_standing(session, manifest.attempt, sides["fact"]),
        undo=sides["undo"],
        undo_fingerprints=_fingerprints("undo", tallies),
        rejected=sides["rejected"],
        rows={(region, kind): int(rows) for region, kind, rows in counted},
    )


def tallies_query(manifest: Manifest) -> str:
    """The query for rows and exact money of all sides: one round trip for four."""
    names = vars(manifest.attempt.staging_tables)
    sides = ("publish/count_staged", "publish/count_fact", "publish/count_undo", "publish/count_rejected")
    return union_all(render(side, **names) for side in sides)


def rows_query(manifest: Manifest) -> str:
    """The query for everything that is counted by rows alone: one round trip for four."""
    attempt = manifest.attempt
    names = vars(attempt.staging_tables) | subqueries_of(attempt)
    attributes, snapshots = attribute_values(manifest.extra_columns), snapshots_query(manifest.snapshots)
    return union_all(
        (
            render("publish/count_versions", **names, **attributes, snapshots=snapshots),
            render("publish/count_lost_rejected", **names),
            render("publish/count_repeated_keys", **names),
            render("publish/count_closings", **names),
        )
    )


def _check_sales(published: Published, before: Standing, found: Found) -> None:
    region = published.region
    for fate in IN_TABLE_FATES:
        _require(f"{region} {fate}", published.of(fate), found.after.of_keys.get((region, fate), Tally()))
    for fate in GIVING_WAY:
        _require_rows(f"{region} {fate}", published.of(fate).rows, found.rows.get((region, fate), 0))
    _require_rows(f"{region} new under another form of their key", 0, found.rows.get((region, RENAMED), 0))
    _require_rows(f"{region} attributes that were not read", 0, found.rows.get((region, CHANGED_UNREAD), 0))
    _require_rows(f"{region} inserted by another run than before", 0, found.rows.get((region, FIRST_RUN), 0))
    replaced = found.undo.get((region, Fate.UPDATED), Tally())
    _require(f"{region} undo of updated", before.of_keys.get((region, Fate.UPDATED), Tally()), replaced)
    if _of_region(region, before.fingerprints) != _of_region(region, found.undo_fingerprints):
        raise PublishRefusedError(
            f"the law does not hold for {region} undo of updated: cells that did not stand in SALES_FACT"
        )


def _of_region(region: str, fingerprints: Fingerprints) -> Fingerprints:
    return {key: fingerprint for key, fingerprint in fingerprints.items() if key[0] == region}


def _check_rejected(published: Published, of_region: Transformed, found: Found) -> None:
    region, cross_region = published.region, published.of(Fate.CROSS_REGION)
    in_table = {rules: tally for (code, rules), tally in found.rejected.items() if code == region}
    _require(f"{region} rejected", (of_region.rejected + cross_region).money(), add_up(in_table.values()).money())
    _require_rows(f"{region} rejected with other cells", 0, found.rows.get((region, LOST), 0))
    broken = Counter({rule.rule: rule.rows for rule in of_region.broken})
    broken[CROSS_REGION_RULE] += cross_region.rows
    stored = count_rules((rules, tally.rows) for rules, tally in in_table.items())
    for rule in sorted(broken | stored):
        _require_rows(f"{region} rejected for {rule}", broken[rule], stored[rule])


def count_rules(rows: Iterable[tuple[str, int]]) -> Counter[str]:
    """Counts the rows that broke each rule; `rows` pairs the rules that rows broke together with their number."""
    counts: Counter[str] = Counter()
    for rules, count in rows:
        counts.update(dict.fromkeys(rules.split(RULE_SEPARATOR), count))
    return counts


def _check_whole_tables(before: Standing, found: Found, transformed: Sequence[Transformed]) -> None:
    regions = found.published
    inserted, written = _rows(regions, Fate.INSERTED), _rows(regions, *WRITTEN_FATES)
    rejected = sum(of_region.rejected.rows for of_region in transformed) + _rows(regions, Fate.CROSS_REGION)
    _require_rows("SALES_FACT", before.fact + inserted, found.after.fact)
    _require_rows("SALES_FACT of the run", written, found.after.of_run)
    _require_rows("SALES_FACT of the run under another batch or publish", 0, found.after.misnamed)
    _require_rows("sale_ids that stand twice", 0, found.rows.get(("", REPEATED), 0))
    _require_rows("sales that the fates did not know", 0, found.rows.get(("", UNCOPIED), 0))
    _require_rows("SALES_FACT first inserted by the run", inserted, found.after.inserted)
    _require_rows("SALES_FACT_UNDO", _rows(regions, Fate.UPDATED), add_up(found.undo.values()).rows)
    _require_rows("SALES_REJECTIONS", before.rejections + rejected, found.after.rejections)
    _require_rows("SALES_REJECTION_CLOSINGS of other runs", before.closings, found.after.closings)
    for kind, message in CLOSINGS.items():
        _require_rows(message, 0, sum(rows for (_, counted), rows in found.rows.items() if counted == kind))


def _rows(regions: Sequence[Published], *fates: Fate) -> int:
    return sum(published.of(fate).rows for published in regions for fate in fates)


def check_ledger(
    session: Session,
    attempt: Attempt,
    regions: Sequence[Published],
    transformed: Sequence[Transformed],
    extracts: Sequence[Extracted],
) -> None:
    """Raises PublishRefusedError when the run's entries in the ledger differ from the law's figures."""
    published_entries = session.query(render("ledger/published_entries"), [attempt.run_number])
    entries = {region: figures for region, *figures in published_entries}
    sources = {extracted.region: extracted.source for extracted in extracts}
    _require_rows("the ledger", len(regions), len(published_entries))
    _require_rows("regions in the ledger", len(regions), len(entries.keys() & {p.region for p in regions}))
    for published, of_region in zip(regions, transformed, strict=True):
        source = sources[published.region]
        expected = {
            "extracted": source.rows,
            "rejected": of_region.rejected.rows + published.of(Fate.CROSS_REGION).rows,
            "duplicates": of_region.duplicates.rows,
            **{str(fate): published.of(fate).rows for fate in TALLIED_FATES},
        }
        *counts, money = entries[published.region]
        for (name, rows), recorded in zip(expected.items(), counts, strict=True):
            _require_rows(f"{published.region} {name} in the ledger", rows, int(recorded))
        _require(f"{published.region} money in the ledger", source, Tally.from_json(json.loads(money)))


def _require(what: str, expected: Tally, found: Tally) -> None:
    if differences := expected.differences(found):
        raise PublishRefusedError(f"the law does not hold for {what}: {'; '.join(differences)}")


def _require_rows(what: str, expected: int, found: int) -> None:
    _require(what, Tally(expected), Tally(found))


def judge_rejected(
    regions: Sequence[Published],
    transformed: Sequence[Transformed],
    extracts: Sequence[Extracted],
    thresholds: Thresholds,
    closed: Collection[str] = (),
) -> QualityCheck | None:
    """The first failed check of the share of rejected rows, cross-region keys included; not of `closed` regions."""
    rejected = {
        p.region: p.of(Fate.CROSS_REGION).rows + t.rejected.rows
        for p, t in zip(regions, transformed, strict=True)
        if p.region not in closed
    }
    return next((check for check in rejected_shares(rejected, extracts, thresholds) if not check.passed), None)
