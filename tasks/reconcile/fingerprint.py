"""The fingerprint of a sale: 64 bits of its content, the same in PostgreSQL and in Snowflake. Pure.

It leaves out what SQL cannot compare: personal data, of which the table has tokens only, the source's spelling of its
region, and `extra_attributes`.
"""

from expectations.columns import SOURCE_COLUMNS, Column, Role
from tasks.source.statements import quote_postgres

COMPARED_COLUMNS = tuple(c for c in SOURCE_COLUMNS if not c.personal and c.role not in (Role.KEY, Role.REGION))
"""The columns of a fingerprint, after the key."""

MODULUS = 2**64
"""Sums of fingerprints are compared modulo this: PostgreSQL's are signed, Snowflake's unsigned."""

_BEGIN, _NULL = 1, 2
"""Control characters that begin a cell and stand for NULL; no till writes them."""


def source_fingerprint(key: str) -> str:
    """SQL of a source row's fingerprint, a signed bigint; `key` is the business key as an SQL expression."""
    cells = "".join(
        f"\n    || chr({_BEGIN}) || coalesce({_source_text(column)}, chr({_NULL}))" for column in COMPARED_COLUMNS
    )
    return f"('x' || right({source_md5(key + cells)}, 16))::bit(64)::bigint"


def source_md5(text: str) -> str:
    """SQL of the MD5 of a text's UTF-8, as hex digits, in a database of any encoding."""
    return f"md5(convert_to({text}, 'UTF8'))"


def table_fingerprint() -> str:
    """SQL of the fingerprint of a row of SALES_FACT, an unsigned NUMBER(20,0)."""
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
            # Not a cast: that fails for values that the contract's type cannot hold.
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
