"""The page for analysts and the files beside it: a dbt source and a semantic view, made from `expectations/analysts.py`.

What belongs here: texts. `docs/render.py` writes them, a unit test compares them, and an integration test runs the queries
of the page (tests/integration/warehouse/test_analysts_page.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from blocks.variables import DEFINITIONS
from expectations.analysts import DATA_STATUS, SALES, UTC_DATE, VIEWS, View, ViewColumn
from expectations.columns import CONTRACT_VERSION, Role
from expectations.regions import REGIONS, Region
from tasks.pages.ledger_grid import FAILED_MARK, LEGEND, RUNNING_MARK
from tasks.setup_warehouse.roles import ANALYST_ROLE
from tasks.warehouse.statements import text_literal
from tasks.watch.late_and_dead import SCHEDULED_AT

GENERATED = "Generated from `expectations/` by `make docs`"
MARKS = (RUNNING_MARK.strip(), FAILED_MARK.strip())
WORDS = {"published": "all of the day is published"} | {w: LEGEND[w] for w in LEGEND if w not in MARKS}
COMPLETE = ("published", "empty")
"""The words of a day whose figures are whole."""
PUBLISHED_WITHIN_HOURS = -(-next(int(d.default) for d in DEFINITIONS if d.name == "sla_minutes") // 60)
PUBLISHED_BY = SCHEDULED_AT.replace(hour=SCHEDULED_AT.hour + PUBLISHED_WITHIN_HOURS)
FRESH_HOURS = 24 + PUBLISHED_BY.hour
"""From the end of a day until the next one is due to be published."""
SUMMED = (Role.MONEY, Role.DERIVED)
"""The roles of the columns that hold amounts, as far as these are money."""


@dataclass(frozen=True)
class Example:
    """A question and the query that returns its result, with what a reader has to know beside it."""

    question: str
    query: str
    note: str


YESTERDAY = Example(
    "Is yesterday complete, in every region?",
    """SELECT REGION, IS_COMPLETE, STATE, RERUN, AS_OF, LAST_CHANGED_AT
FROM ANALYTICS.DATA_STATUS
WHERE UTC_DATE = DATEADD('day', -1, SYSDATE()::DATE)
ORDER BY REGION""",
    "`IS_COMPLETE` is the answer. `RERUN` = `running`: the figures may change within the hour.",
)
EXAMPLES = (
    Example(
        "Which days are lacking?",
        """SELECT UTC_DATE, REGION, STATE
FROM ANALYTICS.DATA_STATUS
WHERE UTC_DATE BETWEEN '2017-12-16' AND '2017-12-25' AND NOT IS_COMPLETE
ORDER BY UTC_DATE, REGION""",
        "Days that nobody has loaded are listed too; before the first day ever loaded, and before a region opened, only those tried.",
    ),
    Example(
        "Revenue of a day per region and currency, and can it be trusted?",
        """SELECT STATUS.REGION, STATUS.IS_COMPLETE, SOLD.CURRENCY, COUNT(SOLD.SALE_ID) AS SALES_COUNT, SUM(SOLD.NET_AMOUNT) AS NET
FROM ANALYTICS.DATA_STATUS AS STATUS
LEFT JOIN ANALYTICS.SALES AS SOLD ON SOLD.UTC_DATE = STATUS.UTC_DATE AND SOLD.REGION = STATUS.REGION
WHERE STATUS.UTC_DATE = '2017-12-23'
GROUP BY STATUS.REGION, STATUS.IS_COMPLETE, SOLD.CURRENCY
ORDER BY STATUS.REGION, SOLD.CURRENCY""",
        "From DATA_STATUS, so that a region without sales has a row.",
    ),
    Example(
        "Revenue per region, currency and day by the stores' clocks",
        """SELECT STATUS.LOCAL_DATE, SOLD.REGION, SOLD.CURRENCY, COUNT(*) AS SALES_COUNT, SUM(SOLD.NET_AMOUNT) AS NET
FROM ANALYTICS.SALES AS SOLD
INNER JOIN ANALYTICS.DATA_STATUS AS STATUS
    ON STATUS.REGION = SOLD.REGION AND STATUS.LOCAL_DATE = SOLD.SALE_DATE_LOCAL::DATE
WHERE STATUS.LOCAL_DATE BETWEEN '2017-12-20' AND '2017-12-23' AND STATUS.IS_LOCAL_DATE_COMPLETE
GROUP BY STATUS.LOCAL_DATE, SOLD.REGION, SOLD.CURRENCY
ORDER BY STATUS.LOCAL_DATE, SOLD.REGION, SOLD.CURRENCY""",
        "Local days that are not complete are left out.",
    ),
    Example(
        "How does a day compare with the same weekday before?",
        """SELECT
    REGION,
    CURRENCY,
    SUM(CASE WHEN UTC_DATE = '2017-12-23' THEN NET_AMOUNT ELSE 0 END) AS NET_OF_DAY,
    SUM(CASE WHEN UTC_DATE = '2017-12-16' THEN NET_AMOUNT ELSE 0 END) AS NET_OF_WEEK_BEFORE
FROM ANALYTICS.SALES
WHERE UTC_DATE IN ('2017-12-16', '2017-12-23')
GROUP BY REGION, CURRENCY
ORDER BY REGION, CURRENCY""",
        "First see that both days are complete.",
    ),
    Example(
        "Which sales came or changed after their day?",
        """SELECT UTC_DATE, ETL_BATCH_ID, REGION, CURRENCY, COUNT(*) AS SALES_COUNT, SUM(NET_AMOUNT) AS NET
FROM ANALYTICS.SALES
WHERE UTC_DATE BETWEEN '2017-12-16' AND '2017-12-23' AND ETL_BATCH_ID <> TO_VARCHAR(UTC_DATE, 'YYYYMMDD')
GROUP BY UTC_DATE, ETL_BATCH_ID, REGION, CURRENCY
ORDER BY UTC_DATE, ETL_BATCH_ID, REGION, CURRENCY""",
        "Late sales and corrections come with the batch of the day on which they arrived (`20171223`), or with a heal (`H...`) "
        "or a replay (`R...`).",
    ),
    Example(
        "Which days have changed since my report was made?",
        """SELECT UTC_DATE, REGION, LAST_CHANGED_AT
FROM ANALYTICS.DATA_STATUS
WHERE LAST_CHANGED_AT > '2017-12-24 09:00:00+00:00'::TIMESTAMP_TZ
ORDER BY UTC_DATE, REGION""",
        "Late sales, corrections, heals, replays, deletions and rollbacks count; a run that found all rows unchanged does not. "
        "Take an hour off the time of your report: a batch that was being published then carries a time before it.",
    ),
    Example(
        "Of which days was more than half a percent rejected?",
        """SELECT UTC_DATE, REGION, ROWS_EXTRACTED, ROWS_REJECTED, REJECTED_SHARE
FROM ANALYTICS.DATA_STATUS
WHERE UTC_DATE BETWEEN '2017-12-16' AND '2017-12-23' AND REJECTED_SHARE > 0.005
ORDER BY REJECTED_SHARE DESC, UTC_DATE, REGION""",
        "Rejected rows are in no figure until they are mended at the source. A batch with more than the variable "
        "`max_rejected_percentage` is not published at all.",
    ),
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)) + "\n"


def analysts_page() -> str:
    """docs/analysts.md: the two views, what to trust, and example queries."""
    words = [(f"`{word}`", "yes" if word in COMPLETE else "no", meaning) for word, meaning in WORDS.items()]
    zones = [(f"`{r.code}`", r.time_zone, _utc_days(r)) for r in REGIONS.values()]
    return (
        "\n".join(
            [
                "# For analysts\n",
                f"{GENERATED}; contract version {CONTRACT_VERSION}.\n",
                f"The role `{ANALYST_ROLE}` reads two views: `ANALYTICS.SALES`, a row per sale, and `ANALYTICS.DATA_STATUS`, a row per UTC",
                "day and region that says whether the sales of that day are all there. The table below `SALES`, `SALES_FACT`, also has",
                "the sales that their source no longer holds, marked as deleted.\n",
                "## Can I trust this morning's figures?\n",
                *_shown(YESTERDAY),
                f"The run of a day starts at {SCHEDULED_AT:%H:%M} UTC on the next one, and is due by {PUBLISHED_BY:%H:%M} (the variable `sla_minutes`). A day is",
                "published whole or not at all: while a run is under way, a query shows the state before it.\n",
                table(["`STATE`", "complete", "meaning"], words),
                "Complete means: all that the source held when it was read (`AS_OF`), without the rows that were rejected. Sales that",
                "reach the source later come with a later batch, and move `LAST_CHANGED_AT` of the day on which they were sold.\n",
                "## Three things to know\n",
                "- **Currencies are never added up.** Every amount is in the `CURRENCY` of its row; nothing is converted. Group by",
                "  `CURRENCY`, or name one.",
                "- **Days are UTC days.** Batches are made by them, and `DATA_STATUS` judges them. `SALE_DATE_LOCAL` is the time by the",
                "  clock of the region, and a day of that clock lies within two UTC days: at 09:00 in New York the last evening is not",
                "  loaded yet. `LOCAL_DATE` and `IS_LOCAL_DATE_COMPLETE` say which local day is complete.",
                "- **A figure may change.** Corrections replace a sale; a sale that its source no longer holds disappears from `SALES`",
                "  when reconcile has marked it. `ETL_UPDATED_AT` is when the version that you see was published.\n",
                table(["region", "time zone", "a local day lies within"], zones),
                "## Questions and their queries\n",
                'They run as they are on the local stack after `make run DATE=2017-12-23` (`make sql Q="..."`); for your own data, change',
                "the dates.\n",
                *(line for example in EXAMPLES for line in (f"### {example.question}\n", *_shown(example))),
                *_columns(SALES),
                *_columns(DATA_STATUS),
                "`LAST_CHANGED_AT` is read from the sales and from the undo log: a change that left no sale of the day is known for as",
                "long as the undo log is kept (`undo_retention_days`). Sales of an adopted table before the first day loaded have no",
                "row here.\n",
                "## dbt and semantic views\n",
                "- [`docs/analysts/sources.yml`](analysts/sources.yml) declares both views as a dbt source (dbt 1.10 or later), with columns",
                f"  and freshness: of no region may the newest complete UTC day have ended more than {FRESH_HOURS} hours ago.",
                "- [`docs/analysts/semantic_view.sql`](analysts/semantic_view.sql) creates the semantic view `ANALYTICS.SALES_SEMANTICS` in",
                "  Snowflake, by a role with the right CREATE SEMANTIC VIEW on the schema. Its amounts are NULL where currencies would be",
                "  added up: query them by the dimension `CURRENCY`, or for one currency. Analysts need",
                "  `GRANT SELECT ON SEMANTIC VIEW ANALYTICS.SALES_SEMANTICS TO ROLE SALES_ANALYST`.",
            ]
        )
        + "\n"
    )


def _shown(example: Example) -> list[str]:
    return ["```sql", f"{example.query};", "```\n", f"{example.note}\n"]


def _columns(view: View) -> list[str]:
    rows = [(f"`{c.name}`", c.snowflake_type, "no" if c.required else "yes", c.description) for c in view.columns]
    head = ["column", "type", "may be NULL", "meaning"]
    return [f"## `ANALYTICS.{view.name}`\n", f"{view.description}.\n", table(head, rows)]


def _utc_days(region: Region) -> str:
    """The UTC days of a day by the region's clock, in winter and in summer."""
    offsets = [
        datetime(2024, month, 1, tzinfo=UTC).astimezone(ZoneInfo(region.time_zone)).utcoffset() for month in (1, 7)
    ]
    hours = {offset.total_seconds() for offset in offsets if offset is not None}
    if hours == {0}:
        return "the same UTC day"
    return "the same UTC day and the next" if max(hours) <= 0 else "the UTC day before and the same"


def sources_file() -> str:
    """docs/analysts/sources.yml: the views as a source of dbt, with freshness."""
    tables = [
        {
            "name": view.name,
            "description": f"{view.description}.",
            "config": _freshness() if view is SALES else {"freshness": None},
            "columns": [
                {"name": column.name, "data_type": column.snowflake_type, "description": column.description}
                for column in view.columns
            ],
        }
        for view in VIEWS
    ]
    source = {
        "name": "retail_sales",
        "description": "Published sales of all regions, and how complete they are. Amounts are added per CURRENCY only.",
        "schema": "ANALYTICS",
        "tables": tables,
    }
    text = yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, allow_unicode=True, width=116)
    return f"# {GENERATED}; contract version {CONTRACT_VERSION}. For dbt 1.10 or later: copy it into models/.\n{text}"


def _freshness() -> dict[str, Any]:
    """The end of the newest complete day, of the region that lags most: no column of a sale says that. A warning when the
    next day is late, an error a day later."""
    limits = {"warn_after": FRESH_HOURS, "error_after": FRESH_HOURS + 24}
    # Regions that are no longer configured have no row of yesterday. One of which no day is complete yet, as it has just
    # opened, is complete until its first day.
    complete_until = (
        "select min(complete_until) from (select region, coalesce(dateadd('day', 1, max(case when is_complete then utc_date "
        "end))::timestamp_ntz, min(utc_date)::timestamp_ntz) as complete_until from ANALYTICS.DATA_STATUS group by region "
        "having max(utc_date) >= dateadd('day', -1, sysdate()::date)) as regions"
    )
    return {
        "freshness": {name: {"count": hours, "period": "hour"} for name, hours in limits.items()},
        "loaded_at_query": complete_until,
    }


def semantic_view() -> str:
    """docs/analysts/semantic_view.sql: the views as a semantic view of Snowflake."""
    facts = [_semantic(SALES, column) for column in SALES.columns if _is_fact(column)]
    facts += [_semantic(DATA_STATUS, column) for column in DATA_STATUS.columns if _is_fact(column)]
    dimensions = [_semantic(SALES, column) for column in SALES.columns if not _is_fact(column)]
    dimensions += [_semantic(DATA_STATUS, column) for column in DATA_STATUS.columns if not _is_fact(column)]
    metrics = [
        _entry("SALES.SALES_COUNT", "COUNT(SALES.SALE_ID)", "Number of sales."),
        *(_amount(column) for column in SALES.columns if _is_amount(column)),
        _entry("DATA_STATUS.DAYS", "COUNT(DATA_STATUS.REGION)", "Number of UTC days, each counted per region."),
        _entry(
            "DATA_STATUS.INCOMPLETE_DAYS",
            "COUNT_IF(NOT DATA_STATUS.IS_COMPLETE)",
            "Number of UTC days that are not complete, each counted per region: 0 where the figures can be trusted.",
        ),
    ]
    return "\n".join(
        [
            f"-- {GENERATED}; contract version {CONTRACT_VERSION}.",
            "-- A semantic view cannot require a dimension, and NON ADDITIVE BY takes the last value of a dimension in place of a",
            "-- sum: so amounts are NULL where the rows have more than one currency. No metric adds up quantities, whose units differ.",
            "CREATE OR REPLACE SEMANTIC VIEW ANALYTICS.SALES_SEMANTICS",
            _clause("TABLES", [_logical_table(view) for view in VIEWS]),
            _clause("RELATIONSHIPS", [f"SALES_TO_STATUS AS SALES ({UTC_DATE}, REGION) REFERENCES DATA_STATUS"]),
            _clause("FACTS", facts),
            _clause("DIMENSIONS", dimensions),
            _clause("METRICS", metrics),
            f"    COMMENT = {text_literal('Sales of all regions and how complete they are. Amounts are added per currency only')}",
            "    COPY GRANTS;",
            "",
        ]
    )


def _is_fact(column: ViewColumn) -> bool:
    return column.role is Role.MEASURE or _is_amount(column)


def _is_amount(column: ViewColumn) -> bool:
    return column.role in SUMMED and column.snowflake_type == "NUMBER(12,2)"


def _clause(name: str, entries: Sequence[str]) -> str:
    lines = ",\n".join(f"        {entry}" for entry in entries)
    return f"    {name} (\n{lines}\n    )"


def _logical_table(view: View) -> str:
    comment = text_literal(view.description)
    return f"{view.name} AS ANALYTICS.{view.name} PRIMARY KEY ({', '.join(view.key)}) COMMENT = {comment}"


def _semantic(view: View, column: ViewColumn) -> str:
    return _entry(f"{view.name}.{column.name}", column.name, column.description)


def _amount(column: ViewColumn) -> str:
    total = f"CASE WHEN MIN(SALES.CURRENCY) = MAX(SALES.CURRENCY) THEN SUM(SALES.{column.name}) END"
    comment = f"Sum of {column.name} in one currency; NULL for more: query it by CURRENCY."
    return _entry(f"SALES.SUM_OF_{column.name}", total, comment)


def _entry(name: str, expression: str, comment: str) -> str:
    return f"{name} AS {expression} COMMENT = {text_literal(comment)}"
