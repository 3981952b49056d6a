"""Statements about sessions and their account: SHOW LOCKS, SHOW TRANSACTIONS, SYSTEM$ABORT_TRANSACTION,
CURRENT_TRANSACTION, SHOW ROLES, SHOW GRANTS, SHOW WAREHOUSES, and the parameters of the account."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Protocol

from snowflake.connector.errors import ProgrammingError

from local.snowflake_dialect import LEADING_COMMENTS

_SHOW = re.compile(LEADING_COMMENTS + r"SHOW\s+(LOCKS|TRANSACTIONS)\b", re.IGNORECASE | re.DOTALL)
_ABORT = re.compile(
    LEADING_COMMENTS + r"SELECT\s+SYSTEM\$ABORT_TRANSACTION\s*\(\s*(\d+)\s*\)", re.IGNORECASE | re.DOTALL
)


_CURRENT = re.compile(LEADING_COMMENTS + r"SELECT\s+CURRENT_TRANSACTION\s*\(\s*\)\s*$", re.IGNORECASE | re.DOTALL)
_SET_CONSISTENCY = re.compile(
    LEADING_COMMENTS + r"ALTER\s+ACCOUNT\s+SET\s+READ_CONSISTENCY_MODE\s*=\s*'(SESSION|GLOBAL)'",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETERS = re.compile(
    LEADING_COMMENTS + r"SHOW\s+PARAMETERS\s+LIKE\s+'(\w+)'\s+IN\s+(?:ACCOUNT|SCHEMA\s+\w+)\s*$",
    re.IGNORECASE | re.DOTALL,
)


_CREATE_ROLE = re.compile(
    LEADING_COMMENTS + r"CREATE\s+ROLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)(?:\s+COMMENT\s*=\s*'([^']*)')?",
    re.IGNORECASE | re.DOTALL,
)
_DROP_ROLE = re.compile(LEADING_COMMENTS + r"DROP\s+ROLE\s+(?:IF\s+EXISTS\s+)?(\w+)", re.IGNORECASE | re.DOTALL)
_SHOW_ROLES = re.compile(LEADING_COMMENTS + r"SHOW\s+ROLES\s+LIKE\s+'(\w+)'\s*$", re.IGNORECASE | re.DOTALL)

_GRANT = re.compile(
    LEADING_COMMENTS + r"(GRANT|REVOKE)\s+([A-Z, ]+?)\s+ON\s+(?:FUTURE\s+(\w+)S\s+IN\s+SCHEMA|(\w+))\s+([\w.]+)"
    r"\s+(?:TO|FROM)\s+ROLE\s+(\w+)\s*;?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_SHOW_GRANTS = re.compile(
    LEADING_COMMENTS + r"SHOW\s+(?:GRANTS\s+TO\s+ROLE|(FUTURE)\s+GRANTS\s+IN\s+SCHEMA)\s+([\w.]+)\s*$",
    re.IGNORECASE | re.DOTALL,
)

_GRANT_ROLE = re.compile(
    LEADING_COMMENTS + r"GRANT\s+ROLE\s+(\w+)\s+TO\s+(USER|ROLE)\s+(\w+)\s*;?\s*$", re.IGNORECASE | re.DOTALL
)
_SHOW_HOLDERS = re.compile(LEADING_COMMENTS + r"SHOW\s+GRANTS\s+OF\s+ROLE\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
_SHOW_WAREHOUSES = re.compile(LEADING_COMMENTS + r"SHOW\s+WAREHOUSES\s+LIKE\s+'(\w+)'\s*$", re.IGNORECASE | re.DOTALL)

ROLES: dict[str, str] = {}
"""Comments by role, lost when the stand-in ends."""
GRANTS: dict[tuple[str, str, str, str], None] = {}
"""Privilege, kind and name of the object, and role of each grant. For objects to come, the kind is like `FUTURE TABLE`,
and the name that of the schema. Lost when the stand-in ends. Only SHOW GRANTS asks them: a role may do everything."""
HOLDERS: dict[tuple[str, str, str], None] = {}
"""Role, and kind and name of who was granted it; lost when the stand-in ends."""


class OpenTransaction(Protocol):
    """A session with a transaction. `transaction_id` is the start of the transaction in nanoseconds since 1970."""

    transaction_id: int
    in_transaction: bool
    read_consistency: ClassVar[str]

    def locked_tables(self) -> list[str]:
        """Returns the full names of the tables that it has locked."""

    def abort(self) -> None:
        """Rolls the transaction back; the client's next statement fails."""


def read_consistency_in(command: str) -> str | None:
    """The READ_CONSISTENCY_MODE that a statement sets; None for other statements."""
    setting = _SET_CONSISTENCY.match(command)
    return setting[1].upper() if setting else None


def keep_roles(command: str) -> None:
    """Records the role that a statement creates, unless it exists, or drops, and the rights that it grants or revokes,
    each by its name and not as ALL."""
    if made := _CREATE_ROLE.match(command):
        ROLES.setdefault(made[1].upper(), made[2] or "")
    if dropped := _DROP_ROLE.match(command):
        ROLES.pop(dropped[1].upper(), None)
        for grant in [grant for grant in GRANTS if grant[-1] == dropped[1].upper()]:
            del GRANTS[grant]
        for holder in [holder for holder in HOLDERS if holder[0] == dropped[1].upper()]:
            del HOLDERS[holder]
    if taken := _GRANT_ROLE.match(command):
        HOLDERS[taken[1].upper(), taken[2].upper(), taken[3].upper()] = None
    if said := _GRANT.match(command):
        verb, privileges, future_kind, kind, name, role = (part and part.upper() for part in said.groups())
        for privilege in privileges.split(","):
            grant = (privilege.strip(), kind or f"FUTURE {future_kind}", name, role)
            if verb == "GRANT":
                GRANTS[grant] = None
            else:
                GRANTS.pop(grant, None)


def result_query(command: str, sessions: Iterable[OpenTransaction], own: OpenTransaction) -> str | None:
    """Returns the SELECT with the result of a command about sessions; None for other statements. `own` is the session
    that runs it."""
    if _CURRENT.match(command):
        return f"SELECT '{own.transaction_id}'::VARCHAR AS id" if own.in_transaction else "SELECT NULL::VARCHAR AS id"
    if parameter := _PARAMETERS.match(command):
        return _parameter(parameter[1].upper(), own.read_consistency)
    if roles := _SHOW_ROLES.match(command):
        like = re.compile(roles[1].replace("_", "."), re.IGNORECASE)
        found = [("2024-01-01", name, "", comment) for name, comment in ROLES.items() if like.fullmatch(name)]
        return _select(("created_on", "name", "owner", "comment"), found)
    if grants := _SHOW_GRANTS.match(command):
        return _future_grants(grants[2].upper()) if grants[1] else _grants(grants[2].upper())
    if holders := _SHOW_HOLDERS.match(command):
        columns = ("created_on", "role", "granted_to", "grantee_name")
        return _select(columns, [("2024-01-01", *holder) for holder in HOLDERS if holder[0] == holders[1].upper()])
    if warehouses := _SHOW_WAREHOUSES.match(command):
        of_warehouses = ("name", "state", "type", "size", "auto_suspend", "auto_resume")
        return _select(of_warehouses, [(warehouses[1].upper(), "STARTED", "STANDARD", "Medium", 60, "true")])
    if _SET_CONSISTENCY.match(command):
        return "SELECT 'Statement executed successfully.' AS status"
    open_ones = [session for session in sessions if session.in_transaction]
    if abort := _ABORT.match(command):
        return _abort(int(abort[1]), open_ones)
    if show := _SHOW.match(command):
        return _locks(open_ones) if show[1].upper() == "LOCKS" else _transactions(open_ones)
    return None


def _parameter(name: str, read_consistency: str) -> str:
    """The parameters of an account that the project reads."""
    columns = ("key", "value", "default", "level")
    known = {"READ_CONSISTENCY_MODE": (read_consistency, "SESSION"), "DEFAULT_DDL_COLLATION": ("", "")}
    return _select(columns, [(name, *known[name], "ACCOUNT")] if name in known else [])


def _grants(role: str) -> str:
    columns = (
        "created_on",
        "privilege",
        "granted_on",
        "name",
        "granted_to",
        "grantee_name",
        "grant_option",
        "granted_by",
    )
    rows = [
        ("2024-01-01", privilege, kind, name, "ROLE", role, "false", "ACCOUNTADMIN")
        for privilege, kind, name, to in GRANTS
        if to == role and not kind.startswith("FUTURE")
    ]
    return _select(columns, rows)


def _future_grants(schema: str) -> str:
    columns = ("created_on", "privilege", "grant_on", "name", "grant_to", "grantee_name", "grant_option")
    rows = [
        ("2024-01-01", privilege, kind.split()[1], f"{schema}.<{kind.split()[1]}>", "ROLE", role, "false")
        for privilege, kind, name, role in GRANTS
        if name == schema and kind.startswith("FUTURE")
    ]
    return _select(columns, rows)


def _abort(transaction_id: int, sessions: Sequence[OpenTransaction]) -> str:
    for session in sessions:
        if session.transaction_id == transaction_id:
            session.abort()
            return "SELECT 'Transaction aborted.' AS status"
    raise ProgrammingError(
        msg=f"Transaction {transaction_id} is not running: SHOW TRANSACTIONS lists those that are.",
        errno=2211,
        sqlstate="42000",
    )


def _locks(sessions: Sequence[OpenTransaction]) -> str:
    columns = ("resource", "type", "transaction", "transaction_started_on", "status")
    rows = [
        (table, "PARTITIONS", session.transaction_id, _begun(session), "HOLDING")
        for session in sessions
        for table in session.locked_tables()
    ]
    return _select(columns, rows)


def _transactions(sessions: Sequence[OpenTransaction]) -> str:
    return _select(("id", "started_on", "state"), [(s.transaction_id, _begun(s), "running") for s in sessions])


def _begun(session: OpenTransaction) -> str:
    return datetime.fromtimestamp(session.transaction_id / 1e9, UTC).isoformat(sep=" ", timespec="milliseconds")


def _select(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The rows as a statement, which the stand-in runs like any other."""
    if not rows:
        nothing = ", ".join(f'NULL AS "{name}"' for name in columns)
        return f"SELECT {nothing} WHERE 1 = 0"
    literals = [[str(cell) if isinstance(cell, int) else f"'{cell}'" for cell in row] for row in rows]
    named = [", ".join(f'{cell} AS "{name}"' for cell, name in zip(row, columns, strict=True)) for row in literals]
    return " UNION ALL ".join(f"SELECT {cells}" for cells in named)
