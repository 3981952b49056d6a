"""Writes the pages that are made from the code: `make docs`. A test compares them, so they cannot go stale."""

from collections.abc import Sequence
from pathlib import Path

from expectations.columns import CONTRACT_VERSION, SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.rules import CROSS_REGION_RULE, RULES
from expectations.tables import CLEAN_COLUMNS
from tasks.source import FITTING_TYPES

DIRECTORY = Path(__file__).parent


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def columns_page() -> str:
    """docs/columns.md: the column contract."""
    source = [
        (
            f"`{column.name}`",
            ", ".join(sorted(FITTING_TYPES[column.kind])),
            "yes" if column.nullable else "no",
            "token" if column.personal else "",
            column.description,
        )
        for column in SOURCE_COLUMNS
    ]
    stored = [
        (f"`{c.stored_name.upper()}`", c.snowflake_type, str(c.arrow_field.type), c.description) for c in CLEAN_COLUMNS
    ]
    regions = [(f"`{r.code}`", r.name, ", ".join(sorted(r.spellings)), r.time_zone, r.block) for r in REGIONS.values()]
    return "\n".join(
        [
            "# Columns and regions\n",
            f"Made from `expectations/` by `make docs`; contract version {CONTRACT_VERSION}.\n",
            "## `sales_transactions` in every regional database\n",
            "A column whose declared type is none of these, nor a domain over one of them, leaves the region out; `enum`",
            "is any enum type. A single cell that the type of the fact table cannot hold rejects its row. Personal columns",
            "leave the source only as a keyed token, in a column named `<name>_token`.\n",
            table(["column", "fitting types", "may be NULL", "personal", "meaning"], source),
            "## `ANALYTICS.SALES_FACT`\n",
            "After these come the load's own columns: batch, run, snapshot, and when the row was inserted and updated.\n",
            table(["column", "Snowflake type", "Arrow type", "meaning"], stored),
            "## Regions\n",
            "Spellings are compared without regard to case and surrounding blanks; code and name are accepted too.\n",
            table(["code", "name", "spellings", "time zone", "block"], regions),
        ]
    )


def rules_page() -> str:
    """docs/rules.md: the row rules."""
    rows = [(f"`{rule.id}`", rule.description) for rule in RULES]
    rows.append((f"`{CROSS_REGION_RULE}`", "another region owns the key, or two regions bring it and none owns it"))
    return "\n".join(
        [
            "# Row rules\n",
            "Made from `expectations/rules.py` by `make docs`. A row that breaks a rule is rejected, with all rules that it",
            "broke; rules come before dedupe, so a newer version that breaks a rule leaves the newest valid one standing.\n",
            table(["rule", "the row is rejected because"], rows),
            "## What a rejected row keeps\n",
            "All its columns as text, as PostgreSQL writes them in UTC; personal data as tokens. A cell that cannot be held",
            "in its type stands as the source has it. Two things are not the source's own text:\n",
            "- A number has the decimals of the contract: 1.5000 of a `numeric(10,4)` price stands as 1.500000.",
            f"- A row that broke `{CROSS_REGION_RULE}` was clean until the warehouse compared its key: its `REGION` is the",
            "  region's code, whatever way the source had spelled it.\n",
        ]
    )


PAGES = {"columns.md": columns_page, "rules.md": rules_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DIRECTORY / name).write_text(page(), encoding="utf-8")
