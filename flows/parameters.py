"""The parameters of the flows: typed, and validated by us; their descriptions stand in the flows' docstrings."""

from datetime import UTC, datetime
from typing import Annotated, Any

from prefect.runtime import flow_run
from pydantic import BeforeValidator

from expectations.regions import REGIONS
from tasks.batch import Batch, choose_regions, day_before, parse_business_date, refuse_future


def _date_text(value: Any) -> str | None:
    """The date as `2024-01-15`. Pydantic alone would take 20240115 for seconds since 1970."""
    if value is None:
        return None
    return refuse_future(parse_business_date(value), datetime.now(UTC)).isoformat()


def _region_list(value: Any) -> list[str] | None:
    """Known region codes. Raises ValueError naming the unknown one and the known ones."""
    if value is not None and not (isinstance(value, list | tuple) and all(isinstance(code, str) for code in value)):
        raise ValueError(f'regions {value!r} is no list of region codes: write it as ["{next(iter(REGIONS))}"]')
    return None if value is None else list(choose_regions(list(value), tuple(REGIONS)))


BusinessDate = Annotated[str | int | None, BeforeValidator(_date_text)]

RegionCodes = Annotated[list[str] | None, BeforeValidator(_region_list)]


def choose_batch(date: str | int | None, regions: list[str] | None) -> Batch:
    """The batch of validated parameters; without a date, the day before the run's *scheduled* start (UTC)."""
    day = day_before(flow_run.scheduled_start_time) if date is None else parse_business_date(date)
    return Batch(day, choose_regions(regions, tuple(REGIONS)))
