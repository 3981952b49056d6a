"""Set-up revokes the rights of earlier versions' analysts, but not from the role that it has just granted them to."""

from typing import Any, cast

import pytest

from flows.setup_warehouse import REVOKE_ANALYSTS, set_up
from tasks.setup_warehouse.roles import ANALYST_COMMENT, ANALYST_ROLE, EARLIER_ANALYST_ROLE
from tasks.warehouse.session import Session
from tests.unit.tasks.warehouse.test_statements import VALUES


class Asked:
    """A session of a warehouse in which an earlier version has created its analysts' role."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        known = f"'{EARLIER_ANALYST_ROLE}'" in statement
        return [("2024-01-01", EARLIER_ANALYST_ROLE, ANALYST_COMMENT)] if known else []

    def run_script(self, script: str) -> None:
        self.scripts.append(script)


@pytest.mark.parametrize("role", [ANALYST_ROLE, EARLIER_ANALYST_ROLE])
def test_the_analysts_of_this_version_keep_their_right(role: str) -> None:
    asked = Asked()
    set_up(cast(Session, asked), [REVOKE_ANALYSTS, "10_grants"], VALUES | {"analyst_role": role}, print)
    revoking = [number for number, script in enumerate(asked.scripts) if f"FROM ROLE {role}" in script]
    (granting,) = [number for number, script in enumerate(asked.scripts) if f"TO ROLE {role}" in script]
    assert max(revoking) < granting
    assert any(f"FROM ROLE {EARLIER_ANALYST_ROLE}" in script for script in asked.scripts)
