"""The moment up to which a server shows all commits: now on a primary, the last replay on a standby. Knows no
Prefect."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

IDLE_S = 10
"""How long a standby with nothing to replay has to stand still."""
POLL_S = 1
"""Between two queries for a standby's position."""

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
"""How far a server is. A standby that has replayed no transaction since its start has at least reached its last
checkpoint; one that has just begun to receive reports the start of a segment."""


@dataclass(frozen=True)
class Position:
    """The row of POSITION: times aware, the timeout in milliseconds, the position in the WAL as text."""

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
        """Whether a transaction committed at `needed` or later has been replayed."""
        return self.replayed_at is not None and self.replayed_at >= needed

    def may_be_idle(self, needed: datetime) -> bool:
        """Whether everything sent has been replayed, and everything committed before `needed` has been sent: a receiver
        that has lost its primary ends after its timeout."""
        return (
            self.has_receiver
            and not self.is_paused
            and self.has_replayed_all is True
            and self.receiver_timeout_ms > 0
            and self.clock - needed > self.receiver_timeout
        )


@dataclass(frozen=True)
class Shown:
    """The moment `until` which the server with this start time shows all commits; None for a primary: its snapshot.
    `behind` says why it lacks commits before the moment needed."""

    started_at: datetime
    is_standby: bool
    until: datetime | None = None
    behind: str | None = None


def wait_until_shown(
    look: Callable[[], Position], needed: datetime | None, wait_s: float, sleep: Callable[[float], None] = time.sleep
) -> Shown:
    """Waits, at most `wait_s`, until a standby shows everything committed before `needed` (aware).

    Does not wait for a moment in the future. An idle primary sends nothing to replay: a standby that has stood still
    for IDLE_S then counts as complete (`Position.may_be_idle`).
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
        proving = idle_since is not None and now - begun < wait_s + IDLE_S + POLL_S
        if position.clock < needed or (now - begun >= wait_s and not proving):
            behind = why_behind(position) if position.clock >= needed else None
            return Shown(position.started_at, True, position.replayed_at, behind)
        sleep(POLL_S)


def why_behind(position: Position) -> str:
    """Up to when a standby shows sales, and why not later."""
    if position.is_paused:
        why = "its replay is paused: SELECT pg_wal_replay_resume()"
    elif not position.has_receiver:
        why = "it is cut off from its primary: no WAL receiver is alive"
    else:
        why = "it lags behind its primary"
    return f"its database is a standby that shows sales until {position.replayed_in_words}: {why}"
