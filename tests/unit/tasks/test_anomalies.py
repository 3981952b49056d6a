"""What is unusual about a region, and what is not."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tasks import anomalies
from tasks.anomalies import Anomaly, emit_anomaly, find_anomalies
from tasks.batch import Batch
from tests.unit.findings import extracted, publication, published


def found(rows: int = 100, usual: tuple[int, ...] = (), cross_region: int = 0) -> tuple[Anomaly, ...]:
    europe = replace(extracted("EUROPE", rows), new_columns=())
    return find_anomalies([europe], publication(published("EUROPE", 1, cross_region)), {"EUROPE": usual})


def test_a_usual_day_has_none() -> None:
    assert found(usual=(90, 110, 100, 95)) == ()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(49, "49 rows, below half the median 100 of its last 4 same weekdays", id="below-half"),
        pytest.param(50, None, id="half"),
        pytest.param(200, None, id="twice"),
        pytest.param(201, "201 rows, above twice the median 100 of its last 4 same weekdays", id="above-twice"),
    ],
)
def test_a_row_count_is_judged_by_the_same_weekdays(rows: int, message: str | None) -> None:
    expected = (Anomaly("EUROPE", "row-count", message),) if message else ()
    assert found(rows, usual=(80, 100, 100, 1000)) == expected


def test_fewer_than_four_weekdays_judge_nothing() -> None:
    assert found(rows=1, usual=(100, 100, 100)) == ()


def test_keys_of_other_regions_and_new_columns_are_named() -> None:
    assert found(cross_region=3) == (Anomaly("EUROPE", "cross-region", "3 sales carry a sale_id of another region"),)
    (new_column,) = find_anomalies([extracted("EUROPE", 100)], publication(), {})
    assert (new_column.what, new_column.message) == ("new-column", "new columns in the source: tier (text)")


def test_each_lacking_column_is_an_anomaly_of_its_own() -> None:
    europe = replace(extracted("EUROPE", 100), new_columns=(), lacking_columns=("loyalty_tier", "phone"))
    assert find_anomalies([europe], publication(), {}) == (
        Anomaly("EUROPE", "lacking-column", "column of extra_columns that the source lacks: loyalty_tier"),
        Anomaly("EUROPE", "lacking-column", "column of extra_columns that the source lacks: phone"),
    )


def test_a_standby_that_is_behind_is_reported_with_what_follows() -> None:
    europe = replace(extracted("EUROPE", 100), new_columns=(), behind="its database is a standby that lags")
    assert find_anomalies([europe], publication(), {}) == (
        Anomaly("EUROPE", "standby", "its database is a standby that lags; the date is a gap until it is loaded again"),
    )


def test_each_anomaly_is_an_event_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    emitted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(anomalies, "emit_event", lambda *event, **content: emitted.append((*event, content)))
    batch = Batch(date(2024, 1, 15), ("EUROPE",))
    for what in ("new-column", "row-count"):
        emit_anomaly(batch, Anomaly("EUROPE", what, f"message of {what}"))
    resource = {"prefect.resource.id": "retail-sales.region.EUROPE", "prefect.resource.name": "EUROPE"}
    assert emitted == [
        (
            "retail-sales.anomaly",
            resource,
            {"payload": {"date": "2024-01-15", "region": "EUROPE", "what": what, "message": f"message of {what}"}},
        )
        for what in ("new-column", "row-count")
    ]
