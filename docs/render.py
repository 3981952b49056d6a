"""Writes the pages that are generated from the code: `make docs`. A test compares them, so they cannot go stale."""

from pathlib import Path

from docs.analysts_pages import analysts_page, semantic_view, sources_file, table
from expectations.columns import CONTRACT_VERSION, SOURCE_COLUMNS
from expectations.regions import REGIONS
from expectations.rules import CROSS_REGION_RULE, RULES
from expectations.tables import CLEAN_COLUMNS
from tasks.source.statements import FITTING_TYPES
from tests.integration.publish.bugs import BUGS

DIRECTORY = Path(__file__).parent


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
            f"Generated from `expectations/` by `make docs`; contract version {CONTRACT_VERSION}.\n",
            "## `sales_transactions` in every regional database\n",
            "A region with a column of another declared type is left out; a domain over one of these types fits, and `enum` is",
            "any enum type. A single cell that the type of the fact table cannot hold rejects its row. Personal columns",
            "leave the source only as a keyed token, in a column named `<name>_token`.\n",
            table(["column", "fitting types", "may be NULL", "personal", "meaning"], source),
            "## `ANALYTICS.SALES_FACT`\n",
            "After these come the load's own columns: batch, run, snapshot, when the row was inserted and updated, and",
            "`IS_DELETED` and `DELETED_AT` for a sale that its source no longer holds: queries for what was sold say",
            "`WHERE NOT IS_DELETED`, or read the view `ANALYTICS.SALES` ([for analysts](analysts.md)).\n",
            "A run writes those of `EXTRA_ATTRIBUTES` that it has read of the region, NULL included, and leaves the others",
            "unchanged: a column that the source lacks, or that `extra_columns` no longer names, keeps its values. The text",
            "is JSON with one text or null per column, in no particular order.\n",
            table(["column", "Snowflake type", "Arrow type", "meaning"], stored),
            "## Regions\n",
            "Case and surrounding blanks of a spelling do not matter; code and name are accepted too.\n",
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
            "Generated from `expectations/rules.py` by `make docs`. A row that breaks a rule is rejected, and recorded with all",
            "rules that it broke. Rules come before dedupe, so a newer version that breaks a rule never replaces a valid one.\n",
            table(["rule", "the row is rejected because"], rows),
            "White space is that of ASCII: blank, tab, line feed, vertical tab, form feed, carriage return. A row without a",
            "`sale_id` has no key: it is no duplicate of any other, its `SALE_KEY` is NULL and its status `NO_KEY`.\n",
            "## Which version of a sale stays\n",
            "The newest valid one by `updated_at`. Versions with equal times are ordered by their other columns, in the order of",
            "the [contract](columns.md), `extra_attributes` last, until one differs; the greater stays. NULL comes before every",
            "value; numbers and times compare by value, texts by their bytes in UTF-8. The order of arrival never matters.\n",
            "## What a rejected row keeps\n",
            "All its columns as text, as PostgreSQL writes them in UTC; personal data as tokens. A cell that its type cannot",
            "hold is kept as in the source. One thing differs from the source's own text: a number has the decimals of the",
            "contract, so that 1.5000 of a `numeric(10,4)` price is kept as 1.500000.\n",
        ]
    )


def law_page() -> str:
    """docs/law.md: the conservation law, who counts each side, and the bugs that tests inject."""
    sides = [
        ("source: rows and totals", "the source database, by SQL in the snapshot that is read", "extract"),
        ("duplicates", "transform; each key must be kept once, in its newest version", "transform"),
        ("rows per file, and in all", "the manifest against COPY's result and the staging tables", "load"),
        ("inserted, updated, unchanged", "staged rows by fate against the fact table by key, totals included", "law"),
        ("superseded", "staged rows against the keys of which the fact table holds a version that is not older", "law"),
        ("updated, in reverse", "undo log against the fact table: what replaced a version is not older", "law"),
        ("attributes that were not read", "undo log against the fact table, one by one", "law"),
        ("cross-region", "staged rows against the keys that another region owns, or two bring and none owns", "law"),
        (
            "rejected",
            "transform's rows, money and broken rules against the run's rows in `SALES_REJECTIONS`, each cell",
            "law",
        ),
        (
            "rejected rows that were closed",
            "the run's closings against the version that stands for each, and in reverse",
            "law",
        ),
        (
            "undo log",
            "the fact table before the MERGE against `SALES_FACT_UNDO`: totals, and a fingerprint of all columns",
            "law",
        ),
        (
            "everything else",
            "both whole tables after the lock and before COMMIT: only what the batch brings may differ",
            "law",
        ),
        (
            "sales with the batch's keys",
            "rows before COMMIT against those that stood when the fates were decided, plus the new ones",
            "law",
        ),
        ("each sale once", "no `sale_id` of the batch stands twice, whatever the region", "law"),
        ("ledger", "the run's entries, read back, against all the above", "law"),
        (
            "every column that was read",
            "staged rows that should stand, changed by this run or not, against the fact table: rows, totals and a "
            "fingerprint by region and currency; where these differ, row by row",
            "second look",
        ),
    ]
    bugs = [(bug.name, str(bug.guard), f"`{bug.says}`") for bug in BUGS]
    return "\n".join(
        [
            "# The conservation law\n",
            "Every row that was read has one fate, per region and batch, by count and by exact total:\n",
            "    source = inserted + updated + unchanged + superseded + duplicates + rejected\n",
            "Totals are per currency, NULL and unreadable amounts counted separately: money, and control totals, in which a text",
            "counts as its number of characters and a time as its microseconds. `(none)` is the total of rows without a currency,",
            "`(malformed)` that of rows whose currency is not three capital letters. The law is checked inside the publish",
            "transaction, after everything is written and before COMMIT. When it does not hold, all is rolled back and the error",
            "names region, side and both figures: `the law does not hold for EUROPE superseded: rows 2 against 1`.\n",
            "## Who counts each side\n",
            "Each side is counted independently of the others.\n",
            table(["side", "counted by", "checked in"], sides),
            "## What it catches\n",
            "Generated from `tests/integration/publish/bugs.py` by `make docs`. `tests/integration/publish/test_law.py` injects",
            "each bug alone, into a batch with rows of every fate, and expects these words in the error; N is the number of all",
            "rows. A bug that is caught before COMMIT leaves fact table, rejected rows and undo log unchanged.\n",
            table(["bug", "caught by", "error"], bugs),
        ]
    )


PAGES = {
    "columns.md": columns_page,
    "rules.md": rules_page,
    "law.md": law_page,
    "analysts.md": analysts_page,
    "analysts/sources.yml": sources_file,
    "analysts/semantic_view.sql": semantic_view,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DIRECTORY / name).write_text(page(), encoding="utf-8")
