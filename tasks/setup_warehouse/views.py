"""The views for analysts: which of them are there, and whether another tool has taken their names."""

from collections.abc import Mapping

from expectations.analysts import VIEWS
from tasks.errors import NeedsPersonError
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render


def names_of_others(found: Mapping[str, frozenset[str]]) -> list[str]:
    """The names of the views under which something else stands, by the columns of what stands there. Pure."""
    return [view.name for view in VIEWS if view.name in found and not found[view.name].issuperset(view.own)]


def names_not_ready(found: Mapping[str, frozenset[str]]) -> list[str]:
    """The names of the views that are missing or have other columns than this version's. Pure."""
    return [view.name for view in VIEWS if found.get(view.name) != {column.name for column in view.columns}]


def refuse_names_of_others(session: Session) -> None:
    """Raises NeedsPersonError where set-up would replace a view, or meet a table, that it did not create."""
    if taken := names_of_others(_columns(session)):
        raise NeedsPersonError(
            f"ANALYTICS.{taken[0]} is there already, and this pipeline did not create it: rename it, as set-up creates "
            "a view of that name for analysts"
        )


def find_view_fault(session: Session) -> str:
    """Returns which view analysts lack; empty when both are those of this version."""
    lacking = names_not_ready(_columns(session))
    return f"view ANALYTICS.{lacking[0]} of this version is missing" if lacking else ""


def _columns(session: Session) -> dict[str, frozenset[str]]:
    rows = session.query(render("setup/analysts_columns"))
    return {name: frozenset(str(column) for of, column in rows if of == name) for name in {str(of) for of, _ in rows}}
