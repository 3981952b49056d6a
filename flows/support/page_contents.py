"""What the page of a daily run says: its end and its findings, as rows of tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect.states import State

from expectations.regions import REGIONS, expected_on
from expectations.rules import CROSS_REGION_RULE
from flows.support.states import QUALITY_FAILED
from flows.support.verdict import to_outcome
from tasks.pages.run_page import DaySales, RunPage, RunTables, RunTimes, Step, with_total
from tasks.quality import QualityCheck, Verdict
from tasks.report import Findings, RunReport, money_table, reconciliation_table, summarize
from tasks.transform import Transformed

CLOSEST_CHECKS_MAX = 10
AGES = (("the day itself", 0, 0), ("1 day", 1, 1), ("2 to 7 days", 2, 7), ("8 to 30 days", 8, 30))
"""Ages of late arrivals in days between the day of the sale and the batch's, with their first and last."""
OLDER, NEWER = "older", "later than the day"


@dataclass(frozen=True)
class RunEnd:
    """The end of a run of daily-sales: its final state, its times and its names on the Prefect server."""

    date: date
    flow_run_id: str
    name: str
    link: str
    state: State
    times: RunTimes


def build_run_page(
    end: RunEnd,
    found: Findings | None,
    sales: Sequence[DaySales],
    steps: Sequence[Step],
    history: str,
    notes: Sequence[str] = (),
) -> RunPage:
    """Returns the page of a run. `found` is None when the run ended before its regions were read."""
    facts = {"Run": end.name, "Flow run": end.flow_run_id, "State": end.state.name or "", "Link": end.link}
    return RunPage(
        date=end.date,
        outcome=to_outcome(end.state, found),
        facts=facts | (_facts(found) if found else {}),
        times=end.times,
        was_read=found is not None,
        was_checked=bool(found and found.verdict),
        tables=to_tables(found, is_settled(end.state, found)) if found else RunTables(),
        anomalies=[f"{anomaly.region}: {anomaly.message}" for anomaly in found.anomalies] if found else (),
        sales=sorted(sales, key=lambda of_day: (place_of_region(of_day.region), of_day.currency)),
        steps=steps,
        notes=notes,
        history=history,
    )


def _facts(found: Findings) -> dict[str, str]:
    regions = found.batch.regions
    return {
        "Regions": "all regions" if regions == expected_on(found.batch.date, REGIONS) else ", ".join(regions),
        "Run number": str(found.attempt.run_number),
        "Staged below": found.attempt.staging_prefix,
    }


def place_of_region(code: str) -> tuple[int, str]:
    """Sorts regions in their own order; one that is no longer configured comes last."""
    codes = list(REGIONS)
    return (codes.index(code) if code in codes else len(codes), code)


def is_settled(state: State, found: Findings | None) -> bool:
    """Whether the findings say what became of the batch. Only the ledger knows it when the run failed around COMMIT."""
    return state.is_completed() or state.name == QUALITY_FAILED or bool(found and found.verification)


def to_tables(found: Findings, is_settled: bool) -> RunTables:
    """Returns the findings as rows of tables."""
    summary = summarize(found)
    conservation = reconciliation_table(summary)
    if not is_settled:
        conservation = [row | {"status": "see the ledger"} for row in conservation]
    return RunTables(
        conservation=with_total(conservation, "region"),
        money=money_table(summary),
        rejected=rejected_by_rule(summary, found.transformed),
        failed_checks=[{"check": message} for message in summary.checks_failed],
        closest_checks=closest_checks(found.verdict),
        schema_changes=[
            {"region": extracted.region, "column": name, "change": change}
            for extracted in found.plan.answered
            for name, change in (
                *((f"{new.name} ({new.declared_type})", "new in the source") for new in extracted.new_columns),
                *((name, "named in extra_columns, not in the source") for name in extracted.lacking_columns),
            )
        ],
        late_arrivals=late_arrivals(found.transformed, found.batch.date),
    )


def rejected_by_rule(summary: RunReport, transformed: Sequence[Transformed]) -> list[dict[str, Any]]:
    """A row per broken rule with its rows per region, and the number of their different keys."""
    rules = dict.fromkeys(rule for region in summary.regions for rule in region.rejected_by_rule)
    return [
        {
            "rule": rule,
            **{region.region: region.rejected_by_rule.get(rule, 0) for region in summary.regions},
            "different keys": _keys_of(rule, summary, transformed),
        }
        for rule in rules
    ]


def _keys_of(rule: str, summary: RunReport, transformed: Sequence[Transformed]) -> int:
    if rule == CROSS_REGION_RULE:
        # Publish finds it, among clean rows, of which there is one per key.
        return sum(region.rejected_by_rule.get(rule, 0) for region in summary.regions)
    return sum(of_region.broken_keys.get(rule, 0) for of_region in transformed)


def closest_checks(verdict: Verdict | None) -> list[dict[str, Any]]:
    """The checks that passed, the closest to their limits first."""
    passed = [check for check in (verdict.checks if verdict else ()) if check.passed]
    return [_check_row(check) for check in sorted(passed, key=lambda check: -check.used)[:CLOSEST_CHECKS_MAX]]


def _check_row(check: QualityCheck) -> dict[str, Any]:
    return {"check": check.message, "% of its limit": round(100 * check.used)}


def late_arrivals(transformed: Sequence[Transformed], day: date) -> list[dict[str, Any]]:
    """Clean rows per region by the days from their sale to the batch's date; none when all were sold on it."""
    names = [*(name for name, _, _ in AGES), OLDER, NEWER]
    rows = []
    for of_region in transformed:
        counts = dict.fromkeys(names, 0)
        for sold_on, count in of_region.sold_on.items():
            counts[_age((day - sold_on).days)] += count
        rows.append({"region": of_region.region, **counts})
    on_the_day = names[0]
    used = [name for name in names if name == on_the_day or any(row[name] for row in rows)]
    if used == [on_the_day]:
        return []
    return [{"region": row["region"], **{name: row[name] for name in used}} for row in rows]


def _age(days: int) -> str:
    if days < 0:
        return NEWER
    return next((name for name, first, last in AGES if first <= days <= last), OLDER)
