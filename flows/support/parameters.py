"""The parameters of the flows: their types and validation. The flows' docstrings describe them."""

import re
from datetime import date
from typing import Annotated, Any

from prefect.runtime import flow_run
from pydantic import BeforeValidator, WithJsonSchema

from expectations.regions import REGIONS, expected_on
from tasks.batch import (
    YESTERDAY,
    Batch,
    DateRange,
    check_range,
    choose_regions,
    date_asked,
    day_before,
    parse_business_date,
)

REASON_LENGTH_MAX = 500

DATES_MAX = 10_000
ACTIVE_MAX = 8
"""Dates side by side. Each holds all its regions in memory and on the scratch disk."""


def _date_text(value: Any) -> str | None:
    """The date as `2024-01-15`, or `yesterday`. Pydantic alone would take 20240115 for seconds since 1970."""
    return value if value is None or value == YESTERDAY else parse_business_date(value).isoformat()


def _batch_name(value: Any) -> str:
    """The batch id of a date, or a batch id of named keys unchanged."""
    if isinstance(value, str) and re.fullmatch(WITHOUT_DATE, value):
        return value
    try:
        day = parse_business_date(value)
    except ValueError as error:
        raise ValueError(f"{error}, or give a batch id like H20240116T091500Z") from None
    return Batch(day, ()).batch_id


def _reason(value: Any) -> str:
    """A non-empty text in one line of at most REASON_LENGTH_MAX characters."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not 0 < len(text) <= REASON_LENGTH_MAX:
        raise ValueError(
            f"reason {value!r} says nothing or too much: write why, in 1 to {REASON_LENGTH_MAX} characters"
        )
    return text


def _region_list(value: Any) -> list[str] | None:
    """Known region codes. Raises ValueError naming the unknown one and the known ones."""
    if value is not None and not (isinstance(value, list | tuple) and all(isinstance(code, str) for code in value)):
        raise ValueError(f'regions {value!r} is no list of region codes: write it as ["{next(iter(REGIONS))}"]')
    return None if value is None else list(choose_regions(list(value), tuple(REGIONS)))


def _active(value: Any) -> int:
    """A number of dates side by side. Pydantic alone would take true for 1 and "2" for 2."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= ACTIVE_MAX:
        raise ValueError(f"max_active {value!r} is not understood: write a whole number from 1 to {ACTIVE_MAX}")
    return value


def _dates(value: Any) -> int:
    """A number of dates to load."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= DATES_MAX:
        raise ValueError(f"max_dates {value!r} is not understood: write a whole number from 1 to {DATES_MAX}")
    return value


def _schema(expected: str, *kinds: dict[str, Any], strict: tuple[dict[str, Any], ...]) -> WithJsonSchema:
    """The JSON schema by which the server draws a form, and refuses a value before there is a run.

    `kinds` make the form. A value that matches none of `strict` is refused with "'<expected>' was expected": `const` is
    the only keyword whose message can be a sentence.
    """
    return WithJsonSchema({"anyOf": list(kinds), "if": {"not": {"anyOf": list(strict)}}, "then": {"const": expected}})


_NOTHING = {"type": "null"}
_DAY_OF_MONTH = "|".join(
    rf"({months}){dash}({days})"
    for dash in ("-", "")
    for months, days in (
        ("0[13578]|1[02]", r"0[1-9]|[12]\d|3[01]"),
        ("0[469]|11", r"0[1-9]|[12]\d|30"),
        ("02", r"0[1-9]|[12]\d"),
    )
)
_DATE_TEXT = {"type": "string", "pattern": rf"^\d{{4}}(-(?=..-)|(?=....$))({_DAY_OF_MONTH})$"}
_DATE_NUMBER = {"type": "integer", "minimum": 1900_01_01, "maximum": 2999_12_31}
WITHOUT_DATE = r"[RHA]\d{8}T\d{6}Z"
_BATCH_ID = {"type": "string", "pattern": f"^{WITHOUT_DATE}$"}
_REGIONS = {"type": "array", "items": {"type": "string", "enum": list(REGIONS)}}

BusinessDate = Annotated[
    str | int | None,
    BeforeValidator(_date_text),
    _schema(
        f"a day like 2024-01-15 or 20240115, or {YESTERDAY}",
        *({"type": "string"}, {"type": "integer"}, _NOTHING),
        strict=(_DATE_TEXT, _DATE_NUMBER, {"const": YESTERDAY}, _NOTHING),
    ),
]

BatchName = Annotated[
    str | int,
    BeforeValidator(_batch_name),
    _schema(
        "a day like 2024-01-15 or 20240115, or a batch id like H20240116T091500Z",
        *({"type": "string"}, {"type": "integer"}),
        strict=(_DATE_TEXT, _DATE_NUMBER, _BATCH_ID),
    ),
]

Reason = Annotated[
    str,
    BeforeValidator(_reason),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": REASON_LENGTH_MAX}),
]

RegionCodes = Annotated[
    list[str] | None,
    BeforeValidator(_region_list),
    _schema(
        f'a list of {", ".join(REGIONS)}, like ["{next(iter(REGIONS))}"]',
        *(_REGIONS, _NOTHING),
        strict=(_REGIONS | {"minItems": 1}, _NOTHING),
    ),
]

ENGINES = ("pandas", "spark")


def _engine(value: Any) -> str:
    if value not in ENGINES:
        raise ValueError(f"engine {value!r} is unknown: write {' or '.join(ENGINES)}")
    return str(value)


Engine = Annotated[str, BeforeValidator(_engine), WithJsonSchema({"type": "string", "enum": list(ENGINES)})]

MaxActive = Annotated[
    int, BeforeValidator(_active), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": ACTIVE_MAX})
]

MaxDates = Annotated[
    int, BeforeValidator(_dates), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": DATES_MAX})
]


def choose_batch(date: str | int | None, regions: list[str] | None) -> Batch:
    """The batch of validated parameters; without a date, the day before the run's *scheduled* start (UTC), and without
    regions, those of which sales are expected on the date. Raises ValueError when there are none."""
    day = date_asked(date, flow_run.scheduled_start_time)
    chosen = expected_on(day, REGIONS) if regions is None else choose_regions(regions, tuple(REGIONS))
    if not chosen:
        raise ValueError(
            f"no region has opened by {day}: see first_date in expectations/regions.toml, or name the regions to read"
        )
    return Batch(day, chosen)


def choose_range(start_date: str | int | None, end_date: str | int | None) -> tuple[DateRange | None, date]:
    """The range of validated parameters, None without dates, and the day before the run's *scheduled* start (UTC)."""
    due = flow_run.scheduled_start_time
    start, end = (None if value is None else date_asked(value, due) for value in (start_date, end_date))
    return check_range(start, end, day_before(due)), day_before(due)
