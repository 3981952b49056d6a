"""The past: the fact table right after a publish, for as long as the undo log is kept."""

from blocks import names
from tasks.errors import NeedsPersonError
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render, render_part

BATCH_DIGITS = 8
"""Digits of a date; other numbers are those of publishes."""


def publish_number(session: Session, asked: str) -> int:
    """Returns the number of the newest publish of the batch `asked`, or `asked` itself when it is a publish's number.

    Raises NeedsPersonError naming it when there is none, or when its past is no longer known.
    """
    ((of_batch, since, newest),) = session.query(render("as_of/known_past", published_by="BATCH_ID"), [asked])
    if since is None:
        raise NeedsPersonError(f"the warehouse is not set up: run `{names.HERE}python -m flows.setup_warehouse`")
    is_number = asked.isascii() and asked.isdigit() and len(asked) != BATCH_DIGITS
    if not is_number and of_batch is None:
        raise NeedsPersonError(f"no publish of batch {asked} is known: name a date (20240115) or a publish's number")
    number = int(asked) if is_number else int(of_batch)
    _require_known(number, int(since), int(newest))
    return number


def publish_of_run(session: Session, run_number: int) -> int:
    """Returns the number of the run's publish. Raises NeedsPersonError when its past is no longer known."""
    ((number, since, newest),) = session.query(render("as_of/known_past", published_by="RUN_NUMBER"), [run_number])
    _require_known(int(number or 0), int(since), int(newest))
    return int(number)


def _require_known(number: int, since: int, newest: int) -> None:
    if not since <= number <= newest:
        raise NeedsPersonError(
            f"what the table showed after publish {number} is not known: the undo log goes back to {since}, the newest "
            f"is {newest} (ORDINAL in ANALYTICS.ETL_BATCHES)"
        )


def sales_as_of(number: int) -> str:
    """The query for the fact table right after that publish."""
    return render_part("as_of/sales", publish=f"{number:d}")
