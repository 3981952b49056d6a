"""Rights of roles: takes those of an earlier version back from the roles that set-up created; names what is left to the
administrator."""

from collections.abc import Mapping
from contextlib import suppress

from tasks.errors import NeedsPersonError
from tasks.setup_warehouse.roles import (
    ANALYST_COMMENT,
    ANALYSTS_BEFORE_3,
    EARLIER_ANALYST_ROLE,
    LOAD_COMMENT,
    LOADS_BEFORE_3,
    rights_in,
    surplus,
)
from tasks.warehouse.session import Row, Session
from tasks.warehouse.statements import render, text_literal

GRANTS = "09_grants"
NARROW_SINCE = 3
"""The first version of the tables that came with rights table by table."""


def comments_of_roles(session: Session, name: str) -> list[str]:
    """The comment of the role of this name; none without such a role."""
    # In LIKE, _ stands for any character. The name is the second column, the comment the last.
    return [str(row[-1]) for row in session.query(f"SHOW ROLES LIKE {text_literal(name)}") if row[1] == name]


def take_back_rights(session: Session, values: Mapping[str, str]) -> None:
    """Revokes what versions before 3 granted beyond `sql/setup/09_grants.sql`, on objects that this file names. Does
    nothing to tables of a later version. Runs after the grants; can be killed and repeated.

    Raises TransientError or NeedsPersonError naming the warehouse.
    """
    ((version,),) = session.query(render("lock/tables_version"))
    if int(version) >= NARROW_SINCE:
        return
    grants = render(f"setup/{GRANTS}", **values)
    of_loads, of_analysts = (rights_in(grants, values[name]) for name in ("role", "analyst_role"))
    for role, comment, earlier, given in (
        (values["role"], LOAD_COMMENT, LOADS_BEFORE_3, of_loads),
        (EARLIER_ANALYST_ROLE, ANALYST_COMMENT, ANALYSTS_BEFORE_3, of_analysts),
    ):
        if comment in comments_of_roles(session, role):
            for right in surplus(session.query(f"SHOW GRANTS TO ROLE {role}"), earlier, given, of_loads):
                session.query(f"REVOKE {right} FROM ROLE {role}")
    _take_back_future(session, f"{values['database']}.ANALYTICS")


def _take_back_future(session: Session, schema: str) -> None:
    """The right to read all tables and views to come. Granting and revoking it needs MANAGE GRANTS."""
    if ANALYST_COMMENT in comments_of_roles(session, EARLIER_ANALYST_ROLE):
        for _, privilege, kind, _, _, role, *_ in session.query(f"SHOW FUTURE GRANTS IN SCHEMA {schema}"):
            if role == EARLIER_ANALYST_ROLE and privilege in ANALYSTS_BEFORE_3.get(kind, ()):
                session.query(f"REVOKE SELECT ON FUTURE {kind}S IN SCHEMA {schema} FROM ROLE {role}")


def left_to_do(session: Session, values: Mapping[str, str], user: str) -> list[str]:
    """What the administrator still has to do, after `sql/setup/`, for the user of the loads, as far as it can be seen.

    Raises TransientError or NeedsPersonError naming the warehouse.
    """
    left, role, holders = list[str](), values["role"], list[Row]()
    with suppress(NeedsPersonError):  # a role of others may be hidden from this administrator
        holders = session.query(f"SHOW GRANTS OF ROLE {role}")
    if not any((kind, name) == ("USER", user.upper()) for _, _, kind, name, *_ in holders):
        left.append(f"GRANT ROLE {role} TO USER {user} (unless another role of that user has it)")
    if values["stage_integration"]:
        shown = f"DESC INTEGRATION {values['integration']}"
        left.append(f"let the AWS role trust what {shown} returns (STORAGE_AWS_IAM_USER_ARN, STORAGE_AWS_EXTERNAL_ID)")
    elif any(
        not stage["storage_integration"] and stage["has_credentials"] != "Y"
        for stage in session.query_named("SHOW STAGES LIKE 'SALES_STAGE' IN SCHEMA STAGING")
    ):
        left.append("for a private bucket, set up once more with --storage-aws-role-arn")
    return left
