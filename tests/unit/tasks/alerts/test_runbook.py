"""The runbook has an entry for every alert and every error, and a test for every command."""

import inspect
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest

from blocks.variables import DEFINITIONS
from deployments.automations import PREFIX, SEND_ALERT, AlertLimits, planned_automations, watches
from tasks.alerts.mail import ALERTS
from tasks.alerts.runbook import (
    BY_ERROR,
    BY_KIND,
    BY_SORT,
    anchor_of,
    find_advice,
    find_title,
    read_entries,
    read_runbook,
)
from tests.runbook import COVERED, read_commands

PROJECT = Path(__file__).parents[4]
PRODUCT = ("flows", "tasks", "blocks", "deployments", "expectations")
PAGE = read_runbook()
ENTRIES = {title: text for title, text in read_entries(PAGE).items() if f"\n### {title}\n" in PAGE}
"""Without the sections of the page that hold them, and those on operating."""


def product_errors() -> list[str]:
    """The names of all exceptions that the product defines; those with an underscore never leave their module."""
    found = [file for folder in PRODUCT for file in sorted((PROJECT / folder).rglob("*.py"))]
    # They import pyspark, which is optional, and define no error.
    on_engine = {file for file in found if file.parent == PROJECT / "tasks" / "engine"}
    assert not any(re.search(r"class \w+\(.*(Error|Exception)\)", file.read_text()) for file in on_engine)
    files = [file for file in found if file not in on_engine]
    modules = [import_module(".".join(file.relative_to(PROJECT).with_suffix("").parts)) for file in files]
    return sorted(
        name
        for module in modules
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, BaseException) and value.__module__ == module.__name__ and not name.startswith("_")
    )


def automation_names() -> list[str]:
    limits = AlertLimits(timedelta(hours=2))
    deployments = {SEND_ALERT, *(name for watch in watches(limits) for name in watch.deployments)}
    ids = dict.fromkeys(deployments, UUID(int=0))
    return [one.name.removeprefix(PREFIX) for one in planned_automations(ids, UUID(int=1), None, limits)]


@pytest.mark.parametrize("title", ENTRIES)
def test_an_entry_says_what_it_means_how_to_see_more_how_to_mend_it_and_how_to_make_sure(title: str) -> None:
    parts = re.findall(r"^\*\*(.+?)\*\*:", ENTRIES[title], re.MULTILINE)
    assert parts == ["Means", "See more", "Mend", "Make sure"]


def test_the_contents_at_the_top_lead_to_every_section_and_entry_in_their_order() -> None:
    contents, _, rest = PAGE.partition("\n## ")
    headings = re.findall(r"^###? (.+)$", f"## {rest}", re.MULTILINE)
    assert re.findall(r"\[(.+?)\]\(#(.+?)\)", contents) == [(title, anchor_of(title)) for title in headings]


@pytest.mark.parametrize("title", sorted({*BY_KIND.values(), *BY_SORT.values(), *(title for _, title in BY_ERROR)}))
def test_every_title_that_a_mail_points_at_is_an_entry(title: str) -> None:
    assert title in ENTRIES


@pytest.mark.parametrize("name", product_errors())
def test_every_error_class_leads_to_an_entry_that_names_it(name: str) -> None:
    title = find_title("failed", f"{name}: x")
    assert name == title or f"`{name}`" in ENTRIES[title]


@pytest.mark.parametrize("name", automation_names())
def test_every_automation_has_an_entry_of_its_name(name: str) -> None:
    assert name.capitalize() in ENTRIES


def test_every_kind_of_alert_is_in_the_table() -> None:
    assert BY_KIND.keys() == ALERTS.keys()


@pytest.mark.parametrize("title", ENTRIES)
def test_a_limit_that_an_entry_changes_is_set_back(title: str) -> None:
    defaults = {definition.name: definition.default for definition in DEFINITIONS}
    values = dict(re.findall(r"^python -m blocks\.variables (m\w+) (\S+)$", ENTRIES[title], re.MULTILINE))
    assert values == {name: defaults[name] for name in values}, "the last one of each name counts"


@pytest.mark.parametrize(
    ("kind", "error", "title"),
    [
        pytest.param(
            "quality-failed",
            "nothing was loaded: record count 45 is below threshold 100",
            "Too few rows",
            id="count",
        ),
        pytest.param(
            "quality-failed",
            "EUROPE: NULL share of sale_id is 6.00 %, threshold 5.0",
            "Quality gate failed",
            id="nulls",
        ),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: connection to server failed: Connection refused",
            "Regional database does not answer",
            id="region-down",
        ),
        pytest.param(
            "partially-loaded",
            'EUROPE left out: FATAL: password authentication failed for user "x"',
            "Expired credentials",
            id="password",
        ),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: EUROPE: column sales_transactions.tax_amount is missing: the",
            "RegionUnfitError",
            id="column",
        ),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: row security of sales_transactions may hide rows from its reader, and",
            "RegionUnfitError",
            id="row-security",
        ),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: reading Sales of Europe.order failed with DivisionByZero (SQLSTATE 22012): a",
            "RegionUnfitError",
            id="blanks-in-the-name",
        ),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: answered with 403 rows, min_region_record_count is 1000",
            "Partially loaded",
            id="too-few-rows",
        ),
        pytest.param(
            "anomaly",
            "lacking-column: column of extra_columns that the source lacks: disk_full",
            "Extra column lacking",
            id="lacking-column",
        ),
        pytest.param("anomaly", "new-column: new columns in the source: disk_full (text)", "Anomaly", id="new-column"),
        pytest.param(
            "failed",
            "NeedsPersonError: bucket b cannot be reached (An error occurred (403)): check",
            "S3 access denied",
            id="bucket",
        ),
        pytest.param(
            "failed",
            'ReadTimeoutError: Read timeout on endpoint URL: "https://b.s3.amazonaws.com/sales/batch=20240115/run=000042',
            "S3 access denied",
            id="silence",
        ),
        pytest.param(
            "failed",
            "ClientError: An error occurred (AccessDenied) when calling PutObject",
            "S3 access denied",
            id="put",
        ),
        pytest.param(
            "failed",
            "NeedsPersonError: scratch disk of /tmp has 1 MiB free, 9 MiB are needed",
            "Disk full",
            id="scratch",
        ),
        pytest.param("failed", "OSError: [Errno 28] No space left on device", "Disk full", id="errno"),
        pytest.param(
            "partially-loaded",
            "EUROPE left out: the scratch disk is full: /tmp/x of region EUROPE could not be written (Disk",
            "Disk full",
            id="disk-full-in-the-middle",
        ),
        pytest.param(
            "failed", "BadVariableError: variable min_record_count is 'many': expected", "Bad variable", id="variable"
        ),
        pytest.param(
            "failed",
            "NeedsPersonError: block secret/sales-token-key is missing: run",
            "Block or setting missing",
            id="block",
        ),
        pytest.param(
            "failed",
            "TransientError: warehouse nh1 cannot be reached or refuses user ETL (Incorrect username or password)",
            "Expired credentials",
            id="warehouse-password",
        ),
        pytest.param(
            "failed",
            "TransientError: warehouse nh1 cannot be reached or refuses user ETL: (250001: failed)",
            "Warehouse does not answer",
            id="warehouse",
        ),
        pytest.param(
            "failed",
            "000625 (57014): another transaction has locked table",
            "Snowflake statement timeout or lock",
            id="lock",
        ),
        pytest.param(
            "failed",
            "TransientError: transaction 17 was ended from outside, and None does not hold the lock: run it again",
            "Snowflake statement timeout or lock",
            id="aborted",
        ),
        pytest.param(
            "failed",
            "000630 (57014): Statement reached its statement or warehouse timeout",
            "Snowflake statement timeout or lock",
            id="timeout",
        ),
        pytest.param(
            "failed", "PublishRefusedError: the law does not hold for EUROPE", "PublishRefusedError", id="law"
        ),
        pytest.param("failed", "2 of 40 checks are BAD: clock of the warehouse", "SetupNotReadyError", id="setup"),
        pytest.param("failed", "could not do everything: ledger: it is odd", "Watchdog failed", id="watchdog"),
        pytest.param("failed", "KeyError: 'x'", "Run failed or crashed", id="unknown"),
        pytest.param(
            "sla", "record count 45 is below threshold 100", "Not published in time", id="a-reminder-has-its-own"
        ),
    ],
)
def test_an_errors_own_entry_is_found(kind: str, error: str, title: str) -> None:
    assert find_title(kind, error) == title


def test_advice_holds_how_to_mend_with_its_commands() -> None:
    advice = find_advice("never-started", "", read_runbook())
    assert (advice.title, advice.anchor) == ("Never started", "never-started")
    assert advice.mend.startswith("start a worker, or resume the queue.")
    assert "\n    make worker\n" in advice.mend
    assert "```" not in advice.mend


def test_no_mail_about_a_date_that_is_late_offers_to_cancel_the_run_that_will_load_it() -> None:
    mend = find_advice("sla", "", read_runbook()).mend
    assert "prefect deployment run 'daily-sales/production' -p date=$DATE" in mend
    assert "flow-run cancel" not in mend


def test_without_the_page_the_advice_points_at_it() -> None:
    assert find_advice("drill", "", "").mend == ""


def test_anchors_are_those_of_the_page() -> None:
    assert anchor_of("Record count 45 is below threshold 100") == "record-count-45-is-below-threshold-100"
    assert anchor_of("S3 access denied") == "s3-access-denied"
    anchors = [anchor_of(title) for title in ENTRIES]
    assert len(set(anchors)) == len(anchors)


def test_every_command_is_covered_by_a_test() -> None:
    assert {command.text for command in read_commands()} == COVERED.keys()
    assert {command.language for command in read_commands()} == {"sh", "sql"}
