"""The roles that set-up grants rights to: which names it accepts, and which existing roles it adopts. Pure."""

import re
from collections.abc import Iterable

ANALYST_ROLE = "SALES_ANALYST"
EARLIER_ANALYST_ROLE = "ANALYST"
"""The role that earlier versions created."""
ANALYST_COMMENT = "Reads the published sales"
"""Marks an analysts' role that set-up has created."""
SYSTEM_ROLES = frozenset(
    {"PUBLIC", "ACCOUNTADMIN", "SYSADMIN", "SECURITYADMIN", "USERADMIN", "ORGADMIN", "GLOBALORGADMIN"}
)
"""https://docs.snowflake.com/en/user-guide/security-access-control-overview#system-defined-roles"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,254}")


def check_role(name: str | None, whose: str) -> str:
    """Returns a role's name in capitals. Raises ValueError for none, a system role, or one that needs quotes."""
    if not name:
        raise ValueError(f"no role of {whose} is given: name one, like ETL_ROLE")
    if not _NAME.fullmatch(name):
        raise ValueError(f"role {name!r} of {whose} is no plain name: take letters, digits and underscores")
    if name.upper() in SYSTEM_ROLES:
        raise ValueError(
            f"role {name} of {whose} is one of Snowflake's own: everybody, or each administrator, would have its rights"
        )
    return name.upper()


def refuse_adoption(name: str, comments: Iterable[str], adopt: bool) -> None:
    """Raises ValueError for an existing role that set-up did not create, unless `adopt`.

    `comments` are those of the roles of this name, one or none.
    """
    if not adopt and any(comment != ANALYST_COMMENT for comment in comments):
        raise ValueError(
            f"role {name} exists, and who has it would read the sales: name another one as analyst_role, or say "
            "adopt_analyst_role=true"
        )
