"""Each run is named after what it does."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flows.alert_drill import alert_drill
from flows.backfill import backfill
from flows.check_setup import check_setup
from flows.clean_staging import clean_staging
from flows.daily_sales import daily_sales
from flows.list_rejected import list_rejected
from flows.reconcile import reconcile
from flows.replay_rejected import replay_rejected
from flows.rollback import rollback
from flows.send_alert import send_alert
from flows.setup_warehouse import setup_warehouse
from flows.support.run_names import alert_name, backfill_name, reconcile_name, replay_name, rollback_name
from flows.watchdog import watchdog

DUE = datetime(2024, 1, 16, 9, 15, tzinfo=UTC)
RANGE = {"start_date": "20240110", "end_date": "2024-01-14"}
RUN_ID = "3f0c8d9e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("words", "parameters", "name"),
    [
        pytest.param(backfill_name, {}, "backfill-until-2024-01-15", id="backfill"),
        pytest.param(backfill_name, RANGE, "backfill-2024-01-10-to-14", id="backfill-range"),
        pytest.param(
            backfill_name,
            {"start_date": "2023-12-30", "end_date": "yesterday", "mode": "all", "dry_run": True},
            "backfill-2023-12-30-to-2024-01-15-all-dry",
            id="backfill-over-the-year",
        ),
        pytest.param(
            backfill_name,
            {"start_date": "2024-01-10", "end_date": "2024-01-10", "regions": ["EUROPE"]},
            "backfill-2024-01-10-EUROPE",
            id="backfill-one-date",
        ),
        pytest.param(backfill_name, {"start_date": "2024-01-10"}, "backfill-2024-01-10-to-15", id="half-a-range"),
        pytest.param(reconcile_name, RANGE | {"dry_run": True}, "reconcile-2024-01-10-to-14-dry", id="reconcile"),
        pytest.param(
            reconcile_name,
            {"heal": False, "heal_deleted": True},
            "reconcile-until-2024-01-15-no-heal-heal-deleted",
            id="reconcile-options",
        ),
        pytest.param(rollback_name, {"date": "2024-01-15", "reason": "x"}, "rollback-20240115", id="rollback"),
        pytest.param(rollback_name, {"date": 20240115, "cascade": True}, "rollback-20240115-cascade", id="cascade"),
        pytest.param(
            rollback_name,
            {"date": "H20240116T091500Z", "dry_run": True},
            "rollback-H20240116T091500Z-dry",
            id="rollback-of-keys",
        ),
        pytest.param(
            replay_name,
            {"regions": ["EUROPE"], "dry_run": True},
            "replay-rejected-2024-01-16-0915-EUROPE-dry",
            id="replay",
        ),
        pytest.param(
            alert_name,
            {"kind": "sla", "date": "2024-01-15", "region": "US_WEST", "flow_run_id": None},
            "send-alert-sla-2024-01-15-US_WEST",
            id="alert-of-a-date",
        ),
        pytest.param(alert_name, {"kind": "failed", "flow_run_id": RUN_ID}, "send-alert-failed-3f0c8d9e", id="alert"),
    ],
)
def test_a_name_says_what_the_run_does(words: Any, parameters: dict[str, Any], name: str) -> None:
    assert words(parameters, DUE) == name


@pytest.mark.parametrize(
    "flow",
    [
        *(alert_drill, backfill, check_setup, clean_staging, daily_sales, list_rejected, reconcile, replay_rejected),
        *(rollback, send_alert, setup_warehouse, watchdog),
    ],
    ids=lambda flow: flow.name,
)
def test_every_flow_names_its_runs(flow: Any) -> None:
    assert callable(flow.flow_run_name)
