"""Tells a database that is away from a bug, and waits for it with back-off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database import AWAY
from shared.errors import Transient
from shared.telemetry import logger

WAIT_FIRST_SECONDS: Final = 0.2
WAIT_MAX_SECONDS: Final = 5.0
# Two transactions met: the one that was refused is simply made again.
_MET: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

T = TypeVar("T")
log = logger(__name__)


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


async def patiently(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, made again as long as it raises Transient. For work that is the same when made twice."""
    wait_seconds = WAIT_FIRST_SECONDS
    while True:
        try:
            return await call()
        except Transient as error:
            log.warning("waiting", what=what, why=error.detail, cause=str(error.__cause__), retry_seconds=wait_seconds)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, WAIT_MAX_SECONDS)
