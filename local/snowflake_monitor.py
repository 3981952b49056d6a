"""How an operator sees and ends what holds a lock: SHOW LOCKS, SHOW TRANSACTIONS, SYSTEM$ABORT_TRANSACTION."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from snowflake.connector.errors import ProgrammingError

from local.snowflake_dialect import LEADING_COMMENTS

_SHOW = re.compile(LEADING_COMMENTS + r"SHOW\s+(LOCKS|TRANSACTIONS)\b", re.IGNORECASE | re.DOTALL)
_ABORT = re.compile(
    LEADING_COMMENTS + r"SELECT\s+SYSTEM\$ABORT_TRANSACTION\s*\(\s*(\d+)\s*\)", re.IGNORECASE | re.DOTALL
)


class OpenTransaction(Protocol):
    """A session with a transaction. `transaction_id` is the time of its begin in nanoseconds since 1970."""

    transaction_id: int
    in_transaction: bool

    def locked_tables(self) -> list[str]:
        """The full names of the tables that it has locked."""

    def abort(self) -> None:
        """Rolls the transaction back; its client hears of it with its next statement."""


def answer_to(command: str, sessions: Iterable[OpenTransaction]) -> str | None:
    """The SELECT that answers a command of an operator; None for any other statement."""
    open_ones = [session for session in sessions if session.in_transaction]
    if abort := _ABORT.match(command):
        return _abort(int(abort[1]), open_ones)
    if show := _SHOW.match(command):
        return _locks(open_ones) if show[1].upper() == "LOCKS" else _transactions(open_ones)
    return None


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
    """The rows as a statement, which the stand-in answers like any other."""
    if not rows:
        nothing = ", ".join(f'NULL AS "{name}"' for name in columns)
        return f"SELECT {nothing} WHERE 1 = 0"
    literals = [[str(cell) if isinstance(cell, int) else f"'{cell}'" for cell in row] for row in rows]
    named = [", ".join(f'{cell} AS "{name}"' for cell, name in zip(row, columns, strict=True)) for row in literals]
    return " UNION ALL ".join(f"SELECT {cells}" for cells in named)
