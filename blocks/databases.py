"""Time limits for connections to the regional databases, whatever their blocks say."""

from typing import Any

from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine

CONNECT_S_MAX = 10
"""Seconds for connection and login; `PG_CONNECT_TIMEOUT_S` sets another limit."""
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVES_MAX = 30, 10, 6
"""A lost host is noticed after 90 seconds: a first probe after 30, then 6 more every 10."""
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_S_MAX,
    "keepalives_idle": KEEPALIVE_IDLE_S,
    "keepalives_interval": KEEPALIVE_INTERVAL_S,
    "keepalives_count": KEEPALIVES_MAX,
}
"""Without these libpq waits for ever
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS)."""


def engine_of(connector: SqlAlchemyConnector, connections: int = 1) -> Engine:
    """An engine with so many connections and time limits; limits in the block take precedence."""
    limited = connector.copy(update={"connect_args": {**CONNECT_ARGS, **(connector.connect_args or {})}})
    return limited.get_engine(pool_size=connections, max_overflow=0, pool_pre_ping=True)
