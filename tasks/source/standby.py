"""Up to when a server shows what was committed: a primary up to now, a standby up to what it has replayed. Knows no
Prefect."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

IDLE_S = 10
"""A standby with nothing to replay has stood still for so long."""
LOOK_S = 1
"""Between two looks at a standby."""

POSITION = """
SELECT
  pg_is_in_recovery(),
  pg_postmaster_start_time(),
  clock_timestamp(),
  CASE WHEN pg_is_in_recovery() THEN
    coalesce(pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_control_checkpoint())) END,
  CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
  (SELECT count(*) > 0 FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),
  (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_receiver_timeout'),
  CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false) END,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END
"""
"""How far a server is. A standby that has replayed no transaction since it was started is at least where its last
checkpoint was; one that has just begun to receive tells the start of a segment."""


@dataclass(frozen=True)
class Position:
    """What POSITION answers: times aware, the timeout in milliseconds, the position in the WAL as text."""

    is_standby: bool
    started_at: datetime
    clock: datetime
    replayed_at: datetime | None
    is_paused: bool | None
    has_receiver: bool
    receiver_timeout_ms: int
    has_replayed_all: bool | None
    replayed: str | None

    @property
    def receiver_timeout(self) -> timedelta:
        return timedelta(milliseconds=self.receiver_timeout_ms)

    @property
    def replayed_in_words(self) -> str:
        return f"{self.replayed_at:%Y-%m-%d %H:%M:%S} UTC" if self.replayed_at else "nobody knows when"

    def shows(self, needed: datetime) -> bool:
        """Whether a transaction that was committed at `needed` or later is replayed."""
        return self.replayed_at is not None and self.replayed_at >= needed

    def may_be_idle(self, needed: datetime) -> bool:
        """Whether all that was sent is replayed, and all that was committed before `needed` was sent: a receiver whose
        primary is away ends after its timeout."""
        return (
            self.has_receiver
            and not self.is_paused
            and self.has_replayed_all is True
            and self.receiver_timeout_ms > 0
            and self.clock - needed > self.receiver_timeout
        )


@dataclass(frozen=True)
class Shown:
    """Up to when the server with this start time shows everything. `until` is None for a primary: up to its snapshot.
    `behind` says in words why it lacks what was committed before the moment that was needed."""

    started_at: datetime
    is_standby: bool
    until: datetime | None = None
    behind: str | None = None


def wait_until_shown(
    look: Callable[[], Position], needed: datetime | None, wait_s: float, sleep: Callable[[float], None] = time.sleep
) -> Shown:
    """Waits at most `wait_s` for a standby that does not show yet what was committed before `needed` (aware).

    A moment that has not come yet is not waited for. When the primary is idle there is nothing to replay: a standby is
    believed that has stood still for IDLE_S (`Position.may_be_idle`).
    """
    begun, idle_since, seen = time.monotonic(), None, None
    while True:
        position, now = look(), time.monotonic()
        if not position.is_standby:
            return Shown(position.started_at, is_standby=False)
        if needed is None or position.shows(needed):
            return Shown(position.started_at, True, position.replayed_at)
        if not position.may_be_idle(needed):
            idle_since = None
        elif idle_since is None or position.replayed != seen:
            idle_since, seen = now, position.replayed
        elif now - idle_since >= IDLE_S:
            return Shown(position.started_at, True, position.clock - position.receiver_timeout)
        proving = idle_since is not None and now - begun < wait_s + IDLE_S + LOOK_S
        if position.clock < needed or (now - begun >= wait_s and not proving):
            behind = why_behind(position) if position.clock >= needed else None
            return Shown(position.started_at, True, position.replayed_at, behind)
        sleep(LOOK_S)


def why_behind(position: Position) -> str:
    """What a standby lacks, and what to look at."""
    if position.is_paused:
        why = "its replay is paused: SELECT pg_wal_replay_resume()"
    elif not position.has_receiver:
        why = "it is cut off from its primary: no WAL receiver is alive"
    else:
        why = "it lags behind its primary"
    return f"its database is a standby that shows sales until {position.replayed_in_words}: {why}"
