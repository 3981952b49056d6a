"""The statements of a publish, one by one: their names in order, and a session that stops before each."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

from snowflake.connector.util_text import split_statements

from blocks.register import warehouse_blocks
from tasks.warehouse.session import Row, Session, open_session
from tasks.warehouse.statements import SQL_DIRECTORY

_FILES = {
    file.read_text(encoding="utf-8").splitlines()[0]: f"{file.parent.name}/{file.stem}"
    for file in SQL_DIRECTORY.glob("*/*.sql")
}
"""The files of `sql/` by their header line."""

LOAD = (
    "CREATE TRANSIENT TABLE STAGING.CLEAN",
    "CREATE TRANSIENT TABLE STAGING.REJECTED",
    "CREATE TRANSIENT TABLE STAGING.STANDING",
    "CREATE TRANSIENT TABLE STAGING.FATES",
    "load/copy_files",
    "load/copy_files #2",
    "load/count_staged",
)
LOCK = ("lock/write_token",)
TRANSACTION = (
    "BEGIN TRANSACTION",
    "lock/take",
    "SELECT CURRENT_TRANSACTION()",
    "publish/overtaken",
    "publish/insert_standing",
    "publish/insert_fates",
    "publish/insert_cross_region",
    "publish/count_replaced",
    "publish/count_rows",
    "publish/insert_rejected",
    "publish/insert_undo",
    "publish/merge_sales_fact",
    "publish/insert_new_sales",
    "publish/close_rejected",
    "publish/count_staged",
    "publish/count_versions",
    "publish/count_rows #2",
    "ledger/insert_entries",
    "ledger/published_entries",
    "SELECT CURRENT_TRANSACTION() #2",
    "COMMIT",
)
AFTER_COMMIT = ("SELECT REGION, STATUS FROM ANALYTICS.ETL_BATCHES",)
BEFORE_COMMIT = LOAD + LOCK + TRANSACTION
STATEMENTS = BEFORE_COMMIT + AFTER_COMMIT
"""The statements of a publish of two regions, in order; creation of the tables and copies are sent at the same time."""


def name_of(statement: str, before: Sequence[str]) -> str:
    """The file of a statement, or its first line without the run number, with `#2` when one was sent `before`."""
    first_line = statement.strip().splitlines()[0].partition(" WHERE ")[0]
    name = _FILES.get(first_line) or re.sub(r"_\d{6}\b", "", first_line.removesuffix(" ("))
    times = sum(other.partition(" #")[0] == name for other in before) + 1
    return f"{name} #{times}" if times > 1 else name


class Stepping(Session):
    """A session that calls `before` with the name of each statement before it sends it; so do those that it opens."""

    def __init__(self, session: Session, before: Callable[[str], None], sent: list[str]) -> None:
        super().__init__(session._connection, session._where, session._again, session.say)
        self._before = before
        self.sent = sent

    @contextmanager
    def again(self) -> Iterator[Session]:
        with super().again() as session:
            yield Stepping(session, self._before, self.sent)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        self.sent.append(name_of(statement, self.sent))
        self._before(self.sent[-1])
        return super().query(statement, values)

    def query_together(self, statements: Sequence[str]) -> list[list[Row]]:
        """Sends one after the other: each is a step."""
        return [self.query(statement) for statement in statements]

    def run_script(self, script: str) -> None:
        for statement, _ in split_statements(StringIO(script), remove_comments=True):
            if statement:
                self.query(statement)


@contextmanager
def stepping_session(
    environment: dict[str, str], before: Callable[[str], None], port: int | None = None
) -> Iterator[Stepping]:
    """Opens a stepping session by environment variables alone, so that a process without Prefect can."""
    _, connector = warehouse_blocks(environment)
    connector.port = port or connector.port
    with open_session(connector, environment["SNOWFLAKE_WAREHOUSE"], "test") as session:
        yield Stepping(session, before, [])
