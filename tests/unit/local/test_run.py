"""`make run`: its output, and its refusals. No stack."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import run
from local.environment import CHECKOUT
from tasks.report import RegionReport, RunReport

ENVIRONMENT = {"PREFECT_UI_URL": "http://127.0.0.1:4200/", "S3_STAGING_BUCKET": "bucket"}
REPORT = RunReport(
    date="2017-12-23",
    batch_id="20171223",
    run_number=1,
    flow_run_id="id",
    staging_prefix="sales/batch=20171223/run=1",
    regions=(
        RegionReport("US_EAST", "PUBLISHED", extracted=2, clean=2, seconds={"extract": 0.0, "transform": 0.26}),
        RegionReport("EUROPE", "MISSING", cause="europe does not answer"),
    ),
    checks_failed=(),
    checks_made=1,
    verified=True,
    overtaken=(),
    missing="EUROPE: europe does not answer",
    anomalies=(),
    seconds={"quality-gate": 1.0},
)


def outcome(message: str | None, report: RunReport | None = None) -> dict[str, Any]:
    return {
        "date": "2017-12-23",
        "state": "PartiallyLoaded",
        "state_type": "COMPLETED",
        "message": message,
        "seconds_total": 1.0,
        **(report.to_json() if report else {}),
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("relation sales[2017] is missing", id="square-brackets"),
        pytest.param("[red]EUROPE[/red] is [/] missing [/nothing]", id="markup"),
        pytest.param("12:key:00 is no time :warning:", id="emoji-names"),
        pytest.param("x" * 300, id="longer-than-a-line"),
    ],
)
def test_a_message_is_printed_unchanged(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    run.show(outcome(text), ENVIRONMENT)
    assert f"PartiallyLoaded: {text}\n" in capsys.readouterr().out


def test_a_state_without_a_message_is_printed_with_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    run.show(outcome(None), ENVIRONMENT)
    assert "PartiallyLoaded: no message\n" in capsys.readouterr().out


def test_text_from_outside_is_printed_unchanged_in_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = outcome("m", REPORT)
    region = result["regions"][0]
    region["money"] = {"[b]EUR": {"total_amount": "1.00[/]"}}
    region["rejected_by_rule"] = {"unreadable_[/x]": 1}
    region["status"] = "[i]PUBLISHED"
    run.show(result | {"flow_run_id": "[id]"}, ENVIRONMENT | {"S3_STAGING_BUCKET": "[bucket]"})
    printed = capsys.readouterr().out
    for text in ("[b]EUR", "1.00[/]", "unreadable_[/x]", "[i]PUBLISHED", "/flow-run/[id]", "s3://[bucket]/"):
        assert text in printed


def test_a_region_without_a_step_has_an_empty_cell(capsys: pytest.CaptureFixture[str]) -> None:
    run.show(outcome("m", REPORT), ENVIRONMENT)
    table = capsys.readouterr().out.partition("Seconds per step")[2].partition("PartiallyLoaded")[0]
    cells = {words[0]: words[1:] for line in table.splitlines() if (words := line.split())}
    assert cells["US_EAST"] == ["0.0", "0.3"]
    assert cells["EUROPE"] == []
    assert cells["all"] == ["1.0"]


def test_a_shared_step_that_was_not_reached_has_an_empty_cell(capsys: pytest.CaptureFixture[str]) -> None:
    run.show(outcome("m", replace(REPORT, seconds={"quality-gate": 1.0, "load": 0.0})), ENVIRONMENT)
    table = capsys.readouterr().out.partition("Seconds per step")[2]
    assert next(line.split() for line in table.splitlines() if line.split()[:1] == ["all"]) == ["all", "1.0"]


def test_a_run_whose_outcome_cannot_be_written_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETAIL_SALES_LOCAL_DIR", str(tmp_path))
    run.keep(outcome("m", REPORT))
    assert json.loads((tmp_path / run.LAST_RUN).read_text())["message"] == "m"
    (tmp_path / run.LAST_RUN).unlink()
    (tmp_path / run.LAST_RUN).mkdir()
    run.keep(outcome("m", REPORT))
    assert capsys.readouterr().err == f"{tmp_path}/last-run.json was not written: Is a directory\n"


def call(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.run", *arguments],
        cwd=CHECKOUT,
        env=os.environ | {"RETAIL_SALES_LOCAL_DIR": str(directory)},
        capture_output=True,
        text=True,
    )


def test_without_a_date_it_prints_its_usage(tmp_path: Path) -> None:
    refused = call(tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("usage: python -m local.run ")


@pytest.mark.parametrize(
    "regions", [["MARS"], ["EUROPE", "MARS"], ["EUROPE MARS"], ["EUROPE,MARS"]], ids=lambda regions: "+".join(regions)
)
def test_a_wrong_region_is_one_line_before_anything_is_started(tmp_path: Path, regions: list[str]) -> None:
    refused = call(tmp_path, "2017-12-23", *regions)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "region 'MARS' is unknown: choose from US_EAST, US_WEST, EUROPE, ASIA_PACIFIC, or leave regions out for all\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "regions"),
    [
        pytest.param([], None, id="none-is-all"),
        pytest.param([""], None, id="empty-is-all"),
        pytest.param(["EUROPE US_WEST"], ["US_WEST", "EUROPE"], id="one-word-of-two"),
        pytest.param(["EUROPE", "US_WEST"], ["US_WEST", "EUROPE"], id="two-words"),
        pytest.param(["EUROPE, US_WEST"], ["US_WEST", "EUROPE"], id="with-comma"),
    ],
)
def test_regions_are_separated_by_blanks_or_commas(words: list[str], regions: list[str] | None) -> None:
    assert run.parse_regions(words) == regions
