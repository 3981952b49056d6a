"""How long a connection to a regional database may keep us waiting, whichever block it is made from."""

from typing import Any

from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine

CONNECT_S_MAX = 10
"""Seconds that a database may take to accept a connection and the login; `PG_CONNECT_TIMEOUT_S` names others."""
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVES_MAX = 30, 10, 6
"""A host that is gone is noticed after 90 seconds: the first probe after 30, another 6 every 10."""
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_S_MAX,
    "keepalives_idle": KEEPALIVE_IDLE_S,
    "keepalives_interval": KEEPALIVE_INTERVAL_S,
    "keepalives_count": KEEPALIVES_MAX,
}
"""libpq waits for ever where a connection says nothing
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS)."""


def engine_of(connector: SqlAlchemyConnector) -> Engine:
    """An engine with one connection and with limits for what it waits; a limit that the block names stays."""
    limited = connector.copy(update={"connect_args": {**CONNECT_ARGS, **(connector.connect_args or {})}})
    return limited.get_engine(pool_size=1, max_overflow=0, pool_pre_ping=True)
