"""How a backfill ends: one state that names what went wrong, and a table of all dates."""

from datetime import date, timedelta

import pytest
from prefect.client.schemas import StateType
from prefect.states import Completed, Failed

from flows.support.outcomes import (
    DATES_NAMED_MAX,
    SETTLED,
    DateOutcome,
    carried_over,
    ended_state,
    outcome_of,
    outcome_table,
    planned_state,
    refused_state,
    to_carry_over,
    yielded_state,
)
from tasks.backfill.gaps import BackfillPlan, Gap
from tasks.batch import DateRange

FIRST = date(2024, 1, 10)


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def gap(n: int, *regions: str) -> Gap:
    return Gap(day(n), regions or ("US_EAST", "EUROPE"), whole=not regions)


def planned(*gaps: Gap, under_way: tuple[Gap, ...] = ()) -> BackfillPlan:
    return BackfillPlan(DateRange(FIRST, day(4)), gaps, under_way)


GOOD = outcome_of(gap(0), Completed(message="2024-01-10: 180 clean rows of 2 regions"), 7.5)
PARTLY = outcome_of(gap(1), Completed(name="PartiallyLoaded", message="EUROPE left out: refused"), 6.0)
BAD = outcome_of(gap(2), Failed(name="QualityFailed", message="record count 45 is below threshold 100"), 5.0)
LEFT_OUT = outcome_of(gap(3), Completed(name=SETTLED, message="rolled back"), 0.1)
PLAN = planned(gap(0), gap(1), gap(2))


@pytest.mark.parametrize(
    ("outcomes", "kind", "name", "message"),
    [
        pytest.param([GOOD], StateType.COMPLETED, "Completed", "1 date loaded", id="all-loaded"),
        pytest.param([], StateType.COMPLETED, "Completed", "nothing to load in mode missing", id="no-gaps"),
        pytest.param(
            [GOOD, PARTLY],
            StateType.COMPLETED,
            "PartiallyLoaded",
            "2 dates loaded; partially loaded: 2024-01-11 (EUROPE left out: refused)",
            id="partially",
        ),
        pytest.param(
            [GOOD, PARTLY, BAD],
            StateType.FAILED,
            "Failed",
            "2 of 3 dates loaded; failed: 2024-01-12 (QualityFailed: record count 45 is below threshold 100); "
            "partially loaded: 2024-01-11 (EUROPE left out: refused); artifact backfill shows all",
            id="one-failed",
        ),
        pytest.param(
            [GOOD, LEFT_OUT],
            StateType.COMPLETED,
            "Completed",
            "1 date loaded; settled meanwhile: 2024-01-13 (rolled back)",
            id="one-rolled-back-meanwhile",
        ),
    ],
)
def test_the_final_state_names_what_went_wrong(
    outcomes: list[DateOutcome], kind: StateType, name: str, message: str
) -> None:
    ended = ended_state(outcomes, PLAN, "missing")
    assert (ended.type, ended.name) == (kind, name)
    assert ended.message.startswith(message)


def test_dates_that_another_run_loads_are_named() -> None:
    ended = ended_state([GOOD], planned(gap(0), under_way=(gap(3, "EUROPE"),)), "missing")
    assert (ended.type, ended.name) == (StateType.COMPLETED, "PartiallyLoaded")
    assert ended.message == (
        "1 date loaded; left alone, because another run has begun it and goes on, or has died within the last "
        "lease_minutes (load it again then): 2024-01-13 (EUROPE)"
    )
    nothing_else = ended_state([], planned(under_way=(gap(3),)), "missing")
    assert (nothing_else.type, nothing_else.name) == (StateType.COMPLETED, "PartiallyLoaded")
    assert nothing_else.message.startswith("nothing to load in mode missing from 2024-01-10 to 2024-01-14; left alone")


def test_the_message_is_bounded_and_the_table_is_not() -> None:
    endless = Failed(message="no route to host " * 200)
    outcomes = [outcome_of(gap(n), endless, 1.0) for n in range(40)]
    plan = planned(*(gap(n) for n in range(40)))
    message = ended_state(outcomes, plan, "missing").message
    assert f"and {40 - DATES_NAMED_MAX} more" in message
    assert len(message) < 2_500
    assert len(outcome_table(outcomes, plan)) == 40


def test_a_dry_run_lists_dates_and_regions() -> None:
    dry = planned_state(planned(gap(0), gap(1, "EUROPE")), "missing", 3900.0)
    assert dry.is_completed()
    assert dry.message == "dry run: would load 2 dates: 2024-01-10 (all), 2024-01-11 (EUROPE); takes 1 h 5 min or so"
    assert (
        planned_state(planned(), "failed", None).message
        == "nothing to load in mode failed from 2024-01-10 to 2024-01-14"
    )


def test_a_run_that_makes_room_says_for_which_and_who_goes_on() -> None:
    queued = "backfill-2024-01-13-to-2024-01-14 (run 3f0c8d9e)"
    plan = planned(gap(0), under_way=(gap(1),))
    made_room = yielded_state([GOOD, BAD], 1, plan, "daily-sales-2024-01-15", DateRange(day(3), day(4)), queued)
    assert (made_room.type, made_room.name) == (StateType.COMPLETED, "Yielded")
    assert made_room.message == (
        "made room for daily-sales-2024-01-15 after 1 date: backfill-2024-01-13-to-2024-01-14 (run 3f0c8d9e) goes on "
        "with 2024-01-13 to 2024-01-14; it also tries what another run has begun: 2024-01-11 (all); "
        "failed: 2024-01-12 (QualityFailed: record count 45 is below threshold 100)"
    )


def test_what_was_not_loaded_before_making_room_is_not_forgotten() -> None:
    carried = to_carry_over([GOOD, PARTLY, BAD])
    assert carried == {"2024-01-11": "PartiallyLoaded", "2024-01-12": "QualityFailed"}
    ended = ended_state([*carried_over(carried), GOOD], PLAN, "missing")
    assert ended.is_failed()
    assert "2024-01-12 (QualityFailed: " in ended.message
    assert "partially loaded: 2024-01-11" in ended.message
    assert to_carry_over([*carried_over(carried), GOOD]) == carried, "the next run of the chain hands it on"
    assert carried_over(None) == []


def test_what_the_range_of_the_rest_does_not_hold_is_left_to_it_by_name() -> None:
    carried = to_carry_over([GOOD, BAD], not_begun=[gap(1)], under_way=[gap(3, "EUROPE")])
    assert carried == {"2024-01-12": "QualityFailed", "2024-01-11": "not started", "2024-01-13": "under way"}
    tried = [outcome.date for outcome in carried_over(carried) if outcome.is_left_to_the_rest]
    assert tried == [day(1), day(3)]


def test_the_table_shows_every_date() -> None:
    table = outcome_table([GOOD], planned(gap(0), gap(1, "EUROPE"), under_way=(gap(3),)))
    assert [(row["date"], row["regions"], row["state"], row["seconds"]) for row in table] == [
        ("2024-01-10", "all", "Completed", 7.5),
        ("2024-01-13", "all", "under way", 0.0),
        ("2024-01-11", "EUROPE", "not started", 0.0),
    ]
    assert all(list(row) == ["date", "regions", "state", "message", "seconds"] for row in table)


@pytest.mark.parametrize(
    ("seconds", "taking"),
    [
        pytest.param(None, "", id="none-loaded-lately"),
        pytest.param(10.0, " (1 min or so, one after the other)", id="minutes"),
        pytest.param(4000.0, " (3 h 20 min or so, one after the other)", id="hours"),
    ],
)
def test_too_many_dates_are_refused_with_their_number_and_the_time_that_they_would_take(
    seconds: float | None, taking: str
) -> None:
    state = refused_state(PLAN, 2, seconds)
    assert (state.type, state.name) == (StateType.FAILED, "Refused"), "no automation mails it"
    assert state.message == (
        f"nothing was loaded: 3 dates from 2024-01-10 to 2024-01-12{taking} are more than max_dates=2 allows: "
        "name start_date and end_date, or give max_dates=3"
    )
