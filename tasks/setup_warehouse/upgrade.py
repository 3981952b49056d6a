"""Upgrade: the rows of a warehouse that an earlier version has set up come into the tables of this one."""

from tasks.stopwatch import Say
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render

REJECTED, REJECTED_UNDO = "SALES_REJECTED", "SALES_REJECTED_UNDO"
"""Tables of version 2. The first is a view now."""


def forget_lost_past(session: Session) -> None:
    """Where somebody has dropped the undo log, the past begins anew. May end anywhere and be repeated."""
    left = {name for (name,) in session.query(render("setup/tables_of_past"))}
    if left == {"ETL_LOCK"}:
        session.run_script(render("setup/forget_past"))


def upgrade_undo(session: Session, say: Say) -> None:
    """The undo log of version 2 keeps replaced versions alone: what else it held stands where it belongs. May end
    anywhere and be repeated.

    Raises TransientError or NeedsPersonError naming the warehouse.
    """
    if session.query(render("setup/upgrade_fates")):
        with lock_held(session, 0, say, of_tables="") as writing:
            writing.run_script(render("setup/upgrade_undo"))
        say("step=setup the undo log of version 2 keeps replaced versions alone")
        session.query("ALTER TABLE ANALYTICS.SALES_FACT_UNDO DROP COLUMN UNDO_FATE")


def upgrade_rejected(session: Session, say: Say) -> None:
    """The rejected rows of version 2 become events, all in one transaction, and its tables go; nothing where they are
    gone. May end anywhere and be repeated: its tables go when their rows are committed.

    Raises TransientError or NeedsPersonError naming the warehouse.
    """
    left = {name for (name,) in session.query(render("setup/upgrade_tables"))}
    if REJECTED in left:
        session.query(render("setup/upgrade_columns"))
        if REJECTED_UNDO not in left:
            session.query(f"CREATE TABLE ANALYTICS.{REJECTED_UNDO} LIKE ANALYTICS.{REJECTED}")
        with lock_held(session, 0, say, of_tables="") as writing:
            writing.run_script(render("setup/upgrade_rejected"))
        say(
            f"step=setup rejected rows of version 2 stand as events; {REJECTED} is a view now: who has read the table "
            "beside the loads needs the right again"
        )
        session.query(f"DROP TABLE ANALYTICS.{REJECTED}")
    if {REJECTED, REJECTED_UNDO} & left:
        session.query(f"DROP TABLE IF EXISTS ANALYTICS.{REJECTED_UNDO}")
