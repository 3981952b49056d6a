"""Each check is one line, whatever it meets and however long it takes."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from blocks import waits
from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS
from tasks.setup_checks.check import Check, Outcome, SetupFaultError, compare_clocks, limit_s, run_checks
from tasks.setup_checks.sources import describe_overlap
from tasks.setup_checks.warehouse import (
    compare_columns,
    declared_tables,
    describe_account,
    describe_regions,
    require_resuming,
)
from tasks.warehouse.statements import render

NOON = datetime(2024, 1, 16, 12, tzinfo=UTC)


def fail() -> str:
    raise RuntimeError("mail ann@example.com, password=hunter2\nsecond line")


def test_a_failing_check_stops_no_other_and_hides_secrets() -> None:
    bad, rests, ok = run_checks(
        [Check("bad", fail, "mend it"), Check("rests", lambda: "", needs=("bad",)), Check("ok", lambda: "here")]
    )
    assert str(bad) == "BAD bad: mend it. The driver says: RuntimeError: mail <address>, password=*** second line"
    assert str(rests) == "--  rests: not tried, see bad"
    assert str(ok) == "ok  ok: here"


def test_a_check_that_does_not_answer_is_not_waited_for() -> None:
    never = threading.Event()
    (slow,) = run_checks([Check("slow", lambda: str(never.wait()), "look at it", time_limit_s=0.05)])
    assert (slow.outcome, slow.message) == (Outcome.BAD, "no answer within 0.05 s: look at it")


def test_a_check_that_takes_long_is_logged_by_its_name_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOG_FIRST_S", 0.001)
    lines, logged = list[str](), threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        logged.set()

    assert run_checks([Check("slow", lambda: str(logged.wait(30)), time_limit_s=30)], say)[0].message == "True"
    assert lines[0].startswith("step=check-setup still waiting for slow")
    assert lines[0].endswith("(limit 30 s)")


def test_all_checks_have_ended_after_their_limits_one_after_the_other() -> None:
    def check(name: str, limit: float, *needs: str) -> Check:
        return Check(name, lambda: "", needs=needs, time_limit_s=limit)

    side_by_side = [check("b", 5, "a"), check("a", 3), check("c", 4), check("d", 1, "b", "c")]
    assert limit_s(side_by_side) == 4 + 5 + 1
    assert limit_s([]) == 0


@pytest.mark.parametrize("seconds", [61, -61])
def test_clocks_a_minute_apart_are_wrong(seconds: int) -> None:
    with pytest.raises(SetupFaultError, match="NTP"):
        compare_clocks(NOON, NOON + timedelta(seconds=seconds), NOON, "the warehouse")
    answered_at = NOON + timedelta(minutes=1)
    between = NOON + timedelta(seconds=30 + seconds)
    assert compare_clocks(NOON, between, answered_at, "the warehouse"), "a slow answer is granted"


def test_the_columns_of_the_set_up_script_are_known() -> None:
    tables = declared_tables(render("setup/02_tables"))
    assert set(tables) == {
        "SALES_FACT",
        "SALES_FACT_UNDO",
        "SALES_HELD_BACK",
        "SALES_REJECTIONS",
        "SALES_REJECTION_CLOSINGS",
        "ETL_BATCHES",
        "ETL_LOCK",
    }
    contract = {column.stored_name.upper(): column.snowflake_type.partition("(6)")[0] for column in CLEAN_COLUMNS}
    assert contract.items() <= tables["SALES_FACT"].items()


@pytest.mark.parametrize("found", [{}, {"N": "NUMBER(12,2)"}], ids=["missing", "other-digits"])
def test_a_column_that_differs_is_named(found: dict[str, str]) -> None:
    with pytest.raises(SetupFaultError, match="column T.N"):
        compare_columns("T", {"N": "NUMBER(18,0)"}, found)
    assert compare_columns("T", {"N": "NUMBER(18,0)", "V": "VARCHAR"}, {"N": "NUMBER(18,0)", "V": "VARCHAR(9)"})


def test_shared_keys_name_both_regions_and_an_example() -> None:
    newest = {"US_EAST": ["1", "2"], "EUROPE": ["2", "3"]}
    with pytest.raises(SetupFaultError, match=r"US_EAST, EUROPE .* e\.g\. 2: .*prefix_keys"):
        describe_overlap(newest, {"US_EAST": ["2"], "EUROPE": []}, [])
    assert "not compared: EUROPE" in describe_overlap({"US_EAST": []}, {"US_EAST": []}, ["EUROPE"])


def test_the_account_line_says_when_sessions_see_the_commits_of_others() -> None:
    assert describe_account("GLOBAL", "") == "READ_CONSISTENCY_MODE is GLOBAL"
    line = describe_account("SESSION", "")
    assert line.startswith("READ_CONSISTENCY_MODE is SESSION: ")
    assert "ALTER ACCOUNT SET READ_CONSISTENCY_MODE = 'GLOBAL' by ACCOUNTADMIN" in line
    assert "is unknown" in describe_account("", "")


def test_a_collation_that_changes_how_keys_compare_is_bad() -> None:
    with pytest.raises(SetupFaultError, match="DEFAULT_DDL_COLLATION of schema ANALYTICS is en-ci"):
        describe_account("GLOBAL", "en-ci")


def test_the_views_for_analysts_know_every_region() -> None:
    assert describe_regions(set(), None, {}) == "no date yet"
    assert describe_regions({*REGIONS, "CLOSED_FOR_GOOD"}, None, {}).count(",") == len(REGIONS)
    set_up_again = "do not know region US_WEST: run `python -m flows.setup_warehouse`"
    with pytest.raises(SetupFaultError, match=set_up_again):
        describe_regions(REGIONS.keys() - {"US_WEST"}, None, {})
    with pytest.raises(SetupFaultError, match=set_up_again):
        describe_regions(set(), "US_WEST", {})


WAREHOUSE = {"name": "ETL_WH", "state": "SUSPENDED", "auto_suspend": 60, "auto_resume": "true"}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="resumes"),
        pytest.param({"auto_resume": "false", "state": "STARTED", "auto_suspend": None}, id="always-on"),
        pytest.param({"auto_resume": "false", "state": "RESIZING", "auto_suspend": 0}, id="always-on-and-resized"),
    ],
)
def test_a_warehouse_that_a_load_can_use_is_ok(changed: dict[str, object]) -> None:
    require_resuming(WAREHOUSE | changed)


@pytest.mark.parametrize(
    "changed", [pytest.param({}, id="suspended"), pytest.param({"state": "STARTED"}, id="suspended-after-a-minute")]
)
def test_a_warehouse_that_would_not_start_for_a_load_is_bad(changed: dict[str, object]) -> None:
    with pytest.raises(SetupFaultError, match="ALTER WAREHOUSE ETL_WH SET AUTO_RESUME = TRUE"):
        require_resuming(WAREHOUSE | {"auto_resume": "false"} | changed)


def test_the_views_for_analysts_know_the_first_date_of_every_region(monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    monkeypatch.setitem(REGIONS, "US_WEST", replace(REGIONS["US_WEST"], first_date=yesterday))
    assert "US_WEST" in describe_regions({*REGIONS}, None, {"US_WEST": yesterday, "CLOSED_FOR_GOOD": date(2024, 1, 15)})
    with pytest.raises(SetupFaultError, match="does not know the first_date of region US_WEST: run `"):
        describe_regions({*REGIONS}, None, {"US_WEST": yesterday - timedelta(days=1)})
    monkeypatch.setitem(REGIONS, "US_WEST", replace(REGIONS["US_WEST"], first_date=yesterday + timedelta(days=9)))
    assert "US_WEST" not in describe_regions(REGIONS.keys() - {"US_WEST"}, None, {})
