"""check-setup looks for what is deployed, by the same names and limits."""

from datetime import time, timedelta

import yaml

from blocks.names import DEPLOYMENTS, LOAD
from blocks.project import HOME
from deployments.automations import PREFIX, AlertLimits, watches
from tasks.setup_checks.prefect_server import AUTOMATION_PREFIX, AUTOMATIONS
from tasks.watch.late_and_dead import SCHEDULED_AT

ENTRIES = yaml.safe_load((HOME / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


def test_the_automations_are_those_that_mail() -> None:
    mailing = {watch.name for watch in watches(AlertLimits(sla=timedelta(hours=2))) if watch.kind}
    assert (AUTOMATION_PREFIX, set(AUTOMATIONS)) == (PREFIX, mailing | {"anomaly"})


def test_every_deployment_sits_in_its_queue() -> None:
    expected = {(d.name.partition("/")[0].replace("-", "_"), d.queue, d.scheduled) for d in DEPLOYMENTS}
    planned = {
        (e["entrypoint"].rpartition(":")[2], e["work_pool"]["work_queue_name"], bool(e["schedules"])) for e in ENTRIES
    }
    assert expected <= planned


def test_the_watchdog_knows_when_the_daily_run_starts() -> None:
    (daily,) = [entry for entry in ENTRIES if entry["entrypoint"].endswith(":daily_sales")]
    assert daily["work_pool"]["work_queue_name"] == LOAD
    assert [schedule["cron"] for schedule in daily["schedules"]] == ["0 6 * * *"]
    assert time(6) == SCHEDULED_AT
