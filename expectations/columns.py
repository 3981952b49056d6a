"""The column contract: one definition from which SELECT, Arrow schema, checks, DDL, MERGE and docs are made.

What belongs here: the columns themselves and how one column is written for each system. What does not:
rules about values (`rules.py`), the suites (`suites.py`) and whole statements (`sql/`,
`tasks/warehouse/statements.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import pyarrow as pa

CONTRACT_VERSION = "1"
"""Raised with every change of a column's name, type or meaning; recorded in every ledger row."""


class Role(StrEnum):
    """What a column is for; the checks, the MERGE and the money totals choose columns by it."""

    KEY = "key"
    TIME = "time"
    VERSION = "version"
    ATTRIBUTE = "attribute"
    MEASURE = "measure"
    MONEY = "money"
    DERIVED = "derived"
    REGION = "region"


Kind = Literal["text", "timestamp", "integer", "price", "money", "year"]

DIGITS: Mapping[Kind, tuple[int, int]] = {"integer": (18, 0), "price": (18, 6), "money": (12, 2), "year": (4, 0)}
"""Precision and scale of the kinds that are numbers: how many digits in all, how many of them decimals."""

_ARROW: Mapping[Kind, pa.DataType] = {
    "text": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "integer": pa.int64(),
    "price": pa.decimal128(*DIGITS["price"]),
    "money": pa.decimal128(*DIGITS["money"]),
    "year": pa.int32(),
}
_SNOWFLAKE: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP_TZ(6)",
    **{kind: f"NUMBER({precision},{scale})" for kind, (precision, scale) in DIGITS.items()},
}

BLANKS = " \t\n\v\f\r"
"""ASCII white space: a text of nothing else, or an empty one, is blank."""


@dataclass(frozen=True)
class Column:
    """A column of the contract.

    `kind` decides the types: Arrow (exact decimals, UTC microseconds) and Snowflake. `personal` marks personal
    data: such a column leaves the source only as a token, in a column named `<name>_token`. `blank_is_missing`: a
    blank text counts as NULL.
    """

    name: str
    kind: Kind
    role: Role
    description: str
    nullable: bool = False
    personal: bool = False
    blank_is_missing: bool = False

    @property
    def stored_name(self) -> str:
        """The column's name from extract onwards."""
        return f"{self.name}_token" if self.personal else self.name

    @property
    def arrow_field(self) -> pa.Field:
        return pa.field(self.stored_name, _ARROW[self.kind])

    @property
    def snowflake_type(self) -> str:
        return _SNOWFLAKE[self.kind]

    @property
    def decimals(self) -> int:
        """The number of decimals; 0 for kinds without."""
        return DIGITS[self.kind][1] if self.kind in DIGITS else 0


SOURCE_COLUMNS = (
    Column("sale_id", "text", Role.KEY, "Business key of the sale, unique across all regions.", blank_is_missing=True),
    Column("sale_date", "timestamp", Role.TIME, "When the sale happened (UTC)."),
    Column("store_id", "text", Role.ATTRIBUTE, "Store that sold."),
    Column("customer_id", "text", Role.ATTRIBUTE, "Customer who bought."),
    Column("customer_email", "text", Role.ATTRIBUTE, "Customer's e-mail address.", nullable=True, personal=True),
    Column("product_id", "text", Role.ATTRIBUTE, "Product sold."),
    Column("product_category", "text", Role.ATTRIBUTE, "Category of the product.", nullable=True),
    Column("quantity", "integer", Role.MEASURE, "Units sold; millilitres for fuel."),
    Column("unit_price", "price", Role.MEASURE, "Gross price of one unit in `currency`; may be below a cent."),
    Column("discount_amount", "money", Role.MONEY, "Discount in `currency`."),
    Column("tax_amount", "money", Role.MONEY, "Tax contained in the total, in `currency`."),
    Column("total_amount", "money", Role.MONEY, "Gross amount in `currency`: before discount, tax included."),
    Column("currency", "text", Role.ATTRIBUTE, "ISO 4217 code of the amounts.", blank_is_missing=True),
    Column("payment_method", "text", Role.ATTRIBUTE, "How the customer paid."),
    Column("region", "text", Role.REGION, "Region as the source spells it; its code in the fact table."),
    Column("updated_at", "timestamp", Role.VERSION, "When the row last changed at the source (UTC)."),
)
"""The columns of `sales_transactions` in every regional database, in the order of extract's SELECT."""

DERIVED_COLUMNS = (
    Column("net_amount", "money", Role.DERIVED, "total_amount - discount_amount."),
    Column("gross_profit", "money", Role.DERIVED, "net_amount - tax_amount."),
    Column("sale_year", "year", Role.DERIVED, "Year of sale_date (UTC)."),
    Column("sale_month", "year", Role.DERIVED, "Month of sale_date (UTC), 1 to 12."),
    Column("sale_day", "year", Role.DERIVED, "Day of the month of sale_date (UTC), 1 to 31."),
)
