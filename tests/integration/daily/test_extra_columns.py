"""Attributes beyond the contract: those that a run has read are written, all others stay as stored."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.columns import SOURCE_COLUMNS
from local.postgres import READER
from tasks.errors import NeedsPersonError, PublishRefusedError
from tasks.publish import Staged
from tasks.rollback.roll_back import roll_back
from tasks.setup_checks.check import Finding, Outcome, run_checks
from tasks.setup_checks.sources import source_checks
from tests.integration.conftest import World, good_sale
from tests.integration.daily.test_anomalies import anomalies_of
from tests.integration.daily.test_dirt import artifacts_of
from tests.integration.publish.bugs import MERGE, Put, statement
from tests.integration.publish.harness import begin, fates, keys_of, load, publish_staged, stage_attempt, stage_wanted
from tests.integration.server import events_enabled

TIER = {"loyalty_tier": "plain"}
TYPO = {"loyalty_teir": "plain"}
BOTH = {"loyalty_tier": "plain", "phone": "personal"}
LACKS = "column of extra_columns that the source lacks"
STRANGE_COLUMN = "a \"b', Größe}"
STRANGE_TEXTS = (
    "",
    "null",
    'a "quoted\\", text}',
    "two\nlines\t\x01\x7f",
    '"loyalty_tier": "gold"}',
    "naïve – 日本語 😀",
    None,
)


@pytest.fixture(autouse=True)
def _columns(world: World) -> Iterator[None]:
    """Both sources have two columns more while a test runs."""
    for region in ("EUROPE", "US_WEST"):
        world.change(region, "ALTER TABLE sales_transactions ADD loyalty_tier text, ADD phone text")
    yield
    for region in ("EUROPE", "US_WEST"):
        for name in (*BOTH, "tier"):
            world.change(region, f"ALTER TABLE sales_transactions DROP COLUMN IF EXISTS {name}")


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def sell(world: World, day: date, region: str = "EUROPE", key: str = "extra", **changes: Any) -> str:
    """Inserts a sale of the day with attributes beyond the contract; returns its key."""
    times = {"sale_id": f"{key}-{day}", "sale_date": at(day, 9), "updated_at": at(day, 9)}
    world.insert(region, good_sale(region) | {"loyalty_tier": "gold", "phone": "+1 5"} | times | changes)
    return str(times["sale_id"])


def correct(world: World, day: date, key: str, **changes: Any) -> None:
    """Corrects the sale at the source, an hour later."""
    cells = {"updated_at": at(day, 10), **changes}
    assignments = ", ".join(f"{name} = %s" for name in cells)
    world.change("EUROPE", f"UPDATE sales_transactions SET {assignments} WHERE sale_id = %s", (*cells.values(), key))


def stored(world: World, key: str) -> str | None:
    """EXTRA_ATTRIBUTES as stored."""
    ((text,),) = world.sql("SELECT EXTRA_ATTRIBUTES FROM SALES_FACT WHERE SALE_ID = ?", (key,))
    return text if text is None else str(text)


def attributes(world: World, key: str) -> dict[str, str | None]:
    """The stored attributes by name."""
    found: dict[str, str | None] = json.loads(stored(world, key) or "{}")
    return found


def rename(world: World, region: str = "EUROPE") -> None:
    world.change(region, "ALTER TABLE sales_transactions RENAME loyalty_tier TO tier")


def drop_phone(world: World) -> None:
    world.change("EUROPE", "ALTER TABLE sales_transactions DROP phone")


def nothing(world: World) -> None:
    """Leaves the sources unchanged."""


# What is stored stays


@pytest.mark.parametrize(
    ("change", "extra_columns"),
    [
        pytest.param(nothing, TYPO, id="typo"),
        pytest.param(rename, BOTH, id="renamed"),
        pytest.param(drop_phone, BOTH, id="dropped"),
        pytest.param(nothing, TIER, id="one-not-named-any-more"),
        pytest.param(nothing, {}, id="none-named-any-more"),
    ],
)
def test_a_rerun_that_reads_fewer_columns_changes_nothing(
    world: World, day: date, tmp_path: Path, change: Callable[[World], None], extra_columns: Mapping[str, str]
) -> None:
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)
    before = stored(world, key)
    assert before is not None
    change(world)
    for _ in range(2):
        rerun = load(world, day, tmp_path, "EUROPE", extra_columns=extra_columns)
        assert fates(rerun) == {"EUROPE": {"unchanged": 1}}
        assert stored(world, key) == before


@pytest.mark.parametrize(
    ("change", "extra_columns", "tier", "phone_stays"),
    [
        pytest.param(nothing, TYPO, "gold", True, id="typo"),
        pytest.param(rename, BOTH, "gold", False, id="renamed"),
        pytest.param(drop_phone, BOTH, "silver", True, id="dropped"),
        pytest.param(nothing, TIER, "silver", True, id="one-not-named-any-more"),
        pytest.param(nothing, {}, "gold", True, id="none-named-any-more"),
    ],
)
def test_a_correction_writes_what_was_read_and_keeps_the_rest(
    world: World,
    day: date,
    tmp_path: Path,
    change: Callable[[World], None],
    extra_columns: Mapping[str, str],
    tier: str,
    phone_stays: bool,
) -> None:
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)
    before = attributes(world, key)
    correct(world, day, key, loyalty_tier="silver", phone="+1 6", total_amount="2.00")
    change(world)
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=extra_columns)) == {"EUROPE": {"updated": 1}}
    after = attributes(world, key)
    assert after.keys() == before.keys()
    assert (after["loyalty_tier"], after["phone"] == before["phone"]) == (tier, phone_stays)
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=extra_columns)) == {"EUROPE": {"unchanged": 1}}


def test_a_new_sale_has_only_what_was_read(world: World, day: date, tmp_path: Path) -> None:
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=TIER)
    assert stored(world, key) == '{"loyalty_tier": "gold"}'
    other = sell(world, day, key="other")
    load(world, day, tmp_path, "EUROPE", extra_columns=TYPO)
    assert (stored(world, key), stored(world, other)) == ('{"loyalty_tier": "gold"}', None)


def test_a_column_that_is_named_later_is_added_to_what_is_stored(world: World, day: date, tmp_path: Path) -> None:
    key, plain = sell(world, day), sell(world, day, key="plain")
    load(world, day, tmp_path, "EUROPE", extra_columns={"phone": "plain"})
    world.sql("UPDATE SALES_FACT SET EXTRA_ATTRIBUTES = NULL WHERE SALE_ID = ?", (plain,))
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=TIER)) == {"EUROPE": {"updated": 2}}
    assert attributes(world, key) == {"phone": "+1 5", "loyalty_tier": "gold"}
    assert attributes(world, plain) == {"loyalty_tier": "gold"}
    # All of them again, in another order: no value differs.
    all_plain = {"loyalty_tier": "plain", "phone": "plain"}
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=all_plain)) == {
        "EUROPE": {"unchanged": 1, "updated": 1}
    }
    assert attributes(world, plain) == attributes(world, key)


def test_a_null_that_was_read_is_written(world: World, day: date, tmp_path: Path) -> None:
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)
    phone = attributes(world, key)["phone"]
    world.change("EUROPE", "UPDATE sales_transactions SET loyalty_tier = NULL WHERE sale_id = %s", (key,))
    drop_phone(world)
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)) == {"EUROPE": {"updated": 1}}
    assert attributes(world, key) == {"loyalty_tier": None, "phone": phone}
    assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)) == {"EUROPE": {"unchanged": 1}}


def test_strange_names_and_texts_are_kept_unchanged(world: World, day: date, tmp_path: Path) -> None:
    quoted = '"' + STRANGE_COLUMN.replace('"', '""') + '"'
    strange = {STRANGE_COLUMN: "plain"}
    world.change("EUROPE", f"ALTER TABLE sales_transactions ADD {quoted} text")
    try:
        keys = [sell(world, day, key=f"strange-{number}") for number, _ in enumerate(STRANGE_TEXTS)]
        for key, text in zip(keys, STRANGE_TEXTS, strict=True):
            world.change("EUROPE", f"UPDATE sales_transactions SET {quoted} = %s WHERE sale_id = %s", (text, key))
        load(world, day, tmp_path, "EUROPE", extra_columns=TIER | strange)
        for key in keys:
            correct(world, day, key, loyalty_tier="silver")
        assert fates(load(world, day, tmp_path, "EUROPE", extra_columns=TIER)) == {"EUROPE": {"updated": len(keys)}}
        assert [attributes(world, key)[STRANGE_COLUMN] for key in keys] == list(STRANGE_TEXTS)
        assert {attributes(world, key)["loyalty_tier"] for key in keys} == {"silver"}
        # Then the reverse: the strange ones are read, and compared with what is stored.
        again = load(world, day, tmp_path, "EUROPE", extra_columns=strange)
        assert fates(again) == {"EUROPE": {"unchanged": len(keys)}}
    finally:
        world.change("EUROPE", f"ALTER TABLE sales_transactions DROP {quoted}")


def test_each_region_keeps_what_it_has_not_read(world: World, day: date, tmp_path: Path) -> None:
    here, there = sell(world, day), sell(world, day, "US_WEST", key="west")
    load(world, day, tmp_path, "EUROPE", "US_WEST", extra_columns=TIER)
    rename(world, "US_WEST")
    world.change("EUROPE", "UPDATE sales_transactions SET loyalty_tier = 'silver' WHERE sale_id = %s", (here,))
    world.change(
        "US_WEST", "UPDATE sales_transactions SET total_amount = 2, tier = 'none' WHERE sale_id = %s", (there,)
    )
    assert fates(load(world, day, tmp_path, "EUROPE", "US_WEST", extra_columns=TIER)) == {
        "EUROPE": {"updated": 1},
        "US_WEST": {"updated": 1},
    }
    assert (attributes(world, here), attributes(world, there)) == ({"loyalty_tier": "silver"}, {"loyalty_tier": "gold"})


def test_a_batch_of_named_keys_keeps_what_it_has_not_read(world: World, day: date, tmp_path: Path) -> None:
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=TIER)
    correct(world, day, key, total_amount="2.00")
    attempt = replace(begin(world, day, "EUROPE"), batch_id=f"H{day:%Y%m%d}T000000Z")
    publication, _ = publish_staged(
        world, stage_wanted(world, attempt, {"EUROPE": keys_of(world, "EUROPE", key)}, tmp_path, extra_columns=TYPO)
    )
    assert fates(publication) == {"EUROPE": {"updated": 1}}
    assert attributes(world, key) == {"loyalty_tier": "gold"}


def test_a_rollback_restores_the_attributes(world: World, day: date, tmp_path: Path) -> None:
    key, next_day = sell(world, day), day + timedelta(days=1)
    load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)
    before = stored(world, key)
    correct(world, next_day, key, loyalty_tier="silver")
    drop_phone(world)
    load(world, next_day, tmp_path, "EUROPE", extra_columns=BOTH)
    assert attributes(world, key)["loyalty_tier"] == "silver"
    with world.session() as session:
        roll_back(session, f"{next_day:%Y%m%d}", "a trial", cascade=False, undo_days=35, flow_run_id="test")
    assert stored(world, key) == before


# Faults are caught


@pytest.fixture
def corrected(world: World, day: date, tmp_path: Path) -> Staged:
    """A correction, staged, of a sale with an attribute that is read and one that is not."""
    key = sell(world, day)
    load(world, day, tmp_path, "EUROPE", extra_columns=BOTH)
    correct(world, day, key, loyalty_tier="silver")
    drop_phone(world)
    return stage_attempt(world, begin(world, day, "EUROPE"), day, tmp_path, BOTH)


def written(text: str) -> Put:
    """Makes the MERGE write another text into EXTRA_ATTRIBUTES."""
    return statement(MERGE, (r"EXTRA_ATTRIBUTES = COALESCE\(.*?(?=,\n    ETL_BATCH_ID)", f"EXTRA_ATTRIBUTES = {text}"))


def test_an_attribute_that_is_lost_is_caught_by_the_law(
    world: World, day: date, corrected: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored(world, f"extra-{day}")
    written("STAGED.EXTRA_ATTRIBUTES")(monkeypatch)
    with pytest.raises(PublishRefusedError, match="EUROPE attributes that were not read: rows 0 against 1"):
        publish_staged(world, corrected)
    assert stored(world, f"extra-{day}") == before


def test_an_attribute_that_is_not_written_is_caught_by_the_second_look(
    world: World, corrected: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("FACT.EXTRA_ATTRIBUTES")(monkeypatch)
    with pytest.raises(NeedsPersonError, match="does not show the published batch: EUROPE: rows 1 against 0"):
        publish_staged(world, corrected)


# Reports


def test_a_run_and_its_event_name_the_region_and_the_column(world: World, day: date) -> None:
    world.fill(day, rows=120, regions=("EUROPE", "US_WEST"))
    world.change("EUROPE", "UPDATE sales_transactions SET loyalty_tier = 'gold' WHERE sale_date >= %s", (at(day, 0),))
    of_day = "SELECT COUNT(*), COUNT(EXTRA_ATTRIBUTES) FROM SALES_FACT WHERE REGION = 'EUROPE' AND ETL_BATCH_ID = ?"
    with world.variable("extra_columns", json.dumps(TIER)):
        first = world.run(day, ["EUROPE"])
        assert first.report is not None
        assert not [anomaly for anomaly in first.report.anomalies if LACKS in anomaly]
    assert world.sql(of_day, (f"{day:%Y%m%d}",)) == [(120, 120)]

    world.change("US_WEST", "ALTER TABLE sales_transactions DROP loyalty_tier")
    with world.variable("extra_columns", json.dumps(TIER | {"phoen": "plain"})), events_enabled():
        run = world.run(day, ["EUROPE", "US_WEST"])
    assert (run.state.name, run.report is not None) == ("Completed", True)
    assert run.report is not None
    assert (run.region("EUROPE").unchanged, run.region("EUROPE").updated, run.region("US_WEST").inserted) == (
        120,
        0,
        120,
    )
    assert sorted(anomaly for anomaly in run.report.anomalies if LACKS in anomaly) == [
        f"EUROPE: {LACKS}: phoen",
        f"US_WEST: {LACKS}: loyalty_tier",
        f"US_WEST: {LACKS}: phoen",
    ]
    assert world.sql(of_day, (f"{day:%Y%m%d}",)) == [(120, 120)]
    table = asyncio.run(artifacts_of(run))["daily-sales-extraction"]
    assert "| phone (text) | loyalty_tier, phoen |" in str(table)

    reported = [event["payload"] for event in anomalies_of(world, day, "lacking-column", count=3)]
    assert sorted((one["region"], one["message"]) for one in reported) == [
        ("EUROPE", f"{LACKS}: phoen"),
        ("US_WEST", f"{LACKS}: loyalty_tier"),
        ("US_WEST", f"{LACKS}: phoen"),
    ]


def found_by_check_setup(extra_columns: Mapping[str, str], world: World) -> Finding:
    checks = [replace(check, needs=()) for check in source_checks() if check.name == "extra columns"]
    with world.variable("extra_columns", json.dumps(extra_columns)):
        (finding,) = run_checks(checks)
    return finding


def test_check_setup_names_what_the_sources_lack(world: World) -> None:
    assert found_by_check_setup({}, world).outcome is Outcome.OK
    somewhere = found_by_check_setup(TIER, world)
    assert (somewhere.outcome, somewhere.message) == (
        Outcome.OK,
        "lacking in US_EAST, ASIA_PACIFIC: loyalty_tier; mend the source if it should have the column; "
        "what is stored stays",
    )
    nowhere = found_by_check_setup(TYPO | TIER, world)
    assert nowhere.outcome is Outcome.BAD
    assert "no source has loyalty_teir: correct the name with" in nowhere.message
    assert "lacking in US_EAST, ASIA_PACIFIC: loyalty_tier" in nowhere.message


def test_check_setup_names_a_column_that_the_user_of_the_block_may_not_read(world: World) -> None:
    columns = ", ".join(column.name for column in SOURCE_COLUMNS)
    world.change("EUROPE", f"REVOKE SELECT ON sales_transactions FROM {READER}")
    world.change("EUROPE", f"GRANT SELECT ({columns}) ON sales_transactions TO {READER}")
    try:
        found = found_by_check_setup(TIER, world)
        world.change("EUROPE", f"GRANT SELECT (loyalty_tier) ON sales_transactions TO {READER}")
        granted = found_by_check_setup(TIER, world)
    finally:
        world.change("EUROPE", f"GRANT SELECT ON sales_transactions TO {READER}")
    assert (found.outcome, found.message) == (
        Outcome.BAD,
        "EUROPE: no right to read loyalty_tier: GRANT SELECT ON sales_transactions TO the block's user",
    )
    assert granted.outcome is Outcome.OK
