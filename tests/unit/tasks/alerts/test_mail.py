"""The mail of an alert: what it says for each kind, and what never leaves."""

import re
from datetime import date, timedelta
from typing import Any, get_args

import pytest

from tasks.alerts.mail import ALERTS, CHILDREN_MAX, DATES_IN_COMMANDS_MAX, SUBJECT_LENGTH_MAX, compose_mail
from tasks.alerts.request import AlertKind, AlertRequest, ChildRun, FailedTask, RunFacts
from tasks.alerts.runbook import Advice
from tasks.alerts.subject import find_subject
from tests.unit.tasks.alerts.run_facts import ERROR, ROOT_ID, RUN_ID, run_of

ADVICE = Advice("Run failed or crashed", "run-failed-or-crashed", "Do this.\n\n    prefect version")


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
    assert f"Run   {RUN_ID} (unknown to the Prefect server)" in mail_of(AlertRequest("failed", RUN_ID), None).body


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
    note = "The same anomaly in other dates of this backfill is not mailed again"
    assert (note in mail_of(request, alone).body, note in mail_of(request, one_of_many).body) == (False, True)


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
