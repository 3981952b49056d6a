"""The views for analysts: their columns, those of sales made from the contract.

What belongs here: names, types and meanings, from which the views, their comments, check-setup, docs/analysts.md and
the files of docs/analysts/ are made. What does not: how a value is computed (`sql/setup/06_analysts.sql`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from expectations.columns import Column, Role
from expectations.tables import CLEAN_COLUMNS


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view, named as the warehouse names it. `required`: never NULL."""

    name: str
    snowflake_type: str
    description: str
    required: bool = True
    role: Role = Role.ATTRIBUTE


@dataclass(frozen=True)
class View:
    """A view of schema ANALYTICS.

    `key` are the columns that name a row. `own` are columns that a view of another tool by the same name lacks: set-up
    knows its own view by them, so they stay.
    """

    name: str
    description: str
    key: tuple[str, ...]
    own: tuple[str, ...]
    columns: tuple[ViewColumn, ...]


IN_THE_VIEW: Mapping[str, str] = {
    "region": "Code of the region that sold.",
    "customer_email": "Keyed token of the customer's e-mail address: equal for equal addresses.",
}
"""Meanings of columns that hold something else than at the source."""

UTC_DATE = "UTC_DATE"
"""The name of the UTC day by which batches are loaded, in both views."""


def _of_contract(column: Column) -> ViewColumn:
    return ViewColumn(
        column.stored_name.upper(),
        column.snowflake_type,
        IN_THE_VIEW.get(column.name, column.description),
        not column.nullable,
        column.role,
    )


SALES = View(
    "SALES",
    "Published sales of all regions, without those that their source no longer holds. Add amounts per CURRENCY only",
    key=("SALE_ID",),
    own=("SALE_DATE_LOCAL", UTC_DATE, "ETL_BATCH_ID"),
    columns=(
        *(_of_contract(column) for column in CLEAN_COLUMNS),
        ViewColumn(
            "SALE_DATE_LOCAL",
            "TIMESTAMP_NTZ(6)",
            "SALE_DATE by the clock of the region; NULL for a region no longer configured.",
            required=False,
            role=Role.TIME,
        ),
        ViewColumn(UTC_DATE, "DATE", "UTC day of SALE_DATE; with REGION it leads to DATA_STATUS.", role=Role.TIME),
        ViewColumn("ETL_BATCH_ID", "VARCHAR", "Batch that wrote this version of the sale."),
        ViewColumn("ETL_INSERTED_AT", "TIMESTAMP_TZ(6)", "When the sale was first published (UTC).", role=Role.TIME),
        ViewColumn("ETL_UPDATED_AT", "TIMESTAMP_TZ(6)", "When this version was published (UTC).", role=Role.TIME),
    ),
)

DATA_STATUS = View(
    "DATA_STATUS",
    "How complete the sales of each UTC day and region are, days that nobody has loaded included",
    key=(UTC_DATE, "REGION"),
    own=(UTC_DATE, "REGION", "IS_COMPLETE"),
    columns=(
        ViewColumn(
            UTC_DATE,
            "DATE",
            "UTC day: from the first one ever loaded to yesterday, or the last one in the ledger; before, those tried.",
            role=Role.TIME,
        ),
        ViewColumn("REGION", "VARCHAR", "Code of the region.", role=Role.REGION),
        ViewColumn("IS_COMPLETE", "BOOLEAN", "All that the source held of the day is published, or the day is closed."),
        ViewColumn(
            "STATE",
            "VARCHAR",
            "What the ledger says of the day: published, empty, rolled back, running, missing, left out, died, failed, "
            "not over.",
        ),
        ViewColumn(
            "RERUN",
            "VARCHAR",
            "How a newer run over a day in production fares: running, failed; NULL: there is none, or it ended well.",
            required=False,
        ),
        ViewColumn(
            "AS_OF",
            "TIMESTAMP_TZ(6)",
            "Up to when the source showed everything to the run that is in production (UTC); NULL: none is.",
            required=False,
            role=Role.TIME,
        ),
        ViewColumn(
            "ROWS_EXTRACTED",
            "NUMBER(18,0)",
            "Rows that this run read: sold or changed on the day.",
            required=False,
            role=Role.MEASURE,
        ),
        ViewColumn(
            "ROWS_REJECTED",
            "NUMBER(18,0)",
            "Rows of these that broke a rule.",
            required=False,
            role=Role.MEASURE,
        ),
        ViewColumn(
            "REJECTED_SHARE",
            "NUMBER(7,6)",
            "ROWS_REJECTED / ROWS_EXTRACTED, 0 to 1; NULL without rows.",
            required=False,
            role=Role.MEASURE,
        ),
        ViewColumn(
            "LAST_CHANGED_AT",
            "TIMESTAMP_TZ(6)",
            "When a sale of the day last came, changed or went, by whatever batch (UTC); NULL: never.",
            required=False,
            role=Role.TIME,
        ),
        ViewColumn(
            "LOCAL_DATE",
            "DATE",
            "Day by the clock of the region that ends within the UTC day; NULL for a region no longer configured.",
            required=False,
            role=Role.TIME,
        ),
        ViewColumn(
            "IS_LOCAL_DATE_COMPLETE",
            "BOOLEAN",
            "The UTC day and the one before, which hold all of LOCAL_DATE, are complete.",
        ),
    ),
)

VIEWS = (SALES, DATA_STATUS)
