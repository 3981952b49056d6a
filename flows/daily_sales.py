"""The daily run: loads one day of sales of all regions into the fact table. Its steps read top to bottom."""

import argparse
import sys

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import State

from blocks.variables import read_settings
from expectations.regions import REGIONS, expected_on
from flows.support.command_line import run
from flows.support.engines import steps_on
from flows.support.lost_engine import ended_with_its_engine
from flows.support.pages import WITH_PAGE, kept_for_page
from flows.support.parameters import BusinessDate, Engine, RegionCodes, choose_batch
from flows.support.refusals import refused_batch
from flows.support.run_hooks import name_of_run
from flows.support.states import final_state
from tasks.anomalies import announce_anomalies
from tasks.batch import YESTERDAY
from tasks.begin import begin
from tasks.extract import extract_regions
from tasks.files.scratch import scratch_directory
from tasks.plan import check_regions, closed_regions, needs_floor, plan
from tasks.prefect_server.stopping import finished_first, signals_in_order
from tasks.publish import publish
from tasks.quality import Verdict
from tasks.report import Findings, report
from tasks.retries import ONCE
from tasks.stage import FileKind
from tasks.verify import verify_in_any_case
from tasks.warehouse.lease import lease_kept


@flow(name="daily-sales", flow_run_name=name_of_run, **WITH_PAGE, **ONCE)
def daily_sales(date: BusinessDate = YESTERDAY, regions: RegionCodes = None, engine: Engine = "pandas") -> State:
    """Loads one business date into `ANALYTICS.SALES_FACT`.

    Args:
        date: Business date (UTC day), as 2024-01-15 or 20240115. yesterday: the day before the scheduled start.
        regions: Region codes to load: US_EAST, US_WEST, EUROPE, ASIA_PACIFIC. Empty: all that have opened by the date.
        engine: What transforms and judges the rows: pandas in the worker, or spark, at the variable `spark_remote`.

    Ends as Completed, PartiallyLoaded (a region was left out), Overtaken (a newer run published the batch),
    QualityFailed (the gate refused the batch, nothing was loaded), Refused (the date is in the future, or no region has
    opened by it) or Failed.
    """
    if senseless := refused_batch(date, regions):
        return senseless
    batch, settings = choose_batch(date, regions), read_settings()
    warehouse, watch_warehouse = settings.snowflake_warehouse, settings.snowflake_watch_warehouse
    bucket, lease_minutes = settings.s3_staging_bucket, settings.lease_minutes
    with ended_with_its_engine(), signals_in_order():
        attempt = begin(batch, str(flow_run.id), watch_warehouse, bucket, lease_minutes)

        with (
            scratch_directory() as scratch,
            lease_kept(attempt, watch_warehouse, lease_minutes),
            steps_on(engine, attempt, settings, scratch) as on_engine,
        ):
            extracted = extract_regions(batch, settings, scratch)
            found = kept_for_page(Findings(batch, attempt, plan(batch, extracted, settings)), settings)
            if too_few := check_regions(found.plan, expected_on(batch.date, REGIONS), settings):
                found.verdict = Verdict((too_few,), 0.0)
                return final_state(report(found))

            present, left_out = list(found.plan.present), list(found.plan.left_out)
            found.transformed = on_engine.transform(present)
            with_floor = needs_floor(batch, expected_on(batch.date, REGIONS), settings)
            closed = closed_regions(batch, settings)
            found.verdict = on_engine.check_quality(present, found.transformed, settings.thresholds, with_floor, closed)

            kinds: tuple[FileKind, ...] = ("clean", "rejected") if found.verdict.passed else ("rejected",)
            found.manifest = on_engine.stage(present, found.transformed, kinds)
            if not found.verdict.passed:
                return final_state(report(found))

            with finished_first(attempt.run_number):
                found.publication = publish(
                    found.manifest, present, found.transformed, left_out, settings.thresholds, warehouse, closed=closed
                )
                if found.publication.refused:
                    return final_state(report(found))
                found.verification = verify_in_any_case(found.manifest, found.publication, warehouse)
            found.anomalies = announce_anomalies(batch, present, found.publication, watch_warehouse)
            return final_state(report(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.daily_sales", allow_abbrev=False)
    parser.add_argument("date", nargs="?", help="business date; none: yesterday")
    parser.add_argument("regions", nargs="*", help="region codes; none: all")
    parser.add_argument("--engine", default="pandas", help="pandas or spark")
    given = vars(parser.parse_args())
    sys.exit(run(daily_sales, **{**given, "regions": given["regions"] or None}))
