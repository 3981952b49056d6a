"""The runbook has an entry for every alert and every error, and a test for every command."""

import inspect
import re

import pytest

from tasks import errors
from tasks.alerts.compose import ALERTS
from tasks.alerts.runbook import BY_ERROR, BY_KIND, anchor_of, find_advice, find_title, read_entries, read_runbook
from tests.runbook import COVERED, read_commands

ENTRIES = read_entries(read_runbook())
ERROR_CLASSES = [
    name
    for name, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, errors.SalesEtlError) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("title", sorted({*BY_KIND.values(), *(title for _, title in BY_ERROR), *ERROR_CLASSES}))
def test_every_alert_and_error_has_an_entry(title: str) -> None:
    assert title in ENTRIES
    parts = re.findall(r"^\*\*(.+?)\*\*:", ENTRIES[title], re.MULTILINE)
    assert [part for part in parts if part != "See more"] == ["Means", "Mend", "Make sure"]
    assert find_advice("failed", "", read_runbook()).mend


def test_every_kind_of_alert_is_in_the_table() -> None:
    assert BY_KIND.keys() == ALERTS.keys()


def test_every_error_class_leads_to_its_own_entry() -> None:
    assert {name: find_title("failed", f"{name}: x") for name in ERROR_CLASSES} == {n: n for n in ERROR_CLASSES}


@pytest.mark.parametrize(
    ("kind", "error", "title"),
    [
        pytest.param(
            "quality-failed",
            "nothing was loaded: record count 45 is below threshold 100",
            "Record count 45 is below threshold 100",
            id="count",
        ),
        pytest.param(
            "quality-failed",
            "EUROPE: NULL share of sale_id is 6.00 %, threshold 5.0",
            "Quality gate refused",
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
            "EUROPE left out: answered with 0 rows, min_region_record_count is 1",
            "Regional database does not answer",
            id="no-rows",
        ),
        pytest.param(
            "failed",
            "NeedsPersonError: bucket b cannot be reached (An error occurred (403)): check",
            "S3 access denied",
            id="bucket",
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
            "000630 (57014): Statement reached its statement or warehouse timeout",
            "Snowflake statement timeout or lock",
            id="timeout",
        ),
        pytest.param(
            "failed", "PublishRefusedError: the law does not hold for EUROPE", "PublishRefusedError", id="law"
        ),
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
    assert "\n    prefect worker start --pool retail-sales\n" in advice.mend
    assert "```" not in advice.mend


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
