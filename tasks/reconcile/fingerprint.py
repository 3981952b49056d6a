"""The fingerprint of a sale: 64 bits of its content, the same in PostgreSQL and in Snowflake. Pure.

Left out is what SQL cannot compare: personal data, which the table has as tokens only, the source's spelling of its
region, and `extra_attributes`.
"""

from expectations.columns import SOURCE_COLUMNS, Column, Role
from tasks.source.statements import quote_postgres

COMPARED_COLUMNS = tuple(c for c in SOURCE_COLUMNS if not c.personal and c.role not in (Role.KEY, Role.REGION))
"""What a fingerprint is made of, after the key."""

MODULUS = 2**64
"""Sums of fingerprints are equal modulo this: PostgreSQL has them signed, Snowflake unsigned."""

_BEGIN, _NULL = 1, 2
"""Characters that begin a cell, and that stand for NULL: no till writes them."""


def source_fingerprint(key: str) -> str:
    """A bigint, signed, of a row of the source; `key` is the business key as an SQL expression."""
    cells = "".join(
        f"\n    || chr({_BEGIN}) || coalesce({_source_text(column)}, chr({_NULL}))" for column in COMPARED_COLUMNS
    )
    return f"('x' || right({source_md5(key + cells)}, 16))::bit(64)::bigint"


def source_md5(text: str) -> str:
    """MD5 of a text's UTF-8, which a database with another encoding does not have by itself, as hex digits."""
    return f"md5(convert_to({text}, 'UTF8'))"


def table_fingerprint() -> str:
    """A NUMBER(20,0), unsigned, of a row of SALES_FACT."""
    cells = "".join(
        f"\n    || CHR({_BEGIN}) || COALESCE({_table_text(column)}, CHR({_NULL}))" for column in COMPARED_COLUMNS
    )
    return f"MD5_NUMBER_LOWER64(SALE_ID{cells})"


def _source_text(column: Column) -> str:
    name = quote_postgres(column.name)
    match column.kind:
        case "text":
            return f"{name}::text"
        case "timestamp":
            # bigint: before version 14 PostgreSQL's epoch is a float, whose text has too few digits.
            return f"CASE WHEN isfinite({name}) THEN (extract(epoch FROM {name}) * 1000000)::bigint::text END"
        case _:
            # Not a cast, which fails for what the contract's type cannot hold.
            return f"round({name}::numeric, {column.decimals})::text"


def _table_text(column: Column) -> str:
    name = column.name.upper()
    match column.kind:
        case "text":
            return name
        case "timestamp":
            return f"DATE_PART(EPOCH_MICROSECOND, {name})::VARCHAR"
        case _:
            return f"{name}::VARCHAR"
