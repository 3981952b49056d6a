"""Each daily run writes its page and the history, to disk and S3; without either it ends as it would have."""

import logging
import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State

from flows.backfill import backfill
from flows.clean_staging import clean_staging
from flows.rollback import rollback
from flows.support import history, pages, run_hooks
from local.generator import Dirt
from tasks.pages.figures import read_ledger_range
from tasks.pages.paths import DATA_DOCS, DATA_DOCS_INDEX, FOLDER, HISTORY, RUNS, path_of_run
from tasks.pages.site import replace_folder
from tasks.stage import load_bucket
from tests.integration.conftest import Run, World
from tests.integration.daily.test_regions_left_out import europe_reached_by, port_of
from tests.integration.log_lines import Lines
from tests.integration.pages.browser import words_of


def client_of(world: World) -> Any:
    return load_bucket(world.environment["S3_STAGING_BUCKET"]).credentials.get_s3_client()


def in_bucket(world: World, path: str) -> str:
    found = client_of(world).get_object(Bucket=world.environment["S3_STAGING_BUCKET"], Key=f"{FOLDER}/{path}")
    assert found["ContentType"] == "text/html; charset=utf-8"
    return str(found["Body"].read().decode())


def page_of(world: World, reports: Path, day: date) -> str:
    """The text of the one page of the day, which is the same on disk and on S3."""
    (file,) = (reports / RUNS / str(day)).glob("*.html")
    html = file.read_text("utf-8")
    assert in_bucket(world, f"{RUNS}/{day}/{file.name}") == html
    assert file.stat().st_mode & 0o777 == 0o644
    return words_of(html)


def history_of(world: World, reports: Path) -> str:
    html = (reports / HISTORY).read_text("utf-8")
    assert in_bucket(world, HISTORY) == html
    return html


def link_of(history: str, day: date, region: str) -> str:
    """Where the cell of a date and region leads."""
    (link,) = re.findall(rf'<a class="day [\w-]+" href="([^"]+)" aria-label="{day} {region}', history)
    return unescape(link)


def test_a_folder_in_the_bucket_becomes_that_of_the_disk_and_only_what_differs_is_sent(
    world: World, tmp_path: Path
) -> None:
    bucket, sent = load_bucket(world.environment["S3_STAGING_BUCKET"]), list[str]()
    client = bucket.credentials.get_s3_client()

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["Key"].rpartition("/")[2])

    def replaced() -> list[str]:
        sent.clear()
        replace_folder(tmp_path, "folder", bucket)
        return sorted(sent)

    def there() -> dict[str, str]:
        listed = client.list_objects_v2(Bucket=bucket.bucket_name, Prefix=f"{FOLDER}/folder/").get("Contents", [])
        return {o["Key"].rpartition("/")[2]: body_of(o["Key"]) for o in listed}

    def body_of(key: str) -> str:
        return str(client.get_object(Bucket=bucket.bucket_name, Key=key)["Body"].read().decode())

    for name in ("kept", "changed", "gone"):
        (tmp_path / f"{name}.html").write_text(name)
    client.meta.events.register("provide-client-params.s3.PutObject", note)
    try:
        assert replaced() == ["changed.html", "gone.html", "kept.html"]
        (tmp_path / "changed.html").write_text("anew")
        (tmp_path / "gone.html").unlink()
        assert replaced() == ["changed.html"]
        assert there() == {"kept.html": "kept", "changed.html": "anew"}
    finally:
        client.meta.events.unregister("provide-client-params.s3.PutObject", note)


def test_a_published_day_has_a_page_with_its_figures(world: World, day: date, reports: Path) -> None:
    for weeks in range(1, 3):
        world.fill(day - timedelta(weeks=weeks), rows=20, regions=("EUROPE",))
        world.run(day - timedelta(weeks=weeks), ["EUROPE"])
    world.fill(day, rows=50, dirt=Dirt(bad_amounts=0.04, duplicates=0.04, late=0.04))
    run = world.run(day)
    assert run.report is not None, run.state.message
    words = page_of(world, reports, day)
    assert "Published All regions are in production." in words
    for region in run.report.regions:
        fates = (region.extracted, region.inserted, region.updated, region.unchanged, region.superseded)
        assert " ".join(map(str, (region.region, region.status, *fates, region.duplicates, region.rejected))) in words
    assert (
        run.report.page
        == f"s3://{world.environment['S3_STAGING_BUCKET']}/{FOLDER}/{path_of_run(day, run.report.flow_run_id)}"
    )
    sales = world.sql(
        "SELECT CURRENCY, COUNT(*), SUM(TOTAL_AMOUNT) FROM SALES_FACT WHERE REGION = 'EUROPE' "
        "AND SALE_YEAR = ? AND SALE_MONTH = ? AND SALE_DAY = ? GROUP BY CURRENCY",
        (day.year, day.month, day.day),
    )
    for _, rows, revenue in sales:
        assert f"{day} {rows:,} {revenue:,}" in words
    for step in ("begin", "extract-EUROPE", "transform", "quality-gate", "stage", "publish", "verify", "report"):
        assert f"{step} Completed" in words


def test_the_history_leads_to_each_page(world: World, day: date, reports: Path) -> None:
    world.fill(day)
    world.run(day)
    text = history_of(world, reports)
    assert (reports / link_of(text, day, "EUROPE")).is_file()
    assert f"{day} EUROPE: published, 50 rows, 0 rejected" in text


def test_the_history_ends_with_the_ledger(
    world: World, day: date, reports: Path, far_date: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "read_ledger_range", read_ledger_range)
    world.fill(day)
    world.run(day)
    text = history_of(world, reports)
    assert f"{far_date} EUROPE: failed" in text
    assert f"{day} EUROPE" not in text


def test_late_arrivals_are_on_the_page_by_age(world: World, day: date, reports: Path) -> None:
    world.fill(day, rows=30, regions=("EUROPE",))
    noon = f"{day} 12:00:00+00"
    for days, key in ((1, "a"), (3, "b"), (40, "c")):
        sold = f"{day - timedelta(days=days)} 12:00:00+00"
        world.insert("EUROPE", {"sale_id": f"late-{key}-{day}", "sale_date": sold, "updated_at": noon})
    world.run(day, ["EUROPE"])
    assert "the day itself 1 day 2 to 7 days older EUROPE 30 1 1 1" in page_of(world, reports, day)


def test_a_refused_batch_has_a_page(world: World, day: date, reports: Path) -> None:
    world.fill(day, rows=3)
    with world.variable("min_record_count", "100"):
        run = world.run(day)
    assert run.state.name == "QualityFailed"
    words = page_of(world, reports, day)
    assert "Refused The data broke a quality limit. Nothing was loaded" in words
    assert "record count 12 is below threshold 100" in words
    assert f"{day} EUROPE: failed" in history_of(world, reports)


def test_a_run_that_fails_before_it_has_read_anything_has_a_page(world: World, day: date, reports: Path) -> None:
    with europe_reached_by(world, **{f":{port_of(world, 'EUROPE')}/": ":1/"}):
        run = world.run(day, ["EUROPE"])
    assert run.state.is_failed()
    words = page_of(world, reports, day)
    assert "Failed The run ended before its batch was verified." in words
    assert "extract-EUROPE Failed" in words
    assert "its database cannot be read" in words


def test_a_partly_published_day_says_what_is_missing(world: World, day: date, reports: Path) -> None:
    world.fill(day)
    with europe_reached_by(world, **{f":{port_of(world, 'EUROPE')}/": ":1/"}):
        run = world.run(day)
    assert run.state.name == "PartiallyLoaded"
    assert "In production: US_EAST, US_WEST, ASIA_PACIFIC. Missing: EUROPE." in page_of(world, reports, day)
    assert f"{day} EUROPE: left out" in history_of(world, reports)


def test_the_gates_results_are_beside_the_page(world: World, day: date, reports: Path) -> None:
    world.fill(day, regions=("EUROPE",))
    old = f"{FOLDER}/{DATA_DOCS}/validations/of-an-earlier-batch.html"
    client_of(world).put_object(Bucket=world.environment["S3_STAGING_BUCKET"], Key=old, Body=b"x")
    run = world.run(day, ["EUROPE"])
    assert run.report is not None
    index = (reports / DATA_DOCS_INDEX).read_text("utf-8")
    assert f"{day} run {run.report.run_number}" in index
    listed = client_of(world).list_objects_v2(
        Bucket=world.environment["S3_STAGING_BUCKET"], Prefix=f"{FOLDER}/{DATA_DOCS}/"
    )
    files = [file for file in (reports / DATA_DOCS).rglob("*") if file.is_file()]
    assert {found["Key"] for found in listed["Contents"]} == {f"{FOLDER}/{file.relative_to(reports)}" for file in files}
    assert f'href="{DATA_DOCS_INDEX}"' in history_of(world, reports)


def test_a_refused_date_has_none(world: World, reports: Path) -> None:
    assert world.run("2999-01-01").state.name == "Refused"
    assert not reports.exists()


def test_a_backfill_writes_each_page_and_the_history_once(
    world: World, day: date, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days, histories = [day + timedelta(days=n) for n in range(3)], list[Path]()
    for one in days:
        world.fill(one, rows=60, regions=("EUROPE",))
    original = history.write_history

    def counted(directory: Path, logger: Any) -> None:
        histories.append(directory)
        original(directory, logger)

    monkeypatch.setattr(history, "write_history", counted)
    state = backfill(str(days[0]), str(days[-1]), regions=["EUROPE"], return_state=True)
    assert state.is_completed(), state.message
    assert histories == [reports]
    text = history_of(world, reports)
    for one in days:
        page_of(world, reports, one)
        assert (reports / link_of(text, one, "EUROPE")).is_file()


def test_a_rollback_is_in_the_history(world: World, day: date, reports: Path) -> None:
    world.fill(day, regions=("EUROPE",))
    world.run(day, ["EUROPE"])
    state = rollback(str(day), "wrong prices", return_state=True)
    assert state.is_completed(), state.message
    assert f"{day} EUROPE: rolled back, wrong prices" in history_of(world, reports)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler, logger = Lines(), logging.getLogger("prefect.flow_runs")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def assert_published(run: Run) -> None:
    assert (run.state.name, run.state.is_completed()) == ("Completed", True), run.state.message


def test_a_disk_that_takes_no_page_changes_nothing(world: World, day: date, reports: Path, lines: list[str]) -> None:
    world.fill(day, regions=("EUROPE",))
    reports.write_text("a file where the directory should be")
    run = world.run(day, ["EUROPE"])
    assert_published(run)
    assert run.report is not None
    assert "Published" in words_of(in_bucket(world, path_of_run(day, run.report.flow_run_id)))
    assert [line for line in lines if line.startswith("step=page not written to this machine's disk: ")]


def test_a_bucket_that_takes_no_page_changes_nothing(
    world: World, day: date, reports: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, regions=("EUROPE",))
    for module in (pages, history):
        monkeypatch.setattr(module, "load_bucket", lambda _name: load_bucket("no-such-bucket"))
    assert_published(world.run(day, ["EUROPE"]))
    assert list((reports / RUNS / str(day)).glob("*.html"))
    assert [line for line in lines if line.startswith("step=page not written to the bucket, reports/runs/")]
    text = (reports / HISTORY).read_text("utf-8")
    assert (reports / link_of(text, day, "EUROPE")).is_file()
    assert "The pages in the bucket could not be listed: " in text


def test_a_page_that_takes_too_long_is_given_up(
    world: World, day: date, reports: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, regions=("EUROPE",))
    monkeypatch.setattr(run_hooks, "PAGE_S_MAX", 0)
    assert_published(world.run(day, ["EUROPE"]))
    assert "step=page not written within 0 s, given up" in lines
    assert "step=history not written within 0 s, given up" in lines


def test_without_the_warehouse_the_page_has_no_charts_and_says_so(
    world: World, day: date, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(day, regions=("EUROPE",))
    monkeypatch.setattr("tasks.pages.figures.render", lambda *_names, **_values: "SELECT * FROM NO_SUCH_TABLE")
    assert_published(world.run(day, ["EUROPE"]))
    assert "The page has no charts, because the warehouse could not be read" in page_of(world, reports, day)


def test_where_pages_are_off_there_is_none(world: World, day: date, tmp_path: Path) -> None:
    world.fill(day, regions=("EUROPE",))
    run = world.run(day, ["EUROPE"])
    assert run.report is not None
    assert run.report.page == ""
    found = client_of(world).list_objects_v2(
        Bucket=world.environment["S3_STAGING_BUCKET"], Prefix=f"{FOLDER}/{path_of_run(day, run.report.flow_run_id)}"
    )
    assert found["KeyCount"] == 0


def test_artifacts_link_the_page_where_people_can_open_it(
    world: World, day: date, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    monkeypatch.setattr("tasks.report.write_artifacts", written.extend)
    world.fill(day, regions=("EUROPE",))
    with world.variable("report_base_url", "https://reports.example.com/sales"):
        run = world.run(day, ["EUROPE"])
    assert run.report is not None
    place = f"https://reports.example.com/sales/{path_of_run(day, run.report.flow_run_id)}"
    assert run.report.page == place
    assert f"Page with charts: [{place}]({place})" in written[0].markdown
    assert (reports / path_of_run(day, run.report.flow_run_id)).is_file()


def test_old_pages_are_removed_and_the_history_stays(world: World, day: date, reports: Path) -> None:
    world.fill(day, regions=("EUROPE",))
    run = world.run(day, ["EUROPE"])
    assert run.report is not None
    path = path_of_run(day, run.report.flow_run_id)

    def clean(days: str, dry_run: bool = False) -> State:
        with world.variable("report_retention_days", days):
            state: State = clean_staging(dry_run=dry_run, return_state=True)
        assert state.is_completed(), state.message
        return state

    assert "page" not in (clean("1").message or "")
    old = (reports / path).stat().st_mtime - 2 * 24 * 60 * 60
    os.utime(reports / path, (old, old))
    assert "would remove 1 page on this machine" in (clean("1", dry_run=True).message or "")
    assert (reports / path).is_file()
    assert "removed 1 page on this machine" in (clean("1").message or "")
    assert not (reports / path).exists()
    assert (reports / HISTORY).is_file()
    assert in_bucket(world, path)
