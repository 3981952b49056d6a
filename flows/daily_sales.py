"""The daily run: one day of sales of all regions into the fact table. Reads top to bottom as it happens."""

import sys
from pathlib import Path

from prefect import flow, unmapped
from prefect.runtime import flow_run
from prefect.states import State

from blocks.variables import Settings, read_settings
from expectations.regions import REGIONS
from flows.command_line import run
from flows.lost_engine import ended_with_its_engine
from flows.parameters import BusinessDate, RegionCodes, choose_batch
from flows.refusals import refused_dates
from flows.run_hooks import name_of_run, record_failed_run
from flows.states import final_state
from tasks.anomalies import announce_anomalies
from tasks.batch import YESTERDAY, Batch, NamedKeys
from tasks.begin import begin
from tasks.extract import Extracted, extract
from tasks.files.scratch import scratch_directory
from tasks.plan import needs_floor, plan, refuse_unloadable
from tasks.prefect_server.stopping import finished_first, signals_in_order
from tasks.publish import publish
from tasks.quality import Verdict, check_quality
from tasks.report import Findings, report
from tasks.source.snapshot import limits_of
from tasks.stage import stage
from tasks.transform import transform
from tasks.verify import verify_in_any_case
from tasks.warehouse.lease import lease_kept


@flow(
    name="daily-sales",
    flow_run_name=name_of_run,
    on_failure=[record_failed_run],
    on_crashed=[record_failed_run],
    on_cancellation=[record_failed_run],
)
def daily_sales(date: BusinessDate = YESTERDAY, regions: RegionCodes = None) -> State:
    """Loads one business date into `ANALYTICS.SALES_FACT`.

    Args:
        date: Business date (UTC day), as 2024-01-15 or 20240115. yesterday: the day before the scheduled start.
        regions: Region codes to load: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all.

    Ends as Completed, PartiallyLoaded (a region was left out), Overtaken (a newer run published the batch),
    QualityFailed (the gate refused the batch, nothing was loaded), Refused (the date is in the future) or Failed.
    """
    if in_future := refused_dates(date):
        return in_future
    batch, settings = choose_batch(date, regions), read_settings()
    warehouse, watch_warehouse = settings.snowflake_warehouse, settings.snowflake_watch_warehouse
    bucket, lease_minutes = settings.s3_staging_bucket, settings.lease_minutes
    with ended_with_its_engine(), signals_in_order():
        attempt = begin(batch, str(flow_run.id), watch_warehouse, bucket, lease_minutes)

        with scratch_directory() as scratch, lease_kept(attempt, watch_warehouse, lease_minutes):
            sorted_regions = plan(batch, extract_regions(batch, settings, scratch), settings)
            findings = Findings(batch, attempt, sorted_regions)
            if too_few := refuse_unloadable(sorted_regions, settings):
                return final_state(report(findings.with_(verdict=Verdict((too_few,), 0.0))))

            present = list(sorted_regions.present)
            transformed = transform(present, scratch)
            with_floor = needs_floor(batch, tuple(REGIONS), settings)
            verdict = check_quality(present, transformed, settings.thresholds, with_floor)

            kinds = ("clean", "rejected") if verdict.passed else ("rejected",)
            manifest = stage(attempt, present, transformed, kinds, scratch, bucket)
            findings = findings.with_(transformed=transformed, verdict=verdict, manifest=manifest)
            if not verdict.passed:
                return final_state(report(findings))

            with finished_first(attempt.run_number):
                publication = publish(
                    manifest, present, transformed, list(sorted_regions.left_out), settings.thresholds, warehouse
                )
                if publication.refused:
                    return final_state(report(findings.with_(publication=publication)))
                verification = verify_in_any_case(manifest, publication, warehouse)
            anomalies = announce_anomalies(batch, present, publication, watch_warehouse)
            findings = findings.with_(publication=publication, verification=verification, anomalies=anomalies)
            return final_state(report(findings))


def extract_regions(
    batch: Batch | NamedKeys, settings: Settings, scratch: Path
) -> dict[str, Extracted | BaseException]:
    """Reads all regions side by side; a region that cannot be read answers with its error."""
    extra_columns, limits = unmapped(settings.extra_columns), unmapped(limits_of(settings))
    futures = extract.map(list(batch.regions), batch.wanted, scratch, extra_columns, limits)
    outcomes = (future.result(raise_on_failure=False) for future in futures)
    return dict(zip(batch.regions, outcomes, strict=True))


if __name__ == "__main__":
    date, regions = next(iter(sys.argv[1:]), None), sys.argv[2:] or None
    sys.exit(run(daily_sales, date=date, regions=regions))
