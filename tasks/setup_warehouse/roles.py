"""The roles that set-up grants rights to: which names it accepts, which existing roles it adopts, and which of their
rights are those of an earlier version. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LOAD_COMMENT = "Runs the retail sales ETL"
"""Marks a load's role that set-up has created."""
ANALYST_ROLE = "SALES_ANALYST"
EARLIER_ANALYST_ROLE = "ANALYST"
"""The role that earlier versions created."""
ANALYST_COMMENT = "Reads the published sales"
"""Marks an analysts' role that set-up has created."""
SYSTEM_ROLES = frozenset(
    {"PUBLIC", "ACCOUNTADMIN", "SYSADMIN", "SECURITYADMIN", "USERADMIN", "ORGADMIN", "GLOBALORGADMIN"}
)
"""https://docs.snowflake.com/en/user-guide/security-access-control-overview#system-defined-roles"""
OWNERSHIP, ALL = "OWNERSHIP", "ALL"
"""ALL comprises every other privilege; OWNERSHIP cannot be revoked."""
LOADS_BEFORE_3 = {
    "WAREHOUSE": frozenset({"USAGE", "OPERATE"}),
    "SCHEMA": frozenset({ALL}),
    "TABLE": frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
}
ANALYSTS_BEFORE_3 = {"TABLE": frozenset({"SELECT"}), "VIEW": frozenset({"SELECT"})}
"""What versions before 3 granted, by kind of object: on all of the schema."""
Rights = Mapping[tuple[str, str], frozenset[str]]
"""Privileges by kind and name of an object, like `("TABLE", "RETAIL.ANALYTICS.SALES_FACT")`."""
_GRANT = re.compile(r"^GRANT ([A-Z, ]+) ON ([A-Z]+) (\S+) TO ROLE (\w+);", re.MULTILINE)
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


def rights_in(script: str, role: str) -> Rights:
    """What the GRANTs of a script give to a role."""
    return {
        (kind, name.upper()): frozenset(privileges.split(", "))
        for privileges, kind, name, to in _GRANT.findall(script)
        if to == role
    }


def surplus(
    listed: Iterable[Sequence[Any]],
    earlier: Mapping[str, frozenset[str]],
    given: Rights,
    known: Iterable[tuple[str, str]],
) -> list[str]:
    """The rights on `known` objects, as `SELECT ON TABLE RETAIL.ANALYTICS.ETL_LOCK`, that an earlier version granted,
    by kind of object, and that `listed`, the rows of SHOW GRANTS TO ROLE, has beyond `given`."""
    objects = frozenset(known)
    return [
        f"{privilege} ON {kind} {name}"
        for _, privilege, kind, name, *_ in listed
        if (kind, name) in objects
        and earlier.get(kind, frozenset()) & {privilege, ALL}
        and privilege not in {OWNERSHIP, *given.get((kind, name), ())}
    ]
