"""An alert's kind and request, and what is known of the run that it is about. Pure."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

AlertKind = Literal[
    "failed",
    "quality-failed",
    "partially-loaded",
    "sla",
    "never-started",
    "anomaly",
    "lease-expired",
    "second-look",
    "server-down",
    "drill",
]

DAILY_FLOW = "daily-sales"
WATCHDOG_FLOW = "watchdog"
DRILL_FLOW, DRILL_PARAMETER = "alert-drill", "fail"
"""A run of that flow with that parameter fails on purpose."""
CARRIED_PARAMETER = "not_loaded_before"
"""A backfill's dates that the run before it could not load."""

LASTING_ANOMALIES = frozenset({"new-column", "lacking-column"})
"""Sorts that last until a person acts: mailed once per region and column names."""

LASTING_GAP_MAX = timedelta(days=7)
"""A lasting anomaly that was not seen for longer is mailed anew."""

COLUMNS_LENGTH_MAX = 120
"""Names of columns in a slot or a subject; the rest is a hash."""

KIND_OF_STATE: Mapping[str, AlertKind] = {"QualityFailed": "quality-failed", "PartiallyLoaded": "partially-loaded"}
"""The kinds that a run's own state names."""

ENDS_OF_RUNS = frozenset({"failed", "quality-failed", "partially-loaded"})
"""Alerts about how a run ended."""


@dataclass(frozen=True)
class AlertRequest:
    """What was noticed. `date` is a business date as 2024-01-15, `region` one code or several with commas."""

    kind: AlertKind
    flow_run_id: str | None = None
    date: str | None = None
    region: str | None = None
    message: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types, without what is not given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class FailedTask:
    """A task run that failed or crashed."""

    name: str
    message: str


@dataclass(frozen=True)
class ChildRun:
    """A run within another that did not end well."""

    name: str
    date: str | None
    state: str
    message: str


@dataclass(frozen=True)
class RunFacts:
    """What the Prefect server knows of a flow run. Times are aware UTC; `trace` and `log` are lines, oldest first.

    `root_id` is the topmost run around a child; None for a run that stands alone.
    """

    id: str
    flow: str
    name: str
    state: str
    message: str
    link: str
    scheduled_at: datetime
    deployment: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    root_id: str | None = None
    failed_tasks: tuple[FailedTask, ...] = ()
    children: tuple[ChildRun, ...] = ()
    trace: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def is_child(self) -> bool:
        return self.root_id is not None


def with_kind_of_run(request: AlertRequest, run: RunFacts | None) -> AlertRequest:
    """Returns the request with the kind that the run's own state names; a run that failed on purpose is a drill."""
    if run is None or request.kind not in ENDS_OF_RUNS:
        return request
    on_purpose = run.flow == DRILL_FLOW and run.parameters.get(DRILL_PARAMETER) is True
    return replace(request, kind="drill" if on_purpose else KIND_OF_STATE.get(run.state, request.kind))


def sort_of_anomaly(message: str) -> str:
    """Returns the word before the first colon of an anomaly's message; empty when there is none."""
    named = re.match(r"([\w -]{1,40}):", message)
    return named[1] if named else ""


def is_lasting(request: AlertRequest) -> bool:
    """Whether it is an anomaly that every run sees until a person acts."""
    return request.kind == "anomaly" and sort_of_anomaly(request.message or "") in LASTING_ANOMALIES


def column_names(message: str) -> str:
    """Returns the names in an anomaly's message, as in `new-column: new columns in the source: tier (text)`, joined by
    `, ` and of bounded length. A lacking column has no type behind its name.
    """
    listed = message.partition(":")[2].strip()
    names = re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", listed.partition(": ")[2] or listed)
    if len(names) <= COLUMNS_LENGTH_MAX:
        return names
    return f"{names[:COLUMNS_LENGTH_MAX]} {sha256(names.encode()).hexdigest()[:12]}"
