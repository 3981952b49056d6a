"""Waits for a source's database: logged while they last, and ended here when the database does not end them itself.
Knows no Prefect.

The limits that PostgreSQL enforces (`snapshot.Limits`) do not help when it has stopped answering: the client would wait
as long as the connection is open.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import dup
from typing import Any

import psycopg2
from psycopg2.extensions import cursor

from blocks.waits import logged_if_slow
from tasks.errors import TransientError
from tasks.stopwatch import Say, say_nothing

GRACE_S = 60
"""How long an answer may be overdue, so that PostgreSQL's own limit and message come first."""


def shut_down(connection: Any) -> None:
    """Ends what a thread waits for on a connection, with an error there, whatever the database does."""
    with suppress(OSError, psycopg2.Error), socket.socket(fileno=dup(connection.fileno())) as ours:
        # Closing it then resets it: a database that is sending would notice a mere end only minutes later.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def limited_wait(connection: Any, say: Say, step: str, word: str, limit_s: float) -> Iterator[None]:
    """Limits and logs the body's wait for the answer to a statement that begins with `word`. GRACE_S after `limit_s` it
    shuts the connection down and raises TransientError."""
    is_shut = threading.Event()

    def shut() -> None:
        is_shut.set()
        shut_down(connection)

    timer = threading.Timer(limit_s + GRACE_S, shut)
    timer.daemon = True
    timer.start()
    try:
        with logged_if_slow(say, step, f"its database at {word}", limit_s):
            yield
    except psycopg2.Error as error:
        if is_shut.is_set():
            raise TransientError(
                f"its database has sent nothing at {word} for {limit_s + GRACE_S:,.0f} s, its own limit being "
                f"{limit_s:,.0f} s: look whether it, or a pooler before it, still works"
            ) from error
        raise
    finally:
        timer.cancel()


class WaitingCursor(cursor):
    """A cursor that waits for its statements in a `limited_wait`."""

    say: Say = staticmethod(say_nothing)
    step: str = "source"
    limit_s: float = 0

    def execute(self, query: Any, vars: Any = None) -> Any:
        with self._limited_wait(query):
            return super().execute(query, vars)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> Any:
        with self._limited_wait(sql):
            return super().copy_expert(sql, file, size)

    def _limited_wait(self, statement: Any) -> Any:
        word = str(statement).split(maxsplit=1)[0].rstrip(";")
        return limited_wait(self.connection, self.say, self.step, word, self.limit_s)


def waiting_cursor(driver: Any, say: Say, step: str, limit_s: float) -> WaitingCursor:
    """A cursor of a psycopg2 connection; `limit_s` is the time limit of a statement in its transaction, in seconds."""
    made: WaitingCursor = driver.cursor(cursor_factory=WaitingCursor)
    made.say, made.step, made.limit_s = say, step, limit_s
    return made
