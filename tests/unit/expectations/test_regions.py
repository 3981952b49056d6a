"""Regions are data: a fifth one is an entry, and a repeated entry is refused by name."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from expectations.regions import REGIONS, code_of_spelling, expected_on, read_regions

ENTRY = """
[[region]]
code = "{code}"
name = "{name}"
spellings = {spellings}
time_zone = "Etc/UTC"
prefix_keys = false
block = "sales-{code}"
"""


def entry(code: str, *spellings: str) -> str:
    return ENTRY.format(code=code, name=code.title(), spellings=list(spellings))


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        pytest.param("EUROPE", "EUROPE", id="code"),
        pytest.param("US East", "US_EAST", id="name"),
        pytest.param("us_east", "US_EAST", id="spelling"),
        pytest.param("uS-eAsT", "US_EAST", id="any-case"),
        pytest.param("  US EAST\t", "US_EAST", id="blanks-around"),
        pytest.param("\u00a0EU\n", "EUROPE", id="no-break-space-and-newline"),
        pytest.param("US  EAST", None, id="two-blanks-inside"),
        pytest.param("", None, id="empty"),
        pytest.param("   ", None, id="only-blanks"),
        pytest.param("NULL", None, id="text-null"),
        pytest.param("ＥＵ", None, id="full-width"),
        pytest.param("mars", None, id="unknown"),
    ],
)
def test_a_spelling_means_one_region_or_none(spelling: str, code: str | None) -> None:
    assert code_of_spelling(spelling) == code


def test_every_spelling_of_the_file_means_its_own_region() -> None:
    for region in REGIONS.values():
        for spelling in (region.code, region.name, *region.spellings):
            assert code_of_spelling(f" {spelling.upper()} ") == region.code


def test_a_fifth_region_is_one_entry(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entry("A", "a1") + entry("B", "b1"), encoding="utf-8")
    assert list(read_regions(file)) == ["A", "B"]
    assert read_regions(file)["B"].block == "sales-B"


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        pytest.param(entry("A", "x") + entry("A", "y"), "code 'A'", id="code-twice"),
        pytest.param(entry("A", "x") + entry("B", "x"), "spelling 'x'", id="spelling-twice"),
        pytest.param(entry("A", "eu") + entry("B", "EU"), "spelling 'eu'", id="spelling-twice-in-another-case"),
        pytest.param(entry("A", "eu") + entry("B", " eu"), "spelling ' ?eu'", id="spelling-twice-with-a-blank"),
        pytest.param(entry("A", "x") + entry("B", "a"), "'a'", id="spelling-is-another-regions-code"),
    ],
)
def test_an_entry_given_twice_is_refused_by_name(entries: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entries, encoding="utf-8")
    with pytest.raises(ValueError, match=f"(?i)regions.toml: .*{named} is given twice"):
        read_regions(file)


@pytest.mark.parametrize("zone", ["", "Berlin", "CEST", "UTC+1", "Europe/berlin"])
def test_a_time_zone_that_is_none_is_refused_by_name(zone: str, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entry("A", "a1").replace("Etc/UTC", zone), encoding="utf-8")
    with pytest.raises(ValueError, match=f"regions.toml: time_zone '{re.escape(zone)}' of A is no IANA time zone"):
        read_regions(file)


def test_sales_of_a_region_are_expected_from_its_first_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=date(2024, 1, 15)))
    others = ("US_EAST", "US_WEST", "ASIA_PACIFIC")
    assert expected_on(date(2024, 1, 14), REGIONS) == others
    assert expected_on(date(2024, 1, 15), REGIONS) == tuple(REGIONS)
    assert expected_on(date(2024, 1, 14), ["EUROPE", "US_EAST", "NO_LONGER_CONFIGURED"]) == ("US_EAST",)


def test_a_first_date_is_read_as_a_date(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entry("A", "a1") + "first_date = 2024-01-15\n" + entry("B", "b1"), encoding="utf-8")
    assert [region.first_date for region in read_regions(file).values()] == [date(2024, 1, 15), None]


@pytest.mark.parametrize("written", ['"2024-01-15"', "2024-01-15T00:00:00Z", "2024"])
def test_a_first_date_that_is_none_is_refused_by_name(written: str, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entry("A", "a1") + f"first_date = {written}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="regions.toml: first_date '2024.*' of A is no date: write it without quotes"):
        read_regions(file)


@pytest.mark.parametrize("code", REGIONS)
def test_the_view_for_analysts_has_each_local_date_of_a_region_once_in_three_years(code: str) -> None:
    """By the formula of LOCAL_DATE: the day before the one that has begun there when the UTC day ends."""
    zone, begin = ZoneInfo(REGIONS[code].time_zone), datetime(2024, 1, 1, tzinfo=UTC)
    ends = [begin + timedelta(days=number) for number in range(1096)]
    local = [end.astimezone(zone).date() - timedelta(days=1) for end in ends]
    assert local == [local[0] + timedelta(days=number) for number in range(1096)]


@pytest.mark.parametrize(
    ("zone", "is_taken"),
    [
        ("Europe/London", True),
        ("America/St_Johns", True),
        ("Pacific/Kiritimati", True),
        ("Pacific/Apia", True),
        ("Atlantic/Azores", False),
    ],
)
def test_a_time_zone_that_is_behind_utc_for_a_part_of_the_year_is_refused(
    zone: str, is_taken: bool, tmp_path: Path
) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(entry("A", "a1").replace("Etc/UTC", zone), encoding="utf-8")
    if is_taken:
        assert read_regions(file)["A"].time_zone == zone
        return
    with pytest.raises(ValueError, match=f"regions.toml: time_zone '{zone}' of A is behind UTC for a part of the year"):
        read_regions(file)
