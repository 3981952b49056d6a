"""The Prefect server on SQLite, made to wait where it would fail: an application factory for uvicorn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prefect.server.api import server
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession

_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def begin_immediate(
    configuration: AioSqliteConfiguration,
    session: AsyncSession,
    with_for_update: bool = False,  # noqa: ARG001 (always)
) -> AsyncIterator[Any]:
    """Takes SQLite's write lock at once.

    A deferred transaction that has read fails with `database is locked`, without waiting, when another wrote meanwhile;
    an automation would then act twice on one event.
    """
    async with _begin(configuration, session, with_for_update=True) as transaction:
        yield transaction


def create_app() -> Any:
    """Prefect's own application."""
    AioSqliteConfiguration.begin_transaction = begin_immediate
    return server.create_app()
