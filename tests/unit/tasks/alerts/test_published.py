"""A failure is over when every region that it is about was published after it was mailed."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from expectations.regions import REGIONS
from tasks.alerts.published import describe_production, is_mended, read_unpublished
from tasks.warehouse.states import LedgerState, Status

DAY, ALL = date(2024, 1, 15), tuple(REGIONS)
MAILED = datetime(2024, 1, 16, 7, tzinfo=UTC)
BEFORE, AFTER = MAILED - timedelta(hours=1), MAILED + timedelta(hours=1)


@pytest.mark.parametrize(
    ("published", "mended"),
    [
        pytest.param({}, False, id="never-published"),
        pytest.param({"EUROPE": BEFORE, "US_EAST": BEFORE}, False, id="published-before"),
        pytest.param({"EUROPE": AFTER}, False, id="one-is-missing"),
        pytest.param({"EUROPE": AFTER, "US_EAST": BEFORE}, False, id="one-was-before"),
        pytest.param({"EUROPE": AFTER, "US_EAST": MAILED}, False, id="one-at-that-moment"),
        pytest.param({"EUROPE": AFTER, "US_EAST": AFTER, "US_WEST": BEFORE}, True, id="all-after"),
    ],
)
def test_mended_is_published_since(published: dict[str, datetime], mended: bool) -> None:
    assert is_mended(published, ("EUROPE", "US_EAST"), MAILED) is mended


@pytest.mark.parametrize(
    ("in_production", "regions", "words"),
    [
        pytest.param(dict.fromkeys(REGIONS, "PUBLISHED"), ALL, "2024-01-15 is in production now.", id="all"),
        pytest.param(
            dict.fromkeys(REGIONS, "PUBLISHED") | {"EUROPE": "EMPTY"},
            ALL,
            "2024-01-15 is in production now.",
            id="a-closed-region",
        ),
        pytest.param(
            dict.fromkeys(REGIONS, "PUBLISHED") | {"EUROPE": None, "US_EAST": "ROLLED_BACK"},
            ALL,
            "2024-01-15 is in production now but for US_EAST, EUROPE.",
            id="but-for-some",
        ),
        pytest.param({"EUROPE": "PUBLISHED"}, ("EUROPE",), "2024-01-15 is in production now.", id="asked-for"),
        pytest.param({}, ALL, "2024-01-15 is not in production now.", id="none"),
        pytest.param({"US_EAST": None}, ALL, "2024-01-15 is not in production now.", id="begun"),
    ],
)
def test_what_production_shows_of_a_date(
    in_production: dict[str, str | None], regions: tuple[str, ...], words: str
) -> None:
    states = [
        LedgerState(DAY, region, Status.STARTED, Status(status) if status else None, False)
        for region, status in in_production.items()
    ]
    assert describe_production([DAY], regions, states) == words


def test_each_date_has_its_line() -> None:
    other = DAY + timedelta(days=1)
    states = [LedgerState(other, region, Status.PUBLISHED, Status.PUBLISHED, False) for region in REGIONS]
    assert describe_production([DAY, other], ALL, states).splitlines() == [
        "2024-01-15 is not in production now.",
        "2024-01-16 is in production now.",
    ]


def test_a_region_that_had_not_opened_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=DAY + timedelta(days=1)))
    states = [LedgerState(DAY, r, Status.PUBLISHED, Status.PUBLISHED, False) for r in REGIONS if r != "EUROPE"]
    assert describe_production([DAY], tuple(REGIONS), states) == "2024-01-15 is in production now."
    assert describe_production([DAY], ("EUROPE",), states) == "2024-01-15 is not in production now."


def test_a_region_that_had_not_opened_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIONS, "EUROPE", replace(REGIONS["EUROPE"], first_date=DAY + timedelta(days=1)))
    asked = []

    class Session:
        def query(self, statement: str) -> list[tuple[str, str]]:
            asked.extend(re.findall(r"SELECT '(\d+)' AS BATCH_ID, '(\w+)' AS REGION", statement))
            return asked

    late = read_unpublished(Session(), [DAY, DAY + timedelta(days=1)])  # type: ignore[arg-type]
    assert late == {DAY: [code for code in REGIONS if code != "EUROPE"], DAY + timedelta(days=1): [*REGIONS]}
    for code in REGIONS:
        monkeypatch.setitem(REGIONS, code, replace(REGIONS[code], first_date=DAY + timedelta(days=1)))
    assert read_unpublished(Session(), [DAY]) == {}  # type: ignore[arg-type]
