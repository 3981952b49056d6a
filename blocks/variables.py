"""The Prefect variables of the pipeline: names, defaults and validation.

`python -m blocks.variables NAME VALUE` checks a value and sets it; `--help` lists the options.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from shlex import quote
from typing import Any

from prefect import get_client
from prefect.variables import Variable

from blocks import names
from blocks.server import NoPrefectServerError, speaking_to_prefect
from expectations.regions import REGIONS
from expectations.thresholds import Thresholds

EXTRACT_SLICES_MAX = 8
"""More readers of one region would wait for one interpreter."""
BEFORE = "before: "
"""The prefix of a variable's tag that holds the value to be put back."""


@dataclass(frozen=True)
class VariableDefinition:
    """A variable. Prefect 2 stores text; `parse` returns its value, or raises ValueError with what is expected."""

    name: str
    default: str
    description: str
    parse: Callable[[str], Any]


def _whole_number(at_least: int, note: str, at_most: int | None = None) -> Callable[[str], int]:
    """Reads a whole number. ASCII digits alone: `int` would take 1_000 and the digits of every script."""
    expected = f"{at_least} or more" if at_most is None else f"{at_least} to {at_most}"

    def parse(text: str) -> int:
        is_number = text.isascii() and text.isdecimal()
        if not is_number or int(text) < at_least or (at_most is not None and int(text) > at_most):
            raise ValueError(f"a whole number, {expected}{note}")
        return int(text)

    return parse


_count = _whole_number(0, ", like 100")
_region_count = _whole_number(1, ": a region without rows is missing, or closed by closed_days")
_days_back = _whole_number(1, ", like 7")
_days_kept = _whole_number(1, ", like 30")
_days_at_work = _whole_number(2, ", like 14: runs, second looks and rollbacks need what is a day old")
_minutes = _whole_number(1, ", like 120")
_slices = _whole_number(1, ": connections of one region's reading", EXTRACT_SLICES_MAX)
_lease = _whole_number(6, ": a lease is renewed every 5 minutes")


def _percentage(text: str) -> Decimal:
    # Decimal alone would take 1_0, 1e1, NaN and the digits of every script.
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or Decimal(text) > 100:
        raise ValueError("a percentage from 0 to 100, like 5.0")
    return Decimal(text)


def _day(text: Any) -> date:
    # fromisoformat alone would take 2017-W01-1 and 20171225.
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(f"{text!r} is no day")
    return date.fromisoformat(text)


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("a name, not blank")
    return text.strip()


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in text.split(",") if address.strip())
    if not addresses or not all("@" in address for address in addresses):
        raise ValueError("addresses, comma-separated, like a@example.com, b@example.com")
    return addresses


def _address(text: str) -> str:
    if "@" not in text or "," in text:
        raise ValueError("one address, like a@example.com")
    return text.strip()


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s?#]+", text):
        raise ValueError("an address without ? and #, like https://reports.example.com/retail-sales, or nothing")
    return text.rstrip("/")


CREDENTIAL_PLACE = "{token}"
"""Stands in the address of an engine for the token of its block."""
_CREDENTIAL_IN_ADDRESS = (
    r"[;/]((token|[^;=]*auth)=(?!\{token\}(;|$))|authorization=(bearer|basic)\b(?!(%20)?\{token\}))"
)


def _spark_remote(text: str) -> str:
    if text and not re.fullmatch(r"sc://[^\s/:]+(:[0-9]+)?(/;\S*)?", text):
        raise ValueError("an address of Spark Connect, like sc://spark.example.com:15002, or nothing")
    if re.search(_CREDENTIAL_IN_ADDRESS, text, re.IGNORECASE):
        raise ValueError(
            "an address without token, as variables can be read by all: set SPARK_TOKEN to it, run "
            f"`{names.HERE}python -m blocks.register`, and write {CREDENTIAL_PLACE} where a parameter other than token "
            "holds it"
        )
    return text


def _json_of(kind: type, text: str, example: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"JSON text like {example}")
    return value


def _region(code: str, example: str) -> str:
    if code not in REGIONS:
        raise ValueError(f"known regions ({', '.join(REGIONS)}), like {example}, and not {code!r}")
    return code


def _closed_days(text: str) -> dict[str, frozenset[date]]:
    example = '{"EUROPE": ["2017-12-25"]}'
    days_of = _json_of(dict, text, example)
    try:
        return {_region(code, example): _days(days) for code, days in days_of.items()}
    except ValueError as error:
        raise ValueError(f"days as YYYY-MM-DD per region, like {example} ({error})") from None


def _days(days: Any) -> frozenset[date]:
    if not isinstance(days, list):
        raise ValueError(f"{days!r} is no list")
    return frozenset(map(_day, days))


def _regions(text: str) -> tuple[str, ...]:
    example = '["EUROPE"]'
    codes = _json_of(list, text, example)
    if not all(isinstance(code, str) for code in codes):
        raise ValueError(f"JSON text like {example}")
    return tuple(_region(code, example) for code in codes)


def _extra_columns(text: str) -> dict[str, str]:
    example = '{"loyalty_tier": "plain", "birth_date": "personal"}'
    columns = _json_of(dict, text, example)
    if not all(kind in ("plain", "personal") for kind in columns.values()):
        raise ValueError(f"a class, plain or personal, per column, like {example}")
    return columns


def _first_date(text: str) -> date | None:
    try:
        return _day(text) if text else None
    except ValueError:
        raise ValueError("a day like 2017-01-01, or nothing") from None


DEFINITIONS = (
    VariableDefinition(
        "alert_email_list", "data-engineering@example.com", "Recipients of alerts, comma-separated.", _addresses
    ),
    VariableDefinition("alert_sender", "retail-sales@example.com", "Sender of alerts.", _address),
    VariableDefinition("s3_staging_bucket", "retail-sales-staging", "Bucket that batches are staged in.", _name),
    VariableDefinition("snowflake_warehouse", "ETL_WH", "Warehouse that loads.", _name),
    VariableDefinition(
        "snowflake_watch_warehouse", "ETL_WATCH_WH", "Small warehouse for ledger, leases, watchdog and checks.", _name
    ),
    VariableDefinition(
        "min_record_count", str(Thresholds.min_record_count), "A batch with fewer clean rows fails.", _count
    ),
    VariableDefinition(
        "min_region_record_count",
        str(Thresholds.min_region_record_count),
        "A region with fewer rows is left out as missing.",
        _region_count,
    ),
    VariableDefinition(
        "max_null_percentage",
        str(Thresholds.max_null_percentage),
        "A column whose NULL share reaches it fails the batch.",
        _percentage,
    ),
    VariableDefinition(
        "max_rejected_percentage",
        str(Thresholds.max_rejected_percentage),
        "A share of rejected rows above it fails the batch.",
        _percentage,
    ),
    VariableDefinition("closed_days", "{}", "Days without sales per region: JSON object of lists.", _closed_days),
    VariableDefinition("first_date", "", "First business date that the warehouse has to hold.", _first_date),
    VariableDefinition("regions_required", "[]", "Regions without which a run fails: JSON list.", _regions),
    VariableDefinition(
        "reconcile_days", "7", "Days that reconcile looks back, the day before it included.", _days_back
    ),
    VariableDefinition(
        "replica_wait_minutes",
        "15",
        "Minutes that a run waits for a source's standby that lags behind the day.",
        _count,
    ),
    VariableDefinition(
        "source_timeout_minutes", "30", "Minutes after which a statement in a source is cancelled.", _minutes
    ),
    VariableDefinition("extract_slices", "1", "Connections that read a large region side by side, 1 to 8.", _slices),
    VariableDefinition(
        "staging_retention_days",
        "14",
        "Days that clean-staging keeps staged files, tables and scratch, 2 or more.",
        _days_at_work,
    ),
    VariableDefinition(
        "undo_retention_days",
        "35",
        "Days that clean-staging keeps the undo log, closed rejected rows and renewals of leases, 2 or more.",
        _days_at_work,
    ),
    VariableDefinition(
        "prefect_retention_days",
        "30",
        "Days that clean-staging keeps completed flow runs, of the watchdog at most 7; others three times as long.",
        _days_kept,
    ),
    VariableDefinition(
        "extra_columns", "{}", "Source columns beyond the contract to keep: JSON object.", _extra_columns
    ),
    VariableDefinition(
        "lease_minutes", "15", "Minutes after which an attempt that is not renewed counts as dead.", _lease
    ),
    VariableDefinition("sla_minutes", "120", "Minutes from the scheduled start to publication.", _minutes),
    VariableDefinition(
        "report_base_url", "", "Address under which people open reports/ of the bucket; empty: none.", _url
    ),
    VariableDefinition(
        "spark_remote",
        "",
        "Spark Connect address of the engine spark; empty: a Sail server that the run starts.",
        _spark_remote,
    ),
    VariableDefinition(
        "spark_timeout_minutes", "60", "Minutes after which a step on the engine spark is given up.", _minutes
    ),
    VariableDefinition("report_retention_days", "400", "Days that clean-staging keeps the pages of runs.", _days_kept),
)


class BadVariableError(ValueError):
    """Raised when a variable is missing or unusable; names it, its value and what is expected."""


@dataclass(frozen=True)
class Settings:
    """The variables of the loading flows, as typed values."""

    thresholds: Thresholds
    s3_staging_bucket: str
    snowflake_warehouse: str
    snowflake_watch_warehouse: str
    closed_days: Mapping[str, frozenset[date]]
    regions_required: tuple[str, ...]
    extra_columns: Mapping[str, str]
    lease_minutes: int
    replica_wait_minutes: int
    source_timeout_minutes: int
    extract_slices: int = 1
    sla_minutes: int = 120
    report_base_url: str = ""
    spark_remote: str = ""
    spark_timeout_minutes: int = 60
    first_date: date | None = None


def parse_variables(texts: Mapping[str, str | None]) -> dict[str, Any]:
    """Returns the typed value of every variable. Raises BadVariableError for the first that is missing or unusable."""
    return {definition.name: _parsed(definition, texts.get(definition.name)) for definition in DEFINITIONS}


def parse_variable(name: str, text: str | None) -> Any:
    """Returns the typed value of one variable. Raises BadVariableError when it is missing or unusable."""
    (definition,) = (definition for definition in DEFINITIONS if definition.name == name)
    return _parsed(definition, text)


def _parsed(definition: VariableDefinition, text: str | None) -> Any:
    name = definition.name
    if text is None:
        raise BadVariableError(
            f"variable {name} is missing: run `{names.HERE}python -m blocks.register`; {_default_set_by(definition)}"
        )
    try:
        return definition.parse(str(text))
    except ValueError as error:
        raise BadVariableError(
            f"variable {name} is {text!r}: expected {error}; {_default_set_by(definition)}"
        ) from None


def _default_set_by(definition: VariableDefinition) -> str:
    return f"`{names.HERE}python -m blocks.variables {definition.name} {quote(definition.default)}` sets the default"


def read_variable(name: str) -> Any:
    """Reads one variable's typed value, whatever the others hold. Raises BadVariableError."""
    found = Variable.get(names.variable(name))
    return parse_variable(name, found and found.value)


def read_settings() -> Settings:
    """Reads the variables from the Prefect server. Raises BadVariableError for a missing or unusable one."""
    values = parse_variables(read_variables())
    thresholds = Thresholds(**{field: values[field] for field in Thresholds.__dataclass_fields__})
    own = {field: values[field] for field in Settings.__dataclass_fields__ if field != "thresholds"}
    return Settings(thresholds=thresholds, **own)


def read_variables(answer_s_max: float | None = None) -> dict[str, str | None]:
    """Reads the texts of this pipeline's variables in one request; None for a variable that does not exist.

    `answer_s_max` limits each try of the request, in seconds; None: Prefect's own limit. Raises what Prefect's client
    raises.
    """
    name_on_server = {definition.name: names.variable(definition.name) for definition in DEFINITIONS}
    limits = None if answer_s_max is None else {"timeout": answer_s_max}
    with get_client(httpx_settings=limits, sync_client=True) as client:
        # The client's own method reads all variables up to the server's limit, which those of alerts could fill.
        which = {"variables": {"name": {"any_": list(name_on_server.values())}}, "limit": len(name_on_server)}
        answer = client._client.post("/variables/filter", json=which).json()
    found = {variable["name"]: variable["value"] for variable in answer}
    return {name: found.get(on_server) for name, on_server in name_on_server.items()}


def set_variable(name: str, text: str, tags: Sequence[str] = ()) -> None:
    """Sets one of the pipeline's variables. Raises BadVariableError for an unknown name or an unusable value."""
    known = {definition.name: definition for definition in DEFINITIONS}
    if name not in known:
        raise BadVariableError(f"variable {name} is unknown: choose from {', '.join(known)}")
    _parsed(known[name], text)
    Variable.set(names.variable(name), text, tags=list(tags), overwrite=True)


def add_to_variable(name: str, text: str) -> str:
    """Adds the entries of a JSON object to a variable that holds one, and returns the new value. Lists are joined.

    Raises BadVariableError for any other variable, or an unusable value.
    """
    held = _held_object(name)
    for key, value in _as_object(name, text).items():
        before = held.get(key)
        if isinstance(before, list) and isinstance(value, list):
            value = [*before, *(item for item in value if item not in before)]
        held[key] = value
    whole = json.dumps(held)
    set_variable(name, whole)
    return whole


def remove_from_variable(name: str, key: str) -> str:
    """Removes an entry from a variable that holds a JSON object, and returns the new value. Raises BadVariableError
    without such an entry."""
    held = _held_object(name)
    if key not in held:
        raise BadVariableError(f"variable {name} does not name {key!r}: it names {', '.join(held) or 'nothing'}")
    del held[key]
    rest = json.dumps(held)
    set_variable(name, rest)
    return rest


def _held_object(name: str) -> dict[str, Any]:
    found = Variable.get(names.variable(name))
    return _as_object(name, str(found.value) if found else "{}")


def _as_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadVariableError(f"{text!r} cannot be added to variable {name}: expected a JSON object")
    return value


def set_for_now(name: str, text: str) -> None:
    """Sets a variable until `put_back`, which restores the value before the first of several such settings.

    Raises BadVariableError as `set_variable`.
    """
    found = Variable.get(names.variable(name))
    remembered = [tag for tag in (found.tags if found else ()) if tag.startswith(BEFORE)]
    before = remembered or ([f"{BEFORE}{found.value}"] if found else [])
    set_variable(name, text, before)


def put_back(name: str) -> str:
    """Restores a variable's value from before `set_for_now`, and returns it. Raises BadVariableError without one."""
    found = Variable.get(names.variable(name))
    remembered = [tag.removeprefix(BEFORE) for tag in (found.tags if found else ()) if tag.startswith(BEFORE)]
    if not remembered:
        raise BadVariableError(f"variable {name} was not set with --for-now: there is nothing to put back")
    set_variable(name, remembered[0])
    return remembered[0]


def _change(given: argparse.Namespace) -> tuple[str, str]:
    """The value that the variable has now, and why it cannot be set: one of them is empty."""
    text: str = given.value
    try:
        if given.back:
            text = put_back(given.name)
        elif given.add:
            text = add_to_variable(given.name, text)
        elif given.remove:
            text = remove_from_variable(given.name, text)
        elif given.for_now:
            set_for_now(given.name, text)
        else:
            set_variable(given.name, text)
    except BadVariableError as error:
        return "", str(error)
    return text, ""


def main(arguments: Sequence[str]) -> int:
    """Sets one variable; an error is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m blocks.variables", description="Sets a variable.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--add", action="store_true", help="add the entries of a JSON object, and keep the others")
    how.add_argument("--remove", action="store_true", help="remove the entry of this name from a JSON object")
    how.add_argument("--for-now", action="store_true", help="remember the value that --back puts back")
    how.add_argument("--back", action="store_true", help="put back the value from before --for-now")
    parser.add_argument("name")
    parser.add_argument("value", nargs="?")
    given = parser.parse_args(arguments)
    if (given.value is None) is not given.back:
        parser.error("--back takes a name alone" if given.back else "give a name and a value")
    try:
        with speaking_to_prefect():
            text, fault = _change(given)
    except NoPrefectServerError as error:
        text, fault = "", str(error)
    if fault:
        print(fault, file=sys.stderr)
        return 1
    print(f"variable {given.name} = {text!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
