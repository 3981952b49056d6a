"""Set-up and rights: it grants before it revokes, and revokes only what an earlier version of this project granted.

Set-up and the bucket: a storage integration that exists gets another role and bucket, before the stage does.
"""

import re
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from flows.setup_warehouse import GRANTS, ROWS, SCRIPTS, STAGE, STORAGE_INTEGRATION, set_up
from tasks.errors import NeedsPersonError
from tasks.lines import quoting
from tasks.setup_warehouse.roles import ANALYST_COMMENT, ANALYST_ROLE, EARLIER_ANALYST_ROLE, LOAD_COMMENT
from tasks.warehouse.session import Session
from tasks.warehouse.statements import render
from tests.unit.tasks.test_every_statement import statements_of
from tests.unit.tasks.warehouse.test_statements import VALUES

Right = tuple[str, str, str, str]
"""Privilege, kind and name of the object, and role."""
GRANT = re.compile(r"(GRANT|REVOKE) ([A-Z, ]+) ON (?:(FUTURE \w+) IN SCHEMA|(\w+)) (\S+) (?:TO|FROM) ROLE (\w+)$", re.M)
LOAD = VALUES["role"]
SCHEMA = "RETAIL.ANALYTICS"


def rights_after(statements: list[str], before: set[Right]) -> set[Right]:
    """The rights that GRANTs and REVOKEs have left; those on objects to come have the kind `FUTURE TABLES`."""
    rights = set(before)
    for verb, privileges, future, kind, name, role in GRANT.findall("\n".join(statements)):
        for privilege in privileges.split(", "):
            right = (privilege, future or kind, name, role)
            rights = rights | {right} if verb == "GRANT" else rights - {right}
    return rights


@dataclass
class Account:
    """A session of a warehouse whose tables are of `version`, none for 0. Knows roles by their comments, and rights."""

    version: int
    rights: set[Right] = field(default_factory=set)
    roles: dict[str, str] = field(default_factory=lambda: {LOAD: LOAD_COMMENT, EARLIER_ANALYST_ROLE: ANALYST_COMMENT})
    sent: list[str] = field(default_factory=list)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        asked = statement.strip()
        rights = rights_after(self.sent, self.rights)
        self.sent.append(asked)
        if asked.startswith("SHOW ROLES LIKE"):
            name = asked.split("'")[1]
            return [("2024-01-01", name, self.roles[name])] if name in self.roles else []
        if asked.startswith("SHOW GRANTS TO ROLE"):
            listed = sorted(right for right in rights if right[-1] == asked.split()[-1] and "FUTURE" not in right[1])
            return [("2024-01-01", privilege, kind, name, "ROLE", role) for privilege, kind, name, role in listed]
        if asked.startswith("SHOW FUTURE GRANTS IN SCHEMA"):
            found = [(right, right[1].removeprefix("FUTURE ")[:-1]) for right in sorted(rights) if "FUTURE" in right[1]]
            return [("2024-01-01", right[0], kind, f"{right[2]}.<{kind}>", "ROLE", right[3]) for right, kind in found]
        if asked == render("setup/adopt_tables").strip():
            return [("SALES_FACT",)]
        if asked.startswith("DESCRIBE TABLE"):
            return [("ETL_RUN_NUMBER", "NUMBER(18,0)", "COLUMN", "N")]
        if asked == render("setup/tables_of_past").strip():
            return [("ETL_LOCK",), ("SALES_FACT_UNDO",)] if self.version else []
        if asked == render("lock/tables_version").strip():
            return [(self.version or 1,)]
        return [(0,)] if asked.startswith("SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES") else []

    def run_script(self, script: str) -> None:
        for statement in statements_of(script):
            self.query(statement)

    def set_up(self, **parameters: str) -> None:
        """All but the rows, which are changed under the lock."""
        scripts = [script for script in SCRIPTS if script != ROWS]
        set_up(cast(Session, self), scripts, VALUES | parameters, print, adopt_analyst_role=True)

    def revoked(self) -> list[str]:
        return [statement for statement in self.sent if "REVOKE" in statement]


def given(analyst_role: str = ANALYST_ROLE) -> set[Right]:
    """What this version grants."""
    return rights_after(statements_of(render(f"setup/{GRANTS}", **VALUES | {"analyst_role": analyst_role})), set())


OF_VERSION_2: set[Right] = {
    ("OPERATE", "WAREHOUSE", "ETL_WH", LOAD),
    *((verb, "SCHEMA", SCHEMA, LOAD) for verb in ("USAGE", "CREATE TABLE", "MODIFY")),
    *((verb, "SCHEMA", "RETAIL.STAGING", LOAD) for verb in ("USAGE", "CREATE TABLE", "CREATE STAGE")),
    ("UPDATE", "TABLE", f"{SCHEMA}.SALES_FACT_UNDO", LOAD),
    ("DELETE", "TABLE", f"{SCHEMA}.ETL_BATCHES", LOAD),
    ("INSERT", "TABLE", f"{SCHEMA}.ETL_LOCK", LOAD),
    *(("SELECT", "TABLE", f"{SCHEMA}.{name}", EARLIER_ANALYST_ROLE) for name in ("SALES_FACT", "ETL_BATCHES")),
    ("SELECT", "VIEW", f"{SCHEMA}.ETL_BATCHES_LATEST", EARLIER_ANALYST_ROLE),
    *(("SELECT", f"FUTURE {kind}", SCHEMA, EARLIER_ANALYST_ROLE) for kind in ("TABLES", "VIEWS")),
}
KEPT_OF_VERSION_2: set[Right] = {
    *((privilege, kind, name, role) for privilege, kind, name, role in OF_VERSION_2 if privilege == "USAGE"),
    ("CREATE TABLE", "SCHEMA", "RETAIL.STAGING", LOAD),
    ("SELECT", "TABLE", f"{SCHEMA}.SALES_FACT", EARLIER_ANALYST_ROLE),
}
OF_OTHERS: set[Right] = {
    ("SELECT", "TABLE", f"{SCHEMA}.COSTS", LOAD),
    ("SELECT", "TABLE", f"{SCHEMA}.COSTS", EARLIER_ANALYST_ROLE),
    ("SELECT", "TABLE", f"{SCHEMA}.COSTS", ANALYST_ROLE),
    ("SELECT", "TABLE", f"{SCHEMA}.ETL_BATCHES", "AUDITORS"),
    ("SELECT", "FUTURE TABLES", SCHEMA, "AUDITORS"),
    ("USAGE", "WAREHOUSE", "ETL_WH", EARLIER_ANALYST_ROLE),
    ("MONITOR", "WAREHOUSE", "ETL_WH", LOAD),
    ("OWNERSHIP", "STAGE", "RETAIL.STAGING.SALES_STAGE", LOAD),
}


def test_a_fresh_set_up_revokes_nothing() -> None:
    account = Account(version=0)
    account.set_up()
    assert [statement for statement in account.sent if "REVOKE" in statement or "FUTURE" in statement] == []
    assert rights_after(account.sent, set()) == given()


@pytest.mark.parametrize("role", [ANALYST_ROLE, EARLIER_ANALYST_ROLE, "AUDITORS"])
def test_tables_of_this_version_lose_no_right_that_somebody_else_granted(role: str) -> None:
    account = Account(version=5, rights=OF_OTHERS | OF_VERSION_2 | given(role))
    account.set_up(analyst_role=role)
    assert account.revoked() == []


def test_of_what_version_2_granted_the_load_and_the_analysts_keep_what_they_use() -> None:
    account = Account(version=2, rights=OF_OTHERS | OF_VERSION_2)
    account.set_up()
    assert rights_after(account.sent, account.rights) == OF_OTHERS | KEPT_OF_VERSION_2 | given()


def test_nothing_is_revoked_from_roles_that_set_up_did_not_create() -> None:
    roles = {LOAD: "Transforms everything", EARLIER_ANALYST_ROLE: "Of the company", ANALYST_ROLE: ANALYST_COMMENT}
    account = Account(version=2, rights=OF_OTHERS | OF_VERSION_2, roles=roles)
    account.set_up()
    assert account.revoked() == []


@pytest.mark.parametrize("version", [2, 5])
@pytest.mark.parametrize("analysts", [ANALYST_ROLE, EARLIER_ANALYST_ROLE])
def test_wherever_set_up_ends_everybody_can_go_on(version: int, analysts: str) -> None:
    before = OF_OTHERS | OF_VERSION_2 | given(analysts)
    account = Account(version, before)
    account.set_up(analyst_role=analysts)
    for last in range(len(account.sent) + 1):
        assert rights_after(account.sent[:last], before) >= given(analysts) | OF_OTHERS


def test_the_integration_gets_role_and_bucket_whether_or_not_it_exists() -> None:
    create, alter = statements_of(render(f"setup/{STORAGE_INTEGRATION}", **VALUES))
    assert "CREATE STORAGE INTEGRATION IF NOT EXISTS RETAIL_SALES_S3" in create
    assert alter.split() == [
        *("ALTER", "STORAGE", "INTEGRATION", "RETAIL_SALES_S3", "SET"),
        *("STORAGE_AWS_ROLE_ARN", "=", VALUES["aws_role_arn"]),
        *("STORAGE_ALLOWED_LOCATIONS", "=", f"({VALUES['stage_url']})"),
    ]


def test_a_bucket_that_the_integration_does_not_allow_says_what_to_do() -> None:
    class Refusing(Account):
        def run_script(self, script: str) -> None:
            said = "Location 's3://bucket/' is not allowed by integration 'RETAIL_SALES_S3'."
            raise NeedsPersonError(quoting("warehouse nh1 failed at `ALTER STAGE`", said))

    told = "^warehouse nh1 failed at `ALTER STAGE`; set up again with --storage-aws-role-arn, .* The driver says: Locat"
    with pytest.raises(NeedsPersonError, match=told):
        set_up(cast(Session, Refusing(5)), [STAGE], VALUES, print)
