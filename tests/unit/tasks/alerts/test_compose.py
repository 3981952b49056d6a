"""The mail of an alert: what it says for each kind, what it is about, and what never leaves."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest

from tasks.alerts.book import plain_name
from tasks.alerts.compose import (
    ALERTS,
    CHILDREN_MAX,
    DATES_IN_COMMANDS_MAX,
    SUBJECT_LENGTH_MAX,
    AlertKind,
    AlertRequest,
    ChildRun,
    FailedTask,
    RunFacts,
    as_it_is,
    compose_mail,
    find_subject,
    hide_values,
    join_regions,
    slot_name,
)
from tasks.alerts.runbook import Advice

SIX = datetime(2024, 1, 16, 6, tzinfo=UTC)
RUN_ID = "3f0c8d9e-0000-4000-8000-000000000001"
ROOT_ID = "3f0c8d9e-0000-4000-8000-000000000002"
LACKING_COLUMN = "column of extra_columns that the source lacks: loyalty_tier"
NEW_COLUMNS = "new columns in the source: loyalty_tier (text), weight (numeric(12,2))"
ADVICE = Advice("Run failed or crashed", "run-failed-or-crashed", "Do this.\n\n    prefect version")
ERROR = "NeedsPersonError: COPY of a.parquet loaded 1 rows, the manifest says 2"


def run_of(flow: str = "daily-sales", **changes: Any) -> RunFacts:
    facts: dict[str, Any] = {
        "id": RUN_ID,
        "flow": flow,
        "name": f"{flow}-2024-01-15",
        "state": "Failed",
        "message": f"Flow run encountered an exception. {ERROR}",
        "link": f"http://127.0.0.1:4200/flow-runs/flow-run/{RUN_ID}",
        "scheduled_at": SIX,
        "started_at": SIX + timedelta(seconds=3),
        "ended_at": SIX + timedelta(minutes=2),
        "deployment": "production",
        "failed_tasks": (FailedTask("load", "Task run encountered an exception"),),
        "trace": (
            "Traceback (most recent call last):",
            *(f'  File "{n}.py", line {n}' for n in range(40)),
            "ValueError: end",
        ),
        "log": ("06:00:03 Created a new engine.", "06:00:04 step=extract region=EUROPE rows=1 seconds=0.1"),
    }
    return RunFacts(**{**facts, **changes})


def mail_of(request: AlertRequest, run: RunFacts | None, *notes: str) -> Any:
    return compose_mail(request, find_subject(request, run), run, ADVICE, notes)


def test_every_kind_has_its_words() -> None:
    assert set(ALERTS) == set(get_args(AlertKind))
    assert len({alert.subject for alert in ALERTS.values()}) == len(ALERTS)


def test_the_mail_of_a_drill_has_nothing_to_mend_and_lists_nothing() -> None:
    run = run_of("alert-drill", parameters={"fail": True})
    body = mail_of(AlertRequest("drill", RUN_ID), run).body
    assert "Nothing to mend." in body
    assert "What to do next: nothing (docs/runbook.md#" in body
    assert "prefect version" not in body


@pytest.mark.parametrize("kind", [kind for kind in get_args(AlertKind) if kind != "drill"])
def test_the_shape_of_every_alert(kind: AlertKind) -> None:
    mail = mail_of(AlertRequest(kind, RUN_ID), run_of(), "A note.")
    cause = ": NeedsPersonError: COPY of" if ALERTS[kind].names_cause else ""
    assert mail.subject.startswith(f"[retail-sales] 2024-01-15: {ALERTS[kind].subject}{cause}")
    assert mail.thread == "20240115"
    sections = mail.body.split("\n\n")
    sentence = ALERTS[kind].sentence.format(what="the daily run of 2024-01-15")
    assert sections[0] == sentence[0].upper() + sentence[1:]
    assert sections[1:3] == [f"Error  {ERROR}", "A note."]
    about = dict(line.split("  ", 1) for line in sections[3].splitlines())
    assert {name: value.strip() for name, value in about.items()} == {
        "Kind": kind,
        "Flow": "daily-sales (deployment production)",
        "Run": "daily-sales-2024-01-15",
        "State": "Failed",
        "Link": f"http://127.0.0.1:4200/flow-runs/flow-run/{RUN_ID}",
        "Failed task": "load",
        "Scheduled": "2024-01-16 06:00:00 UTC",
        "Started": "2024-01-16 06:00:03 UTC",
        "Ended": "2024-01-16 06:02:00 UTC",
        "Date": "2024-01-15",
        "Batch": "20240115",
        "Regions": "all",
    }
    assert sections[4:7] == [
        "What to do next: Run failed or crashed (docs/runbook.md#run-failed-or-crashed)",
        "Do this.",
        "    prefect version",
    ]
    trace = sections[7].splitlines()
    assert (trace[0], trace[-1], len(trace)) == ("End of the stack trace:", "  ValueError: end", 16)
    assert sections[8] == "Last log lines:\n  06:00:04 step=extract region=EUROPE rows=1 seconds=0.1\n"


def test_a_mail_without_a_run_says_what_is_known() -> None:
    mail = mail_of(AlertRequest("sla", None, "2024-01-15", None, "the ledger has no PUBLISHED"), None)
    assert mail.subject == "[retail-sales] 2024-01-15: not published in time"
    assert "The daily run of 2024-01-15 is not published" in mail.body
    assert "Batch    20240115" in mail.body
    assert "stack trace" not in mail.body


@pytest.mark.parametrize(
    ("request_", "run", "advice", "subject"),
    [
        pytest.param(
            AlertRequest("sla", None, "2024-01-15", "US_WEST"),
            None,
            Advice("Not published in time", ""),
            "[retail-sales] 2024-01-15 US_WEST: not published in time",
            id="region",
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of(),
            Advice("Bad variable", "", is_cause=True),
            "[retail-sales] 2024-01-15: failed: Bad variable",
            id="cause-as-the-runbook-calls-it",
        ),
        pytest.param(
            AlertRequest("failed", RUN_ID),
            run_of("backfill", message="2 of 3 dates loaded; failed: 2024-01-10 (Failed: no region could be read)"),
            ADVICE,
            "[retail-sales] backfill: failed: 2 of 3 dates loaded; failed: 2024-01-10 ...",
            id="flow-without-a-date-and-words-that-are-whole",
        ),
        pytest.param(
            AlertRequest("server-down"),
            None,
            Advice("Prefect server does not answer", ""),
            "[retail-sales] Prefect server down",
            id="nothing-but-the-kind",
        ),
        pytest.param(
            AlertRequest("partially-loaded", RUN_ID, "2024-01-15", "US_EAST,US_WEST,EUROPE"),
            run_of(),
            Advice("Regional database does not answer", "", is_cause=True),
            "[retail-sales] 2024-01-15 US_EAST,US_WEST,EUROPE: partially loaded: Regional ...",
            id="long",
        ),
    ],
)
def test_all_subjects_have_one_form_of_80_characters(
    request_: AlertRequest, run: RunFacts | None, advice: Advice, subject: str
) -> None:
    mail = compose_mail(request_, find_subject(request_, run), run, advice)
    assert mail.subject == subject
    assert len(mail.subject) <= 80


def test_mails_about_a_run_without_a_date_are_one_thread() -> None:
    child = run_of("backfill", root_id=ROOT_ID)
    assert mail_of(AlertRequest("failed", RUN_ID), run_of("backfill")).thread == RUN_ID
    assert mail_of(AlertRequest("failed", RUN_ID), child).thread == ROOT_ID


def test_a_run_that_the_server_does_not_know_is_named() -> None:
    assert (
        f"Run   {RUN_ID} (the Prefect server did not tell more)" in mail_of(AlertRequest("failed", RUN_ID), None).body
    )


def test_thirty_bad_dates_of_a_backfill_are_one_mail() -> None:
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(30)]
    children = tuple(ChildRun(f"daily-sales-{day}", str(day), "Failed", f"bad {day}") for day in days)
    mail = mail_of(AlertRequest("failed", RUN_ID), run_of("backfill", children=children))
    assert "Runs in it that did not end well (30):" in mail.body
    assert all(f"  {day}  Failed: bad {day}\n" in mail.body for day in days)
    assert mail.body.startswith("Flow backfill failed or crashed.")


@pytest.mark.parametrize(
    ("run", "dates"),
    [
        pytest.param(run_of("backfill"), [], id="no-date-known"),
        pytest.param(
            run_of("backfill", children=(ChildRun("daily-sales-2017-12-25", "2017-12-25", "QualityFailed", "few"),)),
            ["2017-12-25"],
            id="date-of-the-child",
        ),
        pytest.param(
            run_of(
                "backfill",
                parameters={"not_loaded_before": {"2017-12-24": "Failed"}},
                children=tuple(ChildRun("child", day, "Failed", "few") for day in ("20171226", "2017-12-25", None)),
            ),
            ["2017-12-24", "2017-12-25", "2017-12-26"],
            id="dates-of-the-runs-before-too",
        ),
    ],
)
def test_a_backfills_mail_has_a_command_for_each_of_its_dates(run: RunFacts, dates: list[str]) -> None:
    advice = Advice("Run failed or crashed", "run-failed-or-crashed", "Do this.\n\n    load $DATE")
    request = AlertRequest("failed", RUN_ID)
    body = compose_mail(request, find_subject(request, run), run, advice).body
    assert re.findall(r"^    load (\S+)$", body, re.MULTILINE) == dates


def test_the_dates_beyond_the_first_five_are_named() -> None:
    days = [f"2024-01-{number:02}" for number in range(1, 8)]
    children = tuple(ChildRun(f"daily-sales-{day}", day, "Failed", "few") for day in days)
    body = mail_of(AlertRequest("failed", RUN_ID), run_of("backfill", children=children)).body
    assert f"The same for the other dates: {' '.join(days[DATES_IN_COMMANDS_MAX:])}\n" in body


def test_an_anomaly_of_a_backfill_says_that_it_stands_for_others() -> None:
    request = AlertRequest("anomaly", RUN_ID, "2024-01-10", "EUROPE", "row-count: 49 rows")
    alone, one_of_many = run_of(), run_of(root_id=ROOT_ID)
    told = "The same in other dates of its backfill is not mailed again"
    assert (told in mail_of(request, alone).body, told in mail_of(request, one_of_many).body) == (False, True)


def test_a_drivers_words_and_each_region_have_lines_of_their_own() -> None:
    message = (
        "US_EAST left out: its database cannot be read: check block b. The driver says: refused; EUROPE left out: "
        "column t.c is missing: add it"
    )
    body = mail_of(AlertRequest("partially-loaded", RUN_ID), run_of(state="PartiallyLoaded", message=message)).body
    assert (
        "\n\nError  US_EAST left out: its database cannot be read: check block b.\n"
        "       The driver says: refused;\n"
        "       EUROPE left out: column t.c is missing: add it\n\n"
    ) in body


def test_a_long_error_ends_with_what_to_do() -> None:
    error = f"NeedsPersonError: {'many things ' * 400} went wrong: run the date again"
    body = mail_of(AlertRequest("failed", RUN_ID, message=error), run_of()).body
    assert "went wrong: run the date again\n\n" in " ".join(body.split(" "))


def test_everything_is_bounded() -> None:
    long = "word " * 10_000
    children = tuple(ChildRun(f"run-{n}", None, "Failed", long) for n in range(1_000))
    run = run_of(message=long, name=long, children=children, trace=(long,) * 20, log=(long,) * 1_000)
    mail = mail_of(AlertRequest("failed", RUN_ID), run)
    assert len(mail.subject) <= SUBJECT_LENGTH_MAX
    assert "\n" not in mail.subject
    assert len(mail.body) < 40_000
    assert f"  and {1_000 - CHILDREN_MAX} more\n" in mail.body
    assert max(map(len, mail.body.splitlines())) < 998, "the longest line that SMTP takes"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("of somebody@example.com!", "of <address>!", id="address"),
        pytest.param("postgresql://reader:p%40ss@host:5432/sales", "postgresql://***@host:5432/sales", id="url"),
        pytest.param("connect(user='a', password='geheim')", "connect(user='a', password=***)", id="password"),
        pytest.param("Token: abc.def", "Token: ***", id="token"),
        pytest.param(
            "duplicate key\nDETAIL:  Key (customer_email)=(x) exists\nat y",
            "duplicate key\nDETAIL: (not shown, may hold values)",
            id="postgres-detail",
        ),
        pytest.param("CONTEXT: COPY s, line 3: 'x'", "CONTEXT: (not shown, may hold values)", id="postgres-context"),
        pytest.param(
            'invalid input syntax for type date: "Jo"', "invalid input syntax for type date: (not shown)", id="cell"
        ),
        pytest.param(
            "CSV conversion error: invalid value 'Jo'", "CSV conversion error: invalid value (not shown)", id="csv"
        ),
        pytest.param(
            "[SQL: SELECT 1]\n[parameters: ('x',\n'y')]", "[SQL: SELECT 1]\n[parameters: not shown]", id="bound"
        ),
        pytest.param("step=extract region=EUROPE rows=7", "step=extract region=EUROPE rows=7", id="plain"),
    ],
)
def test_values_of_rows_and_secrets_do_not_leave(text: str, shown: str) -> None:
    assert hide_values(text) == shown


def test_no_part_of_a_mail_shows_an_address() -> None:
    secret = "somebody@example.com"
    run = run_of(
        message=secret,
        trace=("Traceback", f"ValueError: {secret}"),
        log=(f"log of {secret}",),
        children=(ChildRun("child", None, "Failed", secret),),
        failed_tasks=(FailedTask(secret, secret),),
    )
    mail = mail_of(AlertRequest("failed", RUN_ID, message=f"message of {secret}"), run)
    assert "somebody" not in mail.subject + mail.body


def test_a_value_of_several_lines_does_not_leave_either() -> None:
    run = run_of(trace=("psycopg2.Error: duplicate key", "DETAIL: Key (note)=(Jane", "Doe) exists."))
    assert "Doe" not in mail_of(AlertRequest("failed", RUN_ID), run).body


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
            id="anomalies-are-told-apart",
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
            id="new-columns-whoever-noticed",
        ),
        pytest.param(
            AlertRequest("anomaly", RUN_ID, "2024-01-15", "EUROPE", f"lacking-column: {LACKING_COLUMN}"),
            run_of(root_id=ROOT_ID),
            "EUROPE anomaly lacking-column loyalty_tier",
            id="lacking-column-whatever-the-date-and-whoever-noticed",
        ),
        pytest.param(AlertRequest("drill", RUN_ID), run_of("alert-drill"), f"{RUN_ID} drill", id="each-drill"),
        pytest.param(AlertRequest("anomaly"), None, "20240120 all anomaly", id="nothing-known"),
    ],
)
def test_one_slot_per_date_region_and_kind_whoever_noticed(
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


def test_many_new_columns_are_told_apart_by_a_name_of_bounded_length() -> None:
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
def test_a_runs_own_state_says_how_it_ended(kind: AlertKind, run: RunFacts | None, expected: str) -> None:
    assert as_it_is(AlertRequest(kind, RUN_ID), run).kind == expected


def test_regions_are_named_in_one_order() -> None:
    assert join_regions(["EUROPE", "US_EAST"]) == "US_EAST,EUROPE"
    assert join_regions(["ASIA_PACIFIC", "EUROPE", "US_WEST", "US_EAST"]) == "all"
    assert join_regions([]) == "all"
    assert join_regions(["MARS", "EUROPE"]) == "EUROPE,MARS"
