"""Upgrade: moves the rows of a warehouse that an earlier version set up into the tables of this version."""

from tasks.stopwatch import Say
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render

REJECTED, REJECTED_UNDO = "SALES_REJECTED", "SALES_REJECTED_UNDO"
"""Tables of version 2. SALES_REJECTED is a view now."""


def is_set_up(session: Session) -> bool:
    """Whether a set-up, of any version and ended anywhere, has come as far as the lock's table."""
    return ("ETL_LOCK",) in session.query(render("setup/tables_of_past"))


def forget_lost_past(session: Session) -> None:
    """Begins the past anew where somebody has dropped the undo log. Can be killed and repeated."""
    left = {name for (name,) in session.query(render("setup/tables_of_past"))}
    if left == {"ETL_LOCK"}:
        session.run_script(render("setup/forget_past"))


def upgrade_undo(session: Session, say: Say) -> None:
    """Moves all but replaced versions out of the undo log of version 2. Can be killed and repeated.

    Raises TransientError or NeedsPersonError naming the warehouse.
    """
    if session.query(render("setup/upgrade_fates")):
        with lock_held(session, 0, say, of_tables="") as writing:
            writing.run_script(render("setup/upgrade_undo"))
        say("step=setup the undo log of version 2 was reduced to replaced versions")
        session.query("ALTER TABLE ANALYTICS.SALES_FACT_UNDO DROP COLUMN UNDO_FATE")


def upgrade_rejected(session: Session, say: Say) -> None:
    """Turns the rejected rows of version 2 into events, in one transaction, then drops its tables; does nothing
    without them. Can be killed and repeated: the tables are dropped only after the commit.

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
            f"step=setup rejected rows of version 2 were turned into events; {REJECTED} is a view now: grant the right "
            "to read it again to everybody but the loads"
        )
        session.query(f"DROP TABLE ANALYTICS.{REJECTED}")
    if {REJECTED, REJECTED_UNDO} & left:
        session.query(f"DROP TABLE IF EXISTS ANALYTICS.{REJECTED_UNDO}")
