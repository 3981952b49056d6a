"""The column contract: the one definition of every system's types."""

import pyarrow as pa
import pytest

from expectations.columns import DERIVED_COLUMNS, DIGITS, SOURCE_COLUMNS, Column, Role
from expectations.tables import CLEAN_COLUMNS, CLEAN_SCHEMA, REJECTED_SCHEMA, REJECTED_SOURCE_COLUMNS
from tasks.extract import EXTRACTED_SCHEMA


@pytest.mark.parametrize(
    ("kind", "arrow", "snowflake"),
    [
        pytest.param("money", pa.decimal128(12, 2), "NUMBER(12,2)", id="money"),
        pytest.param("price", pa.decimal128(18, 6), "NUMBER(18,6)", id="price"),
        pytest.param("timestamp", pa.timestamp("us", "UTC"), "TIMESTAMP_TZ(6)", id="timestamp"),
        pytest.param("integer", pa.int64(), "NUMBER(18,0)", id="integer"),
    ],
)
def test_types_are_exact_in_every_system(kind: str, arrow: pa.DataType, snowflake: str) -> None:
    columns = [column for column in (*SOURCE_COLUMNS, *DERIVED_COLUMNS) if column.kind == kind]
    assert {(column.arrow_field.type, column.snowflake_type) for column in columns} == {(arrow, snowflake)}


def test_decimals_are_those_of_every_system() -> None:
    for column in (*SOURCE_COLUMNS, *DERIVED_COLUMNS):
        arrow = column.arrow_field.type
        assert column.decimals == (arrow.scale if pa.types.is_decimal(arrow) else 0), column.name
        assert (column.kind in DIGITS) == column.snowflake_type.startswith("NUMBER"), column.name


def test_no_column_of_any_shape_is_named_like_personal_data() -> None:
    personal = {column.name for column in SOURCE_COLUMNS if column.personal}
    shapes = [EXTRACTED_SCHEMA.names, CLEAN_SCHEMA.names, REJECTED_SCHEMA.names]
    assert personal == {"customer_email"}
    assert not any(personal & set(names) for names in shapes)


def test_only_email_category_and_extra_attributes_may_be_null() -> None:
    assert {c.name for c in CLEAN_COLUMNS if c.nullable} == {"customer_email", "product_category", "extra_attributes"}


def test_a_rejected_row_has_every_source_column_as_text() -> None:
    assert all(REJECTED_SCHEMA.field(name).type == pa.string() for name in REJECTED_SOURCE_COLUMNS)
    assert set(REJECTED_SOURCE_COLUMNS) == {c.stored_name for c in SOURCE_COLUMNS} | {"extra_attributes"}


def test_roles_that_code_relies_on_have_their_columns() -> None:
    def named(role: Role) -> list[Column]:
        return [column for column in SOURCE_COLUMNS if column.role is role]

    assert [c.name for c in named(Role.KEY)] == ["sale_id"]
    assert [c.name for c in named(Role.VERSION)] == ["updated_at"]
    assert [c.name for c in named(Role.MONEY)] == ["discount_amount", "tax_amount", "total_amount"]
