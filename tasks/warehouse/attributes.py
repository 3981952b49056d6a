"""Attributes beyond the contract, in SQL: a run compares and writes those that it has read and keeps the rest. Pure."""

from collections.abc import Mapping, Sequence

from tasks.warehouse.statements import text_literal, text_literals

ReadColumns = Mapping[str, Sequence[str]]
"""The columns beyond the contract that were read, per region."""


def attribute_values(read: ReadColumns) -> dict[str, str]:
    """The values that `render` needs for the statements that compare or write attributes."""
    names_of = {region: text_literals(names) for region, names in read.items() if names}
    in_fact, in_staged, in_any = (_read_values(read, prefix) for prefix in ("FACT.", "STAGED.", ""))
    compared = (f"{fact} IS NOT DISTINCT FROM {staged}" for fact, staged in zip(in_fact, in_staged, strict=True))
    return {
        "no_read_value_differs": "".join(f"\n            AND {condition}" for condition in compared),
        "read_values": "".join(f",\n        {value} AS ATTRIBUTE_{number}" for number, value in enumerate(in_any, 1)),
        "read_names": "".join(f", ATTRIBUTE_{number}" for number, _ in enumerate(in_any, 1)),
        "written_attributes": _written(names_of),
        "was_read": " OR ".join(
            f"UNDO.REGION = {text_literal(region)} AND STORED.KEY IN ({names})" for region, names in names_of.items()
        )
        or "FALSE",
    }


def _read_values(read: ReadColumns, prefix: str) -> list[str]:
    """One SQL text per column: the attribute's value as JSON; NULL where the row lacks it or its region was not read.

    One by one, because TO_JSON promises no order of an object's keys
    (https://docs.snowflake.com/en/sql-reference/functions/to_json).
    """
    regions_of: dict[str, list[str]] = {}
    for region, names in read.items():
        for name in names:
            regions_of.setdefault(name, []).append(region)
    return [
        f"CASE WHEN {prefix}REGION IN ({text_literals(regions)}) "
        f"THEN TO_JSON(GET(PARSE_JSON({prefix}EXTRA_ATTRIBUTES), {text_literal(name)})) END"
        for name, regions in sorted(regions_of.items())
    ]


def _written(names_of: Mapping[str, str]) -> str:
    """The attributes that a row FACT gets from a row STAGED: those that were read, then the others of FACT.

    STAGED has a text where something was read, and it names every attribute read, NULL cells too.
    """
    if not names_of:
        return "COALESCE(STAGED.EXTRA_ATTRIBUTES, FACT.EXTRA_ATTRIBUTES)"
    rests = "".join(
        f"\n                WHEN {text_literal(region)} "
        f"THEN TO_JSON(OBJECT_DELETE(PARSE_JSON(FACT.EXTRA_ATTRIBUTES)::OBJECT, {names}))"
        for region, names in names_of.items()
    )
    return f"""COALESCE(
        LEFT(STAGED.EXTRA_ATTRIBUTES, LENGTH(STAGED.EXTRA_ATTRIBUTES) - 1) || ', ' || SUBSTR(NULLIF(
            CASE FACT.REGION{rests}
            END, '{{}}'
        ), 2),
        STAGED.EXTRA_ATTRIBUTES,
        FACT.EXTRA_ATTRIBUTES
    )"""
