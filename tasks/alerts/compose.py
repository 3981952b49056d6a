"""Alert: what is asked for, what is known of a run, and the mail made of it, without personal data. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from textwrap import fill
from textwrap import shorten as shorten_words
from typing import Any, Literal

from blocks import names
from expectations.regions import REGIONS
from tasks.alerts.commands import fill_in, limit_in
from tasks.alerts.runbook import Advice
from tasks.batch import Batch, date_asked, parse_business_date
from tasks.lines import DRIVER_SAYS, in_one_line, shortened

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
ALL_REGIONS = "all"

LASTING_ANOMALIES = frozenset({"new-column", "lacking-column"})
"""The sorts that stay until somebody acts, if ever: each is mailed once per region and names of columns."""

LASTING_GAP_MAX = timedelta(days=7)
"""One that was not seen for longer had gone, and is mailed anew."""

LINE_LENGTH_MAX = 300
LINE_WIDTH = 160
ERROR_LENGTH_MAX = 2000
SUBJECT_LENGTH_MAX = 80
SUBJECT_BEGIN = f"[{names.TITLE}]"
"""Of every mail and notification, for the filters of mail programs."""
TRACE_LINES_MAX = 15
LOG_LINES_MAX = 20
CHILDREN_MAX = 40
DATES_MAX = 20
DATES_IN_COMMANDS_MAX = 5
"""Dates of a backfill for which a command is repeated; the others are named."""
SLOT_COLUMNS_LENGTH_MAX = 120
"""Columns that a slot names; the others it holds as a hash."""


@dataclass(frozen=True)
class Alert:
    """A kind of alert: its words in the subject and the first sentence of its mail; `names_cause` when the subject
    goes on with the cause."""

    subject: str
    sentence: str
    names_cause: bool = False


ALERTS: Mapping[AlertKind, Alert] = {
    "failed": Alert(
        "failed", "{what} failed or crashed. Only what the ledger lists as PUBLISHED is in production.", True
    ),
    "quality-failed": Alert("quality failed", "The quality gate refused {what}. Nothing was loaded.", True),
    "partially-loaded": Alert(
        "partially loaded", "{what} was published without a region that could not be read.", True
    ),
    "sla": Alert("not published in time", "{what} is not published, and its time (variable sla_minutes) is over."),
    "never-started": Alert("never started", "{what} was due and has not started."),
    "anomaly": Alert("anomaly", "{what} shows something unusual. The run goes on; a person should look.", True),
    "lease-expired": Alert("run died", "{what} stopped without a word: its lease ran out."),
    "second-look": Alert(
        "second look", "{what} ended after its batch was published, before it looked whether the table shows it."
    ),
    "server-down": Alert("Prefect server down", "The Prefect server does not answer. No run starts until it does."),
    "drill": Alert("drill", "This is a drill: a run failed on purpose to prove that alerts arrive. Nothing to mend."),
}

SAME_FAILURE: Mapping[str, str] = {"lease-expired": "failed"}
"""A run whose lease ran out is set to Crashed by whoever noticed it: that is one failure, not two."""

SAID_ONCE = "The same in other dates of its backfill is not mailed again: the report of each run names what it saw."

STATES: Mapping[str, AlertKind] = {"QualityFailed": "quality-failed", "PartiallyLoaded": "partially-loaded"}
"""What a run's own state says of its end."""

TOLD_BY_STATE = frozenset({"failed", "quality-failed", "partially-loaded"})
"""Alerts of how a run ended."""


@dataclass(frozen=True)
class AlertRequest:
    """What somebody noticed. `date` is a business date as 2024-01-15, `region` one code or several with commas."""

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
    """A run that another one started in itself and that did not end well."""

    name: str
    date: str | None
    state: str
    message: str


@dataclass(frozen=True)
class RunFacts:
    """What the Prefect server knows of a flow run. Times are aware UTC; `trace` and `log` are lines, oldest first.

    `root_id` is the run that a child was started in, at the top; None for a run of its own.
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


@dataclass(frozen=True)
class Subject:
    """What an alert is about. `date` is None for a flow that has no business date; `region` as in the alert's slot."""

    date: date | None
    region: str
    what: str

    @property
    def batch_id(self) -> str | None:
        return Batch(self.date, ()).batch_id if self.date else None

    @property
    def regions(self) -> tuple[str, ...]:
        """The region codes that it is about; all for a whole date."""
        named = tuple(code for code in REGIONS if code in self.region.split(","))
        return named or tuple(REGIONS)


@dataclass(frozen=True)
class Mail:
    """A plain text mail. `thread` is the same for all mails about a date, or about a run without one."""

    subject: str
    body: str
    thread: str = ""


# What an alert is about


def as_it_is(request: AlertRequest, run: RunFacts | None) -> AlertRequest:
    """The request with the kind that the run's own state names, however it was noticed; a failed drill is a drill."""
    if run is None or request.kind not in TOLD_BY_STATE:
        return request
    on_purpose = run.flow == DRILL_FLOW and run.parameters.get(DRILL_PARAMETER) is True
    return replace(request, kind="drill" if on_purpose else STATES.get(run.state, request.kind))


def find_subject(request: AlertRequest, run: RunFacts | None) -> Subject:
    """Date and region of what was noticed, the same whoever noticed it: given, else the run's own.

    A flow without a business date (check-setup, backfill) has its name in the place of the region.
    """
    day = _given_date(request.date) or (_date_of_run(run) if run else None)
    if run and run.flow != DAILY_FLOW and request.date is None:
        return Subject(None, run.flow, f"flow {run.flow}")
    region = join_regions(_region_codes(request, run))
    return Subject(day, region, f"the daily run of {day}" if day else "the daily run")


def _region_codes(request: AlertRequest, run: RunFacts | None) -> Iterable[str]:
    if request.region:
        return re.split(r"[,\s]+", request.region.strip())
    if run and request.kind == "partially-loaded":
        return re.findall(r"(\w+) left out: ", run.message)
    asked = run.parameters.get("regions") if run else None
    return [str(code) for code in asked] if isinstance(asked, list | tuple) else ()


def join_regions(codes: Iterable[str]) -> str:
    """Region codes in their usual order with commas; `all` for none and for all of them."""
    given = {code.upper() for code in codes if code and code.lower() != ALL_REGIONS}
    known = [code for code in REGIONS if code in given]
    joined = ",".join([*known, *sorted(given.difference(REGIONS))])
    return ALL_REGIONS if len(known) == len(REGIONS) or not joined else joined


def _given_date(value: Any) -> date | None:
    try:
        return None if value is None else parse_business_date(value)
    except ValueError:
        return None


def _date_of_run(run: RunFacts) -> date | None:
    if run.flow != DAILY_FLOW:
        return None
    try:
        return date_asked(run.parameters.get("date"), run.scheduled_at)
    except ValueError:
        return None


def slot_name(request: AlertRequest, subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """The name under which the alert is kept: one per date, region and kind; without a business date, per run and kind.

    The watchdog, which fails every five minutes, and what names no run have a slot a day.
    """
    if request.kind == "anomaly":
        return _slot_of_anomaly(request, subject, run, now)
    kind = SAME_FAILURE.get(request.kind, request.kind)
    flow_run_id = (run.root_id or run.id) if run else request.flow_run_id
    is_watchdog = run is not None and run.flow == WATCHDOG_FLOW
    if flow_run_id and not is_watchdog and (subject.date is None or request.kind == "drill"):
        return f"{flow_run_id} {kind}"
    return f"{_day(subject, run, now)} {subject.region} {kind}"


def _slot_of_anomaly(request: AlertRequest, subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """One per region and sort (the word before the first colon of the message) of a date, or of a whole backfill.

    Lasting ones have one per region and names of columns.
    """
    message = request.message or ""
    sort = sort_of_anomaly(message)
    if is_lasting(request):
        return f"{subject.region} anomaly {sort} {_column_names(message.partition(':')[2].strip())}"
    whose = run.root_id if run and run.root_id else _day(subject, run, now)
    return " ".join([whose, subject.region, "anomaly", *([sort] if sort else [])])


def sort_of_anomaly(message: str) -> str:
    """The word before the first colon of its message; nothing when there is none."""
    named = re.match(r"([\w -]{1,40}):", message)
    return named[1] if named else ""


def is_lasting(request: AlertRequest) -> bool:
    """Whether it is an anomaly that every run sees until somebody acts."""
    return request.kind == "anomaly" and sort_of_anomaly(request.message or "") in LASTING_ANOMALIES


def _column_names(message: str) -> str:
    """The names in `new columns in the source: tier (text), weight (numeric(12,2))`, of bounded length.

    A lacking column has no type behind it.
    """
    names = re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", message.partition(": ")[2] or message)
    if len(names) <= SLOT_COLUMNS_LENGTH_MAX:
        return names
    return f"{names[:SLOT_COLUMNS_LENGTH_MAX]} {sha256(names.encode()).hexdigest()[:12]}"


def _day(subject: Subject, run: RunFacts | None, now: datetime) -> str:
    """The business date, else the day on which the run began."""
    day = subject.date or (run.started_at or run.scheduled_at if run else now).astimezone(UTC).date()
    return f"{day:%Y%m%d}"


# What is told

_CHATTER = re.compile(
    r"^(\d\d:\d\d:\d\d )?(Created (a new engine|task run|subflow run)|Submitted task run|Executing '|View at "
    r"|Beginning |Finished in state Completed\(\)|(Running h|H)ook ')"
)
"""Lines that Prefect writes around every step and that tell nothing of this run."""

_HIDDEN = (
    (re.compile(r"://[^\s/@]+@"), "://***@"),
    (re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+"), "<address>"),
    (re.compile(r"(?i)\b(password|passwd|secret|token|api_?key)(['\"]?\s*[=:]\s*)(?!<)[^\s,;)]+"), r"\1\2***"),
    # PostgreSQL puts the values of the row there.
    (re.compile(r"\b(DETAIL|CONTEXT):.*", re.DOTALL), r"\1: (not shown, may hold values)"),
    (re.compile(r"\[parameters: .*", re.DOTALL), "[parameters: not shown]"),
    (
        re.compile(r"(Failing row contains|invalid value|invalid input syntax for [\w ]+:)\s*[('\"].*"),
        r"\1 (not shown)",
    ),
)


def hide_values(text: str) -> str:
    """The text without e-mail addresses, passwords and values of rows."""
    for pattern, shown in _HIDDEN:
        text = pattern.sub(shown, text)
    return text


def shorten(text: str, length_max: int) -> str:
    """One line of at most `length_max` characters without personal data and secrets."""
    line = " ".join(in_one_line(hide_values(text)).split())
    return shortened(line, length_max)


def last_lines(texts: Sequence[str], count_max: int) -> list[str]:
    """The last lines, each of bounded length, indented as they are. Values are hidden per text, over all its lines."""
    newest_first = (
        line.rstrip() for text in reversed(texts) for line in reversed(hide_values(text).splitlines()) if line.strip()
    )
    return [shortened(line, LINE_LENGTH_MAX) for line in islice(newest_first, count_max)][::-1]


def _without_chatter(log: Iterable[str]) -> list[str]:
    return [line for line in log if not _CHATTER.match(line)]


# The mail


def find_error(request: AlertRequest, run: RunFacts | None) -> str:
    """What went wrong, in words: what was told, else the run's own message without Prefect's preamble."""
    text = request.message or (run.message if run else "")
    return re.sub(r"^(Flow|Task) run encountered an exception\.?:?\s*", "", text)


def compose_mail(
    request: AlertRequest, subject: Subject, run: RunFacts | None, advice: Advice, notes: Sequence[str] = ()
) -> Mail:
    """The mail of an alert: what happened, the run, what to do next, then the details; plain text, bounded."""
    alert = ALERTS[request.kind]
    error = find_error(request, run)
    sections = [
        _capitalized(alert.sentence.format(what=subject.what)),
        _error(shorten(error, ERROR_LENGTH_MAX)) if error else "",
        *notes,
        SAID_ONCE if request.kind == "anomaly" and run and run.is_child else "",
        _table(_about(request, subject, run)),
        _what_to_do(advice, request, subject, run, error),
        _children(run.children if run else ()),
        _lines("End of the stack trace", last_lines(["\n".join(run.trace if run else ())], TRACE_LINES_MAX)),
        _lines("Last log lines", last_lines(_without_chatter(run.log if run else ()), LOG_LINES_MAX)),
    ]
    cause = _cause(request, advice, error) if alert.names_cause else ""
    thread = subject.batch_id or (run.root_id or run.id if run else request.flow_run_id)
    return Mail(_title(alert, subject, run, cause), "\n\n".join(filter(None, sections)) + "\n", thread or "")


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _cause(request: AlertRequest, advice: Advice, error: str) -> str:
    """What a subject says of the cause: the runbook's word for it, else the beginning of the error."""
    if is_lasting(request):
        return f"{sort_of_anomaly(error)}: {_column_names(error.partition(':')[2].strip())}"
    return advice.title if advice.is_cause else error


def _title(alert: Alert, subject: Subject, run: RunFacts | None, cause: str) -> str:
    """`[retail-sales] 2024-01-15 US_WEST: failed: Bad variable`; without a business date, the flow in its place."""
    about = str(subject.date) if subject.date else run.flow if run else ""
    region = "" if subject.region in (ALL_REGIONS, about) else subject.region
    head = " ".join(filter(None, [about, region]))
    words = ": ".join(filter(None, [head, alert.subject, cause]))
    line = in_one_line(hide_values(f"{SUBJECT_BEGIN} {words}"))
    return shorten_words(line, SUBJECT_LENGTH_MAX, placeholder=" ...", break_on_hyphens=False)


def _about(request: AlertRequest, subject: Subject, run: RunFacts | None) -> dict[str, str]:
    about: dict[str, str] = {"Kind": request.kind}
    if run:
        about |= {
            "Flow": run.flow + (f" (deployment {run.deployment})" if run.deployment else ""),
            "Run": run.name,
            "State": run.state,
            "Link": run.link,
            "Failed task": ", ".join(dict.fromkeys(task.name for task in run.failed_tasks)) or "none",
            "Scheduled": _moment(run.scheduled_at),
            "Started": _moment(run.started_at),
            "Ended": _moment(run.ended_at),
        }
    elif request.flow_run_id:
        about["Run"] = f"{request.flow_run_id} (the Prefect server did not tell more)"
    if subject.date:
        about |= {"Date": str(subject.date), "Batch": str(subject.batch_id), "Regions": subject.region}
    return {name: shorten(value, LINE_LENGTH_MAX) for name, value in about.items() if value}


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _what_to_do(advice: Advice, request: AlertRequest, subject: Subject, run: RunFacts | None, error: str) -> str:
    if request.kind == "drill":
        return f"What to do next: nothing (docs/runbook.md#{advice.anchor})"
    dates = [str(day) for day in dates_of(subject, run)]
    columns = _column_names(error.partition(":")[2].strip()).split(", ") if is_lasting(request) else []
    variable, value = limit_in(error) or ("", "")
    # A backfill has its regions in its parameters.
    named = subject.regions if subject.date else tuple(_region_codes(request, run))
    only = tuple(code for code in REGIONS if code in named) if 0 < len(named) < len(REGIONS) else ()
    values = {
        "DATE": dates[:DATES_IN_COMMANDS_MAX],
        "REGION": only,
        "RUN": [flow_run_id] if (flow_run_id := run.id if run else request.flow_run_id) else [],
        "VARIABLE": [variable] if variable else [],
        "VALUE": [value] if variable else [],
        "COLUMN": columns,
    }
    mend = fill_in(_capitalized(advice.mend), values, only)
    if others := dates[DATES_IN_COMMANDS_MAX:]:
        more = f" and {len(others) - DATES_MAX} more" if len(others) > DATES_MAX else ""
        mend += f"\n\nThe same for the other dates: {' '.join(others[:DATES_MAX])}{more}"
    head = f"What to do next: {advice.title} (docs/runbook.md#{advice.anchor})"
    return f"{head}\n\n{mend}" if mend else head


def dates_of(subject: Subject, run: RunFacts | None) -> list[date]:
    """The date that an alert is about; of a backfill, those that did not end well in it, and in those that it goes on
    for; oldest first."""
    if subject.date or run is None:
        return [subject.date] if subject.date else []
    before = run.parameters.get(CARRIED_PARAMETER)
    told = [*(child.date for child in run.children), *(before if isinstance(before, Mapping) else ())]
    return sorted({day for value in told if (day := _given_date(value))})


def _children(children: Sequence[ChildRun]) -> str:
    shown = [
        f"{child.date or child.name}  {child.state}: {shorten(child.message, LINE_LENGTH_MAX)}"
        for child in children[:CHILDREN_MAX]
    ]
    more = [f"and {len(children) - CHILDREN_MAX} more"] if len(children) > CHILDREN_MAX else []
    return _lines(f"Runs in it that did not end well ({len(children)})", [*shown, *more])


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


_PARTS = re.compile(rf"(?<=\.) (?={DRIVER_SAYS})|(?<=;) (?=[A-Z_]+ left out: )")
"""Where a new line of an error begins: the driver's own words, and each region."""


def _error(text: str) -> str:
    """A text of any length below its name's column: mail servers refuse lines of 1,000 characters (RFC 5321)."""
    head = "Error  "
    indent = " " * len(head)
    parts = [
        fill(part, LINE_WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for part in _PARTS.split(text)
    ]
    return head + "\n".join(parts).removeprefix(indent)


def _lines(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""
