"""Deliberate bugs, each put in alone between the read of the source and COMMIT, with the guard that has to catch it.

`test_law.py` puts them in; docs/law.md shows them as a table. A bug changes one function or the text of one statement.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations.regions import Region
from tasks import extract, load, publish, stage, transform
from tasks.batch import RolledBack
from tasks.stage import FileKind, Manifest, StagedFile
from tasks.warehouse import ledger
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render

Put = Callable[[pytest.MonkeyPatch], None]
Change = Callable[[pa.Table], pa.Table]


class Guard(StrEnum):
    """What catches a bug, in the order in which the guards run."""

    EXTRACT = "extract, which compares with the database's own count"
    TRANSFORM = "transform, which compares with what was extracted"
    LOAD = "load, which compares with the manifest"
    HELD_BACK = "the question for what was rolled back, under the lock"
    LAW = "the law, before COMMIT"
    SECOND_LOOK = "the second look, after COMMIT"


@dataclass(frozen=True)
class Bug:
    """A bug. The guard's message must contain `says`, where N stands for all rows of a table; `put` puts the bug in."""

    name: str
    guard: Guard
    says: str
    put: Put


def statement(name: str, *changes: tuple[str, str], user: ModuleType = publish) -> Put:
    """Changes the text of one statement. Each old text is a regular expression that must match, or the bug is stale."""

    def put(patch: pytest.MonkeyPatch) -> None:
        def altered(asked: str, **values: str) -> str:
            text = render(asked, **values)
            for old, new in changes if asked == name else ():
                text, found = re.subn(old, new, text, flags=re.DOTALL)
                assert found, f"{name} has no {old!r} any more"
            return text

        patch.setattr(user, "render", altered)

    return put


def argument(module: ModuleType, function: str, change: Callable[[Any], Any]) -> Put:
    """Changes the first argument of one function."""
    real = getattr(module, function)
    return lambda patch: patch.setattr(module, function, lambda first, *others: real(change(first), *others))


def answer(module: ModuleType, function: str, change: Callable[[Any], Any]) -> Put:
    """Changes the result of one function."""
    real = getattr(module, function)
    return lambda patch: patch.setattr(module, function, lambda *arguments: change(real(*arguments)))


def clean(change: Change) -> Change:
    """Limits a change to clean rows."""
    return lambda table: change(table) if "net_amount" in table.schema.names else table


def column(name: str, change: Callable[[Any], Any]) -> Change:
    """Changes the cells of one column; its type stays."""

    def changed(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        return set_column(table, field, pa.array([change(cell) for cell in table[name].to_pylist()], field.type))

    return changed


def set_column(table: Any, field: pa.Field, cells: Any) -> Any:
    place = table.schema.get_field_index(field.name)
    return type(table).from_arrays([*table.columns[:place], cells, *table.columns[place + 1 :]], schema=table.schema)


def swapped(left: str, right: str) -> Change:
    """Swaps two columns of one type."""

    def changed(table: pa.Table) -> pa.Table:
        exchanged = set_column(table, table.schema.field(left), table[right])
        return set_column(exchanged, table.schema.field(right), table[left])

    return changed


def without_last(table: Any) -> Any:
    return table.slice(0, max(table.num_rows - 1, 0))


def through_float32(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else Decimal(f"{float(np.float32(amount)):.2f}")


def to_int16(number: int | None) -> int | None:
    return None if number is None else int(np.array(number).astype(np.int16))


def later(hours: int) -> Callable[[Any], Any]:
    return lambda moment: moment and moment + timedelta(hours=hours)


def older_versions_kept(frame: pd.DataFrame) -> np.ndarray:
    ordered = frame.sort_values("updated_at", ascending=False, kind="stable")
    return frame.index.isin(ordered.index[ordered["sale_id"].duplicated(keep="last")])


def first_rule_only(rejected: pa.Table) -> pa.Table:
    return column("rules", lambda rules: rules.split()[0])(rejected)


def every_file_twice(patch: pytest.MonkeyPatch) -> None:
    real = Session.query_together

    def twice(session: Session, statements: Sequence[str]) -> list[list[Row]]:
        if any("COPY INTO" in statement for statement in statements):
            real(session, statements)
        return real(session, statements)

    patch.setattr(Session, "query_together", twice)


def last_file_skipped(kind: FileKind) -> Put:
    real = Manifest.files_of

    def all_but_one(manifest: Manifest, asked: FileKind) -> tuple[StagedFile, ...]:
        return real(manifest, asked)[:-1] if asked == kind else real(manifest, asked)

    return lambda patch: patch.setattr(Manifest, "files_of", all_but_one)


def copy_skips_a_file(patch: pytest.MonkeyPatch) -> None:
    real = load.text_literals
    patch.setattr(load, "text_literals", lambda names: real(list(names)[:-1]))
    patch.setattr(load, "_require_loaded", lambda *_: None)


def written(change: Change) -> Put:
    """Changes clean rows on their way into their Parquet file, after they were counted."""
    return argument(stage, "write_group", clean(change))


MERGE, FATES, STANDING = "publish/merge_sales_fact", "publish/insert_fates", "publish/insert_standing"
NEW_SALES = "publish/insert_new_sales"

IN_READING = (
    Bug(
        "extract drops the last row",
        Guard.EXTRACT,
        "rows 15 against 14",
        answer(extract, "without_personal_data", without_last),
    ),
    Bug(
        "extract reads updated_at in another time zone",
        Guard.EXTRACT,
        "updated_at USD 19010631600000000.00 against 19010538000000000.00",
        answer(extract, "without_personal_data", column("updated_at", later(-2))),
    ),
    Bug(
        "extract takes an empty text for NULL",
        Guard.EXTRACT,
        "product_category EUR without value 0 against 1",
        answer(extract, "without_personal_data", column("product_category", lambda text: text or None)),
    ),
    Bug(
        "transform drops the last clean row",
        Guard.TRANSFORM,
        "rows 15 against 14",
        answer(transform, "clean_rows", without_last),
    ),
    Bug(
        "transform takes total_amount through a float32",
        Guard.TRANSFORM,
        "total_amount EUR 1234571.22 against 1234571.21",
        answer(transform, "clean_rows", column("total_amount", through_float32)),
    ),
    Bug(
        "transform swaps discount and tax",
        Guard.TRANSFORM,
        "discount_amount USD 6.50 against 2.90",
        answer(transform, "clean_rows", swapped("discount_amount", "tax_amount")),
    ),
    Bug(
        "transform shifts sale_date by an hour",
        Guard.TRANSFORM,
        "sale_date EUR 2924740800000000.00 against 2924748000000000.00",
        answer(transform, "clean_rows", column("sale_date", later(1))),
    ),
    Bug(
        "transform keeps every version of a sale",
        Guard.TRANSFORM,
        "EUROPE: 2 rows are kept for 1 repeated keys, 0 lost their newest version",
        answer(transform, "older_versions", lambda older: older & False),
    ),
    Bug(
        "transform keeps no version of a repeated sale",
        Guard.TRANSFORM,
        "EUROPE: 0 rows are kept for 1 repeated keys, 1 lost their newest version",
        lambda patch: patch.setattr(transform, "older_versions", lambda frame: frame["sale_id"].duplicated(keep=False)),
    ),
    Bug(
        "transform keeps the oldest version of a sale",
        Guard.TRANSFORM,
        "EUROPE: 1 rows are kept for 1 repeated keys, 1 lost their newest version",
        lambda patch: patch.setattr(transform, "older_versions", older_versions_kept),
    ),
    Bug(
        "transform overlooks a repeated key",
        Guard.LAW,
        "EUROPE cross_region: rows 5 against 1",
        answer(transform, "repeated", lambda again: again & False),
    ),
    Bug(
        "transform ignores a rejected row",
        Guard.LAW,
        "EUROPE rejected: rows 4 against 3",
        answer(transform, "rejected_rows", without_last),
    ),
    Bug(
        "transform tells only the first rule that a row broke",
        Guard.LAW,
        "EUROPE rejected for quantity_not_positive: rows 2 against 1",
        answer(transform, "rejected_rows", first_rule_only),
    ),
    Bug(
        "transform writes another region's code",
        Guard.LAW,
        "EUROPE staged: rows 11 against 0",
        answer(transform, "clean_rows", column("region", lambda _: "US_WEST")),
    ),
)
"""Bugs in extract and transform: each needs the sources read again."""

IN_STAGING = (
    Bug(
        "a Parquet file lacks the last row",
        Guard.LOAD,
        "EUROPE-000.parquet loaded 10 rows, the manifest says 11",
        written(without_last),
    ),
    Bug(
        "the last row of a batch is never staged",
        Guard.LAW,
        "EUROPE staged: rows 11 against 10",
        answer(stage, "in_tables", lambda tables: map(clean(without_last), tables)),
    ),
    Bug(
        "two text columns are swapped in Parquet",
        Guard.LAW,
        "EUROPE staged: customer_id EUR 4.00 against 2.00; store_id EUR 2.00 against 4.00",
        written(swapped("store_id", "customer_id")),
    ),
    Bug(
        "updated_at becomes local time in Parquet",
        Guard.LAW,
        "EUROPE staged: updated_at EUR 2924740800000000.00 against 2924755200000000.00",
        written(column("updated_at", later(2))),
    ),
    Bug(
        "amounts are rounded to one decimal",
        Guard.LAW,
        "EUROPE staged: total_amount EUR 1234571.22 against 1234571.20",
        written(column("total_amount", lambda amount: round(amount, 1))),
    ),
    Bug(
        "quantity is cut to 16 bits",
        Guard.LAW,
        "EUROPE staged: quantity EUR 70002.00 against 4466.00",
        written(column("quantity", to_int16)),
    ),
    Bug(
        "a NULL category becomes an empty text",
        Guard.LAW,
        "EUROPE staged: product_category USD without value 1 against 0",
        written(column("product_category", lambda text: text or "")),
    ),
    Bug(
        "currencies become lower case",
        Guard.LAW,
        "EUROPE staged: customer_id (malformed) 0.00 against 22.00",
        written(column("currency", str.lower)),
    ),
    Bug(
        "unit prices are cut to cents",
        Guard.LAW,
        "EUROPE staged: unit_price EUR 19.136684 against 19.140000",
        written(column("unit_price", lambda price: round(price, 2))),
    ),
)
"""Bugs on the way to S3: each needs the rows staged again."""

IN_PUBLISH = (
    Bug("a file is loaded twice", Guard.LOAD, "holds 34 rows after COPY, the manifest says 17", every_file_twice),
    Bug("COPY leaves out a file", Guard.LOAD, "holds 11 rows after COPY, the manifest says 17", copy_skips_a_file),
    Bug(
        "the manifest forgets a file of clean rows",
        Guard.LAW,
        "US_WEST staged: rows 6 against 0",
        last_file_skipped("clean"),
    ),
    Bug(
        "the manifest forgets a file of rejected rows",
        Guard.LAW,
        "US_WEST rejected: rows 4 against 3",
        last_file_skipped("rejected"),
    ),
    Bug(
        "a key gets no fate",
        Guard.LAW,
        "EUROPE staged: rows 11 against 8",
        statement(FATES, (r"\n\Z", "\nWHERE STAGED.SALE_ID NOT LIKE 'law-fresh-%'")),
    ),
    Bug(
        "every row is called unchanged",
        Guard.LAW,
        "EUROPE unchanged: rows 10 against 5",
        statement(FATES, ("THEN '(inserted|superseded)'", "THEN 'unchanged'"), ("ELSE 'updated'", "ELSE 'unchanged'")),
    ),
    Bug(
        "good rows are called superseded",
        Guard.LAW,
        "EUROPE superseded: rows 4 against 1",
        statement(FATES, ("FACT.UPDATED_AT > STAGED.UPDATED_AT", "FACT.UPDATED_AT <> STAGED.UPDATED_AT")),
    ),
    Bug(
        "new sales are called cross-region",
        Guard.LAW,
        "EUROPE cross_region: rows 6 against 1",
        statement(FATES, ("STAGED.REGIONS > 1", "STAGED.REGIONS > 0")),
    ),
    Bug(
        "a cross-region row is merged all the same",
        Guard.LAW,
        "EUROPE inserted: rows 5 against 7",
        statement(
            FATES, ("FACT.REGION <> STAGED.REGION THEN 'cross_region'", "FACT.REGION <> STAGED.REGION THEN 'inserted'")
        ),
    ),
    Bug(
        "an older version replaces a newer one",
        Guard.LAW,
        "EUROPE updated: rows 4 against 3",
        statement(FATES, ("THEN 'superseded'", "THEN 'updated'")),
    ),
    Bug(
        "MERGE is pruned by the new sale_date",
        Guard.LAW,
        "EUROPE updated: sale_date USD 4387053600000000.00 against 4386963600000000.00",
        statement(MERGE, (r"\nON FACT\.", "\nON FACT.SALE_DAY = STAGED.SALE_DAY AND FACT.")),
    ),
    Bug(
        "a correction of an old date finds nothing that stands",
        Guard.LAW,
        "EUROPE inserted: rows 6 against 7",
        statement(STANDING, (r"\n\Z", "\nWHERE FACT.SALE_ID NOT LIKE 'law-moved-%'\n")),
    ),
    Bug(
        "a sale that two regions bring and one owns is not known to stand",
        Guard.LAW,
        "US_WEST cross_region: rows 3 against 4",
        statement(STANDING, (r"\n\Z", "\nWHERE FACT.SALE_ID NOT LIKE 'law-shared-%'\n")),
    ),
    Bug(
        "the sales that stand are kept with another amount",
        Guard.LAW,
        "EUROPE undo of updated: total_amount USD 12.00 against 10.00",
        statement(STANDING, (r"FACT\.TOTAL_AMOUNT", "FACT.NET_AMOUNT")),
    ),
    Bug(
        "the sales that stand are kept with another time",
        Guard.LAW,
        "EUROPE undo of updated: cells that did not stand in SALES_FACT",
        statement(STANDING, (r"FACT\.ETL_SNAPSHOT_AT", "DATEADD('year', -1, FACT.ETL_SNAPSHOT_AT)")),
    ),
    Bug(
        "new sales are not inserted",
        Guard.LAW,
        "EUROPE inserted: rows 5 against 0",
        statement(NEW_SALES, ("= 'inserted'", "= 'nobody'")),
    ),
    Bug(
        "MERGE changes nothing",
        Guard.LAW,
        "EUROPE updated: sale_date USD 4387053600000000.00 against 4386963600000000.00",
        statement(MERGE, ("= 'updated'", "= 'nobody'")),
    ),
    Bug(
        "MERGE forgets one column",
        Guard.LAW,
        "EUROPE updated: total_amount USD 8.20 against 9.00",
        statement(MERGE, (r"\n    TOTAL_AMOUNT = STAGED\.TOTAL_AMOUNT,", "")),
    ),
    Bug(
        "MERGE loses an attribute that was not read",
        Guard.LAW,
        "EUROPE attributes that were not read: rows 0 against 1",
        statement(MERGE, (r"COALESCE\(STAGED\.EXTRA_ATTRIBUTES, FACT\.EXTRA_ATTRIBUTES\)", "STAGED.EXTRA_ATTRIBUTES")),
    ),
    Bug(
        "cross-region rows are inserted beside those that stand",
        Guard.LAW,
        "EUROPE cross_region: rows 1 against 2",
        statement(NEW_SALES, ("= 'inserted'", "IN ('inserted', 'cross_region')")),
    ),
    Bug(
        "MERGE leaves out a row",
        Guard.LAW,
        "EUROPE updated: total_amount USD 8.20 against 9.00",
        statement(MERGE, (r"(?<= = 'updated')", "\n    QUALIFY ROW_NUMBER() OVER (ORDER BY STAGED.SALE_ID) > 1")),
    ),
    Bug(
        "MERGE writes in another batch's name",
        Guard.LAW,
        "SALES_FACT of the run under another batch or publish: rows 0 against 3",
        statement(MERGE, (r"'\d{8}'", "'19990101'")),
    ),
    Bug(
        "sales of another batch are deleted",
        Guard.LAW,
        "SALES_FACT: rows N against N-1",
        statement(
            "publish/close_rejected",
            (r"\A.*\Z", "DELETE FROM ANALYTICS.SALES_FACT WHERE SALE_ID = 'law-bystander-2016-05-04'"),
        ),
    ),
    Bug(
        "sales of another batch get this run's number",
        Guard.LAW,
        "SALES_FACT of the run: rows 9 against 10",
        statement(
            "publish/close_rejected",
            (
                r"\A.*\Z",
                "UPDATE ANALYTICS.SALES_FACT SET ETL_RUN_NUMBER = (SELECT MAX(RUN_NUMBER) FROM ANALYTICS.ETL_LOCK) "
                "WHERE SALE_ID = 'law-bystander-2016-05-04'",
            ),
        ),
    ),
    Bug(
        "the undo log lacks the updated sales",
        Guard.LAW,
        "EUROPE updated: rows 3 against 0",
        statement("publish/insert_undo", ("= 'updated'", "= 'nobody'")),
    ),
    Bug(
        "a new sale does not say which run has inserted it",
        Guard.LAW,
        "SALES_FACT first inserted by the run: rows 6 against 0",
        statement(NEW_SALES, (r"(\d+), \1, SNAPSHOTS", r"\1, NULL, SNAPSHOTS")),
    ),
    Bug(
        "MERGE overwrites which run has first inserted a sale",
        Guard.LAW,
        "EUROPE inserted by another run than before: rows 0 against 3",
        statement(MERGE, (r"ETL_RUN_NUMBER = (\d+),", r"ETL_RUN_NUMBER = \1, ETL_FIRST_RUN_NUMBER = \1,")),
    ),
    Bug(
        "the undo log keeps another amount than stood in the table",
        Guard.LAW,
        "EUROPE undo of updated: total_amount USD 9.00 against 7.50",
        statement("publish/insert_undo", (r"FACT\.TOTAL_AMOUNT", "FACT.NET_AMOUNT")),
    ),
    Bug(
        "a new sale is inserted twice",
        Guard.LAW,
        "EUROPE inserted: rows 5 against 6",
        statement(
            "publish/close_rejected",
            (
                r"\A.*\Z",
                "INSERT INTO ANALYTICS.SALES_FACT SELECT * FROM ANALYTICS.SALES_FACT "
                "WHERE SALE_ID = 'law-fresh-large-2016-05-04'",
            ),
        ),
    ),
    Bug(
        "rejected rows of another batch are deleted",
        Guard.LAW,
        "SALES_REJECTIONS: rows N against N-1",
        statement(
            "publish/close_rejected",
            (r"\A.*\Z", "DELETE FROM ANALYTICS.SALES_REJECTIONS WHERE SALE_KEY = 'law-broken-before-2016-05-04'"),
        ),
    ),
    Bug(
        "rejected rows are stored twice",
        Guard.LAW,
        "EUROPE rejected: rows 4 against 8",
        statement(
            "publish/insert_rejected",
            (r"FROM (STAGING\.\w+) AS", r"FROM (SELECT * FROM \1 UNION ALL SELECT * FROM \1) AS"),
        ),
    ),
    Bug(
        "a rejected row of which no newer version stands is closed",
        Guard.LAW,
        "rejected rows closed without a cause: rows 0 against 1",
        statement(
            "publish/close_rejected",
            (
                r"FACT\.SALE_ID = REJECTED\.SALE_KEY",
                "(FACT.SALE_ID = REJECTED.SALE_KEY OR FACT.SALE_ID = 'law-moved-2016-05-04' "
                "AND REJECTED.SALE_KEY = 'law-broken-before-2016-05-04')",
            ),
        ),
    ),
    Bug(
        "a rejected row of which a newer version stands stays open",
        Guard.LAW,
        "rejected rows left open: rows 0 against 1",
        statement("publish/close_rejected", (r"\n\Z", "\n    AND FALSE\n")),
    ),
    Bug(
        "rejected rows without a key are not stored",
        Guard.LAW,
        "EUROPE rejected: rows 4 against 3",
        statement("publish/insert_rejected", (r"\n\Z", "\nWHERE STAGED.SALE_KEY IS NOT NULL")),
    ),
    Bug(
        "rejected rows lose their key",
        Guard.LAW,
        "EUROPE rejected with other cells: rows 0 against 3",
        statement("publish/insert_rejected", (r"STAGED\.SALE_KEY, STAGED\.RULES", "NULL, STAGED.RULES")),
    ),
    Bug(
        "rejected rows swap discount and tax",
        Guard.LAW,
        "EUROPE rejected: discount_amount USD 2.00 against 0.40",
        statement(
            "publish/insert_rejected",
            (r"STAGED\.DISCOUNT_AMOUNT, STAGED\.TAX_AMOUNT", "STAGED.TAX_AMOUNT, STAGED.DISCOUNT_AMOUNT"),
        ),
    ),
    Bug(
        "cross-region rows are not kept",
        Guard.LAW,
        "EUROPE rejected: rows 4 against 3",
        statement("publish/insert_cross_region", ("= 'cross_region'", "= 'nobody'")),
    ),
    Bug(
        "the ledger swaps inserted and updated",
        Guard.LAW,
        "EUROPE inserted in the ledger: rows 5 against 3",
        statement("ledger/insert_entries", ("INSERTED, UPDATED", "UPDATED, INSERTED"), user=ledger),
    ),
)
"""Bugs from load to COMMIT: one staged batch serves all."""

AFTER_COMMIT = (
    Bug(
        "MERGE swaps two text columns of equal length",
        Guard.SECOND_LOOK,
        "EUROPE: rows 1 against 0",
        statement(
            MERGE,
            (r"STORE_ID = STAGED\.STORE_ID", "STORE_ID = STAGED.PRODUCT_ID"),
            (r"PRODUCT_ID = STAGED\.PRODUCT_ID", "PRODUCT_ID = STAGED.STORE_ID"),
        ),
    ),
    Bug(
        "MERGE forgets the e-mail token",
        Guard.SECOND_LOOK,
        "EUROPE: rows 1 against 0",
        statement(MERGE, (r"\n    CUSTOMER_EMAIL_TOKEN = STAGED\.CUSTOMER_EMAIL_TOKEN,", "")),
    ),
    Bug(
        "two columns are not compared with what stands",
        Guard.SECOND_LOOK,
        "EUROPE: rows 1 against 0",
        statement(
            FATES,
            (r"FACT\.STORE_ID IS NOT DISTINCT FROM STAGED\.STORE_ID\s+AND ", ""),
            (r"FACT\.CUSTOMER_EMAIL_TOKEN IS NOT DISTINCT FROM STAGED\.CUSTOMER_EMAIL_TOKEN\s+AND ", ""),
        ),
    ),
    Bug(
        "MERGE writes the gross profit as the net amount",
        Guard.SECOND_LOOK,
        "EUROPE: rows 1 against 0",
        statement(MERGE, (r"NET_AMOUNT = STAGED\.NET_AMOUNT", "NET_AMOUNT = STAGED.GROSS_PROFIT")),
    ),
)
"""Bugs that no control total shows: columns that no source counts, texts of the same length."""

HEAL = "H20160707T000000Z"
"""A heal that was rolled back."""


def forgetting(what: str) -> Put:
    """Makes reading ignore the batches, or the keys, that were rolled back."""

    def put(patch: pytest.MonkeyPatch) -> None:
        ask = extract.held_back

        def forgetful(
            cursor: Any, table: str, region: Region, sale_ids: Sequence[str], of: RolledBack
        ) -> frozenset[str]:
            return ask(cursor, table, region, sale_ids, replace(of, **{what: frozenset()}))

        patch.setattr(extract, "held_back", forgetful)

    return put


IN_READING_KEYS = (
    Bug("a sale of a date that was rolled back is read", Guard.HELD_BACK, "20160706 of EUROPE", forgetting("batches")),
    Bug("a sale of a heal that was rolled back is read", Guard.HELD_BACK, f"{HEAL} of EUROPE", forgetting("keys")),
)
"""Bugs in a replay or a heal that reads sales by their keys."""

BUGS = (*IN_READING, *IN_STAGING, *IN_READING_KEYS, *IN_PUBLISH, *AFTER_COMMIT)
