"""The mail of an alert: its words for each kind, the run, what to do next, and no personal data. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from textwrap import fill
from textwrap import shorten as shorten_words

from blocks import names
from expectations.regions import REGIONS
from tasks.alerts.commands import fill_in, limit_in
from tasks.alerts.request import AlertKind, AlertRequest, ChildRun, RunFacts, column_names, is_lasting, sort_of_anomaly
from tasks.alerts.runbook import Advice
from tasks.alerts.subject import ALL_REGIONS, Subject, dates_of, region_codes
from tasks.lines import DRIVER_SAYS, hide_values, in_one_line, public_line, shortened

LINE_LENGTH_MAX = 300
LINE_WIDTH = 160
ERROR_LENGTH_MAX = 2000
SUBJECT_LENGTH_MAX = 80
SUBJECT_BEGIN = f"[{names.TITLE}]"
"""Begins the subject of every mail and notification, for the filters of mail programs."""
TRACE_LINES_MAX = 15
LOG_LINES_MAX = 20
CHILDREN_MAX = 40
DATES_MAX = 20
DATES_IN_COMMANDS_MAX = 5
"""Dates of a backfill for which a command is repeated; the others are named."""


@dataclass(frozen=True)
class Alert:
    """A kind of alert: its words in the subject and the first sentence of its mail. `names_cause`: the subject goes on
    with the cause."""

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
    "lease-expired": Alert("run died", "{what} died: its lease expired."),
    "second-look": Alert(
        "second look", "{what} ended after its batch was published and before its second look at the table."
    ),
    "server-down": Alert("Prefect server down", "The Prefect server does not answer. No run starts until it does."),
    "drill": Alert("drill", "This is a drill: a run failed on purpose to prove that alerts arrive. Nothing to mend."),
}

MAILED_ONCE = "The same anomaly in other dates of this backfill is not mailed again: each run's report lists its own."


@dataclass(frozen=True)
class Mail:
    """A plain text mail. `thread` is the same for all mails about a date, or about a run without one."""

    subject: str
    body: str
    thread: str = ""


def find_error(request: AlertRequest, run: RunFacts | None) -> str:
    """Returns what went wrong: the request's message, else the run's own without Prefect's preamble."""
    text = request.message or (run.message if run else "")
    return re.sub(r"^(Flow|Task) run encountered an exception\.?:?\s*", "", text)


def compose_mail(
    request: AlertRequest,
    subject: Subject,
    run: RunFacts | None,
    advice: Advice,
    notes: Sequence[str] = (),
    page: str = "",
) -> Mail:
    """Composes the mail: what happened, the run, what to do next, then the details; plain text, bounded. `page` is
    where the run's own page is."""
    alert = ALERTS[request.kind]
    error = find_error(request, run)
    sections = [
        _capitalized(alert.sentence.format(what=subject.what)),
        _error(public_line(error, ERROR_LENGTH_MAX)) if error else "",
        *notes,
        MAILED_ONCE if request.kind == "anomaly" and run and run.is_child else "",
        _table(_about(request, subject, run, page)),
        _what_to_do(advice, request, subject, run, error),
        _children(run.children if run else ()),
        _lines("End of the stack trace", _last_lines(["\n".join(run.trace if run else ())], TRACE_LINES_MAX)),
        _lines("Last log lines", _last_lines(_without_chatter(run.log if run else ()), LOG_LINES_MAX)),
    ]
    cause = _cause(request, advice, error) if alert.names_cause else ""
    thread = subject.batch_id or (run.root_id or run.id if run else request.flow_run_id)
    return Mail(_title(alert, subject, run, cause), "\n\n".join(filter(None, sections)) + "\n", thread or "")


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _cause(request: AlertRequest, advice: Advice, error: str) -> str:
    """The cause in a subject: the runbook's heading, else the beginning of the error."""
    if is_lasting(request):
        return f"{sort_of_anomaly(error)}: {column_names(error)}"
    return advice.title if advice.is_cause else error


def _title(alert: Alert, subject: Subject, run: RunFacts | None, cause: str) -> str:
    """`[retail-sales] 2024-01-15 US_WEST: failed: Bad variable`; without a business date, the flow in its place."""
    about = str(subject.date) if subject.date else run.flow if run else ""
    region = "" if subject.region in (ALL_REGIONS, about) else subject.region
    head = " ".join(filter(None, [about, region]))
    words = ": ".join(filter(None, [head, alert.subject, cause]))
    line = in_one_line(hide_values(f"{SUBJECT_BEGIN} {words}"))
    return shorten_words(line, SUBJECT_LENGTH_MAX, placeholder=" ...", break_on_hyphens=False)


def _about(request: AlertRequest, subject: Subject, run: RunFacts | None, page: str) -> dict[str, str]:
    about: dict[str, str] = {"Kind": request.kind}
    if run:
        about |= {
            "Flow": run.flow + (f" (deployment {run.deployment})" if run.deployment else ""),
            "Run": run.name,
            "State": run.state,
            "Link": run.link,
            "Page": page,
            "Failed task": ", ".join(dict.fromkeys(task.name for task in run.failed_tasks)) or "none",
            "Scheduled": _moment(run.scheduled_at),
            "Started": _moment(run.started_at),
            "Ended": _moment(run.ended_at),
        }
    elif request.flow_run_id:
        about["Run"] = f"{request.flow_run_id} (unknown to the Prefect server)"
    if subject.date:
        about |= {"Date": str(subject.date), "Batch": str(subject.batch_id), "Regions": subject.region}
    return {name: public_line(value, LINE_LENGTH_MAX) for name, value in about.items() if value}


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _what_to_do(advice: Advice, request: AlertRequest, subject: Subject, run: RunFacts | None, error: str) -> str:
    if request.kind == "drill":
        return f"What to do next: nothing (docs/runbook.md#{advice.anchor})"
    dates = [str(day) for day in dates_of(subject, run)]
    columns = column_names(error).split(", ") if is_lasting(request) else []
    variable, value = limit_in(error) or ("", "")
    # A backfill has its regions in its parameters.
    named = subject.regions if subject.date else tuple(region_codes(request, run))
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


def _children(children: Sequence[ChildRun]) -> str:
    shown = [
        f"{child.date or child.name}  {child.state}: {public_line(child.message, LINE_LENGTH_MAX)}"
        for child in children[:CHILDREN_MAX]
    ]
    more = [f"and {len(children) - CHILDREN_MAX} more"] if len(children) > CHILDREN_MAX else []
    return _lines(f"Runs in it that did not end well ({len(children)})", [*shown, *more])


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


_PARTS = re.compile(rf"(?<=\.) (?={DRIVER_SAYS})|(?<=;) (?=[A-Z_]+ left out: )")
"""Where an error breaks into lines: before the driver's own words, and before each region."""


def _error(text: str) -> str:
    """Wraps a text of any length in its column: mail servers refuse lines of 1,000 characters (RFC 5321)."""
    head = "Error  "
    indent = " " * len(head)
    parts = [
        fill(part, LINE_WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for part in _PARTS.split(text)
    ]
    return head + "\n".join(parts).removeprefix(indent)


def _lines(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


_CHATTER = re.compile(
    r"^(\d\d:\d\d:\d\d )?(Created (a new engine|task run|subflow run)|Submitted task run|Executing '|View at "
    r"|Beginning |Finished in state Completed\(\)|(Running h|H)ook ')"
)
"""Lines that Prefect logs around every step."""


def _last_lines(texts: Sequence[str], count_max: int) -> list[str]:
    """Returns the last lines, bounded in length, with their indentation. Values are hidden in each text as a whole."""
    newest_first = (
        line.rstrip() for text in reversed(texts) for line in reversed(hide_values(text).splitlines()) if line.strip()
    )
    return [shortened(line, LINE_LENGTH_MAX) for line in islice(newest_first, count_max)][::-1]


def _without_chatter(log: Iterable[str]) -> list[str]:
    return [line for line in log if not _CHATTER.match(line)]
