"""Data Docs show what is expected and how a batch was judged, hold no value, and load nothing from another host."""

import logging
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from expectations import suites
from tasks.pages import data_docs
from tasks.pages.data_docs import Judged, build_data_docs, to_page
from tasks.quality import QualityCheck
from tests.unit.tasks.pages.dirty_batch import MARK, RUN, THRESHOLDS, judged_batch

LINK = re.compile(r'(?:src|href)="([^"#]+)')


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged_batch(tmp_path_factory.mktemp("batch"))


@pytest.fixture(scope="module")
def site(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reports") / "data-docs"
    build_data_docs(directory, judged)
    return directory


def text_of(page: Path) -> str:
    """What a reader sees, without tags, in one line."""
    body = page.read_text(encoding="utf-8").partition("<body>")[2]
    return " ".join(re.sub(r"<script>.*?</script>|<[^>]+>", " ", body, flags=re.DOTALL).split())


def page_of(site: Path, suite: str, scope: str) -> Path:
    (page,) = site.glob(f"validations/*-{scope}-{suite}.html")
    return page


def test_no_file_holds_a_value(site: Path, judged: Judged) -> None:
    assert {check.name for check in judged.checks if not check.passed} == {
        "expect_column_values_to_not_be_null",
        "expect_table_row_count_to_be_between",
        "rejected_share",
    }
    files = [path for path in site.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [str(path) for path in files if MARK.encode() in path.read_bytes()] == []


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    links = [(page, link) for page in pages for link in LINK.findall(page.read_text(encoding="utf-8"))]
    assert len(links) > 6 * len(pages)
    assert [f"{page}: {link}" for page, link in links if not (page.parent / link).is_file()] == []


def test_every_vendored_file_is_used_and_has_its_licence(site: Path) -> None:
    linked = {Path(link).name for page in site.rglob("*.html") for link in LINK.findall(page.read_text("utf-8"))}
    vendored = {path.name for path in (site / data_docs.STATIC).iterdir()}
    licences = {name for name in vendored if name.endswith(".LICENSE.txt")}
    assert linked & vendored == vendored - licences
    of_others = vendored - licences - {"data_docs.css"}
    assert [name for name in of_others if not any(name.startswith(of.partition(".")[0]) for of in licences)] == []


def test_a_result_shows_counts_and_thresholds(site: Path) -> None:
    as_read = text_of(page_of(site, "rows-as-read", "EUROPE"))
    assert "Data asset: EUROPE Status: Failed" in as_read
    assert "Evaluated Expectations 14 Successful Expectations 13 Unsuccessful Expectations 1" in as_read
    assert "fewer than 5.0 % of the values may be NULL. 4 unexpected values found." in as_read
    assert "≈91.667% not null" in as_read
    assert "greater than or equal to 1000 rows. 100" in text_of(page_of(site, "clean-batch", "batch"))
    rejected = text_of(page_of(site, "rejected-share", "EUROPE"))
    assert "rejected share EUROPE: rejected 8 of 48 rows (16.67 %) is above threshold 5.0 %" in rejected


def test_the_index_lists_every_result_and_suite(site: Path, judged: Judged) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    results = {f"validations/{path.name}" for path in (site / "validations").iterdir()}
    assert len(results) == len({(check.suite, check.scope) for check in judged.checks})
    shown = {f"expectations/{path.name}" for path in (site / "expectations").iterdir()}
    assert set(re.findall(r"(?:validations|expectations)/[\w.-]+\.html", index)) == results | shown
    assert {Path(path).stem for path in shown} >= {check.suite for check in judged.checks}
    assert "2024-01-16 06:01:00 UTC" in index
    assert RUN in index


def test_computed_columns_have_readable_names(site: Path) -> None:
    suite = suites.output_suite("EUROPE", datetime.now(UTC))
    columns = {expectation.configuration.kwargs["column"] for expectation in suite.expectations}
    assert {column for column in columns if column.startswith("_")} == set(suites.READ_AS)
    for page in (site / "expectations" / "clean-rows.html", page_of(site, "clean-rows", "EUROPE")):
        text = text_of(page)
        assert all(name in text for name in suites.READ_AS.values())
        assert not any(column in text for column in suites.READ_AS)


def test_the_suites_alone_are_a_site_that_replaces_the_last_one(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "reports" / "data-docs"
    (directory / "validations").mkdir(parents=True)
    (directory / "validations" / "01-EUROPE-rows-as-read.html").write_text("of another batch")
    assert data_docs.main([str(directory)]) == 0
    assert capsys.readouterr().out == f"{directory}/index.html\n"
    assert not (directory / "validations").exists()
    names = [path.name for path in sorted((directory / "expectations").iterdir())]
    assert names == [path.name for path in sorted((site / "expectations").iterdir())]
    assert "at most 5 minutes later than the source's clock" in text_of(directory / "expectations" / "clean-rows.html")


def test_a_check_that_counted_nothing_shows_its_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    message = "EUROPE: expect_column_values_to_be_unique on absent raised an error and counts as failed"
    checks = [
        QualityCheck("clean-keys", "EUROPE", "expect_column_values_to_be_unique", "absent", False, message),
        QualityCheck("plan", "batch", "closed_day", "", True, "closed day, no rows to judge"),
    ]
    with caplog.at_level(logging.WARNING, logger="great_expectations"):
        build_data_docs(tmp_path / "docs", Judged(RUN, datetime.now(UTC), checks, THRESHOLDS))
    assert message in text_of(page_of(tmp_path / "docs", "clean-keys", "EUROPE"))
    assert "closed day, no rows to judge" in text_of(page_of(tmp_path / "docs", "plan", "batch"))
    # Great Expectations logs what it cannot render, and leaves it out.
    assert caplog.records == []


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://example.com/new.js"></script>',
        '<link rel="stylesheet" href="//example.com/new.css">',
        "<style>p { background: url('https://example.com/p.png') }</style>",
        '<style>@import "https://example.com/p.css"</style>',
        '<img src="https://example.com/p.png">',
    ],
)
def test_a_page_that_would_load_another_file_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=r"index\.html of Data Docs would load .*//example\.com.* from another host"):
        to_page(Path("index.html"), f"<html><head>{tag}</head></html>")


def test_what_could_not_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Judged | None) -> NoReturn:
        raise OSError("no space left on device")

    directory = tmp_path / "data-docs"
    build_data_docs(directory)
    monkeypatch.setattr(data_docs, "render_pages", fail)
    with pytest.raises(OSError, match="no space left"):
        build_data_docs(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["data-docs"]
    assert (directory / "index.html").is_file()


def test_what_a_process_has_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    left, written = tmp_path / ".data-docs-left", tmp_path / ".data-docs-written"
    for folder in (left, written):
        (folder / "data-docs").mkdir(parents=True)
    long_ago = time.time() - 2 * data_docs.LEFT_AFTER_S
    os.utime(left, (long_ago, long_ago))
    build_data_docs(tmp_path / "data-docs")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".data-docs-written", "data-docs"]
