"""The load's role has the rights that the product's statements use, table by table, and no other."""

import re
from collections.abc import Iterator

from sqlglot import Expr, exp

from flows.setup_warehouse import SCRIPTS
from local.snowflake_dialect import parse
from tasks.setup_checks.warehouse import WRITES
from tasks.warehouse.statements import render
from tests.unit.tasks.test_every_statement import FILES, IN_PYTHON, OTHER_VALUES, statements_of
from tests.unit.tasks.warehouse.test_statements import VALUES

OF_ADMINISTRATORS = "setup/"
OF_PEOPLE = "checks/"
"""What the loads do not send."""
GRANT = re.compile(r"GRANT ([A-Z, ]+) ON (?:TABLE|VIEW) \w+\.ANALYTICS\.(\w+) TO ROLE (\w+)")

Rights = dict[str, set[str]]


def statements() -> Iterator[Expr]:
    for name, other in FILES:
        if not name.startswith((OF_ADMINISTRATORS, OF_PEOPLE)):
            for text in statements_of(render(name, **VALUES | OTHER_VALUES.get(other, {}))):
                yield parse(text)
    yield from (parse(text) for text in IN_PYTHON.values() if text is not None)


def used() -> Rights:
    """Per table or view of ANALYTICS, what the statements do with it; check-setup looks into each that is written."""
    found: Rights = {table: {"SELECT"} for table in WRITES}
    for statement in statements():
        for table in statement.find_all(exp.Table):
            # X stands for a table that check-setup tries each right of.
            if table.db.upper() == "ANALYTICS" and table.name != "X":
                found.setdefault(table.name.upper(), set()).update(verbs_for(statement, table))
    return found


def verbs_for(statement: Expr, table: exp.Table) -> set[str]:
    if table is not target_of(statement):
        return {"SELECT"}
    match statement:
        case exp.Insert():
            return {"INSERT"}
        case exp.Update():
            return {"UPDATE", "SELECT"}
        case exp.Delete():
            return {"DELETE", "SELECT"}
        case exp.Merge():
            return {"INSERT", "UPDATE", "SELECT"}
    return {"SELECT"}


def target_of(statement: Expr) -> Expr | None:
    if isinstance(statement, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
    return None


def granted(role: str) -> Rights:
    found: Rights = {}
    for verbs, table, to in GRANT.findall(render("setup/09_grants", **VALUES)):
        if to == role:
            found.setdefault(table, set()).update(verbs.split(", "))
    return found


def test_the_load_has_what_its_statements_use_and_nothing_else() -> None:
    assert granted(VALUES["role"]) == used()


def test_analysts_may_read_the_sales_and_their_status_and_nothing_else() -> None:
    assert granted(VALUES["analyst_role"]) == {name: {"SELECT"} for name in ("SALES_FACT", "SALES", "DATA_STATUS")}
    grants = render("setup/09_grants", **VALUES)
    assert "FUTURE" not in grants
    assert " ALL " not in grants


def test_check_setup_tries_the_rights_to_write() -> None:
    assert {table: set(verbs) | {"SELECT"} for table, verbs in WRITES.items()} == {
        table: verbs for table, verbs in granted(VALUES["role"]).items() if verbs != {"SELECT"}
    }


def test_what_is_made_anew_keeps_its_grants() -> None:
    made = [text for name in SCRIPTS for text in statements_of(render(f"setup/{name}", **VALUES))]
    anew = [text for text in made if "OR REPLACE" in text]
    assert len(anew) == 13
    assert [text for text in anew if "COPY GRANTS" not in text] == []
