"""Names of runs, for lists, mails and links: each says what its run does. A name never fails its run."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from prefect.runtime import flow_run as current

from tasks.batch import Batch, date_asked, day_before

Parameters = Mapping[str, Any]
DRY = "dry"


def naming(words: Callable[[Parameters, datetime], str]) -> Callable[[], str]:
    """The function that Prefect calls for a run's name; `words` takes its parameters and its due time."""

    def name_of_this_run() -> str:
        return words(current.parameters or {}, current.scheduled_start_time)

    return name_of_this_run


def backfill_name(parameters: Parameters, due: datetime) -> str:
    """`backfill-2024-01-10-to-14`, `backfill-until-2024-01-14` without dates; then `-all`, `-failed`, `-dry`."""
    mode = parameters.get("mode", "missing")
    words = [] if mode == "missing" else [str(mode)]
    return _joined("backfill", _range(parameters, due), *_regions(parameters), *words, *_dry(parameters))


def reconcile_name(parameters: Parameters, due: datetime) -> str:
    """`reconcile-2024-01-10-to-14-dry`; `reconcile-until-2024-01-14` without dates."""
    heals = [] if parameters.get("heal", True) else ["no-heal"]
    marks = ["heal-deleted"] if parameters.get("heal_deleted") else []
    return _joined("reconcile", _range(parameters, due), *_regions(parameters), *heals, *marks, *_dry(parameters))


def rollback_name(parameters: Parameters, due: datetime) -> str:
    """`rollback-20240115`, `rollback-H20240116T091500Z-cascade-dry`."""
    asked = parameters.get("date")
    try:
        batch_id = Batch(date_asked(asked, due), ()).batch_id
    except ValueError:
        batch_id = str(asked)
    return _joined("rollback", batch_id, *(["cascade"] if parameters.get("cascade") else []), *_dry(parameters))


def replay_name(parameters: Parameters, due: datetime) -> str:
    """`replay-rejected-2024-01-16-0915-EUROPE-dry`."""
    return _joined("replay-rejected", _minute(due), *_regions(parameters), *_dry(parameters))


def alert_name(parameters: Parameters, _due: datetime) -> str:
    """`send-alert-sla-2024-01-15-US_WEST`; without a date, the first digits of the id of the run in question."""
    day, region, run = (str(parameters.get(name) or "") for name in ("date", "region", "flow_run_id"))
    about = [day] if day else [run[:8]] if run else []
    return _joined("send-alert", str(parameters.get("kind")), *about, *([region] if region else []))


def by_minute(flow_name: str) -> Callable[[], str]:
    """`check-setup-2024-01-16-0915`: the flow, and the run's due time (UTC); then `-dry`."""
    return naming(lambda parameters, due: _joined(flow_name, _minute(due), *_dry(parameters)))


def _range(parameters: Parameters, due: datetime) -> str:
    first, last = parameters.get("start_date"), parameters.get("end_date")
    if first is None and last is None:
        return f"until-{day_before(due)}"
    try:
        return range_words(date_asked(first, due), date_asked(last, due))
    except ValueError:
        return f"{first}-to-{last}"


def range_words(first: date, last: date) -> str:
    """`2024-01-10-to-14`; the last date in full when it is in another month; one date when both are the same."""
    if first == last:
        return str(first)
    is_same_month = (first.year, first.month) == (last.year, last.month)
    return f"{first}-to-{last:%d}" if is_same_month else f"{first}-to-{last}"


def _regions(parameters: Parameters) -> list[str]:
    asked = parameters.get("regions")
    return [str(code) for code in asked] if isinstance(asked, list | tuple) else []


def _dry(parameters: Parameters) -> list[str]:
    return [DRY] if parameters.get("dry_run") is True else []


def _minute(due: datetime) -> str:
    return f"{due.astimezone(UTC):%Y-%m-%d-%H%M}"


def _joined(*words: str) -> str:
    return "-".join(words)
