"""Finds the entry of docs/runbook.md that an alert points at. Knows no Prefect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from blocks import names

RUNBOOK_FILE = Path(__file__).parents[2] / "docs" / "runbook.md"

MEND_LINES_MAX = 60

BY_ERROR: tuple[tuple[str, str], ...] = (
    (r"record count \d+ is below", "Too few rows"),
    (r"SetupNotReadyError|\d+ of \d+ checks are BAD", "SetupNotReadyError"),
    (r"NoPrefectServerError", "NoPrefectServerError"),
    (r"DeployError", "DeployError"),
    (r"PrefectDatabaseError", "The Prefect database grows"),
    (
        r"QualityFailedError|NULL share of|is broken by|rejected \d+ of \d+ rows|gave no result|counts as failed",
        "Quality gate failed",
    ),
    (r"OutcomeUnknownError|no answer to COMMIT|COMMIT was lost", "OutcomeUnknownError"),
    (r"does not show the published batch", "Second look failed"),
    (r"PublishRefusedError|law does not hold", "PublishRefusedError"),
    (r"BadVariableError|variable \w+ is ", "Bad variable"),
    (r"MissingSettingError|block \S+ is missing|Unable to find block", "Block or setting missing"),
    (r"(?i)ScratchFullError|no space left|quota exceeded|DiskFull|scratch disk (of|is)", "Disk full"),
    (
        r"(?i)authentication failed|incorrect username or password|JWT token|ExpiredToken|InvalidAccessKeyId"
        r"|SignatureDoesNotMatch|password has expired|no password supplied|UnusableKeyError|private key \S+ cannot be",
        "Expired credentials",
    ),
    (r"left out: answered with \d+ rows", "Partially loaded"),
    (
        r"(?i)AccessDenied|Forbidden|NoSuchBucket|\(403\)|HTTP 403|bucket \S+ cannot be reached"
        r"|timeout on endpoint URL",
        "S3 access denied",
    ),
    (
        r"(?i)lock_timeout|has locked|waiting for lock|statement reached its statement|000615|000625|000630"
        r"|the publish lock |was ended from outside",
        "Snowflake statement timeout or lock",
    ),
    (r"warehouse \S+ cannot be reached|25000[0-9]|25101[12]", "Warehouse does not answer"),
    (
        r"RegionUnfitError|table .+ is missing|column .+ is (missing|\w.* does not fit)|cannot be parsed"
        r"|reading .+ failed with|row security of|is a foreign table|name a table or a view|its connection keeps"
        r"|has the encoding SQL_ASCII|of text: shorten it|a standby that does not say",
        "RegionUnfitError",
    ),
    (
        r"(?i)left out:|no region could be read|could not connect|connection refused|could not translate host"
        r"|timeout expired|server closed the connection",
        "Regional database does not answer",
    ),
    (r"StoppedError|EndedBySignal", "StoppedError"),
    (r"could not do everything", "Watchdog failed"),
    (r"SetupFaultError", "SetupFaultError"),
    (r"DrillError", "Drill"),
    (r"TransientError", "TransientError"),
    (r"NeedsPersonError", "NeedsPersonError"),
    (r"SalesEtlError", "SalesEtlError"),
)
"""The first pattern that matches an error's text decides; more specific ones come first."""

BY_KIND: Mapping[str, str] = {
    "failed": "Run failed or crashed",
    "quality-failed": "Quality gate failed",
    "partially-loaded": "Partially loaded",
    "sla": "Not published in time",
    "never-started": "Never started",
    "anomaly": "Anomaly",
    "lease-expired": "Lease expired",
    "second-look": "Second look left",
    "server-down": "Prefect server does not answer",
    "drill": "Drill",
}

BY_SORT: Mapping[str, str] = {"lacking-column": "Extra column lacking"}
"""Sorts of anomalies with their own entry."""

FROM_ERROR = frozenset({"failed", "quality-failed", "partially-loaded", "second-look"})
"""Alerts whose entry is that of their cause, where there is one."""


@dataclass(frozen=True)
class Advice:
    """An entry of the runbook: its heading, its anchor in docs/runbook.md, and its text on how to mend. `is_cause`: the
    heading names the cause, not the kind of alert."""

    title: str
    anchor: str
    mend: str = ""
    is_cause: bool = False


def anchor_of(title: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def find_title(kind: str, error: str) -> str:
    """Returns the heading of an alert's entry: that of the anomaly's sort or of the error where there is one, else that
    of the kind."""
    if kind == "anomaly":
        return BY_SORT.get(error.partition(":")[0], BY_KIND[kind])
    by_error = next((title for pattern, title in BY_ERROR if re.search(pattern, error)), None)
    return by_error if by_error and kind in FROM_ERROR else BY_KIND[kind]


def read_entries(text: str) -> dict[str, str]:
    """The text of each entry (`### title`) of the runbook by title."""
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def find_advice(kind: str, error: str, runbook: str) -> Advice:
    """Returns the entry for an alert, with its **Mend** part where it has one."""
    title = find_title(kind, error)
    mend = _mend_part(read_entries(runbook).get(title, ""))
    return Advice(title, anchor_of(title), mend, is_cause=title != BY_KIND[kind])


def _mend_part(entry: str) -> str:
    mend = re.search(r"^\*\*Mend\*\*[.:]?\s*(.*?)(?=^\*\*|\Z)", entry, re.DOTALL | re.MULTILINE)
    parts = re.split(r"^```.*\n", mend[1].strip() + "\n", flags=re.MULTILINE) if mend else []
    # Text and commands alternate.
    shown = [indent(part, "    ") if number % 2 else part for number, part in enumerate(parts)]
    return "\n".join("".join(shown).strip().splitlines()[:MEND_LINES_MAX])


def read_runbook() -> str:
    """Returns the runbook with the commands of this process's environment; an empty text where docs/ is not
    installed."""
    return for_environment(RUNBOOK_FILE.read_text(encoding="utf-8")) if RUNBOOK_FILE.exists() else ""


def for_environment(runbook: str, environment: str = names.ENVIRONMENT) -> str:
    """Returns the runbook, which is written for production, with the commands of another environment."""
    if environment == names.PRODUCTION:
        return runbook
    own_pool, variable = names.of(names.PROJECT, environment), f"{names.VARIABLE_OF_SHELL}={environment}"
    text = re.sub(r"(?<=[\w-])/production'", f"/{environment}'", runbook)
    text = re.sub(rf"(--pool|work-pool \w+) {names.PROJECT}\b", rf"\1 {own_pool}", text)
    text = re.sub(r"(prefect variable delete alert)_", rf"\1_{environment}_", text)
    return re.sub(r"^(make|python) (?!help)", rf"{variable} \1 ", text, flags=re.MULTILINE)
