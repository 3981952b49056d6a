"""What an alert is about, and the slot under which it is sent once."""

from datetime import UTC, datetime

import pytest

from tasks.alerts.book import plain_name
from tasks.alerts.request import AlertKind, AlertRequest, RunFacts, with_kind_of_run
from tasks.alerts.subject import find_subject, join_regions, slot_name
from tests.unit.tasks.alerts.run_facts import ROOT_ID, RUN_ID, SIX, run_of

LACKING_COLUMN = "column of extra_columns that the source lacks: loyalty_tier"
NEW_COLUMNS = "new columns in the source: loyalty_tier (text), weight (numeric(12,2))"


@pytest.mark.parametrize(
    ("request_", "run", "slot"),
    [
        pytest.param(AlertRequest("failed", RUN_ID), run_of(), "20240115 all failed", id="scheduled-run"),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of(parameters={"date": "20240110", "regions": None}),
            "20240110 all failed",
            id="date-of-the-run",
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of(parameters={"date": 20240110, "regions": ["EUROPE", "US_EAST"]}),
            "20240110 US_EAST,EUROPE failed",
            id="regions-of-the-run",
        ),
        pytest.param(AlertRequest("failed", None, "2024-01-15"), None, "20240115 all failed", id="watchdog-outside"),
        pytest.param(AlertRequest("failed", None, "2024-01-15", "All"), None, "20240115 all failed", id="all-by-name"),
        pytest.param(
            AlertRequest("sla", None, "2024-01-15", "EUROPE, us_east"),
            None,
            "20240115 US_EAST,EUROPE sla",
            id="regions-in-any-order",
        ),
        pytest.param(
            AlertRequest("lease-expired", RUN_ID), run_of(), "20240115 all failed", id="lease-is-that-failure"
        ),
        pytest.param(
            AlertRequest("partially-loaded", RUN_ID),
            run_of(message="EUROPE left out: a; US_EAST left out: b"),
            "20240115 US_EAST,EUROPE partially-loaded",
            id="missing-regions",
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of("check-setup"),
            f"{RUN_ID} failed",
            id="each-run-without-a-date",
        ),
        pytest.param(
            AlertRequest("partially-loaded", RUN_ID),
            run_of("backfill", message="3 dates loaded"),
            f"{RUN_ID} partially-loaded",
            id="each-backfill",
        ),
        pytest.param(
            AlertRequest("lease-expired", RUN_ID),
            run_of("backfill"),
            f"{RUN_ID} failed",
            id="lease-of-a-backfill-is-its-failure",
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of(parameters={"date": "tomorrow"}),
            f"{RUN_ID} failed",
            id="date-not-understood",
        ),
        pytest.param(
            AlertRequest("lease-expired", RUN_ID),
            run_of(parameters={"date": "tomorrow"}, root_id=ROOT_ID),
            f"{ROOT_ID} failed",
            id="child-without-a-date",
        ),
        pytest.param(
            AlertRequest("lease-expired", RUN_ID), None, f"{RUN_ID} failed", id="run-that-the-server-does-not-know"
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID), run_of("watchdog"), "20240116 watchdog failed", id="watchdog-once-a-day"
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-15", "EUROPE", "row-count: 49 rows, below half the median 100"),
            run_of(),
            "20240115 EUROPE anomaly row-count",
            id="each-sort-of-anomaly",
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-10", "EUROPE", "row-count: 49 rows, below half the median 100"),
            run_of(root_id=ROOT_ID),
            f"{ROOT_ID} EUROPE anomaly row-count",
            id="anomalies-of-a-backfill-are-one",
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-15", "EUROPE", f"new-column: {NEW_COLUMNS}"),
            run_of(),
            "EUROPE anomaly new-column loyalty_tier, weight",
            id="new-columns-whatever-the-date",
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-10", "EUROPE", f"new-column: {NEW_COLUMNS}"),
            run_of(root_id=ROOT_ID),
            "EUROPE anomaly new-column loyalty_tier, weight",
            id="new-columns-whatever-noticed-it",
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-15", "EUROPE", f"lacking-column: {LACKING_COLUMN}"),
            run_of(root_id=ROOT_ID),
            "EUROPE anomaly lacking-column loyalty_tier",
            id="lacking-column-whatever-the-date-and-whatever-noticed-it",
        ),
        pytest.param(AlertRequest("drill", RUN_ID), run_of("alert-drill"), f"{RUN_ID} drill", id="each-drill"),
        pytest.param(AlertRequest("anomaly"), None, "20240120 all anomaly", id="nothing-known"),
    ],
)
def test_one_slot_per_date_region_and_kind_whatever_noticed_it(
    request_: AlertRequest, run: RunFacts | None, slot: str
) -> None:
    now = datetime(2024, 1, 20, tzinfo=UTC)
    assert slot_name(request_, find_subject(request_, run), run, now) == slot


def slot_of_new_columns(count: int) -> str:
    columns = ", ".join(f"column_{number} (text)" for number in range(count))
    request = AlertRequest(
        "anomaly", RUN_ID, "2024-01-15", "EUROPE", f"new-column: new columns in the source: {columns}"
    )
    return slot_name(request, find_subject(request, run_of()), run_of(), SIX)


def test_many_new_columns_are_distinguished_by_a_name_of_bounded_length() -> None:
    names = {plain_name(slot_of_new_columns(count)) for count in range(1, 1000)}
    assert len(names) == 999
    assert max(map(len, names)) <= 200
    assert len(slot_of_new_columns(1000)) < 200


@pytest.mark.parametrize(
    ("kind", "run", "expected"),
    [
        pytest.param("failed", run_of(state="QualityFailed"), "quality-failed", id="quality"),
        pytest.param("failed", run_of(state="PartiallyLoaded"), "partially-loaded", id="partial"),
        pytest.param("failed", run_of("alert-drill", parameters={"fail": True}), "drill", id="drill"),
        pytest.param(
            "failed", run_of("alert-drill", parameters={"fail": False}), "failed", id="the-drill-itself-failed"
        ),
        pytest.param("sla", run_of(state="QualityFailed"), "sla", id="a-reminder-stays-one"),
        pytest.param("failed", None, "failed", id="no-run"),
    ],
)
def test_a_runs_own_state_names_the_kind(kind: AlertKind, run: RunFacts | None, expected: str) -> None:
    assert with_kind_of_run(AlertRequest(kind, RUN_ID), run).kind == expected


def test_regions_are_named_in_one_order() -> None:
    assert join_regions(["EUROPE", "US_EAST"]) == "US_EAST,EUROPE"
    assert join_regions(["ASIA_PACIFIC", "EUROPE", "US_WEST", "US_EAST"]) == "all"
    assert join_regions([]) == "all"
    assert join_regions(["MARS", "EUROPE"]) == "EUROPE,MARS"
