"""Which runs are dead and which dates are late."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.watch.late_and_dead import (
    Death,
    Family,
    Lease,
    WatchedRun,
    WatchSettings,
    due_dates,
    find_deaths,
    goes_on,
    past_lease,
    sla_alerts,
)
from tasks.watch.processes import Process, find_process

NOW = datetime(2024, 1, 16, 9, tzinfo=UTC)
LONG_AGO, JUST_NOW = NOW - timedelta(hours=3), NOW - timedelta(minutes=1)


def run_of(process: Process, since: datetime = LONG_AGO, state: str = "Running") -> Family:
    return Family(WatchedRun("run", "daily", state, state in ("Running", "Pending"), since, process))


def lease_of(is_live: bool, run: str = "run") -> dict[str, Lease]:
    return {run: Lease(run, "20240115", NOW, is_live, ("EUROPE",))}


def deaths_of(family: Family, leases: dict[str, Lease]) -> list[Death]:
    return find_deaths(leases, [family], NOW, 15)


@pytest.mark.parametrize(
    ("family", "leases", "crashed", "recorded"),
    [
        pytest.param(run_of(Process.ENDED), lease_of(False), ("run",), ("run",), id="no-process-and-lease-over"),
        pytest.param(run_of(Process.ENDED), {}, ("run",), (), id="died-before-it-began"),
        pytest.param(run_of(Process.ELSEWHERE), lease_of(False), ("run",), ("run",), id="elsewhere-and-lease-over"),
        pytest.param(run_of(Process.ELSEWHERE), {}, ("run",), (), id="elsewhere-and-silent-for-long"),
        pytest.param(run_of(Process.ENDED, state="Crashed"), lease_of(False), (), ("run",), id="crashed-already"),
        pytest.param(run_of(Process.ENDED, state="Scheduled"), lease_of(False), (), ("run",), id="waits-to-run-again"),
    ],
)
def test_a_dead_run_is_ended(
    family: Family, leases: dict[str, Lease], crashed: tuple[str, ...], recorded: tuple[str, ...]
) -> None:
    (death,) = deaths_of(family, leases)
    assert (death.crash, death.record) == (crashed, recorded)


@pytest.mark.parametrize(
    ("family", "leases"),
    [
        pytest.param(run_of(Process.RUNS), lease_of(False), id="process-runs-renewals-fail"),
        pytest.param(run_of(Process.ENDED), lease_of(True), id="lease-lives"),
        pytest.param(run_of(Process.RUNS), {}, id="not-begun-yet"),
        pytest.param(run_of(Process.ELSEWHERE, JUST_NOW), {}, id="elsewhere-just-started"),
    ],
)
def test_a_living_run_is_left_alone(family: Family, leases: dict[str, Lease]) -> None:
    assert deaths_of(family, leases) == []


def test_one_whose_renewals_do_not_arrive_is_named() -> None:
    family = run_of(Process.RUNS)
    assert past_lease(lease_of(False), [family], []) == [family.root]


def test_a_child_lives_as_long_as_its_parents_process() -> None:
    child = WatchedRun("child", "daily", "Running", True, LONG_AGO)
    for process, crashed in ((Process.RUNS, []), (Process.ENDED, [("run", "child")])):
        family = Family(run_of(process).root, (child,))
        deaths = find_deaths(lease_of(False, "child"), [family], NOW, 15)
        assert [death.crash for death in deaths] == crashed


@pytest.mark.parametrize(
    ("process", "leases", "does_go_on"),
    [
        pytest.param(Process.RUNS, {}, True, id="a-publish-outlives-its-flow"),
        pytest.param(Process.ENDED, lease_of(True, "child"), False, id="killed-a-moment-ago"),
        pytest.param(Process.ELSEWHERE, lease_of(True, "child"), True, id="elsewhere-and-lease-lives"),
        pytest.param(Process.ELSEWHERE, lease_of(False, "child"), False, id="elsewhere-and-lease-over"),
        pytest.param(Process.ELSEWHERE, {}, False, id="elsewhere-and-in-the-ledger-all-has-ended"),
    ],
)
def test_a_child_whose_root_has_ended_goes_on_with_the_process(
    process: Process, leases: dict[str, Lease], does_go_on: bool
) -> None:
    child = WatchedRun("child", "daily", "Running", True, LONG_AGO)
    assert goes_on(Family(run_of(process, state="Crashed").root, (child,)), leases) is does_go_on


@pytest.mark.parametrize(("state_of_root", "about"), [("Crashed", "run"), ("Cancelled", "child")])
def test_a_crash_of_a_root_is_one_mail_however_many_children_it_had(state_of_root: str, about: str) -> None:
    child = WatchedRun("child", "daily", "Crashed", False, LONG_AGO)
    family = Family(run_of(Process.ENDED, state=state_of_root).root, (child,))
    (death,) = deaths_of(family, lease_of(False, "child"))
    assert death.record == ("child",)
    assert death.alert is not None
    assert death.alert.flow_run_id == about


def test_without_prefect_the_lease_decides() -> None:
    (death,) = find_deaths(lease_of(False), [], NOW, 15)
    assert (death.crash, death.record) == ((), ("run",))
    assert death.alert is not None
    assert (death.alert.date, death.alert.region) == ("2024-01-15", "EUROPE")


@pytest.mark.parametrize(
    ("now", "first_date", "expected"),
    [
        pytest.param(datetime(2024, 1, 16, 7, 59, tzinfo=UTC), None, [date(2024, 1, 14)], id="not-due-yet"),
        pytest.param(datetime(2024, 1, 16, 8, 0, tzinfo=UTC), None, [date(2024, 1, 15)], id="due"),
        pytest.param(NOW, date(2024, 1, 14), [date(2024, 1, 14), date(2024, 1, 15)], id="since-the-first-date"),
        pytest.param(NOW, date(2024, 2, 1), [], id="before-the-first-date"),
    ],
)
def test_a_date_is_due_two_hours_after_its_scheduled_start(
    now: datetime, first_date: date | None, expected: list[date]
) -> None:
    assert due_dates(now, WatchSettings("ETL_WH", 120, 15, first_date)) == expected


def test_a_late_date_is_not_mailed_again_for_fewer_regions() -> None:
    unpublished = {date(2024, 1, 14): ["EUROPE"], date(2024, 1, 15): ["EUROPE"]}
    (alert,) = sla_alerts(unpublished, ["20240114 all sla", "20240115 all failed"])
    assert (alert.date, alert.region) == ("2024-01-15", "EUROPE")


def test_a_process_on_another_machine_is_not_judged() -> None:
    assert find_process("some-other-host:1", "run") is Process.ELSEWHERE
    assert find_process(None, "run") is Process.ELSEWHERE


@pytest.mark.parametrize(
    "infrastructure_pid",
    [
        pytest.param("http+docker://localhost:" + "4f" * 32, id="docker"),
        pytest.param("http+docker://localhost:" + "40" * 32, id="docker-id-of-digits-alone"),
        pytest.param("https://docker.example.com:2376:" + "4f" * 32, id="docker-elsewhere"),
        pytest.param("etl::arn:aws:ecs:eu-central-1:123456789012:task/etl/" + "40" * 16, id="ecs"),
        pytest.param("6d1f0e52-9f3c-4f42-a9f0-a7b1f0c2d111:etl:quick-fox-x7k2p", id="kubernetes"),
        pytest.param("6d1f0e52-9f3c-4f42-a9f0-a7b1f0c2d111:etl:12345", id="kubernetes-name-of-digits"),
        pytest.param("", id="empty"),
    ],
)
def test_a_container_is_no_process_of_this_machine_and_the_lease_alone_decides(infrastructure_pid: str) -> None:
    assert find_process(infrastructure_pid, "run") is Process.ELSEWHERE
    started = NOW - timedelta(minutes=20)
    run = WatchedRun("run", "a run", "Running", True, started, find_process(infrastructure_pid, "run"))
    assert find_deaths(lease_of(True), [Family(run)], NOW, 15) == []
    (death,) = find_deaths(lease_of(False), [Family(run)], NOW, 15)
    assert (death.crash, death.record) == (("run",), ("run",))
    assert "no process of it is left" not in death.cause


@pytest.mark.parametrize(("minutes", "is_dead"), [(14, False), (16, True)])
def test_a_container_that_holds_no_lease_has_the_time_of_one(minutes: int, is_dead: bool) -> None:
    since = NOW - timedelta(minutes=minutes)
    run = WatchedRun("run", "a run", "Running", True, since, find_process("etl::arn:aws:ecs:task/etl/1", "run"))
    assert bool(find_deaths({}, [Family(run)], NOW, 15)) is is_dead
