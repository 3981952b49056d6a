"""Adoption: a fact table that another tool has loaded becomes ours, under one run that cannot be rolled back.

Its columns and rows are checked first; docs/runbook.md lists what they have to be.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from blocks import names
from expectations.columns import Column
from expectations.tables import CLEAN_COLUMNS, EXTRA_ATTRIBUTES
from tasks.batch import ADOPTION, Attempt, name_batch_of_keys
from tasks.errors import NeedsPersonError
from tasks.stopwatch import Say
from tasks.tally import tallies_of_rows
from tasks.warehouse.ledger import Entry, record
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session
from tasks.warehouse.statements import LOAD_TYPES, REQUIRED_NAMES, render
from tasks.warehouse.states import Status

FACT = "ANALYTICS.SALES_FACT"
RUN_NUMBER = "ETL_RUN_NUMBER"
"""The column by which this pipeline knows its rows. Of the load's columns it is added first."""
IS_NO_OBJECT = "NOT STARTSWITH(LTRIM(EXTRA_ATTRIBUTES), '{') OR TRY_PARSE_JSON(EXTRA_ATTRIBUTES) IS NULL"
CAUSE = "adopted: loaded by another tool"
BAD_ROWS = (
    "repeat a SALE_ID (sql/checks/duplicate_sale_ids.sql lists them)",
    "have a SALE_ID with the prefix of their region, or without it, against prefix_keys in expectations/regions.toml",
    "are of a REGION that expectations/regions.toml does not name",
    "have a CUSTOMER_EMAIL_TOKEN that is no token, 64 hex digits",
    "have EXTRA_ATTRIBUTES that are no JSON object",
    "are of the future",
    "have a year, month or day that is not that of SALE_DATE in UTC",
    "break a rule (sql/checks/broken_rules.sql lists them)",
    *(f"have no {name}" for name in REQUIRED_NAMES),
)
"""The faults that sql/setup/adopt_count.sql counts, in its order."""


@dataclass(frozen=True)
class FoundColumn:
    """A column of the table as DESCRIBE TABLE lists it."""

    type: str
    nullable: bool


def found_columns(session: Session) -> dict[str, FoundColumn]:
    """The columns of the fact table by name; none without such a table."""
    if "SALES_FACT" not in _tables(session):
        return {}
    return {
        str(name): FoundColumn(str(kind), str(null) == "Y")
        for name, kind, _, null, *_ in session.query(f"DESCRIBE TABLE {FACT}")
    }


def _tables(session: Session) -> set[str]:
    return {name for (name,) in session.query(render("setup/adopt_tables"))}


def needs_adoption(session: Session) -> bool:
    """Whether there is a fact table that this pipeline did not create, or one that is adopted in part.

    Raises NeedsPersonError when its rows have run numbers of another pipeline.
    """
    columns = found_columns(session)
    if not columns or (RUN_NUMBER in columns and not columns[RUN_NUMBER].nullable):
        return False
    if RUN_NUMBER not in columns:
        return True
    ((left, numbered),) = session.query(render("setup/adopt_left"))
    if numbered and not _knows_adoption(session):
        raise NeedsPersonError(
            f"{FACT} is there already, and the {RUN_NUMBER} of its rows are not of this pipeline: rename the table, or "
            "its columns ETL_..., IS_DELETED and DELETED_AT"
        )
    return bool(left)


def _knows_adoption(session: Session) -> bool:
    return "ETL_BATCHES" in _tables(session) and session.query(render("setup/adopt_batches")) != [(0,)]


def refuse_unfit(session: Session, is_asked: bool) -> None:
    """Raises NeedsPersonError unless adoption is asked for and columns and rows are as this pipeline writes them."""
    if not is_asked:
        raise NeedsPersonError(
            f"{FACT} is there already, and this pipeline has not loaded it: rename it, or adopt it with "
            f"`{names.HERE}python -m flows.setup_warehouse --adopt-fact-table`"
        )
    columns = found_columns(session)
    if misfits := find_misfits(columns):
        raise NeedsPersonError(f"{FACT} cannot be adopted: {'; '.join(misfits)}")
    refuse_bad_rows(session, has_attributes=EXTRA_ATTRIBUTES.name.upper() in columns)


def refuse_bad_rows(session: Session, has_attributes: bool) -> None:
    """Raises NeedsPersonError counting the rows that are not as this pipeline writes them."""
    attributes = f"EXTRA_ATTRIBUTES IS NOT NULL AND ({IS_NO_OBJECT})" if has_attributes else "FALSE"
    values = {"broken_rules": render("checks/broken_rules"), "attributes_are_no_object": attributes}
    (counted,) = session.query(render("setup/adopt_count", **values))
    if bad := [f"{rows} rows {what}" for rows, what in zip(counted, BAD_ROWS, strict=True) if rows]:
        raise NeedsPersonError(f"{FACT} cannot be adopted: {'; '.join(bad)}")


def find_misfits(columns: Mapping[str, FoundColumn]) -> list[str]:
    """The faults of a table's columns, each in words. Pure."""
    wanted = {column.stored_name.upper(): column for column in CLEAN_COLUMNS}
    own = LOAD_TYPES if RUN_NUMBER in columns else {}
    misfits = [_misfit(name, column, columns.get(name)) for name, column in wanted.items()]
    misfits += [
        f"{name} is {columns[name].type}, not {kind}"
        for name, kind in own.items()
        if name in columns and not _holds(columns[name].type, kind)
    ]
    for name in columns:
        if name in LOAD_TYPES and not own:
            misfits.append(f"{name} would be overwritten: rename it")
        elif name not in wanted and name not in LOAD_TYPES:
            # A rollback restores rows with the columns that it knows.
            misfits.append(f"{name} is not of the contract: keep it in a table of its own")
    return [misfit for misfit in misfits if misfit]


def _misfit(name: str, column: Column, found: FoundColumn | None) -> str | None:
    if found is None:
        return None if column == EXTRA_ATTRIBUTES else f"{name} {column.snowflake_type} is lacking"
    if not _holds(found.type, column.snowflake_type):
        return f"{name} is {found.type}, not {column.snowflake_type}"
    return None


def _holds(found: str, wanted: str) -> bool:
    """Whether a column of type `found` keeps every value of type `wanted` unchanged: digits, letters and offset."""
    kind, sizes = _parts(found)
    wanted_kind, wanted_sizes = _parts(wanted)
    if (kind, len(sizes)) != (wanted_kind, len(wanted_sizes)):
        return False
    if kind == "NUMBER":
        return sizes[0] >= wanted_sizes[0] and sizes[1] == wanted_sizes[1]
    return all(size >= needed for size, needed in zip(sizes, wanted_sizes, strict=True))


def _parts(text: str) -> tuple[str, list[int]]:
    """Name and sizes of `NUMBER(18,6)`; VARCHAR alone has Snowflake's default length."""
    sizes = [int(size) for size in re.findall(r"\d+", text.partition("(")[2])]
    kind = text.partition("(")[0].strip().upper()
    return kind, sizes or ([16_777_216] if kind == "VARCHAR" else [])


def add_columns(session: Session) -> None:
    """Adds the columns that the load fills, without values."""
    session.run_script(render("setup/adopt_columns"))


def adopt_rows(session: Session, say: Say) -> None:
    """Assigns the rows to one run of a batch `A...`, in one transaction with its ledger entries.

    A row's snapshot is its `updated_at`, before which its version cannot have been read: any later read of the same
    version replaces it.
    """
    with lock_held(session, 0, say, of_tables="") as writing:
        ((run_number,),) = writing.query("SELECT ANALYTICS.ETL_RUN_NUMBER.NEXTVAL")
        batch_id = name_batch_of_keys(ADOPTION, datetime.now(UTC))
        ((left, _),) = writing.query(render("setup/adopt_left"))
        ((adopted, *_),) = writing.query(render("setup/adopt_rows"), [batch_id, run_number])
        # Once more: the table is locked only now.
        refuse_bad_rows(writing, has_attributes=True)
        tallies = tallies_of_rows(writing.query(render("setup/adopt_tally"), [run_number]), keys=1)
        rows = sum(tally.rows for tally in tallies.values())
        if not left == adopted == rows:
            raise NeedsPersonError(f"of {left} rows to adopt {adopted} were changed, and {rows} are there: nothing was")
        entries = [
            Entry(
                region,
                Status.PUBLISHED,
                counts={"EXTRACTED": tally.rows, "INSERTED": tally.rows, **dict.fromkeys(_NOTHING, 0)},
                money=tally,
                cause=CAUSE,
            )
            for (region,), tally in tallies.items()
        ]
        record(writing, Attempt(int(run_number), "set-up", batch_id, tuple(region for (region,) in tallies)), entries)
    say(f"step=setup adopted rows={rows} batch={batch_id} run={run_number}")


_NOTHING: Sequence[str] = ("REJECTED", "DUPLICATES", "UPDATED", "UNCHANGED", "SUPERSEDED")


def require_values(session: Session) -> None:
    """Makes the required columns of an adopted table NOT NULL."""
    if found_columns(session)[RUN_NUMBER].nullable:
        session.run_script(render("setup/adopt_required"))
