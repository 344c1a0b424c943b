"""Opens a transaction on the schema `ingest`, and tells a database that is away from a query that is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg import DeadlockDetectedError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database import AWAY
from shared.errors import Transient


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """A session whose transaction is committed at the end. Raises Transient while PostgreSQL is away."""
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except (*AWAY, PoolTimeoutError, InterfaceError, OperationalError) as error:
        raise Transient("the database is away") from error
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if error.connection_invalidated or isinstance(cause, AWAY):
            raise Transient("the database is away") from error
        if isinstance(cause, DeadlockDetectedError):
            raise Transient("another writer was in the way") from error
        raise
