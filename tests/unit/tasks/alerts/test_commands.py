"""The commands of a mail: complete for its case, and about nothing else."""

import json
import re
import shlex
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from expectations.regions import REGIONS
from tasks.alerts.commands import INDENT, fill_in, limit_in
from tasks.alerts.mail import compose_mail
from tasks.alerts.request import AlertKind, AlertRequest, RunFacts
from tasks.alerts.runbook import Advice, anchor_of, find_advice, for_environment, read_entries, read_runbook
from tasks.alerts.subject import find_subject

RUN_ID = "5a1f5a36-2f5c-4c5a-8a55-0d8f0c2d8a11"
DAY = "2017-12-23"
OTHERS = [code for code in REGIONS if code != "US_WEST"]
RUNBOOK = read_runbook()
ERRORS = {
    "Too few rows": "QualityFailedError: record count 45 is below threshold 100",
    "Quality gate failed": "batch: rejected 12 of 120 rows (10.00 %) is above threshold 5.0 %",
    "Bad variable": "BadVariableError: variable sla_minutes is 'two': expected a whole number; "
    "`python -m blocks.variables sla_minutes 120` sets the default",
}


def run_of(**changes: Any) -> RunFacts:
    known: dict[str, Any] = {
        "id": RUN_ID,
        "flow": "daily-sales",
        "name": f"daily-sales-{DAY}",
        "state": "Failed",
        "message": "",
        "link": "http://127.0.0.1:4200/flow-runs",
        "scheduled_at": datetime(2017, 12, 24, 6, tzinfo=UTC),
        "parameters": {"date": DAY, "regions": ["US_WEST"]},
    }
    return RunFacts(**{**known, **changes})


def commands_of(body: str) -> list[str]:
    """The indented lines between the words on what to do and the details."""
    _, _, what_to_do = body.partition("What to do next: ")
    return [line.strip() for line in what_to_do.splitlines() if line.startswith("    ")]


def mail_of(kind: AlertKind, advice: Advice, error: str = "", region: str | None = "US_WEST") -> str:
    request = AlertRequest(kind, RUN_ID, DAY, region, error or None)
    run = run_of() if region else run_of(parameters={"date": DAY})
    return compose_mail(request, find_subject(request, run), run, advice).body


def advice_of(title: str) -> Advice:
    """The entry as an alert shows it, whichever alert points at it."""
    entry = read_entries(RUNBOOK)[title]
    (mend,) = re.findall(r"^\*\*Mend\*\*[.:]?\s*(.*?)(?=^\*\*|\Z)", entry, re.DOTALL | re.MULTILINE)
    text = re.sub(
        r"^```\w*\n(.*?)^```\n",
        lambda m: "".join(f"    {line}\n" for line in m[1].splitlines()),
        mend,
        flags=re.DOTALL | re.MULTILINE,
    )
    return Advice(title, anchor_of(title), text)


ENTRIES = [title for title, entry in read_entries(RUNBOOK).items() if "**Mend**" in entry]


@pytest.mark.parametrize("title", ENTRIES)
def test_a_mail_about_a_region_has_commands_for_no_other_and_leaves_nothing_to_fill_in(title: str) -> None:
    everyday = RUNBOOK.index(f"### {title}\n") < RUNBOOK.index("### Run failed or crashed\n")
    commands = commands_of(mail_of("failed", advice_of(title), ERRORS.get(title, "")))
    for command in commands:
        assert shlex.split(command), "a shell takes it"
        if command.startswith("SELECT ") or ("$SCHEDULE" in command and everyday):
            continue
        assert "$" not in command
        assert not [code for code in OTHERS if code in command], "another region"
        if "daily-sales/production' -p" in command:
            assert f"-p date={DAY} -p 'regions=[\"US_WEST\"]'" in command
        assert not re.search(r"2024-01-15|00000000-0000", command), "the page's example"


@pytest.mark.parametrize("kind", get_args(AlertKind))
def test_every_kind_of_mail_has_complete_commands(kind: AlertKind) -> None:
    error = "new columns in the source: tier (text), weight (numeric(12,2))" if kind == "anomaly" else ""
    commands = commands_of(mail_of(kind, find_advice(kind, error, RUNBOOK), error))
    assert not [command for command in commands if "$" in command or "EUROPE" in command]


def test_a_whole_date_closes_no_region() -> None:
    """Nobody can tell which region had no sales."""
    commands = commands_of(mail_of("failed", advice_of("Too few rows"), ERRORS["Too few rows"], region=None))
    assert not [command for command in commands if "closed_days" in command]


def test_a_backfill_of_a_region_has_commands_for_that_region() -> None:
    run = run_of(flow="backfill", parameters={"regions": ["EUROPE"], "not_loaded_before": {DAY: "Failed"}})
    request = AlertRequest("failed", RUN_ID)
    body = compose_mail(request, find_subject(request, run), run, find_advice("failed", "", RUNBOOK)).body
    assert commands_of(body) == [
        f"prefect deployment run 'daily-sales/production' -p date={DAY} -p 'regions=[\"EUROPE\"]'"
    ]


def test_a_whole_date_is_loaded_whole() -> None:
    commands = commands_of(mail_of("failed", find_advice("failed", "", RUNBOOK), region=None))
    assert commands == [f"prefect deployment run 'daily-sales/production' -p date={DAY}"]


def test_a_day_without_sales_is_closed_for_its_region_alone_and_a_limit_is_put_back() -> None:
    title = "Too few rows"
    run = f"prefect deployment run 'daily-sales/production' -p date={DAY} -p 'regions=[\"US_WEST\"]'"
    assert commands_of(mail_of("failed", advice_of(title), ERRORS[title])) == [
        run,
        f'python -m blocks.variables --add closed_days "{{\\"US_WEST\\": [\\"{DAY}\\"]}}"',
        f"{run} --watch",
        "python -m blocks.variables --for-now min_record_count 45",
        f"{run} --watch",
        "python -m blocks.variables --back min_record_count",
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            "record count 0 is below threshold 100", ("min_record_count", "0"), id="a-count-becomes-the-limit"
        ),
        pytest.param(
            "batch: rejected 12 of 119 rows (10.08 %) is above threshold 5.0 %",
            ("max_rejected_percentage", "11"),
            id="a-share-is-rounded-up",
        ),
        pytest.param(
            "EUROPE: NULL share of customer_id is 7.20 % (9 of 125 rows), threshold 5.0 %",
            ("max_null_percentage", "8"),
            id="a-share-of-nulls",
        ),
        pytest.param(
            "record count 12 is below threshold 100; rejected 1 of 9 rows (11.11 %)",
            ("min_record_count", "12"),
            id="the-count-comes-before-a-share",
        ),
        pytest.param("rejected 1 of 1 rows (100.00 %) is above threshold 5.0 %", None, id="100-percent-is-no-limit"),
        pytest.param(
            "a: NULL share of x is 7.20 % (9 of 125 rows); b: NULL share of y is 22.00 % (x",
            ("max_null_percentage", "23"),
            id="the-largest-of-two-shares",
        ),
        pytest.param(ERRORS["Bad variable"], ("sla_minutes", "120"), id="a-bad-variable-gets-its-default"),
        pytest.param(
            "variable closed_days is '{'; `python -m blocks.variables closed_days '{}'` sets the default",
            None,
            id="a-bad-variable-whose-default-is-no-number",
        ),
        pytest.param(
            "`python -m blocks.variables s3_staging_bucket retail-sales-staging` sets the default",
            None,
            id="a-bad-variable-whose-default-is-a-word",
        ),
        pytest.param("connection refused", None, id="no-limit"),
    ],
)
def test_the_limit_that_an_error_is_about(error: str, expected: tuple[str, str] | None) -> None:
    assert limit_in(error) == expected


def test_one_line_for_each_of_several_values_and_none_without_a_value() -> None:
    text = 'Do this.\n\n    say $DATE $RUN\n\n    say $COLUMN\n    say "$VALUE"\n\nThen that.'
    values = {"DATE": ["2024-01-15", "2024-01-16"], "RUN": [RUN_ID], "COLUMN": [], "VALUE": ["it's; rm"]}
    assert fill_in(text, values, ()) == (
        f"Do this.\n\n    say 2024-01-15 {RUN_ID}\n    say 2024-01-16 {RUN_ID}\n\n"
        f"    say {shlex.quote(values['VALUE'][0])}\n\nThen that."
    )
    assert fill_in("    say $COLUMN", {"COLUMN": ["$(rm)"]}, ()) == "", "what a shell would run is left out"
    assert json.loads(shlex.split(fill_in('    x "{\\"$REGION\\": 1}"', {"REGION": ["EUROPE"]}, ()))[1]) == {
        "EUROPE": 1
    }


def test_commands_of_another_environment_name_it_whatever_shell_they_are_pasted_into() -> None:
    staging = for_environment(RUNBOOK, "staging")
    commands = [line for line in staging.splitlines() if line.startswith(("prefect ", "make ", "python ", "RETAIL_"))]
    assert [line for line in commands if "/production'" in line or re.search(r"pool retail-sales\b(?!-)", line)] == []
    assert "prefect deployment run 'daily-sales/staging' -p date=$DATE" in commands
    assert "prefect work-queue resume load --pool retail-sales-staging" in commands
    assert "RETAIL_SALES_ENVIRONMENT=staging make worker" in commands
    assert [line for line in commands if line.startswith(("make ", "python "))] == []


def test_a_load_of_another_environment_names_its_regions() -> None:
    load = f"{INDENT}prefect deployment run 'daily-sales/staging' -p date=$DATE"
    filled = fill_in(load, {"DATE": ["2024-01-15"]}, ["US_WEST"])
    assert filled == "prefect deployment run 'daily-sales/staging' -p date=2024-01-15 -p 'regions=[\"US_WEST\"]'"
