"""Fills the statements of `sql/` with names and column lists made from the column contract. Knows no Prefect.

Values are bound by the driver where it can bind; values inside texts go through `text_literal`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from string import Template

from expectations.analysts import DATA_STATUS, SALES, VIEWS, View
from expectations.columns import DIGITS, Column, Role
from expectations.regions import REGIONS, Region
from expectations.tables import (
    CLEAN_COLUMNS,
    EXTRA_ATTRIBUTES,
    REJECTED_SCHEMA,
    REJECTED_SOURCE_COLUMNS,
    SOURCE_REGION,
    TABLES_VERSION,
)
from tasks.batch import ADOPTION, HEAL, REPLAY, STAGING_KINDS, Attempt
from tasks.tally import MONEY_COLUMNS, TALLIED_COLUMNS, number_in_snowflake

OPEN_STATUSES = "'OPEN', 'NO_KEY', 'STILL_BAD'"
"""The statuses of open rejected rows."""

KEY_LIST_BYTES_MAX = 2**19
"""A list of keys is bound as one JSON text; a statement should stay below 1 MB, bound values included
(https://docs.snowflake.com/en/user-guide/query-size-limits)."""

SQL_DIRECTORY = Path(__file__).parents[2] / "sql"


def subqueries_of(attempt: Attempt) -> dict[str, str]:
    """Subqueries for the keys that matter to the attempt, and for the sales that stand with them after its MERGE."""
    tables, run_number = vars(attempt.staging_tables), f"{attempt.run_number:d}"
    return {
        "wanted_keys": render_part("publish/wanted_keys", **tables),
        "standing_now": render_part("publish/standing_now", **tables, run_number=run_number),
    }


def text_literal(text: str) -> str:
    """An SQL text literal; Snowflake reads a backslash in it as an escape, so it is doubled like the quote."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def text_literals(texts: Iterable[str]) -> str:
    """Text literals for an IN."""
    return ", ".join(text_literal(text) for text in texts)


def key_lists(keys: Iterable[str]) -> Iterator[str]:
    """The keys as JSON texts that a statement can bind for its `${listed_keys}`."""
    part, used = list[str](), 0
    for key in keys:
        text = json.dumps(key)
        if part and used + len(text) > KEY_LIST_BYTES_MAX:
            yield f"[{', '.join(part)}]"
            part, used = [], 0
        part.append(text)
        used += len(text) + 2
    if part:
        yield f"[{', '.join(part)}]"


def render(name: str, **values: str) -> str:
    """The statement `sql/<name>.sql` with its placeholders filled; KeyError for one without a value."""
    return Template((SQL_DIRECTORY / f"{name}.sql").read_text(encoding="utf-8")).substitute(_COLUMN_LISTS, **values)


def render_part(name: str, **values: str) -> str:
    """A query or condition for use inside another statement: the file without its header."""
    lines = render(name, **values).splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def union_all(queries: Iterable[str]) -> str:
    """One query for the rows of all."""
    return "\nUNION ALL\n".join(query.rstrip() for query in queries)


def snapshots_query(snapshots: Mapping[str, datetime]) -> str:
    """A subquery with the columns REGION and SNAPSHOT_AT (aware UTC), one row per region."""
    return " UNION ALL ".join(
        f"SELECT {text_literal(region)} AS REGION, {text_literal(moment.isoformat(' '))}::TIMESTAMP_TZ AS SNAPSHOT_AT"
        for region, moment in snapshots.items()
    )


def tally_sums(prefix: str = "") -> str:
    """Exact sum and number of values of each tallied column; without the cast a stand-in may add floats."""
    return ",\n    ".join(
        f"SUM({number_in_snowflake(column, prefix)}::NUMBER(38,{column.decimals})), "
        f"COUNT({prefix}{column.name.upper()})"
        for column in TALLIED_COLUMNS
    )


def _rejected_tally_sums() -> str:
    """Exact sum and number of the amounts in the money columns, which are text here; unreadable cells do not match the
    pattern. The other tallied columns have none."""
    precision, scale = DIGITS["money"]
    written = f"-?[0-9]{{1,{precision - scale}}}[.][0-9]{{{scale}}}"
    sums = []
    for column in TALLIED_COLUMNS:
        name = column.name.upper()
        amount = f"CASE WHEN REGEXP_LIKE({name}, '{written}') THEN {name}::NUMBER(38,{scale}) END"
        sums.append(f"SUM({amount}), COUNT({amount})" if column.name in MONEY_COLUMNS else "NULL, 0")
    return ",\n    ".join(sums)


def _definition(column: Column, required: bool = True) -> str:
    required_text = " NOT NULL" if required and not column.nullable else ""
    comment = text_literal(column.description)
    return f"{column.stored_name.upper()} {column.snowflake_type}{required_text} COMMENT {comment}"


def _rejected_definitions() -> str:
    own = [
        "REGION_CODE VARCHAR NOT NULL COMMENT 'Region whose database held the row'",
        "SALE_KEY VARCHAR COMMENT 'Business key as the fact table would have it'",
        "RULES VARCHAR NOT NULL COMMENT 'Ids of all rules that the row broke, blank-separated'",
        "VERSION_AT TIMESTAMP_TZ(6) COMMENT 'updated_at, NULL when missing or unreadable (UTC)'",
    ]
    return ",\n    ".join([*own, *(f"{name.upper()} VARCHAR" for name in REJECTED_SOURCE_COLUMNS)])


def source_key(name: str, regions: Iterable[Region]) -> str:
    """The key `name` of a clean row as its source wrote it: without the prefix, where the region asks for one."""
    prefixed = text_literals(region.code for region in regions if region.prefix_keys)
    if not prefixed:
        return name
    return f"CASE WHEN STAGED.REGION IN ({prefixed}) THEN SUBSTR({name}, LENGTH(STAGED.REGION) + 2) ELSE {name} END"


def _has_prefix(regions: Iterable[Region]) -> str:
    """The condition of a row whose region asks for the prefix of its keys."""
    prefixed = text_literals(region.code for region in regions if region.prefix_keys)
    return f"REGION IN ({prefixed})" if prefixed else "FALSE"


def _as_text(column: Column) -> str:
    name = f"STAGED.{column.stored_name.upper()}"
    if column.role is Role.KEY:
        return source_key(name, REGIONS.values())
    if column.role is Role.REGION:
        return f"STAGED.{SOURCE_REGION.upper()}"
    if column.kind == "timestamp":
        # As PostgreSQL writes it: a fraction only where there is one, without trailing zeros.
        return f"REGEXP_REPLACE(TO_VARCHAR({name}, 'YYYY-MM-DD HH24:MI:SS.FF6'), '[.]?0+$', '') || '+00'"
    return name if column.kind == "text" else f"{name}::VARCHAR"


def _names(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(prefix + name.upper() for name in columns)


def _none_differs(names: Iterable[str], other: str, indent: str) -> str:
    """The condition of a row FACT that has the same cells as a row of another table."""
    upper = (name.upper() for name in names)
    return f"\n{indent}AND ".join(f"FACT.{name} IS NOT DISTINCT FROM {other}.{name}" for name in upper)


def _view_columns(view: View) -> str:
    return ",\n    ".join(f"{column.name} COMMENT {text_literal(column.description)}" for column in view.columns)


def configured_regions(regions: Iterable[Region]) -> str:
    """A row per region with its first date, NULL where all dates are expected."""
    days = {region.code: region.first_date and text_literal(region.first_date.isoformat()) for region in regions}
    return " UNION ALL ".join(
        f"SELECT {text_literal(code)} AS REGION, {day or 'NULL'}::DATE AS FIRST_DATE" for code, day in days.items()
    )


def _by_zone(pattern: str, regions: Iterable[Region]) -> str:
    """A value that depends on the region's time zone: `pattern` with the zone's literal in place of `{zone}`."""
    cases = "\n        ".join(
        f"WHEN {text_literal(region.code)} THEN {pattern.format(zone=text_literal(region.time_zone))}"
        for region in regions
    )
    return f"CASE REGION\n        {cases}\n    END"


_CLEAN_NAMES = tuple(column.stored_name for column in CLEAN_COLUMNS)
_COMPARED_NAMES = tuple(name for name in _CLEAN_NAMES if name != EXTRA_ATTRIBUTES.name)
"""All columns of a sale that every run reads; for the others see `tasks/warehouse/attributes.py`."""
LOAD_TYPES = {
    "ETL_BATCH_ID": "VARCHAR",
    "ETL_RUN_NUMBER": "NUMBER(18,0)",
    "ETL_FIRST_RUN_NUMBER": "NUMBER(18,0)",
    "ETL_SNAPSHOT_AT": "TIMESTAMP_TZ(6)",
    "ETL_INSERTED_AT": "TIMESTAMP_TZ(6)",
    "ETL_UPDATED_AT": "TIMESTAMP_TZ(6)",
    "IS_DELETED": "BOOLEAN",
    "DELETED_AT": "TIMESTAMP_TZ(6)",
    "ETL_PUBLISH_NUMBER": "NUMBER(18,0)",
}
"""Columns of the fact table that the load fills."""
_LOAD_NAMES = tuple(LOAD_TYPES)
_REJECTION_NAMES = (
    *REJECTED_SCHEMA.names,
    "etl_batch_id",
    "etl_run_number",
    "etl_snapshot_at",
    "first_seen_at",
)
"""All columns of a rejection."""

REQUIRED_NAMES = tuple(column.stored_name.upper() for column in CLEAN_COLUMNS if not column.nullable)
_REQUIRED_OF_LOAD = ("ETL_BATCH_ID", "ETL_RUN_NUMBER", "ETL_SNAPSHOT_AT", "ETL_INSERTED_AT", "ETL_UPDATED_AT")


def _added_columns() -> str:
    """The columns that a fact table of another tool lacks, the run's number first."""
    types = {"ETL_RUN_NUMBER": "", **LOAD_TYPES, EXTRA_ATTRIBUTES.name.upper(): EXTRA_ATTRIBUTES.snowflake_type}
    return "\n\n".join(
        f"ALTER TABLE ANALYTICS.SALES_FACT ADD COLUMN IF NOT EXISTS {name} {kind};" for name, kind in types.items()
    )


def _required_columns() -> str:
    """ETL_RUN_NUMBER last: a table that requires it is one of this project's."""
    names = sorted((*REQUIRED_NAMES, *_REQUIRED_OF_LOAD), key=lambda name: name == "ETL_RUN_NUMBER")
    return "\n\n".join(f"ALTER TABLE ANALYTICS.SALES_FACT ALTER COLUMN {name} SET NOT NULL;" for name in names)


_COLUMN_LISTS = {
    "tables_version": f"{TABLES_VERSION:d}",
    "open_statuses": OPEN_STATUSES,
    "listed_keys": "SELECT LISTED.VALUE::VARCHAR FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS LISTED",
    "heal": HEAL,
    "replay": REPLAY,
    "clean_column_definitions": ",\n    ".join(_definition(column) for column in CLEAN_COLUMNS),
    "rejected_column_definitions": _rejected_definitions(),
    "undo_column_definitions": ",\n    ".join(
        _definition(column, required=column.role in (Role.KEY, Role.REGION)) for column in CLEAN_COLUMNS
    ),
    "load_column_definitions": ",\n    ".join(f"{name} {kind}" for name, kind in LOAD_TYPES.items()),
    "staging_kinds": text_literals(STAGING_KINDS),
    "rejected_tally_sums": _rejected_tally_sums(),
    "clean_columns": _names(_CLEAN_NAMES),
    "compared_columns": _names(_COMPARED_NAMES),
    "staged_clean_columns": _names(_CLEAN_NAMES, "STAGED."),
    "fact_columns": _names((*_CLEAN_NAMES, *_LOAD_NAMES)),
    "all_fact_columns": _names((*_CLEAN_NAMES, *_LOAD_NAMES), "FACT."),
    "version_columns": _names((*_CLEAN_NAMES, *(name for name in _LOAD_NAMES if name != "ETL_PUBLISH_NUMBER"))),
    "rejected_columns": _names(_REJECTION_NAMES),
    "rejected_source_columns": _names(REJECTED_SOURCE_COLUMNS),
    "staged_rejected_source_columns": _names(REJECTED_SOURCE_COLUMNS, "STAGED."),
    "clean_columns_as_text": ", ".join(_as_text(c) for c in CLEAN_COLUMNS if c.stored_name in REJECTED_SOURCE_COLUMNS),
    "update_assignments": ",\n    ".join(f"{name.upper()} = STAGED.{name.upper()}" for name in _COMPARED_NAMES),
    "no_column_differs": _none_differs(_COMPARED_NAMES, "STAGED", " " * 12),
    "nothing_else_differs": _none_differs(_CLEAN_NAMES, "UNDO", " " * 4),
    "adopted_columns": _added_columns(),
    "required_columns": _required_columns(),
    "lacking_values": ",\n    ".join(f"COUNT_IF({name} IS NULL)" for name in REQUIRED_NAMES),
    "has_prefix": _has_prefix(REGIONS.values()),
    "adoption": ADOPTION,
    "known_regions": text_literals(REGIONS),
    "tally_sums": tally_sums(),
    "no_tally_sums": ", ".join("NULL, 0" for _ in TALLIED_COLUMNS),
    "staged_tally_sums": tally_sums("STAGED."),
    "fact_tally_sums": tally_sums("FACT."),
    "null_percentages": ",\n    ".join(
        f"100 * COUNT_IF({column.stored_name.upper()} IS NULL) / COUNT(*) AS {column.stored_name.upper()}_PERCENT"
        for column in CLEAN_COLUMNS
        if not column.nullable
    ),
}

_VERSION_TYPES = {
    **{column.stored_name.upper(): column.snowflake_type for column in CLEAN_COLUMNS},
    **{name: kind for name, kind in LOAD_TYPES.items() if name != "ETL_PUBLISH_NUMBER"},
}
# Without the casts an adopted table's wider columns would not match those that the function declares.
_COLUMN_LISTS["version_values"] = ", ".join(f"{name}::{kind} AS {name}" for name, kind in _VERSION_TYPES.items())
_COLUMN_LISTS |= {
    "ledger_states": render_part("ledger/states").rstrip(),
    "ledger_dates": render_part("ledger/first_and_last_date").rstrip(),
    "views_of_analysts": text_literals(view.name for view in VIEWS),
    "sales_columns": _view_columns(SALES),
    "sales_comment": text_literal(SALES.description),
    "sale_date_local": _by_zone("CONVERT_TIMEZONE({zone}, SALE_DATE)::TIMESTAMP_NTZ(6)", REGIONS.values()),
    "data_status_columns": _view_columns(DATA_STATUS),
    "data_status_comment": text_literal(DATA_STATUS.description),
    "configured_regions": configured_regions(REGIONS.values()),
    # The day before the one that has begun there when the UTC day ends.
    "local_date": _by_zone(
        "DATEADD('day', -1, CONVERT_TIMEZONE('UTC', {zone}, DATEADD('day', 1, UTC_DATE)::TIMESTAMP_NTZ)::DATE)::DATE",
        REGIONS.values(),
    ),
    "version_column_types": ",\n    ".join(f"{name} {kind}" for name, kind in _VERSION_TYPES.items()),
    "sales_as_of": render("as_of/sales", publish="PUBLISH").rstrip(),
}
