"""The meaning of PostgreSQL's SQLSTATEs when a source is read, and what to do about each. Pure.

The classes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html. Whether trying again can help
is decided in `errors.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """`words` say in one line what happened and what to do. `may_be_quoted`: the server's own message names only
    connections, rights, limits and objects; other messages may quote a cell, or come from a function."""

    words: str
    may_be_quoted: bool = False


MEANINGS: Mapping[str, Meaning] = {
    "00": Meaning("the server calls it a success: look for a pooler or proxy in between that answers for it"),
    "01": Meaning("a function of a view raises a warning as an error: correct the function"),
    "02": Meaning("a function of a view found no row where it needs one: correct the function, or what it looks up"),
    "03": Meaning("the server still waits for the end of another statement: let the pooler keep sessions apart"),
    "08": Meaning("the connection was refused or lost: see that the database and the network to it are up", True),
    "09": Meaning(
        "a trigger failed, and reading starts none: a function of a view writes, make it one that only reads"
    ),
    "0A": Meaning("a view needs what this server does not support: write the view otherwise, or update the server"),
    "0B": Meaning("the session was in a transaction already: let the pooler keep sessions apart"),
    "0F": Meaning("a view reads a large object by a locator that is not valid: let it select the value itself"),
    "0L": Meaning("a function of a view grants a right that it does not hold: make it one that only reads"),
    "0P": Meaning("a role that a function of a view names does not exist: create the role, or correct the function"),
    "0Z": Meaning("a function of a view asks for an error's details where there is no error: correct the function"),
    "10": Meaning("an XML query in a view failed: correct the query"),
    "20": Meaning("a CASE statement in a function of a view has no branch for what it met: give it an ELSE"),
    "21": Meaning("a subquery in a view found several rows where one may be: correct the view, or what it looks up"),
    "22": Meaning("a cell does not fit what a view makes of it: correct the cell, or the expression in the view"),
    "22012": Meaning("a view divides by a cell that is 0: correct the cell, or guard it with NULLIF(..., 0)"),
    "23": Meaning("a cell breaks a constraint of the type that a view makes of it: correct the cell, or the view"),
    "24": Meaning("a function of a view uses a cursor that is not open: correct the function"),
    "25": Meaning("a function of a view does what this transaction does not allow: make it one that only reads"),
    "25006": Meaning("a function of a view writes, and sources are only read: make it one that only reads"),
    "25P03": Meaning("the server ended an idle transaction: see what keeps the run from reading on"),
    "25P04": Meaning("the read took longer than the server allows: raise the reader's transaction_timeout"),
    "26": Meaning("a prepared statement is unknown to the session: let the pooler keep sessions apart"),
    "27": Meaning(
        "a trigger changed a row that was being changed: a function of a view writes, make it one that reads"
    ),
    "28": Meaning("the login was refused: correct user and password in the region's block, or pg_hba.conf", True),
    "2B": Meaning("a function of a view takes away rights that others rest on: make it one that only reads"),
    "2D": Meaning("a function of a view ends the transaction that it is called in: take its COMMIT or ROLLBACK out"),
    "2F": Meaning("a function of a view breaks its own declaration, or has no RETURN: correct the function"),
    "34": Meaning("a function of a view names a cursor that does not exist: correct the function"),
    "38": Meaning("a function of a view in another language failed: correct it, or what it calls"),
    "39": Meaning("a function of a view in another language returned what PostgreSQL cannot take: correct it"),
    "3B": Meaning("a function of a view names a savepoint that does not exist: correct the function"),
    "3D": Meaning("the database does not exist: correct its name in the region's block", True),
    "3F": Meaning("a schema is missing: correct the reader's search_path, and the names in views and functions"),
    "40": Meaning("the read collided with other transactions: run the date again, and look for long locks", True),
    "42": Meaning("a name or type in a view or function is wrong or missing: select from the table as the reader"),
    "42501": Meaning(
        "the reader lacks a right: GRANT it USAGE on the schema, SELECT on the table, EXECUTE on a view's functions",
        True,
    ),
    "44": Meaning("a function of a view writes through another view that refuses it: make it one that only reads"),
    "53": Meaning("the server is out of connections, memory or disk: free some, then run the date again", True),
    "54": Meaning("a view or one of its functions goes beyond a limit of the server: make it smaller, or less nested"),
    "55": Meaning("something that is read is locked, in use or not ready: free it, refresh a materialized view", True),
    "57": Meaning("the server or somebody stopped the read: run the date again when the server is up", True),
    "57014": Meaning("the read was cancelled, or took longer than the variable source_timeout_minutes: raise it", True),
    "58": Meaning("the server's files or its system fail: look at its log and its disks"),
    "58030": Meaning("the server's disk fails: look at its log and its disks", True),
    "72": Meaning("the snapshot became too old to be read: raise old_snapshot_threshold on the server"),
    "F0": Meaning("the server's configuration file is faulty or locked: correct it"),
    "HV": Meaning("a foreign table does not answer: look at its server, its user mapping and the table behind it"),
    "P0": Meaning("a function of a view raised an error of its own: the log has its message, do what that asks for"),
    "XX": Meaning("the server itself is at fault, its data or an index may be damaged: have its operator look at it"),
}
"""By class (two characters), or by code (five) where a class is too coarse."""

UNKNOWN = Meaning(
    "PostgreSQL knows no such class, an extension or function has made it up: look there for what it says"
)


def meaning_of(sqlstate: str) -> Meaning:
    """The meaning of an SQLSTATE of five characters, or else of its class."""
    return MEANINGS.get(sqlstate) or MEANINGS.get(sqlstate[:2], UNKNOWN)
