"""The ledger exactly as the transaction that took a checkpoint saw it, for as long as somebody looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg

from services.supply.asof import Cut
from shared.clock import day_of
from shared.lease import Lease

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
# It only reads, so that nobody waits for it; meanwhile figures are worked out from what was read.
IDLE_SECONDS: Final = 600


@dataclass(frozen=True)
class View:
    """What checkpoint `cut`, taken at the domain moment `now` under `lease`, holds. Until `held` is closed."""

    cut: Cut
    now: datetime
    lease: Lease
    connection: Connection
    held: AsyncExitStack

    @property
    def on(self) -> date:
        return day_of(self.now)


@asynccontextmanager
async def same_snapshot(pool: asyncpg.Pool, connection: Connection) -> AsyncIterator[Connection]:
    """Another connection in a transaction that sees what the repeatable-read transaction of `connection` sees.

    To be entered before that one ends; it may outlive it. What that one has written itself is not seen.
    """
    snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
    async with pool.acquire() as other, other.transaction(isolation="repeatable_read", readonly=True):
        await other.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        await other.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        yield other
