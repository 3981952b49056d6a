"""The lines of check-setup for a region's server, and for the connections that read regions side by side."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.setup_checks.check import SetupFaultError
from tasks.setup_checks.sources import describe_connections, describe_server
from tasks.source.standby import Position

MIDNIGHT = datetime(2024, 1, 16, tzinfo=UTC)
STANDBY = Position(
    is_standby=True,
    started_at=MIDNIGHT,
    clock=MIDNIGHT + timedelta(hours=6),
    replayed_at=MIDNIGHT - timedelta(hours=2),
    is_paused=False,
    has_receiver=True,
    receiver_timeout_ms=60_000,
    has_replayed_all=True,
    replayed="0/100",
)


@pytest.mark.parametrize(
    ("position", "line"),
    [
        pytest.param(replace(STANDBY, is_standby=False), "a primary", id="primary"),
        pytest.param(
            replace(STANDBY, replayed_at=MIDNIGHT + timedelta(hours=5)),
            "a standby that shows sales until 2024-01-16 05:00:00 UTC",
            id="caught-up",
        ),
        pytest.param(STANDBY, "a standby that has nothing to replay since 2024-01-15 22:00:00 UTC", id="idle"),
    ],
)
def test_a_server_says_how_far_it_is(position: Position, line: str) -> None:
    assert describe_server(position) == line


def test_a_standby_that_does_not_show_yesterday_is_a_fault() -> None:
    with pytest.raises(SetupFaultError, match="until 2024-01-15 22:00:00 UTC: its replay is paused"):
        describe_server(replace(STANDBY, is_paused=True))


@pytest.mark.parametrize(
    ("wanted", "found", "line"),
    [
        pytest.param(1, {"EUROPE": 1, "US_EAST": 1}, "1 for each region", id="one"),
        pytest.param(4, {"EUROPE": 4, "US_EAST": 4}, "4 for each region", id="several"),
        pytest.param(
            4,
            {"EUROPE": 1, "US_EAST": 4},
            "4 for each region; 1 for EUROPE, a view or without the right to read ctid",
            id="view",
        ),
    ],
)
def test_regions_are_read_by_so_many_connections(wanted: int, found: dict[str, int], line: str) -> None:
    assert describe_connections(wanted, found, []) == line


def test_connections_that_cannot_be_had_are_a_fault() -> None:
    logged = ["step=source region=EUROPE is read by 2 of 4 connections: too many"]
    with pytest.raises(SetupFaultError, match="^region=EUROPE is read by 2 of 4 connections: too many: allow .* lower"):
        describe_connections(4, {"EUROPE": 2}, logged)
