"""Report: a run as one record, as Prefect artifacts and as JSON. Holds no personal data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from prefect import task

from expectations.rules import CROSS_REGION_RULE
from tasks.anomalies import Anomaly
from tasks.batch import Attempt, Batch
from tasks.extract import Extracted
from tasks.law import Fate, Published
from tasks.lines import in_markdown, markdown_table
from tasks.pages.artifacts import page, table, write_artifacts
from tasks.plan import Plan
from tasks.publish import Publication
from tasks.quality import Verdict
from tasks.retries import ONCE
from tasks.stage import Manifest
from tasks.tally import Tally
from tasks.transform import BrokenRule, Transformed
from tasks.warehouse.ledger import Entry
from tasks.warehouse.second_look import Verification


@dataclass(frozen=True)
class RegionReport:
    """One region's figures, in rows. `money` are the exact totals of the extracted rows, `seconds` are per step."""

    region: str
    status: str
    cause: str | None = None
    extracted: int = 0
    clean: int = 0
    rejected: int = 0
    rejected_by_rule: Mapping[str, int] = field(default_factory=dict)
    example_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    duplicates: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    money: Tally = field(default_factory=Tally)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain types; money as `{currency: {column: "1.00"}}`."""
        money = {
            currency: {column: cell["total"] for column, cell in columns.items()}
            for currency, columns in self.money.to_json()["money"].items()
        }
        return {**vars(self), "money": money}


@dataclass(frozen=True)
class RunReport:
    """The result of a run. `seconds` are those of the steps that all regions share, `page` is where its page is."""

    date: str
    batch_id: str
    run_number: int
    flow_run_id: str
    staging_prefix: str
    regions: tuple[RegionReport, ...]
    checks_failed: tuple[str, ...]
    checks_made: int
    verified: bool
    overtaken: tuple[str, ...]
    missing: str
    anomalies: tuple[str, ...]
    seconds: Mapping[str, float]
    page: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**vars(self), "regions": [region.to_json() for region in self.regions]}


@dataclass
class Findings:
    """The results of the steps, filled step by step as far as the run gets. `page` is where the run's page will be."""

    batch: Batch
    attempt: Attempt
    plan: Plan
    transformed: Sequence[Transformed] = ()
    verdict: Verdict | None = None
    manifest: Manifest | None = None
    publication: Publication | None = None
    verification: Verification | None = None
    anomalies: Sequence[Anomaly] = ()
    page: str = ""


class OfRegion(Protocol):
    """A step's result for one region."""

    @property
    def region(self) -> str: ...


Result = TypeVar("Result", bound=OfRegion)


def by_region(results: Iterable[Result]) -> dict[str, Result]:
    """A step's results by region code."""
    return {result.region: result for result in results}


def summarize(findings: Findings) -> RunReport:
    """Returns the results of the steps as one record."""
    publication, verdict, verification = findings.publication, findings.verdict, findings.verification
    refused = [publication.refused.message] if publication and publication.refused else []
    return RunReport(
        date=findings.batch.date.isoformat(),
        batch_id=findings.batch.batch_id,
        run_number=findings.attempt.run_number,
        flow_run_id=findings.attempt.flow_run_id,
        staging_prefix=findings.attempt.staging_prefix,
        regions=tuple(_region(region, findings) for region in findings.batch.regions),
        checks_failed=tuple(check.message for check in (verdict.failed if verdict else ())) + tuple(refused),
        checks_made=len(verdict.checks) if verdict else 0,
        verified=verification is not None,
        overtaken=publication.overtaken if publication else (),
        missing=findings.plan.missing_message,
        anomalies=tuple(f"{anomaly.region}: {anomaly.message}" for anomaly in findings.anomalies),
        seconds={
            "quality-gate": verdict.seconds if verdict else 0.0,
            "load": publication.seconds_load if publication else 0.0,
            "publish": publication.seconds_publish if publication else 0.0,
            "verify": verification.seconds if verification else 0.0,
        },
        page=findings.page,
    )


def _region(region: str, findings: Findings) -> RegionReport:
    answered, publication = by_region(findings.plan.answered), findings.publication
    if left_out := by_region(findings.plan.left_out).get(region):
        return _left_out(left_out, answered.get(region))
    extracted = answered[region]
    transformed = by_region(findings.transformed).get(region)
    published = by_region(publication.regions).get(region) if publication else None
    seconds = {name: step.seconds for name, step in (("extract", extracted), ("transform", transformed)) if step}
    if findings.manifest and region in findings.manifest.seconds:
        seconds["stage"] = findings.manifest.seconds[region]
    fates = {fate: published.of(fate).rows if published else 0 for fate in Fate}
    cross_region = fates[Fate.CROSS_REGION]
    return RegionReport(
        region=region,
        status=_status(region, publication, published),
        extracted=extracted.read.rows,
        clean=(transformed.clean.rows if transformed else 0) - cross_region,
        rejected=(transformed.rejected.rows if transformed else 0) + cross_region,
        rejected_by_rule=_by_rule(transformed, published),
        example_keys={broken.rule: broken.keys for broken in (transformed.broken if transformed else ())},
        duplicates=transformed.duplicates.rows if transformed else 0,
        inserted=fates[Fate.INSERTED],
        updated=fates[Fate.UPDATED],
        unchanged=fates[Fate.UNCHANGED],
        superseded=fates[Fate.SUPERSEDED],
        money=extracted.source,
        seconds=seconds,
    )


def _left_out(entry: Entry, extracted: Extracted | None) -> RegionReport:
    rows, money = (extracted.read.rows, extracted.source) if extracted else (0, Tally())
    return RegionReport(entry.region, str(entry.status), entry.cause, extracted=rows, money=money)


def _status(region: str, publication: Publication | None, published: Published | None) -> str:
    if published:
        return "PUBLISHED"
    return "OVERTAKEN" if publication and region in publication.overtaken else "NOT PUBLISHED"


def _by_rule(transformed: Transformed | None, published: Published | None) -> dict[str, int]:
    broken: Sequence[BrokenRule] = transformed.broken if transformed else ()
    counts = {rule.rule: rule.rows for rule in broken}
    if published and (cross_region := published.of(Fate.CROSS_REGION).rows):
        counts[CROSS_REGION_RULE] = cross_region
    return counts


def extraction_table(extracts: Sequence[Extracted]) -> list[dict[str, Any]]:
    """Extraction metadata: one row per region that answered."""
    return [
        {
            "region": extracted.region,
            "rows": extracted.read.rows,
            "snapshot (UTC)": extracted.snapshot_at.isoformat(),
            "seconds": extracted.seconds,
            "new columns": ", ".join(f"{c.name} ({c.declared_type})" for c in extracted.new_columns),
            "lacking columns": ", ".join(extracted.lacking_columns),
        }
        for extracted in extracts
    ]


def reconciliation_table(report: RunReport) -> list[dict[str, Any]]:
    """Source against fates, one row per region."""
    return [
        {
            "region": region.region,
            "status": region.status,
            "extracted": region.extracted,
            "inserted": region.inserted,
            "updated": region.updated,
            "unchanged": region.unchanged,
            "superseded": region.superseded,
            "duplicates": region.duplicates,
            "rejected": region.rejected,
        }
        for region in report.regions
    ]


def rejected_table(report: RunReport) -> list[dict[str, Any]]:
    """Rejected rows by region and rule, with up to ten keys each."""
    return [
        {
            "region": region.region,
            "rule": rule,
            "rows": rows,
            "first keys": ", ".join(region.example_keys.get(rule, ())),
        }
        for region in report.regions
        for rule, rows in region.rejected_by_rule.items()
    ]


def quality_table(verdict: Verdict | None) -> list[dict[str, Any]]:
    """Every check of the quality gate: failed checks first, then those closest to their limits."""
    checks = sorted(verdict.checks if verdict else (), key=lambda check: (check.passed, -check.used))
    return [
        {
            "suite": check.suite,
            "scope": check.scope,
            "check": check.name,
            "column": check.column,
            "passed": "yes" if check.passed else "NO",
            "% of limit": round(100 * check.used),
            "result": check.message,
        }
        for check in checks
    ]


def money_table(report: RunReport) -> list[dict[str, Any]]:
    """Exact totals of the extracted rows by region and currency."""
    return [
        {"region": region.region, "currency": currency, **{name: Decimal(total) for name, total in columns.items()}}
        for region in report.regions
        for currency, columns in region.to_json()["money"].items()
    ]


def markdown_report(report: RunReport) -> str:
    """The run on one page."""
    sections = {
        "Reconciliation": markdown_table(reconciliation_table(report)),
        "Money, as extracted": markdown_table(money_table(report)),
        "Rejected rows by rule": markdown_table(rejected_table(report)),
        "Failed checks": _list(report.checks_failed),
        "Left out": in_markdown(report.missing) or "None.",
        "Anomalies": _list(report.anomalies),
    }
    head = (
        f"# Daily sales {report.date}\n\nBatch `{report.batch_id}`, run {report.run_number}, "
        f"staged below `{report.staging_prefix}/`, "
        f"{'verified in the fact table' if report.verified else 'NOT published'}.\n"
    )
    if report.page:
        head += f"\nPage with charts: {_link(report.page)}\n"
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def _link(place: str) -> str:
    return f"[{in_markdown(place)}]({place})" if place.startswith("http") else f"`{in_markdown(place)}`"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {in_markdown(line)}" for line in lines) or "None."


@task(name="report", **ONCE)
def report(findings: Findings) -> RunReport:
    """Writes the artifacts of the run and returns its report."""
    summary = summarize(findings)
    key = "daily-sales"
    tables = {
        "extraction": extraction_table(findings.plan.answered),
        "reconciliation": reconciliation_table(summary),
        "rejected": rejected_table(summary),
        "quality": quality_table(findings.verdict),
    }
    artifacts = [page(markdown_report(summary), key=f"{key}-report", description=f"Daily sales {summary.date}")]
    for name, rows in tables.items():
        artifacts.append(table(rows, key=f"{key}-{name}", description=f"{name.capitalize()} of {summary.date}"))
    write_artifacts(artifacts)
    return summary
