"""Opens a transaction, and tells a database that is away from a bug."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database import AWAY
from shared.errors import Transient

# Two transactions met: the one that was refused is simply made again.
_MET: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


def is_away(error: BaseException) -> bool:
    """Whether `error` says that the database cannot answer now, however deep SQLAlchemy has wrapped it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (*AWAY, *_MET, PoolTimeoutError)):
            return True
        if isinstance(seen, DBAPIError) and seen.connection_invalidated:
            return True
        seen = seen.__cause__
    return False


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction. Raises Transient when the database is away; whether a commit then held is unknown."""
    try:
        async with engine.begin() as connection:
            yield connection
    except Exception as error:
        if is_away(error):
            raise Transient("the database is away") from error
        raise
